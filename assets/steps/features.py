"""Feature steps: a partition of a feature view, computed from clean tables at pinned versions; definitions of on-demand views."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from assay.assets.steps.clean import batches_of
from assay.assets.steps.column_notes import PARTIAL_NOTES, on_demand_notes, view_notes
from assay.assets.steps.step import CheckSpec, Step, available, require
from assay.assets.steps.watched import Concern, Watched, Window, same_partition
from assay.checks import Contract, mask
from assay.checks.contract.contract import compiled
from assay.errors import AssayError
from assay.features.serving.on_demand.definitions import stage_definition
from assay.features.serving.on_demand.view import OnDemandView
from assay.features.tables.kinds import Kind
from assay.features.tables.partitioning import Partitioning
from assay.features.tables.run_record import CheckResult
from assay.features.tables.transaction import Transaction
from assay.features.views.feature_view import FeatureView
from assay.features.views.window_partitions import partitions_of_window
from assay.features.views.withdrawn_columns import refuse_withdrawn, withdrawn_columns
from assay.features.window_parts.decompose import Decomposed
from assay.features.window_parts.of_view import rows_of_parts, taken_apart
from assay.own_columns import CHANGE, SEEN_AT

WINDOW = "window_complete"
_DAY = timedelta(days=1)


def view_step(view: FeatureView, partitioning: Partitioning, contracts: Sequence[type[Contract]] = ()) -> Step:
    """The step that fills `features/<view>`, one partition for each of its sources.

    Args:
        view: The declaration.
        partitioning: That of the tables that the view reads.
        contracts: The contracts of those tables; they say which columns are personal and masked in previews.

    Raises:
        AssayError: The view is windowed and the partitions are no spans of time.
    """
    if view.lookback() and not partitioning.is_timed:
        raise AssayError(
            f"View {view.name!r}: windows need sources with partitions in time; {', '.join(view.sources())} has "
            f"{partitioning}."
        )
    table = view.table
    apart = taken_apart(view, partitioning)
    partials = (Kind.PARTIALS.table(view.name),) if apart is not None else ()
    (first, *_) = view.sources()
    reach = _reach(view, partitioning, view.lookback())
    concerns = {source: _concern(view, source, partitioning) for source in view.sources()}
    complete = CheckSpec(WINDOW, table, "Every partition that usually holds events of a window has arrived.")
    return Step(
        outputs=(table, *partials),
        prepare=lambda tx, env: _prepare_view(view, partitioning, tx),
        compute=lambda tx, env, frames: _compute_view(view, apart, partitioning, tx, frames, contracts),
        code_version=hashlib.sha256(f"view-{_form(view, apart)} {view.digest()}".encode()).hexdigest()[:16],
        reads=view.sources(),
        partitioning=partitioning,
        batches=None if partitioning.is_partitioned else lambda env: batches_of(first, env),
        checks=(complete,) if view.lookback() else (),
        kinds=("polars",),
        owner=view.owner,
        columns={table: view_notes(view)} | dict.fromkeys(partials, PARTIAL_NOTES),
        description=view.description or f"Features of one {view.entity.name} over event time.",
        descriptions=dict.fromkeys(partials, f"Parts of the windows of {table}, of 1, 2, 4 … partitions."),
        lookback=reach,
        watched=Watched(concerns | same_partition(table, *partials)),
    )


def on_demand_step(view: OnDemandView, tables: Mapping[str, Any]) -> Step:
    """The step that writes the definition of an on-demand view to `features/<view>`, whenever it is another one.

    Args:
        view: The declaration.
        tables: The tables of what it uses, each with its declaration if that is known.
    """
    # Definitions are made in one go, each after those that it is computed of; rows of other tables matter to none.
    definitions = tuple(table for table, item in tables.items() if isinstance(item, OnDemandView))
    return Step(
        outputs=(view.table,),
        prepare=lambda tx, env: _prepare_definition(tables, tx),
        compute=lambda tx, env, prepared: _compute_definition(view, tx),
        code_version=hashlib.sha256(f"on-demand-1 {view.digest()}".encode()).hexdigest()[:16],
        reads=definitions,
        references=tuple(table for table in tables if table not in definitions),
        kinds=("polars",),
        owner=view.owner,
        columns={view.table: on_demand_notes(view)},
        description=view.description or f"The definition of {view.name}, which is computed when it is read.",
    )


def _form(view: FeatureView, apart: Mapping[str, Decomposed] | None) -> int:
    """Of the rows: a higher one makes those anew that were made before windows had parts, and steps of less than a day."""
    if view.lookback() and view.step < _DAY:
        return 3
    return 1 if apart is None else 2


def _concern(view: FeatureView, source: str, partitioning: Partitioning) -> Concern:
    width = view.lookback_of(source)
    window = Window(partitioning, width, view.time_of(source)) if width else None
    return Concern(_reach(view, partitioning, width), window=window)


def _reach(view: FeatureView, partitioning: Partitioning, width: timedelta) -> int:
    """How many partitions before its own a row of a partition can look back to."""
    earlier = width > timedelta(0) and view.step < _DAY  # rows of before the end of the partition
    return partitioning.reach(width) + earlier


def times_within(view: FeatureView, partitioning: Partitioning, key: str) -> list[datetime]:
    """When the rows of a windowed view hold from, in a partition: its end, and each step of less than a day before."""
    begin, end = partitioning.bounds(key)
    steps = (end - begin - timedelta(microseconds=1)) // view.step if view.step < _DAY else 0
    return [end - view.step * step for step in range(steps, -1, -1)]


def _prepare_view(view: FeatureView, partitioning: Partitioning, tx: Transaction) -> dict[str, pl.LazyFrame]:
    own = tx.work.partition or ""
    frames, missing, count = {}, [], 0
    for source in view.sources():
        require(tx, source, own)
        present = [own]
        if lookback := view.lookback_of(source):
            times = times_within(view, partitioning, own)
            width = lookback + (times[-1] - times[0])
            found = partitions_of_window(tx.state(source), partitioning, own, view.time_of(source), width)
            present = list(found.present)
            missing += [f"{source} {key}" for key in found.missing]
            count += len(found.missing)
        count += len(present)
        withdrawn = withdrawn_columns(tx.state(source), present)
        refuse_withdrawn(f"View {view.name!r}", source, withdrawn, _columns_of(view, source))
        frames[source] = tx.read(source, present).drop(withdrawn)
    if view.lookback():
        message = f"Not there yet, so not counted: {', '.join(missing)}." if missing else ""
        table = view.table
        tx.check(CheckResult(WINDOW, table, not missing, "warn", None, count, len(missing), message=message))
    return frames


def _columns_of(view: FeatureView, table: str) -> set[str]:
    """Which columns of a table the view is known to read."""
    return {
        column
        for sources in view.column_lineage().values()
        if sources != "unknown"
        for kind in ("direct", "indirect")
        for name, column in sources[kind]
        if name == table
    }


def _holds_states(tx: Transaction, table: str) -> bool:
    changes = tx.state(table).changes
    return changes is not None and changes.states


def _microseconds(moment: datetime) -> int:
    """Since 1970, UTC."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _compute_view(
    view: FeatureView,
    apart: Mapping[str, Decomposed] | None,
    partitioning: Partitioning,
    tx: Transaction,
    frames: dict[str, pl.LazyFrame],
    contracts: Sequence[type[Contract]],
) -> Mapping[str, Any]:
    table = view.table
    # Only row-wise views, which have no use for a time, read what is not cut by time.
    at = partitioning.end_of(tx.work.partition or "") if partitioning.is_timed else datetime.now(UTC)
    times = times_within(view, partitioning, tx.work.partition or "") if view.lookback() else [at]
    if apart is None:
        rows = view.compute(frames, at=times if len(times) > 1 else at)
    else:
        rows = rows_of_parts(view, apart, partitioning, tx, frames, times)
    rows = rows.sort([view.event_time, *view.entity.keys])
    described = view.metadata()
    if not view.lookback() and (whole := [source for source in view.sources() if _holds_states(tx, source)]):
        if view.event_time != SEEN_AT:
            raise AssayError(
                f"View {view.name!r}: each partition of {whole[0]} is a whole state, which holds from {SEEN_AT} on; "
                f"{view.event_time!r} does not say when a row that is gone has gone. Declare event_time={SEEN_AT!r}."
            )
        # A state whose rows are all gone has no row that says when it began.
        described["serving"] = described["serving"] | {"states": True, "holds_from_us": _microseconds(at)}
    lineage = dict(view.column_lineage())
    if CHANGE in rows.columns:
        lineage[CHANGE] = {"direct": [(source, CHANGE) for source in view.sources()], "indirect": []}
    tx.write(table, rows, column_lineage=lineage, sections=described)
    preview = rows.head(10)
    for contract in contracts:
        columns = [column.name for column in compiled(contract).columns if column.name in preview.columns]
        preview = preview.with_columns(mask(preview.select(columns), contract))
    return {"preview": preview}


def _prepare_definition(tables: Iterable[str], tx: Transaction) -> None:
    for table in tables:
        available(tx, table)


def _compute_definition(view: OnDemandView, tx: Transaction) -> Mapping[str, Any]:
    stage_definition(tx, view)
    return {"features": len(view.features), "uses": ", ".join(map(str, view.transformation.uses.values()))}
