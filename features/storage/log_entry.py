"""One version of a table, as its file in the log describes it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from assay.features.storage.commit_metadata import Commit, parse_commit
from assay.features.storage.delta_log import commit_info, commit_path, parse_log
from assay.features.storage.parquet_files import PARTITION
from assay.features.storage.sections import SectionDamaged


@dataclass(frozen=True, slots=True)
class DataFile:
    """A live data file of one version: `path` relative to the table, content digest in its name."""

    path: str
    size: int
    rows: int
    partition: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One version as its file in the log describes it. A damaged file has no `commit`. `metadata` and
    `columns` are those of the table, where this version sets them. `hidden` are the added files of which a deletion vector takes
    rows away. `statistics` are those of the added files, as they stand there."""

    version: int
    path: str
    sha256: str
    commit: Commit | None
    table_id: str | None = None
    added: tuple[DataFile, ...] = ()
    removed: tuple[str, ...] = ()
    metadata: Mapping[str, Any] | None = None
    hidden: frozenset[str] = frozenset()
    statistics: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def columns(self) -> tuple[str, ...] | None:
        return columns_of(self.metadata["schemaString"]) if self.metadata else None


# What reading a damaged commit raises; RecursionError, where JSON is nested without end.
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, SectionDamaged)
_MOST = 2**63 - 1


def read_entry(table: str, version: int, content: bytes) -> Entry:
    """A version from the bytes of its file. Raises FormatTooNew."""
    path, sha256 = commit_path(table, version), hashlib.sha256(content).hexdigest()
    try:
        actions = parse_log(content)
        metadata = metadata_in(actions)
        named = [(unquote(item["add"]["path"]), item["add"]) for item in actions if "add" in item]
        return Entry(
            version,
            path,
            sha256,
            parse_commit(table, commit_info(version, actions)),
            metadata["id"] if metadata else None,
            tuple(added(action) for _, action in named),
            tuple(unquote(item["remove"]["path"]) for item in actions if "remove" in item),
            metadata,
            frozenset(path for path, action in named if action.get("deletionVector")),
            {path: action.get("stats") or "" for path, action in named},
        )
    except DAMAGE:
        return Entry(version, path, sha256, None)


def metadata_in(actions: list[dict[str, Any]]) -> Mapping[str, Any] | None:
    """The `metaData` of the table, where a commit sets it. Raises one of DAMAGE where its schema cannot be read."""
    metadata = next((item["metaData"] for item in actions if "metaData" in item), None)
    if metadata is not None:
        columns_of(metadata["schemaString"])
    return metadata


@lru_cache(1024)
def columns_of(schema: str) -> tuple[str, ...]:
    """The names in a Delta schema."""
    return tuple(field["name"] for field in json.loads(schema)["fields"])


def added(action: dict[str, Any]) -> DataFile:
    """The data file that an `add` names. Raises one of DAMAGE where it is not one that there can be."""
    statistics = json.loads(action.get("stats") or "{}")
    values = action.get("partitionValues") or {}
    path, partition = unquote(action["path"]), values.get(PARTITION)
    size, rows = action["size"], statistics.get("numRecords", 0)
    for text in (path, partition or ""):
        text.encode()  # half a character is no text
    if not all(type(number) is int and -1 <= number <= _MOST for number in (size, rows)):
        raise ValueError("no number of bytes, or of rows")
    return DataFile(path, size, rows, partition)
