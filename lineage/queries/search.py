"""Search over everything that events name: datasets, jobs, columns, rules, contracts, owners, tags and code versions by their
words, in any order, with separators ignored and one slip of the keys forgiven; runs, versions and digests by their ids.

Of each word of the text the words of the index are found that hold it, or are one edit away; the word that the fewest labels
have leads to candidates, and these are judged by all words.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa

from assay.lineage.events.naming import LOGICAL
from assay.lineage.queries.id_search import Hit, Kind, by_ending, by_part_of_id, by_whole_id
from assay.lineage.queries.nodes import LONGEST, GraphNode, NodeReader
from assay.lineage.queries.nodes import Kind as NodeKind
from assay.lineage.queries.standing import Label, Standing, standing
from assay.lineage.store import bulk
from assay.lineage.store.facet_index import OTHER_NAMES
from assay.lineage.store.labels import (
    CODE,
    COLUMN,
    CONTRACT,
    DATASET,
    JOB,
    OWNER,
    RULE,
    TAG,
    label_text,
    plain_words,
    words_of,
)
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.store.schema import datasets

KINDS: dict[int, Kind] = {
    DATASET: "dataset",
    JOB: "job",
    COLUMN: "column",
    RULE: "rule",
    CONTRACT: "contract",
    OWNER: "owner",
    TAG: "tag",
    CODE: "code",
}
SHOWN: tuple[Kind, ...] = (
    *("dataset", "job", "run", "version", "row"),
    *("column", "rule", "contract", "owner", "tag", "code"),
)
_ORDER: tuple[Kind, ...] = (
    *("run", "version", "row", "dataset", "job"),
    *("column", "rule", "contract", "owner", "tag", "code"),
)
CANDIDATES = 500  # words of the index, and labels, that are looked at; of more there is a note
_OTHERS = 100  # datasets of which all labels are judged
_WORDS = 12  # of a text; what follows narrows nothing any more
_SHORTEST_EDIT = 4  # letters of a word that may have a slip in it
_ROW = re.compile(r"(.+?)(?::| row )([0-9][0-9,]*)")  # of a delivered file
_NUMBERED = re.compile(r"\bv(?=\d)", re.IGNORECASE)  # Orders v1.2
_NAMES = (DATASET, JOB)
_OF_JOBS = (JOB, CONTRACT, CODE)
_EXACT, _BEGINS, _HOLDS, _EDIT = range(4)


@dataclass(frozen=True, slots=True)
class Hits:
    """The best first. `more`: there are more, or there may be."""

    hits: tuple[Hit, ...]
    more: bool


def search_all(
    store: LineageStore,
    text: str,
    *,
    kinds: Collection[Kind] | None = None,
    limit: int = 50,
    namespace: str | None = None,
) -> Hits:
    """What a text finds: runs and versions by the beginning of their ids and digests or as `table@version`, the others by
    words. Ranked by kind, what stands no more last. Where nothing has the words as they are, an edit of each is forgiven."""
    with store.reading() as connection:
        return search_with(connection, text, kinds=kinds, limit=limit, namespace=namespace)


def search_with(
    connection: sa.Connection,
    text: str,
    *,
    kinds: Collection[Kind] | None = None,
    limit: int = 50,
    namespace: str | None = None,
) -> Hits:
    text = text.strip()
    if not text or len(text) > LONGEST or limit < 1:
        return Hits((), False)
    bulk.by_index(connection)
    wanted = set(kinds or _ORDER)
    whole = tuple(hit for hit in by_whole_id(connection, text) if hit.kind in wanted)
    if whole:
        return Hits(whole, False)
    hits = dict.fromkeys(hit for hit in by_part_of_id(connection, text, limit + 1) if hit.kind in wanted)
    found, cut = _by_words(connection, plain_words(text)[:_WORDS], wanted)
    for otherwise in _written_otherwise(text) if not hits and not found else ():
        if not found:
            found, cut = _by_words(connection, plain_words(otherwise)[:_WORDS], wanted)
    hits |= dict.fromkeys(found)
    if not hits and "row" in wanted:
        hits |= dict.fromkeys(_rows(connection, text, limit))
    if not hits and kinds is None:
        hits |= dict.fromkeys(by_ending(connection, text, limit + 1))
    listed = [hit for hit in hits if namespace is None or hit.namespace == namespace]
    return Hits(tuple(_standing_first(connection, listed, limit)[:limit]), cut or len(listed) > limit)


def _written_otherwise(text: str) -> Iterable[str]:
    """Of a version that no event names, the dataset; of `Orders v1.2`, `Orders 1.2`."""
    if "@" in text:
        yield text.rpartition("@")[0]
    if _NUMBERED.search(text):
        yield _NUMBERED.sub("", text)


def _rows(connection: sa.Connection, text: str, limit: int) -> list[Hit]:
    """Of `file.csv:17`, `file.csv row 17`, or a file's digest with the row's number: the delivered file."""
    named = _ROW.fullmatch(text)
    if named is None:
        return []
    files = search_with(connection, named[1], kinds=["dataset", "version"], limit=limit).hits
    return [replace(hit, kind="row", text=f"row {named[2]}") for hit in files]


def _standing_first(connection: sa.Connection, hits: Sequence[Hit], limit: int) -> list[Hit]:
    """Labels that stand no more are true of runs of then: they are found, after all that stands."""
    near = hits[: 2 * limit]
    known = standing(connection, (_label(hit) for hit in near))
    marked = [_marked(hit, known.get(_label(hit))) for hit in near]
    return [*sorted(marked, key=lambda hit: hit.formerly), *hits[2 * limit :]]


def _label(hit: Hit) -> Label:
    return hit.namespace, hit.name, hit.kind, hit.text


def _marked(hit: Hit, known: Standing | None) -> Hit:
    if known is None:
        return hit
    node = f"{'job' if known.of_job else 'dataset'}:{hit.namespace}:{hit.name}"
    return replace(hit, formerly=known.former, node=node)


def search(
    store: LineageStore, text: str, *, kinds: Collection[NodeKind] | None = None, limit: int = 50
) -> list[GraphNode]:
    """Nodes of the graph: datasets (at their latest version) and jobs by their words, and runs by the beginning of their id."""
    wanted: set[Kind] = set(kinds or ("dataset", "job", "run"))
    if "dataset" in wanted:
        wanted.add("version")
    hits = search_all(store, text, kinds=wanted, limit=limit).hits
    return list({node.id: node for node in nodes_of(store, hits).values()}.values())


def nodes_of(store: LineageStore, hits: Iterable[Hit]) -> dict[Hit, GraphNode]:
    """The node that each hit leads to: of a dataset, its latest version."""
    with store.reading() as connection:
        reader = NodeReader(connection)
        keys = {hit: key for hit in hits if (key := reader.key(hit.node)) is not None}
        nodes = reader.nodes(dict.fromkeys(keys.values()))
    return {hit: nodes[key] for hit, key in keys.items()}


# -- words -------------------------------------------------------------------------------------------------------------

_LABELS = """SELECT DISTINCT l.id, l.kind, l.namespace, l.name, l.text FROM $rows CROSS JOIN label_words p
 JOIN labels l ON l.id = p.label_id WHERE p.word_id = $0i AND l.kind IN ({kinds}) LIMIT {most}"""
_COUNT = f"""SELECT count(*) FROM (SELECT 1 FROM $rows CROSS JOIN label_words p WHERE p.word_id = $0i
 LIMIT {4 * CANDIDATES}) AS sample"""
_TABLES = (
    "SELECT d.namespace, d.name, d.table_name FROM $rows CROSS JOIN datasets d WHERE d.namespace = $0 AND d.name = $1"
)
_ALL_LABELS = """SELECT l.id, l.kind, l.namespace, l.name, l.text FROM $rows CROSS JOIN labels l
 WHERE l.namespace = $0 AND l.name = $1 AND l.kind IN ({kinds})"""


def _by_words(connection: sa.Connection, words: Sequence[str], wanted: set[Kind]) -> tuple[list[Hit], bool]:
    """Where nothing has the words as they are, an edit of each is forgiven."""
    kinds = [number for number, kind in KINDS.items() if kind in wanted]
    if not words or not kinds:
        return [], False
    texts = list(dict.fromkeys(words))
    asked = [_Asked(word) for word in texts]
    # Of one word only all that holds it is looked for: labels are judged by the others as they stand.
    rarest = _literal(
        connection, min(texts, key=lambda word: _beginning_with(connection, word)) if texts[1:] else texts[0]
    )
    hits, cut = _having_all(connection, rarest, asked, kinds)
    if hits:
        return hits, cut
    literal = [rarest if word == rarest.word else _literal(connection, word) for word in texts]  # each reads all words
    near = [_with_edits(connection, each) for each in literal]
    return _having_all(connection, min(near, key=lambda each: _count(connection, each.ids)), near, kinds)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A word of the text: the keys of the words of the index that it stands for, the nearest first, and those of them that differ
    by an edit. `cut`: there are more."""

    word: str
    ids: tuple[int, ...] = ()
    edits: frozenset[str] = frozenset()
    cut: bool = False


