"""What a Delta commit says about itself: Assay's metadata, written in the same commit as the data it describes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from assay.features.tables.snapshot import Slice

PREFIX = "assay."


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file the data came from. `path` is as delivered, `kept` where the lake keeps its bytes."""

    path: str
    sha256: str
    size: int
    rows: int
    kept: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {"path": self.path, "sha256": self.sha256, "size": self.size, "rows": self.rows, "kept": self.kept}


@dataclass(frozen=True, slots=True)
class Commit:
    """One version of one table, as its own log describes it. Versions that Assay did not write have no `run_id`.

    `previous` vouches for earlier versions: version → SHA-256 of its file in the log.
    """

    table: str
    version: int
    timestamp: datetime
    operation: str
    run_id: str | None = None
    asset: str = ""
    partition: str | None = None
    fingerprint: str = ""
    inputs: tuple[Slice, ...] = ()
    sources: tuple[SourceFile, ...] = ()
    contract: Mapping[str, Any] | None = None
    checks: tuple[Mapping[str, Any], ...] = ()
    code_version: str = ""
    mode: str = "replace"
    rows: int | None = None
    run: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    previous: Mapping[str, str] = field(default_factory=dict)


_KNOWN = ("inputs", "sources", "contract", "checks", "run", "extra", "previous")


def to_metadata(
    *,
    run_id: str,
    asset: str,
    partition: str | None,
    fingerprint: str,
    inputs: tuple[Slice, ...],
    sources: tuple[SourceFile, ...],
    contract: Mapping[str, Any] | None,
    checks: tuple[Mapping[str, Any], ...],
    code_version: str,
    mode: str,
    rows: int,
    run: Mapping[str, Any],
    extra: Mapping[str, Any],
) -> dict[str, str]:
    """The flat string map that goes into `commitInfo` (Delta keeps custom metadata as top-level strings)."""
    plain = {
        "run_id": run_id,
        "asset": asset,
        "fingerprint": fingerprint,
        "mode": mode,
        "code_version": code_version,
        "rows": str(rows),
    }
    if partition is not None:
        plain["partition"] = partition
    nested: dict[str, Any] = {
        "inputs": [item.to_dict() for item in inputs],
        "sources": [item.to_dict() for item in sources],
        "contract": contract,
        "checks": list(checks),
        "run": run,
        "extra": extra,
    }
    written = {key: json.dumps(value, sort_keys=True) for key, value in nested.items() if value}
    return {PREFIX + key: value for key, value in (plain | written).items()}


def parse_commit(table: str, info: Mapping[str, Any]) -> Commit:
    """A `commitInfo` map, as in the log or in `DeltaTable.history()`."""
    ours = {key.removeprefix(PREFIX): value for key, value in info.items() if key.startswith(PREFIX)}
    nested = {key: json.loads(ours[key]) for key in _KNOWN if key in ours}
    return Commit(
        table=table,
        version=int(info["version"]),
        timestamp=datetime.fromtimestamp(info.get("timestamp", 0) / 1000, UTC),
        operation=info.get("operation", ""),
        run_id=ours.get("run_id"),
        asset=ours.get("asset", ""),
        partition=ours.get("partition"),
        fingerprint=ours.get("fingerprint", ""),
        inputs=tuple(Slice.from_dict(item) for item in nested.get("inputs", ())),
        sources=tuple(SourceFile(**item) for item in nested.get("sources", ())),
        contract=nested.get("contract"),
        checks=tuple(nested.get("checks", ())),
        code_version=ours.get("code_version", ""),
        mode=ours.get("mode", "replace"),
        rows=int(ours["rows"]) if "rows" in ours else None,
        run=nested.get("run", {}),
        extra=nested.get("extra", {}),
        previous=nested.get("previous", {}),
    )
