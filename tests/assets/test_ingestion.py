"""Handing over a batch without Dagster gives what a delivered file gives: rows, quarantine, bytes, lineage."""

from dataclasses import dataclass, replace
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

import assay
from assay.assets import SourceReader
from assay.errors import AssayError
from assay.features import AuditFailed, Partitioning


def orders(shop: Any) -> Any:
    return shop.package.orders.orders


def frame(number: int, *amounts: float) -> pl.DataFrame:
    rows = range(len(amounts))
    return pl.DataFrame(
        {
            "order_id": [f"{number}-{row}" for row in rows],
            "shopper": ["Ada"] * len(amounts),
            "at": [f"2026-03-{number:02d}T{row:02d}:00:00Z" for row in rows],
            "amount": list(amounts),
        }
    )


def test_a_frame_is_checked_kept_and_recorded(new_shop: Any) -> None:
    store = assay.open()
    done = store.ingest(orders(new_shop), frame(1, 5.0, -1.0, 7.0), new_shop.day(1))
    assert (done.rows_in, done.rows_clean, done.rows_quarantined, done.changed) == (3, 2, 1, True)
    assert new_shop.frame("quarantine/orders")["_rules"].to_list() == [["amount.ge"]]
    for table, snapshot in done.snapshots.items():
        assert store.snapshot(table, snapshot.version) == snapshot
    (commit,) = store.table("raw/orders").at().writers(None)
    (source,) = commit.sources
    kept = pl.read_parquet(store.lake.storage.get(source.kept))
    assert kept.equals(frame(1, 5.0, -1.0, 7.0))
    assert {commit.run_id for commit in store.table("clean/orders").history() if commit.run_id} <= {
        run.id for run in store.lineage_store.runs()
    }
    store.recorder.close()


def test_rows_as_dicts_are_a_frame_and_raw_keeps_one_type(new_shop: Any) -> None:
    store = assay.open()
    done = store.ingest(orders(new_shop), frame(1, 5.0, 7.0).to_dicts(), new_shop.day(1))
    assert (done.rows_clean, done.changed) == (2, True)
    assert not store.ingest(orders(new_shop), frame(1, 5.0, 7.0), new_shop.day(1)).changed
    with pytest.raises(
        AssayError, match="raw/orders: column 'amount' is Float64 in the table and String in the new rows"
    ):
        store.ingest(orders(new_shop), frame(2, 5.0).cast(pl.String), new_shop.day(2))
    store.recorder.close()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_times_of_day_and_large_numbers_are_kept_to_the_last_digit_and_are_keys(form: str, tmp_path: Path) -> None:
    """In a table they are text and a decimal of 20 digits; what is delivered later is compared with them as declared."""

    class Readings(assay.Contract):
        number: pl.UInt64 = assay.Field(key=True)
        at: pl.Time = assay.Field(key=True)
        next: pl.UInt64 = assay.Field(ge=2**63, nullable=True)

    source = assay.Source(
        name="readings",
        reader=assay.Files("{day}/*", (".csv", ".parquet")),
        contract=Readings,
        key=("number", "at"),
        event_time="",
        partitioning=Partitioning.daily(date(2026, 3, 1)),
    )
    store, big = assay.open(home=tmp_path / "home"), 2**64 - 1

    def hand_over(day: str, *rows: tuple[int, time]) -> Any:
        batch = pl.DataFrame(rows, {"number": pl.UInt64, "at": pl.Time}, orient="row").with_columns(
            next=pl.col("number")
        )
        file = tmp_path / f"{day}.{form}"
        batch.write_parquet(file) if form == "parquet" else batch.write_csv(file)
        return store.ingest(source, file, day)

    first = hand_over("2026-03-01", (big, time(14, 3, 0, 500)), (big, time(14, 3)))
    assert (first.rows_clean, first.rows_quarantined) == (2, 0)
    clean = store.table("clean/readings").scan().sort("at").collect()
    assert clean["at"].to_list() == ["14:03:00", "14:03:00.000500"]
    assert clean.schema["number"] == pl.Decimal(20, 0)
    assert clean["number"].to_list() == [Decimal(big)] * 2
    again = hand_over("2026-03-02", (big, time(14, 3)), (big - 1, time(14, 3)))
    assert (again.rows_clean, again.rows_quarantined) == (1, 1), "one was published the day before"
    store.recorder.close()


