"""Feature steps: a day of a feature view, computed from clean tables at pinned versions."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from assay.assets.steps.step import CheckSpec, Step, available, days_before, end_of, require
from assay.checks import Contract, mask
from assay.checks.contract.contract import compiled
from assay.features.tables.run_record import CheckResult
from assay.features.tables.transaction import Transaction
from assay.features.views.feature_view import FeatureView

WINDOW = "window_complete"


def view_step(view: FeatureView, first_day: date, contracts: Sequence[type[Contract]] = ()) -> Step:
    """The step that fills `features/<view>`, one partition a day. `contracts` of what it reads say what is personal."""
    table = f"features/{view.name}"
    days = max(view.lookback().days, 1)
    return Step(
        outputs=(table,),
        prepare=lambda tx, env: _prepare_view(view, days, first_day, tx),
        compute=lambda tx, env, frames: _compute_view(view, table, tx, frames, contracts),
        code_version=hashlib.sha256(f"view-1 {view.digest()}".encode()).hexdigest()[:16],
        reads=view.sources(),
        first_day=first_day,
        checks=(CheckSpec(WINDOW, table, "Every day of the longest window has arrived."),) if view.lookback() else (),
        group="features",
        kinds=("polars",),
        owner=view.owner,
        description=view.description or f"Features of one {view.entity.name} over event time.",
        lookback=days - 1,
    )


def _prepare_view(view: FeatureView, days: int, first_day: date, tx: Transaction) -> dict[str, pl.LazyFrame]:
    day = tx.work.partition or ""
    frames, missing = {}, []
    wanted = [key for key in days_before(day, days) if key >= first_day.isoformat()]
    for source in view.sources():
        require(tx, source, day)
        present = available(tx, source, wanted)
        missing += [f"{source} {key}" for key in wanted if key not in present]
        frames[source] = tx.read(source, present)
    if view.lookback():
        message = f"Not there yet, so not counted: {', '.join(missing)}." if missing else ""
        table = f"features/{view.name}"
        tx.check(
            CheckResult(
                WINDOW, table, not missing, "warn", None, len(wanted) * len(frames), len(missing), message=message
            )
        )
    return frames


def _compute_view(
    view: FeatureView,
    table: str,
    tx: Transaction,
    frames: dict[str, pl.LazyFrame],
    contracts: Sequence[type[Contract]],
) -> Mapping[str, Any]:
    rows = view.compute(frames, at=end_of(tx.work.partition or ""))
    rows = rows.sort([view.event_time, *view.entity.keys])
    tx.describe(**view.metadata())
    tx.write(table, rows, column_lineage=view.column_lineage())
    preview = rows.head(10)
    for contract in contracts:
        known = [column.name for column in compiled(contract).columns if column.name in preview.columns]
        preview = preview.with_columns(mask(preview.select(known), contract))
    return {"preview": preview}
