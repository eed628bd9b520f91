"""The words by which datasets and jobs are found: their names, columns, owners, tags, rules, sources, contracts and versions of
code, as events say them.

What an event once carried stays findable. A set of labels is written once: what says nothing new costs one look-up a dataset.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from assay.lineage.events.naming import LOGICAL, DatasetName
from assay.lineage.store import bulk

DATASET, JOB, COLUMN, RULE, OWNER, TAG, SOURCE, CONTRACT, CODE = range(9)
_LONGEST_LABEL = 600  # characters of its texts together: PostgreSQL indexes no longer ones
_LONGEST = 200  # characters of a word; what is longer is found by its beginning
_WORD = re.compile(r"[^\W_]+")
_SEGMENT = re.compile(r"[/.:\\]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_Label = tuple[int, str, str, str]  # kind, namespace and name of the dataset or job, text ("": the name itself)


class LabelSet(NamedTuple):
    """What an event says of a dataset or job: texts by kind. The id is a digest of the other fields."""

    id: int
    namespace: str
    name: str
    texts: tuple[tuple[int, tuple[str, ...]], ...]

    @property
    def labels(self) -> Iterable[_Label]:
        """Those that are not too long."""
        longest = _LONGEST_LABEL - len(self.namespace) - len(self.name)
        for kind, texts in self.texts:
            yield from ((kind, self.namespace, self.name, text) for text in texts if len(text) <= longest)


@lru_cache(8192)
def label_set(namespace: str, name: str, *texts: tuple[int, tuple[str, ...]]) -> LabelSet:
    content = repr((namespace, name, texts)).encode("utf-8", "replace")
    digest = hashlib.blake2b(content, digest_size=8).digest()
    return LabelSet(int.from_bytes(digest, signed=True), namespace, name, texts)


def dataset_labels(
    key: DatasetName, table: str, given: Mapping[str, Any], others: Iterable[DatasetName], rules: tuple[str, ...]
) -> Iterator[LabelSet]:
    """Of a dataset and its facets in an event; `others` are its other names. What is a table of the lake is found by its own
    name (`table`), not by the folder that all of them lie in. Its rules are a set of their own: they change more often."""
    facets = given.get("facets")
    facets = facets if isinstance(facets, dict) else {}
    names = ("" if table in ("", key.name) else table, *(() if table else [other.name for other in others]))
    source = _text(facets, "dataSource", "name") or key.namespace
    columns = (COLUMN, _texts(facets, "schema", "fields", "name"))
    yield label_set(key.namespace, key.name, (DATASET, names), (SOURCE, (source,)), columns, *_of_both(facets))
    if rules:
        yield label_set(key.namespace, key.name, (RULE, rules))


def job_labels(namespace: str, name: str, facets: Mapping[str, Any]) -> LabelSet:
    return label_set(namespace, name, (JOB, ("",)), *_of_both(facets))


def run_labels(namespace: str, name: str, facets: Mapping[str, Any]) -> Iterator[LabelSet]:
    """Of a job, what a run of it names in its tags: the version of the code, and the contract that it judged by."""
    tags = facets.get("tags")
    listed = tags.get("tags") if isinstance(tags, dict) else None
    if not isinstance(listed, list):
        return
    named = {tag.get("key"): tag.get("value") for tag in listed if isinstance(tag, dict)}
    texts = [(kind, (value,)) for key, kind in _RUN_TAGS if isinstance(value := named.get(key), str) and value]
    if texts:
        yield label_set(namespace, name, *texts)


_RUN_TAGS = (("contract", CONTRACT), ("code_version", CODE))


def _of_both(facets: Mapping[str, Any]) -> Iterator[tuple[int, tuple[str, ...]]]:
    if "ownership" in facets:
        yield OWNER, _texts(facets, "ownership", "owners", "name")
    if "tags" in facets:
        yield TAG, _texts(facets, "tags", "tags", "key")


def _text(facets: Mapping[str, Any], facet: str, field: str) -> str:
    given = facets.get(facet)
    value = given.get(field) if isinstance(given, dict) else None
    return value if isinstance(value, str) else ""


def _texts(facets: Mapping[str, Any], facet: str, items: str, field: str) -> tuple[str, ...]:
    given = facets.get(facet)
    listed = given.get(items) if isinstance(given, dict) else None
    if not isinstance(listed, list):
        return ()
    return tuple(
        [text for item in listed if isinstance(item, dict) and isinstance(text := item.get(field), str) and text]
    )


@lru_cache(8192)
def words_of(text: str) -> frozenset[str]:
    """The words of a name, in small letters; and its parts written as one, so that separators do not matter."""
    words = plain_words(text)
    parts = [words] if len(segments := _SEGMENT.split(text)) == 1 else [words, *map(plain_words, segments)]
    spread = words if text.islower() else plain_words(_HUMP.sub(" ", text))
    return frozenset({*spread, *("".join(part)[:_LONGEST] for part in parts)})


def plain_words(text: str) -> list[str]:
    """The words between the separators, in small letters."""
    return [word[:_LONGEST] for word in _WORD.findall(text.lower())]


def label_text(kind: int, namespace: str, name: str, text: str) -> str:
    """What a label is found by. All tables of the lake have one namespace, which would find them all."""
    if text:
        return text
    return name if kind == DATASET and namespace in (LOGICAL, "file") else f"{namespace} {name}"


# -- writing -----------------------------------------------------------------------------------------------------------

_KNOWN_SETS = "SELECT l.id FROM $rows CROSS JOIN label_sets l WHERE l.id = $0i"
_SETS = "INSERT INTO label_sets (id) SELECT $0i FROM $rows WHERE true ON CONFLICT DO NOTHING"
_LABELS = """INSERT INTO labels (id, kind, namespace, name, text) SELECT $0i, $1i, $2, $3, $4 FROM $rows WHERE true
 ON CONFLICT DO NOTHING"""
_WORDS = "INSERT INTO words (id, word) SELECT $0i, $1 FROM $rows WHERE true ON CONFLICT DO NOTHING"
_FIND_WORDS = "SELECT w.word, w.id FROM $rows CROSS JOIN words w WHERE w.word = $0"
_POSTINGS = """INSERT INTO label_words (word_id, label_id) SELECT $0i, $1i FROM $rows WHERE true
 ON CONFLICT DO NOTHING"""


def put_labels(connection: sa.Connection, sets: Iterable[LabelSet]) -> None:
    """Index the labels of stored events. Indexing the same again changes nothing."""
    wanted = {each.id: each for each in sets}
    known = {key for (key,) in bulk.fetch(connection, _KNOWN_SETS, _rows(wanted))}
    new = [each for key, each in wanted.items() if key not in known]
    if not new:
        return
    bulk.write(connection, _SETS, _rows(each.id for each in new))
    labels = sorted({label for each in new for label in each.labels})
    rows = dict(zip(bulk.new_ids(connection, "labels", len(labels)), labels, strict=True))
    made = bulk.insert(connection, "labels", _LABELS, [(key, *label) for key, label in rows.items()])
    words = {key: words_of(label_text(*label)) for key, label in rows.items() if key in made}
    ids = _put_words(connection, {word for each in words.values() for word in each if word})
    bulk.write(
        connection, _POSTINGS, sorted((ids[word], label) for label, each in words.items() for word in each if word)
    )


def _put_words(connection: sa.Connection, words: Collection[str]) -> dict[str, int]:
    ids: dict[str, int] = dict(bulk.fetch(connection, _FIND_WORDS, _rows(words)))
    missing = sorted(word for word in words if word not in ids)
    rows = list(zip(bulk.new_ids(connection, "words", len(missing)), missing, strict=True))
    made = bulk.insert(connection, "words", _WORDS, rows)
    ids |= {word: key for key, word in rows if key in made}
    others = _rows(word for word in missing if word not in ids)  # of another writer, who was first
    return ids | dict(bulk.fetch(connection, _FIND_WORDS, others))


def _rows(values: Iterable[Any]) -> Sequence[tuple[Any]]:
    return [(value,) for value in sorted(set(values))]
