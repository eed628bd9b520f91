"""Whether a snapshot can still be read."""

from pathlib import PurePosixPath
from typing import Literal

from assay.errors import AssayError
from assay.features.storage.delta_log import commit_path
from assay.features.storage.snapshot import Slice, Snapshot
from assay.features.tables.lake import Lake, TableMissing

Status = Literal["readable", "vacuumed", "erased"]


def snapshot_status(lake: Lake, item: Snapshot | Slice) -> Status:
    """Whether a snapshot can still be read. Looks at names, not at bytes: damage is for verification to find.

    Args:
        lake: Where the tables are.
        item: A version of a table, or a part of one.

    Returns:
        `readable`: all of it is there. `vacuumed`: the version is known, data files of it (of the slice's partitions) are
        gone. `erased`: the table was deleted, or made anew at the same address.
    """
    snapshot, part = (
        (item.snapshot, (item.partitions, item.excluded)) if isinstance(item, Slice) else (item, (None, ()))
    )
    table = lake.table(snapshot.table)
    try:
        latest = table.at()
    except TableMissing:
        return "erased"
    if latest.table_id != snapshot.table_id:
        return "erased"
    if lake.storage.size(commit_path(snapshot.table, snapshot.version)) is None:
        return "vacuumed"
    state = table.at(snapshot.version)
    if state.snapshot.commit_sha256 != snapshot.commit_sha256:
        return "erased"
    folders = {str(PurePosixPath(snapshot.table, file.path).parent) for file in state.files_of(*part)}
    there = {path for folder in folders for path in lake.storage.list(folder)}
    gone = any(f"{snapshot.table}/{file.path}" not in there for file in state.files_of(*part))
    return "vacuumed" if gone else "readable"


def require_readable(lake: Lake, item: Snapshot | Slice, purpose: str) -> None:
    """Raises AssayError, saying exactly why, unless the snapshot can be read."""
    snapshot = item.snapshot if isinstance(item, Slice) else item
    status = snapshot_status(lake, item)
    if status == "erased":
        raise AssayError(
            f"{purpose} needs {snapshot}, which is erased: its table (id {snapshot.table_id}) was deleted, or made anew "
            f"at {snapshot.uri or lake.storage.uri(snapshot.table)}. Restore that folder from a backup."
        )
    if status == "vacuumed":
        raise AssayError(
            f"{purpose} needs {snapshot}, which is vacuumed: data files of it were deleted. Restore them from a backup "
            "(their names are the SHA-256 of their bytes), or use a newer version."
        )
