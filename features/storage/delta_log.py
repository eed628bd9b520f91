"""A table's Delta log, read commit by commit from its own JSON files.

`DeltaTable.history()` counts versions back from the one that was opened, over whatever the log holds by then: with an older
version open, or another writer at work, its numbers belong to other commits (deltalake 1.6). Our tables keep their whole
log, so the files are simply read.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from assay.errors import AssayError
from assay.features.storage.parquet_files import PARTITION
from assay.features.storage.storage import Storage

Action = dict[str, Any]

VOUCHES = "assay.previous"
#: In a commit's extra: the partitions of its table that must be judged again, since another partition has their keys.
DISPLACES = "displaces"
_COMMIT = re.compile(r"\d{20}\.json")
_KEY = re.compile(rf"(?:\A|/){PARTITION}=([^/]+)/")


def commit_path(table: str, version: int) -> str:
    return f"{table}/_delta_log/{version:020d}.json"


def versions(storage: Storage, table: str, until: int | None = None) -> list[int]:
    """The versions whose commits are in the log, up to and including `until`, in order."""
    names = (path.rsplit("/", 1)[-1] for path in storage.list(f"{table}/_delta_log"))
    found = (int(name.removesuffix(".json")) for name in names if _COMMIT.fullmatch(name))
    return sorted(version for version in found if until is None or version <= until)


def read_commit(storage: Storage, table: str, version: int) -> list[Action]:
    """The actions of one commit. Raises AssayError when its file is gone."""
    return parse_log(storage.get(commit_path(table, version)))


def parse_log(content: bytes) -> list[Action]:
    """The actions in the file of a commit. Raises ValueError when it is damaged."""
    return [_decode(line) for line in content.decode().split("\n") if line and not line.isspace()]


_decode = json.JSONDecoder().decode


def read_files(storage: Storage, table: str, until: int | None = None) -> Iterator[tuple[int, bytes]]:
    """The file of every commit up to a version, oldest first."""
    wanted = versions(storage, table, until)
    if storage.is_local:
        yield from ((version, storage.get(commit_path(table, version))) for version in wanted)
        return
    with ThreadPoolExecutor(16) as pool:  # an object store answers slowly, but many requests at once
        contents = pool.map(lambda version: storage.get(commit_path(table, version)), wanted)
        yield from zip(wanted, contents, strict=True)


def unvouched(storage: Storage, table: str, version: int) -> dict[str, str]:
    """Version → SHA-256 of the commits up to `version` for which none of them vouches: the last one that vouches for
    others, and what came after it (other tools' commits vouch for nothing). A commit that records this chains the log:
    its own digest then stands for everything before it."""
    found: dict[str, str] = {}
    for number in range(version, -1, -1):
        content = storage.get(commit_path(table, number))
        found[str(number)] = hashlib.sha256(content).hexdigest()
        if f'"{VOUCHES}"'.encode() in content:
            break
    return found


def far_back(version: int) -> list[int]:
    """The versions besides the one before that a version vouches for: a power of two before it that divides its number, the
    nearest first. 12 has 10 and 8, 16 has 14, 12, 8 and 0: with the one before, two on average."""
    steps = (1 << power for power in range(1, (version & -version).bit_length()))
    return [version - step for step in steps]


def commit_info(version: int, actions: list[Action]) -> Action:
    """The `commitInfo` of a commit, with its version."""
    info = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    return {**info, "version": version}


# -- what has changed --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mark:
    """A version of a table, and what tells its commit from another one at the same place: a table may be deleted and made
    anew, or put back from a backup."""

    version: int
    sign: str


@dataclass(frozen=True, slots=True)
class Change:
    """What one commit did to one partition (None: a table without).

    Attributes:
        files: SHA-256 of the delivered files that its rows came from.
        removed: whether any data file was taken away.
        grown: whether rows were only added, by a writer who had read the version just before.
        minima: for each added data file its columns' least values, as far as the log has them.
        displaces: other partitions of the table that must be judged again.
    """

    partition: str | None
    files: frozenset[str] = frozenset()
    removed: bool = False
    grown: bool = False
    minima: tuple[Mapping[str, Any], ...] = ()
    displaces: frozenset[str] = frozenset()

    def earliest(self, column: str) -> datetime | None:
        """A moment before which no added row is, or None where that is not known."""
        found = [_moment(values.get(column)) for values in self.minima]
        known = [moment for moment in found if moment is not None]
        # Statistics may be rounded to milliseconds.
        return (
            min(known) - timedelta(milliseconds=1) if found and len(known) == len(found) and not self.removed else None
        )


def latest_mark(storage: Storage, table: str, since: Mark | None = None) -> Mark | None:
    """The latest version of a table; None where there is no table. A later one than `since` is looked for one by one, so
    that a long log is not listed."""
    version = since.version if since else -1
    if _sign(storage, table, version) is None:
        version = max(versions(storage, table), default=-1)
    while _sign(storage, table, version + 1) is not None:
        version += 1
    sign = _sign(storage, table, version)
    return Mark(version, sign) if sign is not None else None


def changes(storage: Storage, table: str, since: Mark | None, until: Mark) -> list[Change] | None:
    """What was committed after a version (None: from the beginning), up to another. None where that is not known: the
    table is not the one that it was, or a commit is gone or damaged, or does not say what it changed."""
    if since is not None and (until.version < since.version or _sign(storage, table, since.version) != since.sign):
        return None
    found: list[Change] = []
    try:
        for version in range(since.version + 1 if since else 0, until.version + 1):
            found += _changes(table, version, read_commit(storage, table, version))
    except (AssayError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return found


def _sign(storage: Storage, table: str, version: int) -> str | None:
    """Of the file of a commit; None where there is none."""
    path = commit_path(table, version)
    if version < 0:
        return None
    if not storage.is_local:
        return None if storage.size(path) is None else hashlib.sha256(storage.get(path)).hexdigest()
    try:
        found = Path(storage.root, path).stat()
    except OSError:
        return None
    return f"{found.st_mtime_ns} {found.st_ino} {found.st_size}"


def _changes(table: str, version: int, actions: list[Action]) -> list[Change]:
    info = commit_info(version, actions)
    added: dict[str | None, list[Mapping[str, Any]]] = {}
    removed: set[str | None] = set()
    for action in actions:
        if "add" in action:
            values = json.loads(action["add"].get("stats") or "{}").get("minValues") or {}
            added.setdefault(_partition(action["add"]), []).append(values)
        elif "remove" in action:
            removed.add(_partition(action["remove"]))
    own = {info.get("assay.partition")} if "assay.run_id" in info and "assay.rows" in info else set[str | None]()
    files = frozenset(item["sha256"] for item in json.loads(info.get("assay.sources") or "[]"))
    displaces = displaced_by(json.loads(info.get("assay.extra") or "{}"))
    inputs = json.loads(info.get("assay.inputs") or "[]") if not removed else []
    knew = version == 0 or any(item["table"] == table and item["version"] == version - 1 for item in inputs)
    return [
        Change(key, files, key in removed, not removed and knew, tuple(added.get(key, ())), displaces)
        for key in {*added, *removed, *own}
    ]


def displaced_by(extra: Mapping[str, Any]) -> frozenset[str]:
    """The partitions that a commit's extra says must be judged again."""
    found = extra.get(DISPLACES)
    return frozenset(key for key in found if isinstance(key, str)) if isinstance(found, list | tuple) else frozenset()


def _partition(action: Action) -> str | None:
    """The partition of a data file. Raises KeyError where a partitioned table's action does not name it."""
    values = action.get("partitionValues")
    if values is None:  # an old writer's removal says it in the path only
        found = _KEY.search(unquote(action["path"]))
        return found[1] if found else None
    return values[PARTITION] if values else None


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
