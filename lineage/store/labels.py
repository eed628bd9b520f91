"""The words by which datasets and jobs are found: their names, columns, owners, tags, rules and sources, as events say them.

What an event once carried stays findable. A set of labels is written once: what says nothing new costs one look-up a dataset.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from assay.lineage.events.naming import LOGICAL, DatasetName
from assay.lineage.store import bulk

DATASET, JOB, COLUMN, RULE, OWNER, TAG, SOURCE = range(7)
_LONGEST_LABEL = 600  # characters of its texts together: PostgreSQL indexes no longer ones
_LONGEST = 200  # characters of a word; what is longer is found by its beginning
_WORD = re.compile(r"[^\W_]+")
_SEGMENT = re.compile(r"[/.:\\]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_Label = tuple[int, str, str, str]  # kind, namespace and name of the dataset or job, text ("": the name itself)


class LabelSet(NamedTuple):
    """The id is a digest of the labels."""

    id: int
    labels: tuple[_Label, ...]


@lru_cache(8192)
def label_set(given: tuple[_Label, ...]) -> LabelSet:
    labels = tuple(label for label in given if sum(map(len, label[1:])) <= _LONGEST_LABEL)
    digest = hashlib.sha256(repr(labels).encode("utf-8", "replace")).digest()
    return LabelSet(int.from_bytes(digest[:8], signed=True), labels)


def dataset_labels(
    key: DatasetName, table: str, given: Mapping[str, Any], others: Iterable[DatasetName], rules: Iterable[str]
) -> LabelSet:
    """Of a dataset and its facets in an event; `others` are its other names. What is a table of the lake is found by its own
    name (`table`), not by the folder that all of them lie in."""
    facets = given.get("facets")
    facets = facets if isinstance(facets, dict) else {}
    texts = [
        (DATASET, "" if table in ("", key.name) else table),
        (SOURCE, _text(facets, "dataSource", "name") or key.namespace),
    ]
    texts += [] if table else [(DATASET, other.name) for other in others]
    texts += [(COLUMN, name) for name in _texts(facets, "schema", "fields", "name")]
    texts += _of_both(facets)
    texts += [(RULE, rule) for rule in rules]
    return label_set(tuple((kind, *_key(key), text) for kind, text in dict.fromkeys(texts)))


def job_labels(namespace: str, name: str, facets: Mapping[str, Any]) -> LabelSet:
    texts = dict.fromkeys([(JOB, ""), *_of_both(facets)])
    return label_set(tuple((kind, namespace, name, text) for kind, text in texts))


def _of_both(facets: Mapping[str, Any]) -> list[tuple[int, str]]:
    owners = [(OWNER, name) for name in _texts(facets, "ownership", "owners", "name")]
    return owners + [(TAG, tag) for tag in _texts(facets, "tags", "tags", "key")]


def _key(key: DatasetName) -> tuple[str, str]:
    return key.namespace, key.name


def _text(facets: Mapping[str, Any], facet: str, field: str) -> str:
    given = facets.get(facet)
    value = given.get(field) if isinstance(given, dict) else None
    return value if isinstance(value, str) else ""


def _texts(facets: Mapping[str, Any], facet: str, items: str, field: str) -> list[str]:
    given = facets.get(facet)
    listed = given.get(items) if isinstance(given, dict) else None
    values = [item.get(field) for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    return [value for value in values if isinstance(value, str) and value]


def words_of(text: str) -> set[str]:
    """The words of a name, in small letters; and its parts written as one, so that separators do not matter."""
    return {word[:_LONGEST] for word in _words_of(text)}


def _words_of(text: str) -> Iterable[str]:
    spread = _HUMP.sub(" ", text)
    yield from plain_words(spread)
    for part in (text, *_SEGMENT.split(text)):
        yield "".join(plain_words(part))


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
_LABELS = """INSERT INTO labels (kind, namespace, name, text) SELECT $0i, $1, $2, $3 FROM $rows WHERE true
 ON CONFLICT DO NOTHING RETURNING id, kind, namespace, name, text"""
_WORDS = "INSERT INTO words (word) SELECT $0 FROM $rows WHERE true ON CONFLICT DO NOTHING"
_FIND_WORDS = "SELECT w.word, w.id FROM $rows CROSS JOIN words w WHERE w.word = $0"
_POSTINGS = """INSERT INTO label_words (word_id, label_id) SELECT $0i, $1i FROM $rows WHERE true
 ON CONFLICT DO NOTHING"""


def put_labels(connection: sa.Connection, sets: Iterable[LabelSet]) -> None:
    """Index the labels of stored events. Indexing the same again changes nothing."""
    wanted = {each.id: each for each in sets}
    if not wanted:
        return
    known = {row.id for row in bulk.execute(connection, _KNOWN_SETS, _rows(wanted))}
    new = [each for each in wanted.values() if each.id not in known]
    if not new:
        return
    bulk.execute(connection, _SETS, _rows(each.id for each in new))
    labels = sorted({label for each in new for label in each.labels})
    made = bulk.execute(connection, _LABELS, labels).all() if labels else []
    words = {row.id: words_of(label_text(row.kind, row.namespace, row.name, row.text)) for row in made}
    every = _rows(word for each in words.values() for word in each if word)
    if not every:
        return
    bulk.execute(connection, _WORDS, every)
    ids = {row.word: row.id for row in bulk.execute(connection, _FIND_WORDS, every)}
    postings = sorted((ids[word], label) for label, each in words.items() for word in each if word)
    bulk.execute(connection, _POSTINGS, postings)


def _rows(values: Iterable[Any]) -> Sequence[list[Any]]:
    return [[value] for value in sorted(set(values))]
