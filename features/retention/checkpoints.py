"""Checkpoints of tables: whoever opens a table with delta-rs reads the last one and every commit after it."""

import json

from deltalake.exceptions import DeltaError

from assay.errors import AssayError
from assay.features.tables.lake import Lake

MOST_COMMITS = 20  # after a checkpoint; a table from before checkpoints were that frequent may have a hundred


def commits_since_checkpoint(lake: Lake, table: str) -> int:
    """How many commits whoever opens the table has to read. Raises TableMissing."""
    latest = lake.table(table).at().version
    path = f"{table}/_delta_log/_last_checkpoint"
    if lake.storage.size(path) is None:
        return latest + 1
    try:
        return latest - int(json.loads(lake.storage.get(path))["version"])
    except (ValueError, KeyError, TypeError):  # damaged: as good as none
        return latest + 1


def checkpoint(lake: Lake, table: str) -> None:
    """Write one of the latest version. Commits and data files stay as they are.

    Raises:
        AssayError: The table's log is damaged.
    """
    lake.allow("write", table)
    try:
        lake.table(table).opened().create_checkpoint()
    except DeltaError as problem:
        raise AssayError(f"{table} got no checkpoint: its log is damaged ({type(problem).__name__}).") from None
