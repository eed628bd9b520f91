"""The graph of what Assay wrote, restored from the tables' own commits: the store is only an index of them."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from assay.features.commits import Commit, parse_commit
from assay.features.lake import Lake
from assay.features.log import commit_info, commit_path, versions
from assay.features.snapshot import Snapshot
from assay.lineage import events
from assay.lineage.store import LineageStore

BATCH = 200  # runs in a transaction
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

_Output = tuple[Snapshot, Commit, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Commits read, and the runs that the store had not known the end of. `damaged` commits could not be read."""

    commits: int
    runs: int
    damaged: tuple[str, ...]


def rebuild(store: LineageStore, lake: Lake, deployment: str = "assay") -> Rebuilt:
    """Store the events of every run that left commits in the lake's tables, unless its end is stored already.

    Restored are runs, what they read and wrote at which version, and their checks. What leaves no commit cannot be: failed
    runs, runs that found nothing to do, tables that were deleted. Raises what reading the lake and the store raises.
    """
    damaged: list[str] = []
    found: dict[str, list[_Output]] = defaultdict(list)
    for table in lake.tables():
        for output in _outputs(lake, table, damaged):
            found[str(output[1].run_id)].append(output)
    known = store.ended()
    missing = [outputs for run_id, outputs in found.items() if run_id not in known]
    for start in range(0, len(missing), BATCH):
        bodies: list[bytes] = []
        for outputs in missing[start : start + BATCH]:
            done = events.done_from_commits(outputs)
            bodies.append(events.to_bytes(events.started(done.work, deployment)))
            bodies.append(events.to_bytes(events.finished(done, deployment, recovered=True)))
        store.put_all(bodies, once=True)
    return Rebuilt(sum(map(len, found.values())), len(missing), tuple(damaged))


def _outputs(lake: Lake, table: str, damaged: list[str]) -> Iterator[_Output]:
    """Every version that a transaction wrote, with its identity and columns. The log is read once, file by file: opening
    the table at every version would take a hundred times as long."""
    table_id, schema = "", {}
    for version in versions(lake.storage, table):
        content = lake.storage.get(commit_path(table, version))
        try:
            actions = [json.loads(line) for line in content.splitlines() if line.strip()]
            for action in actions:
                if "metaData" in action:
                    table_id, schema = action["metaData"]["id"], _schema(action["metaData"])
            commit = parse_commit(table, commit_info(version, actions))
        except (ValueError, KeyError, TypeError, AttributeError):
            damaged.append(f"{table}@{version}")
            continue
        if commit.run_id is not None and commit.rows is not None:
            sha256 = hashlib.sha256(content).hexdigest()
            yield Snapshot(table, table_id, version, sha256, lake.table(table).uri), commit, schema


def _schema(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Columns and types; partition columns are added by the event."""
    aside = set(metadata.get("partitionColumns") or ())
    fields = [field for field in json.loads(metadata["schemaString"])["fields"] if field["name"] not in aside]
    return {field["name"]: _type(field["type"]) for field in fields}


def _type(kind: Any) -> str:
    """A Delta type in Polars' words, as events say it."""
    if isinstance(kind, str):
        return _TYPES.get(kind, kind)
    if kind.get("type") == "array":
        return f"List({_type(kind['elementType'])})"
    return json.dumps(kind, sort_keys=True) if kind.get("type") != "struct" else "Struct"
