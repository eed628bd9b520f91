"""The as-of join by feature references: what a notebook, an application or a check calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import polars as pl

from assay.errors import AssayError
from assay.features.serving.as_of import KnownAt
from assay.features.serving.feature_refs import join, resolve
from assay.features.tables.lake import Lake
from assay.features.tables.reader import Reader


class HasLake(Protocol):
    """Something with a lake, such as the store that `assay.open()` gives."""

    @property
    def lake(self) -> Any: ...  # a Lake; type checkers do not accept a cached property for a property of a type


def as_of_join(
    spine: pl.DataFrame,
    features: Sequence[str],
    *,
    lake: Lake | HasLake,
    versions: Mapping[str, int] | None = None,
    pins: Mapping[str, int] | None = None,
    known_at: KnownAt = "event",
    skip_nulls: bool = False,
) -> pl.DataFrame:
    """The spine, row for row and in its order, with the features' values as of its `event_time`.

    Per row the value with the greatest event time ≤ the spine's time is served, if it is at most the view's `max_age` old
    (both inclusive); ties go to the later known time, then to the later row. Tables that are served as lookups are joined
    by their keys alone. Nothing is written or recorded.

    >>> as_of_join(spine, ["customer_activity:tickets_7d"], lake=assay.open())       # doctest: +SKIP

    Args:
        spine: The entities' keys and `event_time` (with a time zone), one row per answer.
        features: References: `view:feature`, `view:*` or `view:feature as name`.
        lake: The lake to read, or a store, which has one.
        versions: Table name → version to read; other tables are read at their latest version.
        pins: The former name of `versions`.
        known_at: `known` also demands that the value was known by the spine's time.
        skip_nulls: Serve the latest value that is not null.

    Returns:
        The spine's columns, `event_time` in µs UTC, then one column per feature; null where there is no value.

    Raises:
        AssayError: For unknown features or tables, a spine without usable keys or times, or both `versions` and `pins`.
    """
    reader = Reader(lake if isinstance(lake, Lake) else lake.lake)
    resolved = resolve(
        reader, features, spine, versions=one_of(versions, pins), known_at=known_at, skip_nulls=skip_nulls
    )
    return join(spine, resolved, known_at=known_at, skip_nulls=skip_nulls)


def one_of(versions: Mapping[str, int] | None, pins: Mapping[str, int] | None) -> Mapping[str, int] | None:
    """Table versions by their name today or by the former one. Raises AssayError when both are given."""
    if versions is not None and pins is not None:
        raise AssayError("Both `versions` and `pins` are given, which mean the same: leave `pins` out.")
    return versions if pins is None else pins
