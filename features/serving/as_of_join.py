"""The as-of join by feature references: what a notebook, an application or a check calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import polars as pl

from assay.errors import AssayError
from assay.features.serving.feature_refs import join, resolve
from assay.features.serving.join_options import EVENT_TIME, JoinOptions, KnownAt
from assay.features.serving.request import Features
from assay.features.serving.spine_frame import SpineFrame, spine_frame
from assay.features.tables.lake import Lake
from assay.features.tables.reader import Reader


class HasLake(Protocol):
    """Something with a lake, such as the store that `assay.open()` gives."""

    @property
    def lake(self) -> Any: ...  # a Lake; type checkers do not accept a cached property for a property of a type


def as_of_join(
    spine: SpineFrame,
    features: Features,
    *,
    lake: Lake | HasLake,
    versions: Mapping[str, int] | None = None,
    pins: Mapping[str, int] | None = None,
    known_at: KnownAt | Mapping[str, KnownAt] = "event",
    skip_nulls: bool | Mapping[str, bool] = False,
    event_time: str = EVENT_TIME,
) -> pl.DataFrame:
    """The spine, row for row and in its order, with the features' values as of its `event_time`.

    Per row the value with the greatest event time ≤ the spine's time is served, if it is at most the view's `max_age` old
    (both inclusive); ties go to the later known time, then to the later row. Tables that are served as lookups are joined
    by their keys alone. Nothing is written or recorded.

    >>> as_of_join(spine, ["customer_activity:tickets_7d"], lake=assay.open())       # doctest: +SKIP

    Args:
        spine: The entities' keys and `event_time` (with a time zone), one row per answer: a frame of Polars, lazy or not, or
            of pandas, or anything else that gives Arrow. What comes back is of Polars.
        features: References: `view:feature`, `view:*` or `view:feature as name`. A view is joined by other columns of the
            spine than its keys with `… on key=column`, or as a `Role`, and so in several roles at once.
        lake: The lake to read, or a store, which has one.
        versions: Table name → version to read; other tables are read at their latest version.
        pins: The former name of `versions`.
        known_at: `known` also demands that the value was known by the spine's time; `event` does not. A mapping says so for
            some views, by their names; others are joined by `event`.
        skip_nulls: Serve the latest value that is not null; a mapping says so for some views.
        event_time: The spine's column with the time.

    Returns:
        The spine's columns, the time in µs UTC, then one column per feature; null where there is no value.

    Raises:
        AssayError: For unknown features, tables or options, a spine without usable keys or times, or both `versions` and
            `pins`.
    """
    reader, options = (
        Reader(lake if isinstance(lake, Lake) else lake.lake),
        JoinOptions(known_at, skip_nulls, event_time),
    )
    rows = spine_frame(spine, event_time)
    return join(rows, resolve(reader, features, rows, versions=one_of(versions, pins), options=options))


def one_of(versions: Mapping[str, int] | None, pins: Mapping[str, int] | None) -> Mapping[str, int] | None:
    """Table versions by their name today or by the former one. Raises AssayError when both are given."""
    if versions is not None and pins is not None:
        raise AssayError("Both `versions` and `pins` are given, which mean the same: leave `pins` out.")
    return versions if pins is None else pins
