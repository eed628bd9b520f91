"""Windowed aggregates against a naive loop, and the edges of the half-open window by name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.io.plugins import register_io_source

from assay.errors import AssayError
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.windowed import Windowed, windows

INSTANT = pl.Datetime("us", "UTC")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CUSTOMER = Entity("customer", ["customer"])


def ago(**delta: float) -> datetime:
    return NOON - timedelta(**delta)


def tickets(*rows: tuple[Any, Any, Any]) -> pl.LazyFrame:
    return pl.LazyFrame(rows, schema={"customer": pl.String, "time": INSTANT, "amount": pl.Int64}, orient="row")


def activity(over: Sequence[str] = ("1d", "7d"), **aggregations: pl.Expr) -> FeatureView:
    aggregations = aggregations or {"count": pl.len(), "spend": pl.col("amount").sum(), "top": pl.col("amount").max()}
    return FeatureView("activity", CUSTOMER, "at", windows(over, source="tickets", time="time", **aggregations))


def test_the_window_includes_its_start_and_excludes_its_end() -> None:
    edge = timedelta(microseconds=1)
    day = ago(days=1)
    events = tickets(("a", day - edge, 1), ("a", day, 10), ("a", NOON - edge, 100), ("a", NOON, 1000))
    out = activity(["1d"]).compute({"tickets": events}, NOON)
    assert out.rows() == [("a", NOON, 2, 110, 100)]


def test_an_entity_decays_out_of_the_shorter_window_and_then_disappears() -> None:
    events = tickets(("a", ago(days=3), 5))
    out = activity().compute({"tickets": events}, [NOON, NOON + timedelta(days=4), NOON + timedelta(days=5)])
    assert out.columns == ["customer", "at", "count_1d", "count_7d", "spend_1d", "spend_7d", "top_1d", "top_7d"]
    # On day 4 the event is exactly seven days old and still in; on day 5 there is nothing left to say.
    assert out.rows() == [
        ("a", NOON, 0, 1, 0, 5, None, 5),
        ("a", NOON + timedelta(days=4), 0, 1, 0, 5, None, 5),
    ]


def test_a_late_row_changes_only_the_windows_that_hold_it() -> None:
    times = [ago(days=2), ago(days=1), NOON]
    events = tickets(("a", ago(days=2, hours=1), 1), ("a", ago(hours=1), 2))
    late = tickets(("a", ago(days=1, hours=1), 4))
    before = activity(["1d"]).compute({"tickets": events}, times)
    after = activity(["1d"]).compute({"tickets": pl.concat([events, late])}, times)
    assert before["spend_1d"].to_list() == [1, 2]
    assert after["spend_1d"].to_list() == [1, 4, 2]


def test_empty_windows_hold_what_the_aggregation_gives_for_no_rows() -> None:
    view = activity(
        ["1d", "7d"],
        n=pl.col("amount").count(),
        kinds=pl.col("amount").n_unique(),
        mean=pl.col("amount").mean(),
        ratio=pl.col("amount").sum() / pl.len(),
        last=pl.col("amount").last(),
        spread=pl.col("amount").cast(pl.Float64).std(),
    )
    row = view.compute({"tickets": tickets(("a", ago(days=2), 4))}, NOON).row(0, named=True)
    assert [row[f"{name}_1d"] for name in ("n", "kinds", "mean", "ratio", "last", "spread")] == [
        0,
        0,
        None,
        None,
        None,
        None,
    ]
    assert [row[f"{name}_7d"] for name in ("n", "kinds", "mean", "ratio", "last")] == [1, 1, 4.0, 4.0, 4]


def test_a_null_result_over_real_events_stays_null() -> None:
    view = activity(["1d"], spend=pl.when(pl.col("amount").count() > 0).then(pl.col("amount").sum()))
    assert view.compute({"tickets": tickets(("a", ago(hours=1), None))}, NOON)["spend_1d"].to_list() == [None]


def test_events_without_a_key_or_a_time_belong_to_no_one() -> None:
    events = tickets((None, ago(hours=1), 1), ("a", None, 2), ("b", ago(hours=1), 3))
    assert activity(["1d"]).compute({"tickets": events}, NOON)["customer"].to_list() == ["b"]


def test_first_and_last_follow_event_time_not_storage_order() -> None:
    view = activity(["1d"], first=pl.col("amount").first(), last=pl.col("amount").last())
    events = tickets(("a", ago(hours=1), 3), ("a", ago(hours=3), 1), ("a", ago(hours=2), 2))
    assert view.compute({"tickets": events}, NOON).select("first_1d", "last_1d").row(0) == (1, 3)


def test_no_events_at_all_keep_the_schema() -> None:
    full = activity().compute({"tickets": tickets(("a", ago(hours=1), 3))}, NOON)
    none = activity().compute({"tickets": tickets()}, NOON)
    assert none.height == 0
    assert none.schema == full.schema
    assert none.schema["at"] == INSTANT


ROUNDING = """
import sys
from datetime import UTC, datetime
import polars as pl
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.windowed import windows
noon, n = datetime(2026, 3, 1, 12, tzinfo=UTC), pl.col("n")
events = pl.DataFrame({"n": pl.int_range(150_000, eager=True)}).select(
    customer=n * 7919 % 7, time=pl.lit(noon) - pl.duration(milliseconds=n + 1), amount=(n * 0.1).sin()
)
amount = pl.col("amount")
exprs = {"sum": amount.sum(), "mean": amount.mean(), "std": amount.std()}
view = FeatureView("v", Entity("c", ["customer"]), "at", windows(["1d"], source="t", time="time", **exprs))
for seed in range(2):
    out = view.compute({"t": events.sample(fraction=1, shuffle=True, seed=seed).lazy()}, noon)
    print([value.hex() for row in out.drop("customer", "at").rows() for value in row])
