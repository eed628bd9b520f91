"""Features as they are served now: the rule of the training join at one moment, with state and origin in the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from assay.errors import AssayError
from assay.features.serving.as_of import latest
from assay.features.serving.feature_refs import Resolved, planned_of, resolve
from assay.features.serving.join_options import EVENT_TIME, JoinOptions, KnownAt
from assay.features.serving.lookup import look_up
from assay.features.serving.on_demand.compute import compute_on_demand
from assay.features.serving.references import Reference
from assay.features.serving.request import Features, Request, request
from assay.features.serving.training import TrainingSetVersion
from assay.features.tables.lake import Lake
from assay.features.tables.reader import Reader
from assay.features.views.timestamps import INSTANT, utc

Keys = Mapping[str, Any] | pl.DataFrame
"""Key columns as a frame, as a mapping to lists, or as a mapping to single values for one row."""

Served = Features | TrainingSetVersion
"""A view's name (all its features), feature references and roles, or a training set (what it was joined by, and how)."""


@dataclass(frozen=True, slots=True)
class Online:
    """Latest values of features, served now. Made by `store.online(features)`.

    Args:
        lake: Where the tables are.
        features: A view's name, a list of references, or a training set, whose references are served.
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
                view in a role, the columns that the role names. Inputs of the request stand beside them:
                `{"customer_id": "C1", "amount": 12.5}`.
            at: The moment (with a time zone); None: now.

        Returns:
            One row per key, in the order given: the keys, the features, and per view `<view>.state` (`present`, `missing`
            or `expired`), `<view>.event_time` and `<view>.age` at `at` (not for lookups), `<view>.table` and `<view>.version`. A
            view in a role is called `<view>.<column>` there. What an on-demand view uses is named, too; its own state is the
            worst of those.

        Raises:
            AssayError: For unknown views or features, and for keys or inputs that are missing or of another type.
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
    versions: Mapping[str, int] | None = None,
) -> tuple[pl.DataFrame, tuple[Mapping[str, Any], ...]]:
    """The same as `online_get`, and per view the table, its version, and which `column` each of its `features` became.
    `versions`: table → version to read; others are read at their latest."""
    references, learnt = _asked(features)
    definitions = features.definitions if isinstance(features, TrainingSetVersion) else None
    if known_at is not None or skip_nulls is not None:
        given = JoinOptions(
            learnt.known_at if known_at is None else known_at, learnt.skip_nulls if skip_nulls is None else skip_nulls
        )
        references = request(references.texts if isinstance(references, Request) else references, given)
    moment = utc(at, "at")
    asked = key_frame(keys) if isinstance(keys, Mapping) else keys
    spine = asked.with_columns(pl.lit(moment, dtype=pl.Datetime("us", "UTC")).alias(EVENT_TIME))
    resolved = resolve(Reader(lake), references, spine, versions=versions, bounded=False, learnt=definitions)
    rows = _fitting(asked, resolved) if isinstance(keys, Mapping) else asked
    for view in resolved.views:
        rows = latest(view, rows, moment)
    for lookup in resolved.lookups:
        rows = look_up(rows, lookup, state=f"{lookup.name}.state")
    if resolved.computed:
        moments = rows.with_columns(pl.lit(moment, dtype=pl.Datetime("us", "UTC")).alias(EVENT_TIME))
        computed = compute_on_demand(moments, resolved.computed, event_time=EVENT_TIME, where="the request")
        own = rows.select(pl.col("^" + EVENT_TIME + "$"))  # a column of the keys may be called like the moment
        rows = computed.drop(EVENT_TIME).with_columns(own)
        rows = rows.with_columns(_states(rows, resolved))
    of_role = {item.get("role", item["view"]): item for item in (*resolved.described, *resolved.used)}
    rows = rows.with_columns(
        column
        for role, item in of_role.items()
        for column in (
            pl.lit(item["table"]).alias(f"{role}.table"),
            pl.lit(item["version"], dtype=pl.Int64).alias(f"{role}.version"),
        )
    )
    ages = [
        (pl.lit(moment, dtype=INSTANT) - pl.col(f"{view.name}.event_time")).alias(f"{view.name}.age")
        for view in resolved.views
    ]
    rows = rows.with_columns(ages)
    return rows, resolved.described


def _states(rows: pl.DataFrame, resolved: Resolved) -> list[pl.Expr]:
    """The state of each on-demand view: the worst of the views whose rows it is computed of."""
    columns: dict[str, dict[str, None]] = {}
    for item in resolved.computed:
        if not item.hidden:
            columns.setdefault(item.view, {}).update(dict.fromkeys(f"{role}.state" for role in item.roles))
    order = ("missing", "expired")
    return [
        pl.coalesce(
            *(
                pl.when(pl.any_horizontal(pl.col(name) == one for name in states)).then(pl.lit(one))
                for one in order
                if states
            ),
            pl.lit("present"),
        ).alias(f"{view}.state")
        for view, states in columns.items()
    ]


def request_inputs(lake: Lake, features: Served) -> dict[str, str]:
    """The inputs that a request must have beside the keys, for its on-demand features: name → name of the type.

    Args:
        lake: Where the tables are.
        features: As of `online_get`.
    """
    return planned_of(Reader(lake), _asked(features)[0])[0].inputs


def _asked(features: Served) -> tuple[Features | Request, JoinOptions]:
    """What is served, and how it was joined when a model learnt from it."""
    if isinstance(features, TrainingSetVersion):
        options = JoinOptions.from_dict(features.manifest)
        return Request(tuple(map(Reference.parse, features.manifest["references"])), options), options
    if isinstance(features, str):
        return features if ":" in features else f"{features}:*", JoinOptions()
    return features, JoinOptions()


def key_frame(keys: Mapping[str, Any]) -> pl.DataFrame:
    """Keys as a mapping: of columns, or of the values of one row. Raises AssayError where they are of different lengths."""
    single = [not isinstance(value, Sequence | pl.Series) or isinstance(value, str | bytes) for value in keys.values()]
    if any(single) and not all(single):
        raise AssayError("The keys are given as lists and as single values: give all as lists, or all for one row.")
    if any(single):
        return pl.DataFrame({name: [value] for name, value in keys.items()})
    if len({len(values) for values in keys.values()}) > 1:
        raise AssayError("The lists of keys differ in length: give one value of each key per row.")
    return pl.DataFrame(dict(keys))


def _fitting(keys: pl.DataFrame, resolved: Resolved) -> pl.DataFrame:
    types = {
        column: schema[key]
        for read in (*resolved.views, *resolved.lookups)
        for schema in [read.frame.collect_schema()]
        for key, column in ((key, read.keys.get(key, key)) for key in read.serving.keys)
    }
    return fitted(keys, types)


def fitted(keys: pl.DataFrame, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Keys from a mapping (of a request, or a command line), in the types of the tables.

    Raises:
        AssayError: They do not fit.
    """
    types = {column: dtype for column, dtype in types.items() if column in keys.columns}
    if all(keys.schema[column] == dtype for column, dtype in types.items()):
        return keys
    try:
        return keys.cast(types)  # pyright: ignore[reportArgumentType]  (a mapping of names to types is one of the forms)
    except PolarsError:
        wanted = ", ".join(f"{name} is {dtype}" for name, dtype in types.items())
        raise AssayError(f"The keys do not fit the tables: {wanted}.") from None
