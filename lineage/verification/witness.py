"""A second witness: commits as they were recorded outside of the lake, when they were made.

The lineage store keeps the event of every run, with the digest of each commit that the run read or made and how many rows it
wrote; backends that events were forwarded to keep copies of their own. Who changes the lake would have to change these, too.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from assay.errors import AssayError
from assay.lineage.store.lineage_store import LineageStore


@dataclass(frozen=True, slots=True)
class Recorded:
    """A version of a table as it was recorded: `rows` is what the commit wrote, None where that was not recorded; `run` whose
    event names it, empty where it comes from an index."""

    table_id: str
    version: int
    sha256: str
    rows: int | None = None
    run: str = ""


class Witness(Protocol):
    """Somebody who recorded commits. `name` is how findings call it."""

    @property
    def name(self) -> str: ...

    def recorded(self, versions: Mapping[str, Collection[int]], runs: Collection[str]) -> list[Recorded]:
        """What is recorded of versions (by table id) and by runs. Raises what reading it raises."""
        ...

    def latest(self, table_ids: Collection[str]) -> Mapping[str, int]:
        """The newest version of each table that is recorded."""
        ...

    def damaged(self, runs: Collection[str]) -> Sequence[str]:
        """Runs whose records were changed since they were stored."""
        ...


@dataclass(frozen=True, slots=True)
class StoreWitness:
    """The lineage store: the events of runs, and the index that was made from them."""

    store: LineageStore
    name: str = "the lineage store"

    def recorded(self, versions: Mapping[str, Collection[int]], runs: Collection[str]) -> list[Recorded]:
        indexed = [Recorded(*row) for row in self.store.commits_of(versions)]
        events = (event.body for event in self.store.events_of(runs) if event.kind == "COMPLETE")
        return [*indexed, *commits_in(events)]

    def latest(self, table_ids: Collection[str]) -> Mapping[str, int]:
        return self.store.newest_versions(table_ids)

    def damaged(self, runs: Collection[str]) -> Sequence[str]:
        changed = (e for e in self.store.events_of(runs) if hashlib.sha256(e.body).hexdigest() != e.sha256)
        return sorted({str(event.run_id) for event in changed})


@dataclass(frozen=True, slots=True)
class EventsWitness:
    """OpenLineage events in a file, one a line, as `assay lineage export` and file transports write them."""

    path: Path

    @property
    def name(self) -> str:
        return f"the events in {self.path.name}"

    def recorded(self, versions: Mapping[str, Collection[int]], runs: Collection[str]) -> list[Recorded]:
        known = list(self._commits())
        return [item for item in known if item.run in runs or item.version in versions.get(item.table_id, ())]

    def latest(self, table_ids: Collection[str]) -> Mapping[str, int]:
        newest: dict[str, int] = {}
        for item in self._commits():
            if item.table_id in table_ids:
                newest[item.table_id] = max(item.version, newest.get(item.table_id, 0))
        return newest

    def damaged(self, runs: Collection[str]) -> Sequence[str]:
        return ()

    def _commits(self) -> Iterator[Recorded]:
        try:
            with self.path.open("rb") as lines:
                yield from commits_in(line for line in lines if line.strip())
        except OSError as problem:
            raise AssayError(f"{self.path} cannot be read ({problem.strerror}).") from None


def commits_in(events: Iterable[bytes]) -> Iterator[Recorded]:
    """The commits that events of ours name, as inputs or outputs. Raises AssayError for what is no JSON."""
    for body in events:
        try:
            event = json.loads(body)
        except ValueError:
            raise AssayError("An event is not JSON: was the file cut off, or changed?") from None
        for side in ("inputs", "outputs"):
            for dataset in event.get(side) or () if isinstance(event, dict) else ():
                if (found := _commit_of(event, dataset, side)) is not None:
                    yield found


def _commit_of(event: dict[str, Any], dataset: Any, side: str) -> Recorded | None:
    try:
        facet = dataset["facets"]["assay_snapshot"]
        statistics = (dataset.get("outputFacets") or {}).get("outputStatistics") or {}
        rows = statistics.get("rowCount") if side == "outputs" and facet.get("role") == "output" else None
        run = str(event["run"]["runId"]) if event.get("eventType") == "COMPLETE" else ""
        table_id, version, sha256 = facet["table_id"], facet["version"], facet["commit_sha256"]
        if not (isinstance(table_id, str) and isinstance(sha256, str) and type(version) in (int, str)):
            return None
        return Recorded(table_id, int(version), sha256, rows, run)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