def test_the_same_bytes_again_change_nothing(new_shop: Any) -> None:
    store = assay.open()
    first = store.ingest(orders(new_shop), frame(1, 5.0, -1.0), new_shop.day(1))
    again = store.ingest(orders(new_shop), frame(1, 5.0, -1.0), new_shop.day(1))
    assert not again.changed
    assert (again.snapshots, again.rows_in) == (first.snapshots, first.rows_in)
    other = store.ingest(orders(new_shop), frame(1, 6.0), new_shop.day(1))
    assert (other.changed, other.rows_in) == (True, 1), "the partition is replaced"
    assert new_shop.due() != [], "what reads it is stale"
    store.recorder.close()


def test_a_file_gives_what_the_landing_folder_gives(new_shop: Any, tmp_path: Path, new_home: Any) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(new_shop.csv(1, 10.0, -2.0))
    assay.open().ingest(orders(new_shop), file, new_shop.day(1))
    without = ("_source_file", "_ingested_at", "_batch_id")
    handed = {name: new_shop.frame(name).drop(without, strict=False) for name in ("raw/orders", "clean/orders")}
    new_shop.drop(1, file.read_bytes())
    with new_home(new_shop):
        assert not new_shop.run().failed
        for name, rows in handed.items():
            assert new_shop.frame(name).drop(without, strict=False).equals(rows)


@pytest.mark.parametrize(
    ("data", "partition", "says"),
    [
        (frame(1, 5.0), None, r"Say which of the daily partitions of orders this is"),
        (frame(1, 5.0), "2026-02-01", "2026-02-01 is not among the daily partitions: they go from 2026-03-01"),
        (frame(1, 5.0), "March", "'March' is not a key of daily partitions: write it like 2026-01-31"),
        ("nowhere.csv", "2026-03-01", r"nowhere.csv cannot be read \(No such file or directory\)"),
        ([], "2026-03-01", "There is no file for orders"),
        ({"order_id": ["1"]}, "2026-03-01", "orders cannot be given a dict: give a polars DataFrame, a list of rows"),
        ([{"order_id": "1"}, 5], "2026-03-01", "orders cannot be given a dict"),
        (5, "2026-03-01", "orders cannot be given a int"),
    ],
)
def test_what_cannot_be_ingested_is_refused(new_shop: Any, data: Any, partition: str | None, says: str) -> None:
    with pytest.raises(AssayError, match=says):
        assay.open().ingest(orders(new_shop), data, partition)
    assert new_shop.env.lake.tables() == []


def test_a_refused_batch_publishes_nothing(new_shop: Any) -> None:
    missing = r"the contract's column 'amount' is missing; hand over the corrected data: store\.ingest\('orders', …\)"
    with pytest.raises(AuditFailed, match=missing):
        assay.open().ingest(orders(new_shop), frame(1, 5.0).drop("amount"), new_shop.day(1))
    twins = frame(1, 5.0).with_columns(Amount=pl.lit(1.0))
    with pytest.raises(AuditFailed, match="columns 'amount' and 'Amount' differ only in case"):
        assay.open().ingest(orders(new_shop), twins, new_shop.day(1))
    assert new_shop.env.lake.tables() == []


def test_a_source_without_partitions_numbers_its_batches(new_shop: Any) -> None:
    @dataclass(frozen=True)
    class Pushed(SourceReader):
        """Nothing to fetch: batches are handed over."""

        def deliveries(self, reading):
            return []

        def read(self, delivery):
            raise NotImplementedError

    pushed = replace(orders(new_shop), name="pushed", reader=Pushed(), partitioning=Partitioning.none())
    store = assay.open()
    done = [store.ingest(pushed, frame(number, 5.0)).partition for number in (1, 2)]
    assert done == ["000001", "000002"]
    again = store.ingest(pushed, frame(1, 5.0))
    assert (again.partition, again.changed) == ("000001", False)
    with pytest.raises(AssayError, match="pushed has no partitions"):
        store.ingest(pushed, frame(3, 5.0), "000007")
    store.recorder.close()


def test_a_plain_asset_beside_declarations_is_traced(new_shop: Any) -> None:
    from assay.assets.dagster.definitions import definitions_of

    @dg.asset(key=["reports", "orders"], deps=[dg.AssetKey(["clean", "orders"])])
    def report() -> None:
        with assay.open().transaction("reports/orders") as tx:
            tx.write("reports/orders", tx.read("clean/orders").select(pl.col("amount").sum()).collect())

    new_shop.drop(1, new_shop.csv(1, 10.0))
    assert not new_shop.run().failed
    both = dg.Definitions.merge(definitions_of(new_shop.steps), dg.Definitions(assets=[report]))
    assert dg.AssetKey(["clean", "orders"]) in both.resolve_asset_graph().get(report.key).parent_keys
    assert dg.materialize([report], instance=new_shop.instance).success
    (read,) = assay.open().table("reports/orders").history()[-1].inputs
    assert read.snapshot.table == "clean/orders"
