"""The latest facet of every name of an entity, read from the few events that carry them (see `facet_index.py`)."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import sqlalchemy as sa

from assay.lineage.events.event_json import read_json
from assay.lineage.store import bulk
from assay.lineage.store.facet_shape import SIDES
from assay.lineage.store.parse_event import DatasetUse, described

K = TypeVar("K")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mention:
    """The latest event that mentions an entity in one shape. `moment`: its time (µs) and digest, so that no two are equal."""

    moment: tuple[int, str]
    event_id: int
    role: str
    names: frozenset[tuple[int, str]]  # facets by side
    versioned: bool


@dataclass(frozen=True, slots=True)
class Mentions:
    """The mentions of an entity in all shapes, the latest first; and the time of the first mention, µs."""

    first_us: int
    mentions: tuple[Mention, ...]

    @property
    def last_us(self) -> int:
        return self.mentions[0].moment[0]

    @property
    def events(self) -> list[int]:
        """The events in which the latest facet of every name is found, the latest event first."""
        seen: set[tuple[int, str]] = set()
        needed: dict[int, None] = {}
        for mention in self.mentions:
            if not mention.names <= seen:
                seen |= mention.names
                needed[mention.event_id] = None
        return list(needed)


class LatestFacets:
    """Reads events for one answer, each once."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._events: dict[int, Json] = {}
        self._described: dict[int, list[tuple[DatasetUse, Mapping[str, Any]]]] = {}

    def mentions(self, kind: int, entities: Mapping[K, Iterable[int]]) -> dict[K, Mentions]:
        """By name: the mentions of one entity of the index, or of several together."""
        names = {entity: name for name, ids in entities.items() for entity in ids}
        facets: dict[K, list[Any]] = {}
        for row in bulk.execute(self._connection, _MENTIONS, [[kind, entity] for entity in names]):
            facets.setdefault(names[row.entity], []).append(row)
        return {name: _mentions_of(rows) for name, rows in facets.items()}

    def load(self, ids: Iterable[int]) -> None:
        """Read events in one go, before they are asked for one by one."""
        missing = {key for key in ids if key not in self._events}
        rows = bulk.execute(self._connection, _EVENTS, [[key] for key in sorted(missing)]) if missing else ()
        self._events |= {row.id: read_json(bytes(row.body)) for row in rows}

    def event(self, event_id: int) -> Json:
        self.load([event_id])
        return self._events[event_id]

    def datasets(self, event_id: int) -> list[tuple[DatasetUse, Mapping[str, Any]]]:
        if event_id not in self._described:
            self._described[event_id] = described(self.event(event_id))
        return self._described[event_id]

    def of_part(self, part: str, mentions: Mentions) -> Json:
        """The facets of a job or a run: of `part` of the events."""
        return current_facets(map(self.event, mentions.events), part)

    def of_dataset(self, mentions: Mentions, meant: Callable[[DatasetUse], bool]) -> dict[str, Json]:
        """The facets of a dataset or a version, by side."""
        return _current(given for event in mentions.events for use, given in self.datasets(event) if meant(use))


def current_facets(events: Iterable[Json], part: str) -> Json:
    """The facets that events, given latest first, have of their job or run."""
    return _current(event.get(part) for event in events)["facets"]


def _current(given: Iterable[Any]) -> dict[str, Json]:
    """The facets of events given latest first: of each name the latest is kept; a `_deleted` one removes the name."""
    current: dict[str, Json] = {side: {} for side in SIDES}
    for item in given:
        for side, facets in current.items():
            mentioned = item.get(side) if isinstance(item, Mapping) else None
            facets |= (
                {name: facet for name, facet in mentioned.items() if name not in facets}
                if isinstance(mentioned, dict)
                else {}
            )
    return {
        side: {name: facets[name] for name in sorted(facets) if not _deleted(facets[name])}
        for side, facets in current.items()
    }


def _deleted(facet: Any) -> bool:
    return isinstance(facet, dict) and facet.get("_deleted") is True


def _mentions_of(rows: Sequence[Any]) -> Mentions:
    mentions = (Mention((row.last_us, row.sha256), row.event_id, row.role, *_names(row.names)) for row in rows)
    return Mentions(
        min(row.first_us for row in rows), tuple(sorted(mentions, key=lambda item: item.moment, reverse=True))
    )


@lru_cache(4096)
def _names(text: str) -> tuple[frozenset[tuple[int, str]], bool]:
    *sides, versioned = json.loads(text)
    return frozenset((side, name) for side, names in enumerate(sides) for name in names), versioned


_MENTIONS = """
SELECT m.entity, m.first_us, m.last_us, m.event_id, h.role, h.names, e.sha256
FROM $rows CROSS JOIN mentions m JOIN shapes h ON h.id = m.shape JOIN events e ON e.id = m.event_id
WHERE m.kind = $0i AND m.entity = $1i"""
_EVENTS = "SELECT e.id, e.body FROM $rows CROSS JOIN events e WHERE e.id = $0i"