def _having_all(
    connection: sa.Connection, rarest: _Asked, asked: Sequence[_Asked], kinds: Sequence[int]
) -> tuple[list[Hit], bool]:
    if not rarest.ids:
        return [], False
    rows, cut = _labels_with(connection, rarest.ids)
    if len(asked) > 1:  # a column of a table: one word may be of the one, another of the other
        owners = dict.fromkeys((row.namespace, row.name) for row in rows.values() if row.kind in _NAMES)
        cut = cut or len(owners) > _OTHERS
        statement = _ALL_LABELS.format(kinds=_listed(kinds))
        named = [list(owner) for owner in list(owners)[:_OTHERS]]
        rows |= {row.id: row for row in bulk.execute(connection, statement, named).all()} if named else {}
    borne = _borne(connection, [row for row in rows.values() if row.kind in kinds])
    levels_of = cache(lambda namespace, name: _levels(asked, f"{namespace} {name}"))  # a dataset has many labels
    judged = ((_rank(row, asked, levels_of), row) for row in borne)
    ranked = sorted(((rank, row) for rank, row in judged if rank is not None), key=lambda item: item[0])
    return list(dict.fromkeys(_hit(row) for _, row in ranked)), cut or rarest.cut


def _borne(connection: sa.Connection, rows: Sequence[Any]) -> list[Any]:
    """Without other names that their dataset does not bear any more. The name of a table of the lake stays."""
    named = [(row.namespace, row.name, row.text) for row in rows if row.kind == DATASET and row.text]
    if not named:
        return list(rows)
    keys = [list(key) for key in dict.fromkeys(label[:2] for label in named)]
    standing = {tuple(row) for row in bulk.execute(connection, _TABLES, keys)}
    others = sorted({label[1] for label in named if label not in standing})
    if others:
        of = sa.select(datasets.c.namespace, datasets.c.name, OTHER_NAMES.c.name.label("other"))
        joined = of.join(OTHER_NAMES, OTHER_NAMES.c.dataset_id == datasets.c.id)
        standing |= {tuple(row) for row in connection.execute(joined.where(datasets.c.name.in_(others)))}
    return [
        row for row in rows if row.kind != DATASET or not row.text or (row.namespace, row.name, row.text) in standing
    ]


