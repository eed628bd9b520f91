"""Tables that a declared step wrote, and that no step of the project writes any more: their rows stay, and none are added."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime

from assay.errors import AssayError
from assay.features.tables.kinds import Kind
from assay.features.tables.lake import Lake

_MADE_BY_STEPS = (Kind.RAW, Kind.QUARANTINE, Kind.CLEAN, Kind.EMBEDDINGS, Kind.FEATURES, Kind.LABELS)


def undeclared_tables(lake: Lake, declared: Collection[str]) -> Mapping[str, datetime]:
    """By table, when it was last written.

    Args:
        lake: Where the tables are. What a function wrote without a declaration (`store.transaction`) never had one.
        declared: The tables that steps of the project write.
    """
    found: dict[str, datetime] = {}
    for kind in _MADE_BY_STEPS:
        for table in set(lake.tables(kind.folder)) - set(declared):
            with suppress(AssayError):  # what is wrong with it is named where it is shown
                state = lake.table(table).at()
                last = state.index.last_written(state.version)
                commit = state.index.commit(last) if last is not None else None
                if commit is not None and commit.code_version:
                    found[table] = commit.timestamp
    return dict(sorted(found.items()))


def undeclared_line(table: str, written: datetime) -> str:
    """The same in a sentence."""
    return f"{table} is no longer declared, last written on {written:%Y-%m-%d}."
