"""A third engine, written here and nowhere else, through everything that a feature view goes through: its step, joins,
training sets, online reads, predictions, trace, verification, row provenance and column lineage. Beside it a lookup table."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from assay.assets.steps.features import WINDOW, view_step
from assay.assets.steps.step import Resources, execute, stale
from assay.features import Entity, FeatureView, Partitioning, RowsRead, Serving, as_of_join, load_training_set
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.features.views.sql import Sql as Query
from assay.lineage.tracing.row_provenance import source_rows
from assay.settings import Settings
from assay.store import Store

INSTANT = pl.Datetime("us", "UTC")
QUERY = """
select customer_id, $t::timestamptz as at, sum(amount) as total from events
where created_at >= $t::timestamptz - interval 2 day and created_at < $t::timestamptz group by all
"""


@dataclass(frozen=True)
class Sql:
    """What a customer spent in the last two days, in DuckDB's SQL."""

    table: str
    query: str

    def sources(self) -> tuple[str, ...]:
        return (self.table,)

    def lookback(self) -> timedelta:
        return timedelta(days=2)

    def compute(self, frames: Mapping[str, pl.LazyFrame], at: Sequence[datetime] | datetime) -> pl.DataFrame:
        assert isinstance(at, datetime)
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.register("events", frames[self.table].collect().to_arrow())
            rows = connection.execute(self.query, {"t": at.isoformat()}).fetchall()
        # DuckDB hands out times in a Python zone; Polars keeps the instant.
        return pl.DataFrame(
            [(who, moment.astimezone(UTC), int(total)) for who, moment, total in rows],
            schema={"customer_id": pl.String, "at": INSTANT, "total": pl.Int64},
            orient="row",
        )

    def column_lineage(self) -> dict[str, Any]:
        chosen = [(self.table, "customer_id"), (self.table, "created_at")]
        return {
            "customer_id": {"direct": [(self.table, "customer_id")], "indirect": chosen},
            "at": {"direct": [], "indirect": chosen},
            "total": {"direct": [(self.table, "amount")], "indirect": chosen},
        }

    def rows_read(self) -> tuple[RowsRead, ...]:
        return (RowsRead(self.table, "created_at", timedelta(days=2)),)

    def definition(self) -> dict[str, Any]:
        return {"features": [{"name": "total", "sha256": hashlib.sha256(self.query.encode()).hexdigest()}]}


VIEW = FeatureView(
    "spending", Entity("customer", ["customer_id"]), "at", computed_by=Sql("clean/orders", QUERY), max_age="2d"
)
DAILY = Partitioning.daily(date(2026, 3, 1))
FEATURES = ["spending:total", "countries:region"]


def orders(day: int, *rows: tuple[str, int]) -> pl.DataFrame:
    data = [
        (who, datetime(2026, 3, day, 12, tzinfo=UTC), amount, f"orders-{day}.csv", f"{day:064d}", number)
        for number, (who, amount) in enumerate(rows, 1)
    ]
    names = ["customer_id", "created_at", "amount", "_source_file", "_source_sha256", "_row_number"]
    return pl.DataFrame(data, schema=names, orient="row").cast({"created_at": INSTANT})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(Settings(home=tmp_path))
    env = Resources(store.settings, store.lake, NullRecorder())
    step = view_step(VIEW, DAILY)
    for day, rows in enumerate([[("C1", 1)], [("C1", 10), ("C2", 5)], [("C1", 100)]], 1):
        partition = f"2026-03-{day:02d}"
        with transaction(store.lake, NullRecorder(), Work("clean/orders", partition)) as tx:
            tx.write("clean/orders", orders(day, *rows))
        assert stale(step, env, partition)
        done = execute(step, env, partition).done
        assert {check.name for check in done.checks} == {WINDOW}
        assert not stale(step, env, partition)
    delivered = pl.DataFrame({"country_code": ["DE", "FR"], "region": ["Central", "West"]}).with_columns(
        _source_file=pl.lit("countries.csv"), _source_sha256=pl.lit("f" * 64), _row_number=pl.Series([1, 2])
    )
    with transaction(store.lake, NullRecorder(), Work("clean/countries")) as tx:
        tx.write("clean/countries", delivered)
    with transaction(store.lake, NullRecorder(), Work("features/countries")) as tx:
        rows = tx.read("clean/countries").select("country_code", "region").collect()
        tx.describe(serving=Serving.lookup(["country_code"]).to_dict())
        tx.write("features/countries", rows)
    return store


