"""Views that are computed by a query: equal to windows by expressions, blind to what comes later, the same in any order."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from assay.errors import AssayError
from assay.features import Entity, Feature, FeatureView, RowsRead, windows
from assay.features.views.sql import Sql

START = datetime(2026, 3, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")
CUSTOMER = Entity("customer", ["customer_id"])
ORDERS = {"customer_id": pl.String, "ordered_at": INSTANT, "amount": pl.Int64}
SPENT = "select customer_id, sum(amount) as spent, count(*) as orders from clean.orders group by customer_id"
WINDOW = {"clean/orders": ("ordered_at", "2d")}


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def orders(*rows: tuple[str | None, float | None, int | None]) -> pl.DataFrame:
    data = [(who, None if hours is None else at(hours), amount) for who, hours, amount in rows]
    return pl.DataFrame(data, schema=ORDERS, orient="row")


def view(query: str = SPENT, name: str = "spending", event_time: str = "at", **given: Any) -> FeatureView:
    return FeatureView(name, CUSTOMER, event_time, computed_by=Sql(query, **({"windows": WINDOW} | given)))


def compute(chosen: FeatureView, rows: pl.DataFrame, *hours: float) -> pl.DataFrame:
    return chosen.compute({"clean/orders": rows.lazy()}, [at(hour) for hour in hours])


EVENTS = st.tuples(st.sampled_from(["a", "b", None]), st.none() | st.integers(0, 96), st.none() | st.integers(-9, 9))


@settings(max_examples=12)
@given(st.lists(EVENTS, max_size=12), st.sets(st.sampled_from([0, 24, 48, 72, 96]), min_size=1, max_size=2))
def test_a_query_over_a_window_is_the_window_of_the_expressions(events: list[Any], hours: set[int]) -> None:
    by_expressions = FeatureView(
        "spending",
        CUSTOMER,
        "at",
        windows(["2d"], source="clean/orders", time="ordered_at", spent=pl.col("amount").sum(), orders=pl.len()),
    )
    rows = orders(*events)
    expected = compute(by_expressions, rows, *hours)
    found = compute(view(SPENT.replace("sum(amount)", "coalesce(sum(amount), 0)")), rows, *hours)
    assert_frame_equal(found.rename({"spent": "spent_2d", "orders": "orders_2d"}), expected, check_dtypes=False)
    assert found.schema == {"customer_id": pl.String, "at": INSTANT, "spent": pl.Int64, "orders": pl.Int64}


def test_a_query_sees_nothing_of_what_comes_later_whatever_it_asks_for() -> None:
    rows = orders(("a", 1, 10), ("a", 47.5, 5), ("a", 48, 1000), ("a", 60, 1000))
    assert compute(view(), rows, 48).rows() == [("a", at(48), 15, 2)]
    last_day = "select customer_id, sum(amount) as spent from clean.orders where ordered_at >= $at - interval 1 day group by all"
    assert compute(view(last_day), rows, 24, 48).rows() == [("a", at(24), 10), ("a", at(48), 5)]


def test_sums_of_whole_numbers_stay_whole_or_are_refused() -> None:
    big = 2**62
    assert compute(view(), orders(("a", 1, big), ("a", 2, big - 1)), 24)["spent"].to_list() == [2**63 - 1]
    with pytest.raises(AssayError, match="its query failed with ConversionException") as refused:
        compute(view(), orders(("a", 1, big), ("a", 2, big)), 24)
    assert str(2 * big) not in str(refused.value)


def test_equal_rows_give_equal_values_in_whatever_order_they_are_stored() -> None:
    schema = ORDERS | {"amount": pl.Float64}
    rows = pl.DataFrame([("a", at(i % 24), 0.1 * i**3) for i in range(300)], schema=schema, orient="row")
    query = view("select customer_id, sum(amount) as spent, first(amount) as some from clean.orders group by all")
    found = [compute(query, rows.sample(fraction=1, shuffle=True, seed=seed), 24) for seed in range(3)]
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])


def test_a_query_without_windows_gives_the_times_of_its_rows() -> None:
    query = "select customer_id, ordered_at, amount * 2 as twice from clean.orders"
    plain = view(query, event_time="ordered_at", windows={})
    rows = orders(("b", 2, 3), ("a", 1, None))
    assert plain.compute({"clean/orders": rows.lazy()}).rows() == [("a", at(1), None), ("b", at(2), 6)]
    assert plain.transformation.rows_read() == (RowsRead("clean/orders", "ordered_at"),)
    by_expression = FeatureView("x", CUSTOMER, "ordered_at", [Feature("twice", pl.col("amount") * 2)], "clean/orders")
    assert plain.column_lineage()["twice"]["direct"] == by_expression.column_lineage()["twice"]["direct"]  # type: ignore[index]


def test_a_query_joins_tables_and_says_where_its_columns_come_from() -> None:
    query = """select o.customer_id, c.country, sum(o.amount) as spent from clean.orders o
        join clean.customers c on c.customer_id = o.customer_id where c.active group by all"""
    joined = view(query)
    assert joined.sources() == ("clean/orders", "clean/customers")
    assert (joined.lookback(), joined.lookback_of("clean/customers")) == (timedelta(days=2), timedelta(0))
    customers = pl.DataFrame({"customer_id": ["a", "b"], "country": ["DE", "FR"], "active": [True, False]})
    frames = {"clean/orders": orders(("a", 1, 2), ("b", 1, 3)).lazy(), "clean/customers": customers.lazy()}
    assert joined.compute(frames, at(24)).rows() == [("a", at(24), "DE", 2)]
    lineage = joined.column_lineage()
    assert lineage["spent"] == {
        "direct": [("clean/orders", "amount")],
        "indirect": sorted(
            [("clean/customers", name) for name in ("active", "country", "customer_id")]
            + [("clean/orders", name) for name in ("customer_id", "ordered_at")]
        ),
    }
    assert list(lineage) == ["customer_id", "at", "country", "spent"]
    assert joined.transformation.rows_read() == (RowsRead("clean/orders", "ordered_at", timedelta(days=2)),)


def test_the_definition_is_the_query_and_its_windows_and_texts_are_for_people() -> None:
    described = view(texts={"spent": ("What was spent.", "EUR")})
    assert described.digest() == view().digest()
    assert described.about()["features"] == {"spent": {"description": "What was spent.", "unit": "EUR"}}
    assert described.feature_names == ("spent", "orders")
    others = [view(SPENT.replace("sum", "max")), view(windows={"clean/orders": ("ordered_at", "3d")})]
    assert len({described.digest(), *(other.digest() for other in others)}) == 3


def test_a_query_reads_nothing_but_its_tables(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("customer_id,amount\na,1\n")
    for source in (f"read_csv('{tmp_path}/secret.csv')", f"'{tmp_path}/secret.csv'"):
        with pytest.raises(AssayError, match=r"tables of the lake only|with its kind"):
            view(f"select customer_id, amount as spent from {source}")
    inside = f"select customer_id, (select any_value(content) from read_text('{tmp_path}/secret.csv')) as x from clean.orders"
    with pytest.raises(AssayError, match="tables of the lake only"):
        view(inside)


@pytest.mark.parametrize(
    ("query", "given", "match"),
    [
        ("select from where", {}, "cannot be read as DuckDB SQL"),
        ("drop table clean.orders", {}, "give one query"),
        (f"{SPENT}; {SPENT}", {}, "give one query"),
        ("select 1 as customer_id, 2 as x", {}, "reads no table"),
        ("select customer_id, 1 as x from orders", {}, r"such as clean\.orders"),
        ("select * from clean.orders", {}, "name every column"),
        ("select customer_id, sum(amount) from clean.orders group by all", {}, "name every column"),
        ("select customer_id from clean.orders", {}, "at least one feature"),
        ("select amount as x from clean.orders", {}, "gives no column 'customer_id'"),
        ("select customer_id, now() as x from clean.orders", {}, "something else each time"),
        ("select customer_id, current_date as x from clean.orders", {}, "something else each time"),
        ("select customer_id, random() as x from clean.orders", {}, "something else each time"),
        ("select customer_id, uuid() as x from clean.orders", {}, "something else each time"),
        ("select customer_id, amount as x from clean.orders using sample 5", {}, "other rows each time"),
        ("select customer_id, $then as x from clean.orders", {}, r"parameter \$at"),
        ("select customer_id, $at as x, ordered_at as at from clean.orders", {"windows": {}}, r"\$at is the end of windows"),
        ("select customer_id, amount as x, $at as at from clean.orders", {}, "leave 'at' out of the query"),
        (SPENT, {"windows": {"clean/visits": ("at", "2d")}}, "which the query does not read"),
        (SPENT, {"windows": {"clean/orders": ("ordered_at", "two")}}, "window over clean/orders"),
        (SPENT, {"texts": {"spnt": ("What was spent.", "EUR")}}, "which the query does not give"),
        (SPENT, {"windows": {}}, "gives no column 'at'"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_view_is_refused_where_it_is_declared(query: str, given: dict[str, Any], match: str) -> None:
    with pytest.raises(AssayError, match=match):
        view(query, **given)


def test_what_fails_at_run_time_names_the_query_and_no_cell() -> None:
    rows = orders(("a", 1, 10), ("a", 2, 20))
    with pytest.raises(AssayError, match="several rows for one customer_id"):
        compute(view("select customer_id, amount as x from clean.orders"), rows, 24)
    with pytest.raises(AssayError, match=r"DuckDB refuses the query: .*amuont"):
        compute(view("select customer_id, sum(amuont) as x from clean.orders group by all"), rows, 24)
    with pytest.raises(AssayError, match="ConversionException") as refused:
        compute(view("select customer_id, max(customer_id::int) as x from clean.orders group by all"), rows, 24)
    assert "'a'" not in str(refused.value)
    with pytest.raises(AssayError, match="which was not given"):
        view().compute({}, at(24))