"""


def test_float_results_depend_neither_on_storage_order_nor_on_the_number_of_threads() -> None:
    printed: set[str] = set()
    for threads in ("1", "2", "7"):
        environment = os.environ | {"POLARS_MAX_THREADS": threads}
        command = [sys.executable, "-c", ROUNDING]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        printed.update(done.stdout.splitlines())
    assert len(printed) == 1


def test_only_the_window_and_the_needed_columns_are_read(tmp_path: Any) -> None:
    path = tmp_path / "events.parquet"
    tickets(("a", ago(days=90), 1), ("a", ago(hours=1), 2)).with_columns(text=pl.lit("x")).collect().write_parquet(path)
    read: list[tuple[list[str] | None, bool]] = []

    def source(columns: list[str] | None, predicate: pl.Expr | None, *_: object) -> Any:
        read.append((columns, predicate is not None))
        frame = pl.read_parquet(path)
        yield frame.filter(predicate).select(columns) if predicate is not None and columns else frame

    scan = register_io_source(source, schema=pl.read_parquet_schema(path))
    assert activity(["1d"]).compute({"tickets": scan}, NOON)["spend_1d"].to_list() == [2]
    assert [(sorted(columns or []), pushed) for columns, pushed in read] == [(["amount", "customer", "time"], True)]


def test_other_zones_are_instants_and_naive_times_are_refused() -> None:
    events = tickets(("a", ago(hours=1), 3))
    tokyo = events.with_columns(pl.col("time").dt.convert_time_zone("Asia/Tokyo"))
    assert (
        activity(["1d"]).compute({"tickets": tokyo}, NOON).equals(activity(["1d"]).compute({"tickets": events}, NOON))
    )
    with pytest.raises(AssayError, match="naive"):
        activity().compute({"tickets": events.with_columns(pl.col("time").dt.replace_time_zone(None))}, NOON)
    with pytest.raises(AssayError, match="naive"):
        activity().compute({"tickets": events}, datetime(2026, 3, 1))  # noqa: DTZ001 (the naive time is the point)


def test_what_is_missing_is_named() -> None:
    events = tickets(("a", ago(hours=1), 3))
    with pytest.raises(AssayError, match="'tickets', which was not given"):
        activity().compute({}, NOON)
    for column in ("amount", "time", "customer"):
        with pytest.raises(AssayError, match=f"no column .*{column}"):
            activity().compute({"tickets": events.drop(column)}, NOON)
    with pytest.raises(AssayError, match="at least one time"):
        activity().compute({"tickets": events}, [])


def test_sources_must_agree_on_the_type_of_a_key() -> None:
    other = pl.LazyFrame({"customer": [1], "time": [ago(hours=1)]})
    view = FeatureView(
        "v",
        CUSTOMER,
        "at",
        [Windowed("a", pl.len(), "1d", "tickets", "time"), Windowed("b", pl.len(), "1d", "cards", "time")],
    )
    with pytest.raises(AssayError, match="key 'customer' has different types"):
        view.compute({"tickets": tickets(("a", ago(hours=1), 3)), "cards": other}, NOON)


def test_an_error_never_quotes_a_cell() -> None:
    view = activity(["1d"], spend=pl.col("customer").str.to_integer().sum())
    with pytest.raises(AssayError) as failure:
        view.compute({"tickets": tickets(("jane@example.com", ago(hours=1), 3))}, NOON)
    assert "jane" not in str(failure.value)
    assert failure.value.__suppress_context__


# The oracle: two sources with different activity, on a grid so coarse that events fall on window edges.

ticks = st.integers(-8, 3)
events = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", None]), st.none() | ticks, st.none() | st.integers(-3, 3)), max_size=20
)


@given(
    events,
    events,
    st.lists(st.integers(-3, 3), min_size=1, max_size=3, unique=True),
    st.integers(1, 3),
    st.integers(1, 6),
)
def test_agrees_with_a_naive_loop(left: list[Any], right: list[Any], at: list[int], short: int, long: int) -> None:
    hour = timedelta(hours=1)

    def frame(rows: list[Any]) -> pl.LazyFrame:
        return tickets(*((key, None if tick is None else NOON + tick * hour, amount) for key, tick, amount in rows))

    spans = {f"{n}h": n for n in dict.fromkeys([short, long])}
    total, mean = pl.col("amount").sum(), pl.col("amount").mean()
    view = FeatureView(
        "v",
        CUSTOMER,
        "at",
        [
            *windows(list(spans), source="left", time="time", n=pl.len(), sum=total, mean=mean),
            *windows([f"{short}h"], source="right", time="time", other=pl.len()),
        ],
    )
    out = view.compute({"left": frame(left), "right": frame(right)}, [NOON + tick * hour for tick in at])

    expected = []
    for end in sorted(at):
        for key in ("a", "b", "c"):

            def inside(rows: list[Any], width: int, key: str = key, end: int = end) -> list[int | None]:
                return [v for k, tick, v in rows if k == key and tick is not None and end - width <= tick < end]

            if not inside(left, max(short, long)) and not inside(right, short):
                continue
            row: dict[str, Any] = {"customer": key, "at": NOON + end * hour}
            for name, width in spans.items():
                found = inside(left, width)
                numbers = [v for v in found if v is not None]
                row |= {f"n_{name}": len(found), f"sum_{name}": sum(numbers)}
                row[f"mean_{name}"] = pytest.approx(sum(numbers) / len(numbers)) if numbers else None
            expected.append(row | {f"other_{short}h": len(inside(right, short))})
    assert out.to_dicts() == expected