def spine(day: int, *rows: tuple[str, str]) -> pl.DataFrame:
    moment = pl.lit(datetime(2026, 3, day, 6, tzinfo=UTC), dtype=INSTANT)
    return pl.DataFrame(rows, schema=["customer_id", "country_code"], orient="row").with_columns(event_time=moment)


def test_an_engine_of_ones_own_needs_nothing_of_the_platform_changed(store: Store) -> None:
    asked = spine(4, ("C1", "FR"), ("C2", "XX"), ("C3", "DE"))
    joined = as_of_join(asked, FEATURES, lake=store)
    assert joined.select("total", "region").rows() == [(110, "West"), (5, None), (None, "Central")]
    assert as_of_join(spine(3, ("C1", "DE")), FEATURES, lake=store)["total"].to_list() == [11]

    made = store.training_set("spenders", spine=asked, features=FEATURES)
    assert load_training_set(store.lake, made.id).frame().equals(joined)
    online = store.online(made).get({"customer_id": "C1", "country_code": "DE"}, at=datetime(2026, 3, 4, tzinfo=UTC))
    assert online.select("total", "region", "spending.state", "countries.state").row(0) == (
        110,
        "Central",
        "present",
        "present",
    )
    commit = store.lake.table("features/spending").at().commits[-1]
    assert commit.column_lineage is not None
    assert commit.column_lineage["total"]["direct"] == [["clean/orders", "amount"]]


def test_its_predictions_are_traced_verified_and_followed_to_delivered_rows(store: Store) -> None:
    rows = as_of_join(spine(4, ("C1", "FR")), FEATURES, lake=store).with_columns(answer=pl.lit("yes"))
    (prediction,) = store.log_predictions(
        model="spender",
        model_version="1",
        frame=rows,
        inputs=[store.snapshot("features/spending"), store.snapshot("features/countries")],
        features=FEATURES,
        feature_columns=["total", "region"],
    )
    trace = store.trace(prediction)
    assert {"features/spending", "clean/orders", "features/countries", "clean/countries"} <= {
        node.table for node in trace.nodes
    }
    checks = {check.what: check.ok for check in store.verify(trace, embed=False).checks}
    assert checks["feature row"] is True
    assert False not in checks.values()
    found = [(row.file, row.row_number, row.because) for row in source_rows(store.lake, trace)]
    assert found == [
        ("countries.csv", 2, "looked up in features/countries by country_code"),
        ("orders-2.csv", 1, "customer_id within 2 days before 2026-03-04 00:00 (spending)"),
        ("orders-3.csv", 1, "customer_id within 2 days before 2026-03-04 00:00 (spending)"),
    ]


def test_a_view_by_a_query_is_filled_joined_and_followed_as_others(store: Store) -> None:
    query = "select customer_id, sum(amount) as total from clean.orders group by customer_id"
    by_query = Query(query, windows={"clean/orders": ("created_at", "2d")}, texts={"total": ("What was spent.", "EUR")})
    view = FeatureView("spent", Entity("customer", ["customer_id"]), "at", computed_by=by_query, max_age="2d")
    step, env = view_step(view, DAILY), Resources(store.settings, store.lake, NullRecorder())
    for partition in ("2026-03-01", "2026-03-02", "2026-03-03"):
        assert {check.name for check in execute(step, env, partition).done.checks} == {WINDOW}
        assert not stale(step, env, partition)
    assert step.columns["features/spent"]["total"].tags == {"unit": "EUR"}
    asked = spine(4, ("C1", "FR"), ("C2", "XX"), ("C3", "DE"))
    joined = as_of_join(asked, [*FEATURES, "spent:total as spent"], lake=store)
    assert joined["spent"].equals(joined["total"].alias("spent"))
    commit = store.lake.table("features/spent").at().commits[-1]
    assert commit.column_lineage is not None
    assert commit.column_lineage["total"]["direct"] == [["clean/orders", "amount"]]
    info = store.feature("spent:total")
    assert (info.kind, info.description, info.reads) == ("query", "What was spent.", ("clean/orders.amount",))
