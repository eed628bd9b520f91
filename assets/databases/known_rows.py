"""What the lake holds of a table whose rows are compared: for each key the fingerprint of its row, and the batch that brought it.

One sorted array, kept below `_index/rows` in the lake (of an object store in the user's cache folder), so that a look at the
table reads no history: only the batches that came since the array was kept are read. It is a cache. Losing it costs one read of
`raw/<source>`.
"""

import fcntl
import hashlib
import json
import os
import uuid
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import polars as pl

from assay.features.storage.delta_log import commit_path, read_commit
from assay.features.storage.parquet_files import PARTITION
from assay.features.tables.lake import TableState
from assay.features.tables.row_prints import ROW, KnownRows, Rows, fingerprinted, last_of_each_key
from assay.features.tables.scan_in_order import scan_in_order
from assay.own_columns import CHANGE, DELETE, OWN_COLUMNS

FOLDER = "_index/rows"
_MANY = 1 << 22  # rows of batches that are held before they are merged


def known_rows(state: TableState | None, key: Sequence[str]) -> KnownRows:
    """What `raw/<source>` at a version holds of each key: the row of its last batch, unless that deleted it.

    Args:
        state: The raw table; None: there is none yet.
        key: The columns that identify a row.
    """
    if state is None:
        return KnownRows()
    identity = f"1 polars {pl.__version__} {list(key)}"  # Polars gives its hashes another form at times
    place = _place(state, identity)
    with _locked(place) as writable:
        kept = _load(place, state)
        rows, new = (np.empty(0, ROW), None) if kept is None else (kept[1], _since(state, kept[0]))
        if new is None:
            rows, new = np.empty(0, ROW), state.partitions()
        if new:
            rows = _merged(rows, _of_batches(state, key, new))
        if writable and (kept is None or kept[0] < state.version):
            with suppress(OSError):
                _save(place, state, rows)
        return KnownRows(rows)


def _of_batches(state: TableState, key: Sequence[str], batches: Sequence[str]) -> Iterator[Rows]:
    """The rows of batches, in order, the last of each key in a batch; a deleted one with the batch 0."""
    columns = [name for name in state.schema if name in ("_line", CHANGE, *key) or name not in OWN_COLUMNS]
    for batch in sorted(batches):
        for frame in scan_in_order(state, [batch]).make(columns):
            frame = frame.filter(pl.all_horizontal(pl.col(name).is_not_null() for name in key))
            rows = fingerprinted(frame, key, int(batch))
            if CHANGE in frame.columns:
                rows["batch"][(frame[CHANGE] == DELETE).fill_null(False).to_numpy()] = 0
            yield rows


def _merged(rows: Rows, more: Iterator[Rows]) -> Rows:
    """The last row of each key that is not deleted, sorted by key."""
    pending: list[Rows] = []
    for part in more:
        pending.append(part)
        if sum(map(len, pending)) > max(_MANY, len(rows)):
            rows, pending = last_of_each_key([rows, *pending]), []
    rows = last_of_each_key([rows, *pending]) if pending else rows
    return rows[rows["batch"] != 0]


def _since(state: TableState, version: int) -> list[str] | None:
    """The batches that came after a version. None where what was there has changed, so that all has to be read again."""
    if version > state.version or state.checkpointed is not None:
        return None
    batches: set[str] = set()
    for number in range(version + 1, state.version + 1):
        for action in read_commit(state.table.lake.storage, state.table.name, number):
            if "remove" in action:
                return None
            if "add" in action:
                batches.add(action["add"]["partitionValues"][PARTITION])
    return sorted(batches)


def _place(state: TableState, identity: str) -> Path:
    storage = state.table.lake.storage
    if storage.is_local:
        above = Path(storage.root, FOLDER)
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "assay", "rows")
        above = cache / hashlib.sha256(storage.root.encode()).hexdigest()[:32]
    return above / state.table.name / hashlib.sha256(identity.encode()).hexdigest()[:16]


# -- how it is kept ----------------------------------------------------------------------------------------------------


def _load(place: Path, state: TableState) -> tuple[int, Rows] | None:
    """The version that was kept, and its rows; None where there are none of this table, or they are damaged."""
    try:
        kept = json.loads((place / "kept.json").read_text(encoding="utf-8"))
        if kept["table_id"] != state.table_id or _commit_sha256(state, kept["version"]) != kept["commit_sha256"]:
            return None  # made anew, or restored from a backup
        rows = np.load(place / kept["file"], mmap_mode="r")
        if rows.dtype != ROW or zlib.crc32(rows.data) != kept["checksum"]:
            return None
        return int(kept["version"]), rows
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None


def _save(place: Path, state: TableState, rows: Rows) -> None:
    name = f"{uuid.uuid4().hex}.npy"
    with (place / name).open("wb") as stream:
        np.save(stream, rows)
        stream.flush()
        os.fsync(stream.fileno())
    kept = {
        "table_id": state.table_id,
        "version": state.version,
        "commit_sha256": state.snapshot.commit_sha256,
        "file": name,
        "checksum": zlib.crc32(np.ascontiguousarray(rows).data),
    }
    temporary = place / f".{uuid.uuid4().hex}.json"
    temporary.write_text(json.dumps(kept), encoding="utf-8")
    temporary.replace(place / "kept.json")
    for file in place.glob("*.npy"):
        if file.name != name:
            file.unlink(missing_ok=True)


def _commit_sha256(state: TableState, version: int) -> str | None:
    storage, path = state.table.lake.storage, commit_path(state.table.name, version)
    return hashlib.sha256(storage.get(path)).hexdigest() if storage.size(path) is not None else None


@contextmanager
def _locked(place: Path) -> Iterator[bool]:
    """One process at a time. Whether the place can be written."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = (place / ".lock").open("w")
    except OSError:
        yield False
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield True
