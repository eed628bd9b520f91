"""What a Delta commit says about itself: Assay's metadata, written in the same commit as the data it describes.

The format is described, key by key, in docs/commit-format.md. Commits without `assay.format` were written before it had a
number; they are read into the same fields.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from assay.errors import AssayError
from assay.features.storage import sections as kinds
from assay.features.storage.sections import Changes, Code, Decision, Embedding, Model, Predictions, Report
from assay.features.storage.snapshot import Slice

PREFIX = "assay."
FORMAT = 1
CONFIRMS = f"{PREFIX}confirms"
LOOKED_UP = "looked_up"  # in `extra`


class FormatTooNew(AssayError):
    """A commit was written in a later format than this release of Assay knows."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file the data came from. `path` is as delivered, `kept` where the lake keeps its bytes. `etag` and `version_id` are what
    an object store calls the state of it that was read, where it came from one."""

    path: str
    sha256: str
    size: int
    rows: int
    kept: str = ""
    etag: str = ""
    version_id: str = ""

    def to_dict(self) -> dict[str, Any]:
        values = {"path": self.path, "sha256": self.sha256, "size": self.size, "rows": self.rows, "kept": self.kept}
        states = {"etag": self.etag, "version_id": self.version_id}
        return values | {name: state for name, state in states.items() if state}


@dataclass(frozen=True, slots=True)
class Commit:
    """One version of one table, as its own log describes it. Versions that Assay did not write have no `run_id`.

    `previous` vouches for earlier versions: version → SHA-256 of its file in the log. `confirms` is an earlier version with the
    same rows, of which this one only says something else (its checks). The sections (`view` … `profile`) are
    None where the commit has none; `extra` is what its writer added under names of its own; `unknown` are keys of Assay's
    that this release does not know, as they stand in the commit. `format` is 0 for commits from before it had a number.
    """

    table: str
    version: int
    timestamp: datetime
    operation: str
    run_id: str | None = None
    actor: str = ""
    period: tuple[datetime, datetime] | None = None
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
    confirms: int | None = None
    run: Mapping[str, Any] = field(default_factory=dict)
    view: Mapping[str, Any] | None = None
    serving: Mapping[str, Any] | None = None
    embedding: Embedding | None = None
    manifest: Mapping[str, Any] | None = None
    model: Model | None = None
    predictions: Predictions | None = None
    column_lineage: Mapping[str, Any] | None = None
    code: Code | None = None
    decision: Decision | None = None
    report: Report | None = None
    changes: Changes | None = None
    profile: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    previous: Mapping[str, str] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    format: int = 0

    @property
    def looked_up(self) -> Mapping[str, tuple[tuple[str, str], ...]]:
        """By table that was only looked up in: the columns of the rows that were written, each with the column of the table in
        which its value was looked for. A table that is left out did not say so."""
        recorded = self.extra.get(LOOKED_UP)
        tables = recorded if isinstance(recorded, Mapping) else {}
        return {table: tuple((str(own), str(other)) for own, other in pairs) for table, pairs in tables.items()}


_PLAIN = (
    "format",
    "run_id",
    "actor",
    "period",
    "asset",
    "partition",
    "fingerprint",
    "mode",
    "code_version",
    "rows",
    "confirms",
)
_PLAIN_JSON = ("inputs", "sources", "contract", "checks", "run", "extra", "previous")
_JSON = (*_PLAIN_JSON, *kinds.NAMES)
_KNOWN = frozenset((*_PLAIN, *_JSON))


def to_metadata(
    *,
    run_id: str,
    actor: str,
    period: tuple[datetime, datetime] | None,
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
    sections: Mapping[str, Any],
    extra: Mapping[str, Any],
) -> dict[str, str]:
    """The flat string map that goes into `commitInfo` (Delta keeps custom metadata as top-level strings).

    What `extra` names like a section, is that section.
    """
    lifted, rest = kinds.from_extra(extra)
    plain = {
        "format": str(FORMAT),
        "run_id": run_id,
        "asset": asset,
        "fingerprint": fingerprint,
        "mode": mode,
        "code_version": code_version,
        "rows": str(rows),
    }
    if partition is not None:
        plain["partition"] = partition
    if actor:
        plain["actor"] = actor
    if period is not None:
        plain["period"] = "/".join(instant.isoformat() for instant in period)
    nested: dict[str, Any] = {
        "inputs": [item.to_dict() for item in inputs],
        "sources": [item.to_dict() for item in sources],
        "contract": contract,
        "checks": list(checks),
        "run": run,
        "extra": rest,
    }
    for name, value in (lifted | dict(sections)).items():
        nested[name] = kinds.to_json(kinds.section(name, value))
    written = {key: json.dumps(value, sort_keys=True) for key, value in nested.items() if value}
    return {PREFIX + key: value for key, value in (plain | written).items()}


def parse_commit(table: str, info: Mapping[str, Any]) -> Commit:
    """A `commitInfo` map, as in the log or in `DeltaTable.history()`. Raises FormatTooNew, SectionDamaged, and
    ValueError, KeyError, TypeError or AttributeError for one that is damaged elsewhere."""
    ours = {key.removeprefix(PREFIX): value for key, value in info.items() if key.startswith(PREFIX)}
    if not all(isinstance(value, str) for value in ours.values()):
        raise TypeError("what a commit says of itself is text")
    written_in = _format(table, info, ours)
    nested = {
        key: _repeated(key, ours[key]) if key in _ALIKE else _loaded(key, ours[key])
        for key in _PLAIN_JSON
        if key in ours
    }
    sections = {
        key: _repeated_section(key, ours[key]) if key in _ALIKE else kinds.section(key, _loaded(key, ours[key]))
        for key in kinds.NAMES
        if key in ours
    }
    extra = nested.get("extra", {})
    if not written_in:
        lifted, extra = kinds.from_extra(extra)
        sections = lifted | sections
    return Commit(
        table=table,
        version=int(info["version"]),
        timestamp=datetime.fromtimestamp(info.get("timestamp", 0) / 1000, UTC),
        operation=info.get("operation", ""),
        run_id=ours.get("run_id"),
        actor=ours.get("actor", ""),
        period=_period(ours.get("period")),
        asset=ours.get("asset", ""),
        partition=ours.get("partition"),
        fingerprint=ours.get("fingerprint", ""),
        inputs=tuple(Slice.from_dict(item) for item in nested.get("inputs", ())),
        sources=tuple(SourceFile(**item) for item in nested.get("sources", ())),
        contract=nested.get("contract"),
        checks=tuple(nested.get("checks", ())),
        code_version=ours.get("code_version", ""),
        mode=ours.get("mode", "replace"),
        rows=_number(ours["rows"]) if "rows" in ours else None,
        confirms=_number(ours["confirms"]) if "confirms" in ours else None,
        run=nested.get("run", {}),
        extra=extra,
        previous=_vouched(nested.get("previous")),
        unknown={key: value for key, value in ours.items() if key not in _KNOWN},
        format=written_in,
        **sections,
    )


def _number(text: str) -> int:
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise ValueError("no number that can be kept")
    return number


def _vouched(value: Any) -> Mapping[str, str]:
    """Version → SHA-256. Other tools may write anything there, which vouches for nothing."""
    if not isinstance(value, Mapping):
        return {}
    return {
        version: sha256
        for version, sha256 in value.items()
        if isinstance(sha256, str) and version.isascii() and version.isdecimal() and len(version) < 19
    }


def _loaded(key: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError):
        raise kinds.SectionDamaged(key, "it is no JSON") from None


# What the commits of a table have in common, often word by word: read once, and never changed by those who get it.
_ALIKE = frozenset(("contract", "column_lineage", "view", "serving", "embedding", "code"))
_repeated = lru_cache(1024)(_loaded)


@lru_cache(1024)
def _repeated_section(key: str, text: str) -> Any:
    return kinds.section(key, _loaded(key, text))


def _period(text: str | None) -> tuple[datetime, datetime] | None:
    """An ISO 8601 interval: beginning/end."""
    if text is None:
        return None
    begin, _, end = text.partition("/")
    return datetime.fromisoformat(begin), datetime.fromisoformat(end)


def _format(table: str, info: Mapping[str, Any], ours: Mapping[str, str]) -> int:
    number = int(ours.get("format", 0))
    if number > FORMAT:
        raise FormatTooNew(
            f"{table}@{info['version']} is written in commit format {number}; this release of Assay reads up to {FORMAT}. "
            "Use the release that wrote it, or a newer one."
        )
    return number
