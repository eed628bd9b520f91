"""Which of the labels that a search finds still stand: a column, an owner or a tag that the latest events do not name any more is
true of the runs of then, and of nothing today."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from assay.lineage.store import bulk
from assay.lineage.store.facet_index import DATASET, JOB
from assay.lineage.store.latest_facets import LatestFacets, Mentions

Label = tuple[str, str, str, str]  # namespace and name of a dataset or job, what the label is, its text
_FACETS = {  # facet, its list, the name of an item
    "column": ("schema", "fields", "name"),
    "owner": ("ownership", "owners", "name"),
    "tag": ("tags", "tags", "key"),
}
_IDS = {
    DATASET: "SELECT d.namespace, d.name, d.id FROM $rows CROSS JOIN datasets d WHERE d.namespace = $0 AND d.name = $1",
    JOB: "SELECT j.namespace, j.name, j.id FROM $rows CROSS JOIN jobs j WHERE j.namespace = $0 AND j.name = $1",
}
_SIZES = "SELECT e.id, length(e.body) FROM $rows CROSS JOIN events e WHERE e.id = $0i"
_MOST_BYTES = 4 * 1024**2  # of events that are read for one answer


@dataclass(frozen=True, slots=True)
class Standing:
    """Of a label: whether its dataset or job names it no more (`former`), and whether it is a job that it is of."""

    former: bool
    of_job: bool


def standing(connection: sa.Connection, labels: Iterable[Label]) -> dict[Label, Standing]:
    """Of columns, owners and tags, whether the latest facet of their dataset or job names them. Those whose events are too large
    to be read for an answer are taken for standing."""
    asked = [label for label in dict.fromkeys(labels) if label[2] in _FACETS]
    keys = [list(key) for key in dict.fromkeys(label[:2] for label in asked)]
    facets, named, of = LatestFacets(connection), dict[Label, list[bool]](), dict[Label, int]()
    for kind in (DATASET, JOB) if keys else ():
        ids = {(row[0], row[1]): [row[2]] for row in bulk.execute(connection, _IDS[kind], keys)}
        mentions = facets.mentions(kind, ids) if ids else {}
        here = [label for label in asked if label[:2] in ids]
        events = {label: event for label in here if (event := _latest(mentions[label[:2]], label)) is not None}
        read = _small(connection, list(dict.fromkeys(events.values())))
        facets.load(read)
        for label, event in events.items():
            of.setdefault(label, kind)
            named.setdefault(label, []).append(event not in read or label[3] in _named(facets, event, kind, label))
    return {label: Standing(not any(by), of[label] == JOB) for label, by in named.items()}


def _latest(mentions: Mentions, label: Label) -> int | None:
    """The latest event in which an entity has the facet that a label is of."""
    facet, *_ = _FACETS[label[2]]
    return next((item.event_id for item in mentions.mentions if (0, facet) in item.names), None)


def _small(connection: sa.Connection, events: Sequence[int]) -> Collection[int]:
    """As many of the events as may be read."""
    rows = bulk.execute(connection, _SIZES, [[event] for event in events]).all() if events else []
    sizes, total, read = {row[0]: row[1] for row in rows}, 0, dict[int, None]()
    for event in events:
        total += sizes.get(event, 0)
        if total > _MOST_BYTES:
            break
        read[event] = None
    return read


def _named(facets: LatestFacets, event: int, kind: int, label: Label) -> set[str]:
    """What the facet names in an event: nothing where it was deleted there."""
    namespace, name, what, _ = label
    facet, items, field = _FACETS[what]
    if kind == JOB:
        given = [facets.event(event).get("job")]
    else:
        given = [item for use, item in facets.datasets(event) if (use.namespace, use.name) == (namespace, name)]
    listed = (_items(item, facet, items) for item in given)
    return {str(one[field]) for some in listed for one in some if isinstance(one, Mapping) and field in one}


def _items(given: Any, *path: str) -> Sequence[Any]:
    for name in ("facets", *path):
        given = given.get(name) if isinstance(given, Mapping) else None
    return given if isinstance(given, list) else ()
