"""How new the data of a source is, measured by the data: the end of the newest partition that has arrived, or the newest
event of a table without partitions."""

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from assay.assets.steps.step import Resources, Step
from assay.features.tables.lake import TableMissing, TableState


@dataclass(frozen=True, slots=True)
class Freshness:
    """`newest`: until when there is data, None where nothing has arrived."""

    fresh: bool
    newest: datetime | None
    message: str


def freshness_of(step: Step, env: Resources) -> Freshness:
    """Whether the newest data of a step with a promised freshness is that fresh now.

    A partition counts from its end, since before it cannot be complete. A source whose last partition has arrived is
    finished, which is not old.
    """
    table, promised = step.outputs[0], step.freshness
    try:
        newest = _newest(step, env.lake.table(table).at())
    except TableMissing:
        newest = None
    if newest is None or promised is None:
        return Freshness(True, None, f"{table} has no data yet.")
    last = step.partitioning.end
    said = f"The newest data of {table} is of {newest:%Y-%m-%d %H:%M} UTC"
    if last is not None and newest >= step.partitioning.end_of(last):
        return Freshness(True, newest, f"{said}, which is all of it: the source ends with {last}.")
    age = env.now() - newest
    if age <= promised:
        return Freshness(True, newest, f"{said}.")
    return Freshness(False, newest, f"{said}: older than {promised}, which contract and upstream have agreed on.")


def _newest(step: Step, state: TableState) -> datetime | None:
    partitions = state.partitions()
    if step.partitioning.is_timed:
        return step.partitioning.end_of(partitions[-1]).astimezone(UTC) if partitions else None
    if step.event_time not in state.schema:
        return None
    newest = state.scan().select(pl.col(step.event_time).max()).collect().item()
    return newest.astimezone(UTC) if isinstance(newest, datetime) else None
