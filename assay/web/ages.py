"""Whether the data of a source is as new as promised, for people: the same sentence as in Dagster and `assay status`."""

from datetime import UTC, datetime

from assay.features.tables.freshness import Freshness, freshness, promised
from assay.features.tables.kinds import Kind
from assay.features.tables.lake import TableState
from assay.web.badges import Badge


def age_of(state: TableState) -> Freshness | None:
    """How new the clean table of a source is, where that was promised when it was last written."""
    table = state.table.name
    promise = promised(state) if Kind.CLEAN.holds(table) else None
    return freshness(state, table, promise, datetime.now(UTC)) if promise is not None else None


def age_badge(state: TableState) -> Badge | None:
    """A mark on a table whose data is older than promised."""
    age = age_of(state)
    return (
        Badge("! old", "warned", f"Older than promised: {age.message}") if age is not None and not age.fresh else None
    )
