"""Tables to materialise: written in steps, in any order, with late, corrected and deleted rows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import strategies as st

from assay.features.serving.feature_set import FeatureSet
from assay.features.serving.references import Role
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.serving import Serving
from assay.features.tables.transaction import transaction
from assay.own_columns import CHANGE

START = datetime(2026, 1, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")
DAY = 86_400_000_000
ACTIVITY = Serving.as_of(["shop", "customer"], "at", known_time="known", max_age_us=2 * DAY)
PRICES = Serving("", ("customer",), "at", states=True)
RATES = Serving.as_of([], "at")
COUNTRIES = Serving.lookup(["customer"])

# Two roles of one view, known time, nulls that are skipped, whole states, a view without keys, and a lookup.
EVERYTHING = FeatureSet(
    "everything",
    [
        "activity:*",
        Role("activity:n", keys={"customer": "other"}, prefix="known_", known_at="known"),
        Role("activity:*", keys={"customer": "third"}, prefix="filled_", skip_nulls=True),
        "prices:*",
        "rates:usd",
        "countries:name as country",
    ],
)
KEYS = pl.DataFrame(
    {
        "shop": ["a", "a", "b", "b", None, "a"],
        "customer": [1, 2, 1, 9, 1, 2],
        "other": [2, 1, 2, 1, 1, None],
        "third": [1, 2, 3, 1, 2, 2],
    }
)


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def put(lake: Lake, table: str, serving: Serving, partition: str | None, frame: pl.DataFrame) -> None:
    with transaction(lake, NullRecorder(), Work(table, partition)) as tx:
        tx.write(table, frame, extra={"serving": serving.to_dict()})


SHOPS, CUSTOMERS, TIMES = st.sampled_from("ab"), st.integers(1, 3), st.integers(0, 12).map(lambda half: half / 2)
EVENTS = st.lists(
    st.tuples(
        SHOPS, CUSTOMERS, TIMES, st.none() | st.integers(0, 3), st.none() | st.integers(0, 99), st.integers(0, 5)
    ),
    max_size=6,
)
PRICED = st.lists(st.tuples(CUSTOMERS, st.integers(0, 9)), max_size=3, unique_by=lambda row: row[0])
RATED = st.lists(st.tuples(TIMES, st.integers(0, 9)), max_size=3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("activity"), st.integers(0, 2), EVENTS),
        st.tuples(st.just("prices"), st.integers(0, 3), PRICED),
        st.tuples(st.just("rates"), st.integers(0, 1), RATED),
        st.tuples(st.just("countries"), st.integers(0, 1), PRICED),
    ),
    min_size=1,
    max_size=5,
)


def begin(lake: Lake) -> None:
    """All tables, with hardly any rows."""
    write(lake, ("activity", 0, [("a", 1, 1.0, 0, 10, 1)]))
    write(lake, ("prices", 1, [(1, 1)]))
    write(lake, ("rates", 0, [(1.0, 1)]))
    write(lake, ("countries", 0, [(1, 1)]))


def write(lake: Lake, step: tuple[str, int, list[tuple[Any, ...]]]) -> None:
    """One partition of a table, as these rows."""
    table, number, rows = step
    partition = f"p{number}"
    if table == "activity":
        data = [
            (
                shop,
                customer,
                at(day),
                None if lag is None else at(day + lag),
                n,
                f"{n}",
                "delete" if kind == 0 else "update",
            )
            for shop, customer, day, lag, n, kind in rows
        ]
        schema = {
            "shop": pl.String,
            "customer": pl.Int64,
            "at": INSTANT,
            "known": INSTANT,
            "n": pl.Int64,
            "text": pl.String,
        }
        put(lake, "features/activity", ACTIVITY, partition, frame(data, {**schema, CHANGE: pl.String}))
    elif table == "prices":  # a partition is a state
        data = [(customer, at(2 * number), price) for customer, price in rows]
        put(
            lake,
            "features/prices",
            PRICES,
            partition,
            frame(data, {"customer": pl.Int64, "at": INSTANT, "price": pl.Int64}),
        )
    elif table == "rates":
        data = [(at(day), float(rate)) for day, rate in rows]
        put(lake, "features/rates", RATES, partition, frame(data, {"at": INSTANT, "usd": pl.Float64}))
    else:
        put(lake, "features/countries", COUNTRIES, partition, frame(rows, {"customer": pl.Int64, "name": pl.Int64}))


def frame(rows: list[tuple[Any, ...]], schema: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema, orient="row")