def _beginning_with(connection: sa.Connection, word: str) -> int:
    """How many labels, up to some, have a word that begins so."""
    sqlite = connection.dialect.name == "sqlite"
    where = "w.word >= :word AND w.word < :after" if sqlite else "w.word LIKE :after"
    given = {"word": word, "after": word + ("\U0010ffff" if sqlite else "%"), "most": 4 * CANDIDATES}
    query = f"SELECT 1 FROM words w JOIN label_words p ON p.word_id = w.id WHERE {where} LIMIT :most"
    return connection.scalar(sa.text(f"SELECT count(*) FROM ({query}) AS sample"), given) or 0


def _count(connection: sa.Connection, ids: Sequence[int]) -> int:
    return bulk.execute(connection, _COUNT, [[key] for key in ids]).scalar() or 0


def _labels_with(connection: sa.Connection, ids: Sequence[int]) -> tuple[dict[int, Any], bool]:
    """The labels that have one of these words, and whether there are more. Datasets and jobs for themselves: there are far more
    columns, and these are found through their datasets, too."""
    rows: dict[int, Any] = {}
    cut = False
    for kinds in (_NAMES, [kind for kind in KINDS if kind not in _NAMES]):
        statement = _LABELS.format(kinds=_listed(kinds), most=CANDIDATES + 1)
        listed = bulk.execute(connection, statement, [[key] for key in ids]).all()
        cut = cut or len(listed) > CANDIDATES
        rows |= {row.id: row for row in listed}
    return rows, cut


