"""A table's Delta log, read commit by commit from its own JSON files.

`DeltaTable.history()` counts versions back from the one that was opened, over whatever the log holds by then: with an older
version open, or another writer at work, its numbers belong to other commits (deltalake 1.6). Our tables keep their whole
log, so the files are simply read.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from assay.features.tables.storage import Storage

Action = dict[str, Any]

VOUCHES = "assay.previous"
_COMMIT = re.compile(r"\d{20}\.json")


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
    return [json.loads(line) for line in content.splitlines() if line.strip()]


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


def commit_info(version: int, actions: list[Action]) -> Action:
    """The `commitInfo` of a commit, with its version."""
    info = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    return {**info, "version": version}
