"""Features as they are served now: the rule of the training join at one moment, with state and origin in the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from assay.errors import AssayError
from assay.features.serving.as_of import latest
from assay.features.serving.feature_refs import TEXT_KEY, Resolved, look_up, resolve
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import Work
from assay.features.tables.transaction import Transaction
from assay.features.views.timestamps import utc

Keys = Mapping[str, Sequence[Any]] | pl.DataFrame


@dataclass(frozen=True, slots=True)
class Online:
    """Latest values of a view, served now."""

    lake: Lake
    view: str

    def get(self, keys: Keys, at: datetime | None = None) -> pl.DataFrame:
        """One row per key: the values valid at `at` (default: now), their state and the snapshot they came from."""
        return online_get(self.lake, self.view, keys, at or datetime.now(UTC))


def online_get(lake: Lake, features: str | Sequence[str], keys: Keys, at: datetime) -> pl.DataFrame:
    """One row per key, in the order given: the features valid at `at`, and per view

    - `<view>.state`: `present`, `missing` (nothing known at `at`) or `expired` (older than the view's max_age),
    - `<view>.event_time`: when the value holds from (not for embeddings),
    - `<view>.table` and `<view>.version`: the snapshot it came from.

    `features` is a view's name (all its features) or a list of references; `keys` has the views' key columns.
    Raises AssayError for unknown views or features, and for keys that are missing or do not fit the view's type.
    """
    references = [f"{features}:*"] if isinstance(features, str) else features
    moment = utc(at, "at")
    asked = pl.DataFrame(dict(keys)) if isinstance(keys, Mapping) else keys
    spine = asked.with_columns(pl.lit(moment, dtype=pl.Datetime("us", "UTC")).alias("event_time"))
    resolved = resolve(Transaction(lake, Work("online")), references, spine, bounded=False)
    rows = _fitting(asked, resolved) if isinstance(keys, Mapping) else asked
    for view in resolved.views:
        rows = latest(view, rows, moment)
    for lookup in resolved.lookups:
        rows = look_up(rows, lookup)
        known = lookup.frame.select(TEXT_KEY).collect()[TEXT_KEY].implode()
        state = pl.when(pl.col(TEXT_KEY).is_in(known)).then(pl.lit("present")).otherwise(pl.lit("missing"))
        rows = rows.with_columns(state.alias(f"{lookup.name}.state"))
    return rows.with_columns(
        column
        for item in resolved.described
        for column in (
            pl.lit(item["table"]).alias(f"{item['view']}.table"),
            pl.lit(item["version"], dtype=pl.Int64).alias(f"{item['view']}.version"),
        )
    )


def _fitting(keys: pl.DataFrame, resolved: Resolved) -> pl.DataFrame:
    """Keys from a mapping (of a request, or a command line), in the types of the tables."""
    types = {
        key: view.frame.collect_schema()[key]
        for view in resolved.views
        for key in view.serving.keys
        if key in keys.columns
    }
    try:
        return keys.cast(types)  # pyright: ignore[reportArgumentType]  (a mapping of names to types is one of the forms)
    except PolarsError:
        wanted = ", ".join(f"{name} is {dtype}" for name, dtype in types.items())
        raise AssayError(f"The keys do not fit the tables: {wanted}.") from None