def _listed(kinds: Iterable[int]) -> str:
    return ", ".join(map(str, kinds))


def _literal(connection: sa.Connection, word: str) -> _Asked:
    holds = "strpos(word, :word)" if connection.dialect.name == "postgresql" else "instr(word, :word)"
    query = f"SELECT id FROM words WHERE {holds} > 0 ORDER BY word <> :word, {holds} > 1, length(word), id LIMIT :most"
    ids = list(connection.scalars(sa.text(query), {"word": word, "most": CANDIDATES + 1}))
    return _Asked(word, tuple(ids[:CANDIDATES]), frozenset(), len(ids) > CANDIDATES)


def _with_edits(connection: sa.Connection, asked: _Asked) -> _Asked:
    """Of a word with one edit, one half is as it was; but for two letters that changed places in the middle."""
    word = asked.word
    if len(word) < _SHORTEST_EDIT:
        return asked
    end = "right(word, :rest)" if connection.dialect.name == "postgresql" else "substr(word, -:rest)"
    half = len(word) // 2
    given: dict[str, Any] = {"half": half, "first": word[:half], "rest": len(word) - half, "second": word[half:]}
    given |= {"swapped": word[: half - 1] + word[half] + word[half - 1] + word[half + 1 :]}
    given |= {"least": len(word) - 1, "most": len(word) + 1}
    query = f"""SELECT id, word FROM words WHERE length(word) BETWEEN :least AND :most
        AND (substr(word, 1, :half) = :first OR {end} = :second OR word = :swapped) ORDER BY word"""
    near = [(key, text) for key, text in connection.execute(sa.text(query), given) if one_edit(word, text)]
    ids = tuple(dict.fromkeys([*asked.ids, *(key for key, _ in near)]))
    return _Asked(word, ids, frozenset(text for _, text in near), asked.cut)


def one_edit(a: str, b: str) -> bool:
    """Whether one letter more, less or another, or two neighbours that changed places, make a text of the other."""
    if abs(len(a) - len(b)) > 1 or a == b:
        return a == b
    start = next((place for place, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    x, y = a[start:], b[start:]
    if len(x) == len(y):
        return x[1:] == y[1:] or (len(x) > 1 and x[0] == y[1] and x[1] == y[0] and x[2:] == y[2:])
    return x[1:] == y or x == y[1:]


def _rank(
    row: Any, asked: Sequence[_Asked], levels_of: Callable[[str, str], Sequence[int | None]]
) -> tuple[Any, ...] | None:
    """The rank of a label; None where it lacks a word. One word at least is of the label itself, others may be of the dataset or
    job that has it: `levels_of` its namespace and name."""
    mine = every = _levels(asked, label_text(row.kind, row.namespace, row.name, row.text))
    if mine.count(None) == len(mine):
        return None
    if None in mine and row.text and row.kind != CODE:  # nearly every digit is in one
        others = levels_of(row.namespace, row.name)
        every = [other if level is None else level for level, other in zip(mine, others, strict=True)]
    if None in every:
        return None
    levels = [level or 0 for level in every]
    order, length = _ORDER.index(KINDS[row.kind]), len(row.text or row.name)
    return _EDIT in levels, order, max(levels), sum(levels), row.namespace != LOGICAL, length, row.name, row.text


_words = lru_cache(65_536)(words_of)


def _levels(asked: Sequence[_Asked], text: str) -> list[int | None]:
    words = _words(text)
    return [_level(each, words) for each in asked]


def _level(asked: _Asked, words: Collection[str]) -> int | None:
    """How well some words answer one of the text; None: not at all."""
    text = asked.word
    if text in words:
        return _EXACT
    holding = [word for word in words if text in word]
    if holding:
        return _BEGINS if any(word.startswith(text) for word in holding) else _HOLDS
    return None if asked.edits.isdisjoint(words) else _EDIT


def _hit(row: Any) -> Hit:
    kind = KINDS[row.kind]
    node = f"{'job' if row.kind in _OF_JOBS else 'dataset'}:{row.namespace}:{row.name}"
    return Hit(kind, row.namespace, row.name, "" if kind == "dataset" else row.text, node)
