"""Features as they are served now: the rule of the training join at one moment, with state and origin in the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from assay.errors import AssayError
from assay.features.serving.as_of import latest
from assay.features.serving.feature_refs import Resolved, resolve
from assay.features.serving.join_options import EVENT_TIME, JoinOptions, KnownAt
from assay.features.serving.lookup import look_up
from assay.features.serving.request import Features
from assay.features.serving.training import TrainingSetVersion
from assay.features.tables.lake import Lake
from assay.features.tables.reader import Reader
from assay.features.views.timestamps import utc

Keys = Mapping[str, Any] | pl.DataFrame
"""Key columns as a frame, as a mapping to lists, or as a mapping to single values for one row."""

Served = Features | TrainingSetVersion
"""A view's name (all its features), feature references and roles, or a training set (what it was joined by, and how)."""


@dataclass(frozen=True, slots=True)
class Online:
    """Latest values of features, served now. Made by `store.online(features)`.

    Args:
        lake: Where the tables are.
        features: A view's name, a list of references, or a training set, whose references are served, by the definitions that it
            was made with.
        known_at: As of `as_of_join`. Default: that of the training set; else `event`.
        skip_nulls: Likewise.
    """

    lake: Lake
    features: Served
    known_at: KnownAt | Mapping[str, KnownAt] | None = None
    skip_nulls: bool | Mapping[str, bool] | None = None

    def __post_init__(self) -> None:
        JoinOptions.of_given(self.known_at, self.skip_nulls)  # refuses what is none, where it is given

    def get(self, keys: Keys, at: datetime | None = None) -> pl.DataFrame:
        """The values valid at `at`, their state and the snapshot they came from.

        Args:
            keys: The key columns of the views: `{"customer_id": "C1"}`, `{"customer_id": ["C1", "C2"]}` or a frame. Of a
                view in a role, the columns that the role names.
            at: The moment (with a time zone); None: now.

        Returns:
            One row per key, in the order given: the keys, the features, and per view `<view>.state` (`present`, `missing`
            or `expired`), `<view>.event_time` (not for lookups), `<view>.table` and `<view>.version`. A view in a role is
            called `<view>.<column>` there.

        Raises:
            AssayError: For unknown views or features, and keys that are missing or do not fit the view's types.
        """
        moment = at or datetime.now(UTC)
        return online_get(self.lake, self.features, keys, moment, known_at=self.known_at, skip_nulls=self.skip_nulls)


def online_get(
    lake: Lake,
    features: Served,
    keys: Keys,
    at: datetime,
    *,
    known_at: KnownAt | Mapping[str, KnownAt] | None = None,
    skip_nulls: bool | Mapping[str, bool] | None = None,
) -> pl.DataFrame:
    """The features valid at `at`. See `Online.get`.

    Args:
        lake: Where the tables are.
        features: A view's name, references, or a training set.
        keys: A frame, or a value or a list of values for each key column.
        at: The moment, with a time zone.
        known_at: As of `as_of_join`. Default: that of the training set; else `event`.
        skip_nulls: Likewise.
    """
    return served(lake, features, keys, at, known_at=known_at, skip_nulls=skip_nulls)[0]


def served(
    lake: Lake,
    features: Served,
    keys: Keys,
    at: datetime,
    *,
    known_at: KnownAt | Mapping[str, KnownAt] | None = None,
    skip_nulls: bool | Mapping[str, bool] | None = None,
) -> tuple[pl.DataFrame, tuple[Mapping[str, Any], ...]]:
    """The same as `online_get`, and per view the table, its version, and which `column` each of its `features` became."""
    references, learnt = _asked(features)
    definitions = features.definitions if isinstance(features, TrainingSetVersion) else None
    options = JoinOptions(
        learnt.known_at if known_at is None else known_at, learnt.skip_nulls if skip_nulls is None else skip_nulls
    )
    moment = utc(at, "at")
    asked = _frame(keys) if isinstance(keys, Mapping) else keys
    spine = asked.with_columns(pl.lit(moment, dtype=pl.Datetime("us", "UTC")).alias(EVENT_TIME))
    resolved = resolve(Reader(lake), references, spine, options=options, bounded=False, learnt=definitions)
    rows = _fitting(asked, resolved) if isinstance(keys, Mapping) else asked
    for view in resolved.views:
        rows = latest(view, rows, moment)
    for lookup in resolved.lookups:
        rows = look_up(rows, lookup, state=f"{lookup.name}.state")
    rows = rows.with_columns(
        column
        for item in resolved.described
        for column in (
            pl.lit(item["table"]).alias(f"{item.get('role', item['view'])}.table"),
            pl.lit(item["version"], dtype=pl.Int64).alias(f"{item.get('role', item['view'])}.version"),
        )
    )
    return rows, resolved.described


def _asked(features: Served) -> tuple[Features, JoinOptions]:
    """What is served, and how it was joined when a model learnt from it."""
    if isinstance(features, TrainingSetVersion):
        return tuple(features.manifest["references"]), JoinOptions.from_dict(features.manifest)
    if isinstance(features, str):
        return features if ":" in features else f"{features}:*", JoinOptions()
    return features, JoinOptions()


def _frame(keys: Mapping[str, Any]) -> pl.DataFrame:
    """Keys as a mapping: of columns, or of the values of one row."""
    single = [not isinstance(value, Sequence | pl.Series) or isinstance(value, str | bytes) for value in keys.values()]
    if any(single) and not all(single):
        raise AssayError("The keys are given as lists and as single values: give all as lists, or all for one row.")
    if any(single):
        return pl.DataFrame({name: [value] for name, value in keys.items()})
    if len({len(values) for values in keys.values()}) > 1:
        raise AssayError("The lists of keys differ in length: give one value of each key per row.")
    return pl.DataFrame(dict(keys))


def _fitting(keys: pl.DataFrame, resolved: Resolved) -> pl.DataFrame:
    """Keys from a mapping (of a request, or a command line), in the types of the tables."""
    types = {
        column: schema[key]
        for read in (*resolved.views, *resolved.lookups)
        for schema in [read.frame.collect_schema()]
        for key, column in ((key, read.keys.get(key, key)) for key in read.serving.keys)
        if column in keys.columns
    }
    try:
        return keys.cast(types)  # pyright: ignore[reportArgumentType]  (a mapping of names to types is one of the forms)
    except PolarsError:
        wanted = ", ".join(f"{name} is {dtype}" for name, dtype in types.items())
        raise AssayError(f"The keys do not fit the tables: {wanted}.") from None
