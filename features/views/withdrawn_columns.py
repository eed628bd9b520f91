"""Columns that a contract does not have any more: its clean table keeps them for earlier versions, and later rows have no value.

Who went on to read them would get nothing but nulls, and nobody would notice.
"""

from collections.abc import Collection, Sequence

from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.parquet_files import PARTITION
from assay.features.tables.kinds import Kind
from assay.features.tables.lake import TableState
from assay.own_columns import is_link


def withdrawn_columns(state: TableState, partitions: Sequence[str] | None) -> list[str]:
    """The columns that the newest rows of a clean table were written without, and some rows of these partitions, too.

    A column that is new is no such column: earlier rows of partitions that stay as judged have no value of it.

    Args:
        state: A version of the table. Others than clean ones have no contract.
        partitions: Those that are read; None: all.
    """
    if not Kind.CLEAN.holds(state.table.name):
        return []
    newest = _written(state.last_commit) or _written(state.writer_of(state.last_partition()))
    lacking = [name for name in state.schema if name not in newest and name != PARTITION and not is_link(name)]
    if not newest or not lacking:
        return []
    writers = [columns for commit in state.writers(partitions) if (columns := _written(commit))]
    return [name for name in lacking if any(name not in columns for columns in writers)]


def refuse_withdrawn(reader: str, table: str, withdrawn: Sequence[str], read: Collection[str]) -> None:
    """Raises AssayError, naming `reader`, if one of the columns that it reads is withdrawn."""
    for name in withdrawn:
        if name in read:
            raise AssayError(
                f"{reader} reads the column {name!r} of {table}, which its contract has no more: it was renamed or removed, and "
                f"all its values would be null. Next: read the column that has them now (`assay contract show {table}`), or "
                "declare this one again."
            )


def _written(commit: Commit | None) -> Collection[str]:
    return (commit.column_lineage or {}) if commit is not None else {}
