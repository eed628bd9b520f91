"""The graph of what Assay wrote, restored from the tables' own commits: the store is only an index of them."""

import gc
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from openlineage.client.event_v2 import RunEvent

from assay.features.storage.commit_metadata import Commit
from assay.features.storage.snapshot import Snapshot
from assay.features.tables.lake import Lake
from assay.features.tables.log_replay import replay_log
from assay.lineage.events import events
from assay.lineage.events.serialize import encoded, fields_of, to_bytes
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.store.parse_event import read_event

BATCH = 200  # runs in a transaction
# A run that was given up has not ended for good: should it have published something after all, then that is what happened.
ENDED = ("COMPLETE", "FAIL")
_TYPES = {
    "string": "String",
    "boolean": "Boolean",
    "byte": "Int8",
    "short": "Int16",
    "integer": "Int32",
    "long": "Int64",
    "float": "Float32",
    "double": "Float64",
    "date": "Date",
    "binary": "Binary",
    "timestamp": "Datetime(time_unit='us', time_zone='UTC')",
    "timestamp_ntz": "Datetime(time_unit='us', time_zone=None)",
}

Output = tuple[Snapshot, Commit, Mapping[str, str]]  # the identity and the columns of what a commit made


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Commits read, and the runs that the store had not known the end of. `damaged` commits could not be read."""

    commits: int
    runs: int
    damaged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """What runs left in tables: by run id, all commits of a run. `damaged` ones (`table@version`) could not be read."""

    runs: Mapping[str, Sequence[Output]]
    damaged: tuple[str, ...]


def rebuild(store: LineageStore, lake: Lake, deployment: str = "assay") -> Rebuilt:
    """Store the events of every run that left commits in the lake's tables, unless its end is stored already.

    Restored are runs, what they read and wrote at which version, and their checks. What leaves no commit cannot be: failed
    runs, runs that found nothing to do, tables that were deleted. Raises what reading the lake and the store raises.

    Args:
        store: Where events are kept.
        lake: Whose commits are read.
        deployment: The name under which jobs stand.
    """
    known = ended(store)
    with _uncollected():
        found = published(lake, lake.tables())
        missing = [outputs for run_id, outputs in found.runs.items() if run_id not in known]
        for start in range(0, len(missing), BATCH):
            batch = (event for item in missing[start : start + BATCH] for event in _events_of(item, deployment))
            store.put_facts([read_event(encoded(fields), fields) for fields in map(fields_of, batch)], once=True)
    return Rebuilt(sum(map(len, found.runs.values())), len(missing), found.damaged)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without looking for cycles: commits and events are in none, and going through all of them again and again would take a
    fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def ended(store: LineageStore) -> set[str]:
    """Runs that need no end any more."""
    return {run.id for run in store.runs() if run.state in ENDED}


def events_of(outputs: Sequence[Output], deployment: str) -> tuple[bytes, bytes]:
    """START and COMPLETE of a run, from its commits."""
    start, end = _events_of(outputs, deployment)
    return to_bytes(start), to_bytes(end)


def _events_of(outputs: Sequence[Output], deployment: str) -> tuple[RunEvent, RunEvent]:
    done = events.done_from_commits(outputs)
    return events.started(done.work, deployment), events.finished(done, deployment, recovered=True)


def published(lake: Lake, tables: Iterable[str]) -> Published:
    """Every version of these tables that a transaction wrote. Each log is read once, file by file: opening a table at
    every version would take a hundred times as long."""
    runs: dict[str, list[Output]] = defaultdict(list)
    damaged: list[str] = []
    for table in tables:
        for output in _outputs(lake, table, damaged):
            runs[str(output[1].run_id)].append(output)
    return Published(runs, tuple(damaged))


def _outputs(lake: Lake, table: str, damaged: list[str]) -> Iterator[Output]:
    log = replay_log(lake, table)
    uri, table_id, schema = lake.table(table).uri, "", {}
    for entry in log.entries if log else ():
        if entry.metadata is not None:
            table_id, schema = entry.metadata["id"], _schema(entry.metadata)
        commit = entry.commit
        if commit is None:
            damaged.append(f"{table}@{entry.version}")
        elif commit.run_id is not None and commit.rows is not None:
            yield Snapshot(table, table_id, entry.version, entry.sha256, uri), commit, schema


def _schema(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Columns and types; partition columns are added by the event."""
    aside = set(metadata.get("partitionColumns") or ())
    fields = [field for field in json.loads(metadata["schemaString"])["fields"] if field["name"] not in aside]
    return {field["name"]: _type(field["type"]) for field in fields}


def _type(kind: Any) -> str:
    """A Delta type by its Polars name, as events have it."""
    if isinstance(kind, str):
        return _TYPES.get(kind, kind)
    if kind.get("type") == "array":
        return f"List({_type(kind['elementType'])})"
    return json.dumps(kind, sort_keys=True) if kind.get("type") != "struct" else "Struct"
