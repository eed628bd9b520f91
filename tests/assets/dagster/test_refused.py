"""Deliveries that cannot be used: they stop their own batch, say what to do, and change nothing else; corrections heal."""

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assay.features.tables.digest import content_digest

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TYPED = pl.DataFrame({"order_id": ["p-1"], "shopper": ["Ada Byron"], "at": [NOON], "amount": [1.0]})


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


# What arrives, and what the message must say besides the file's path: the column, what is wrong, and the next step.
REFUSED = {
    "empty": ("a.csv", lambda shop: b"", ("has no rows (0 bytes)", "re-send it as a.r1.csv in the same folder")),
    "only a header": ("a.csv", lambda shop: shop.csv(4), ("has no rows", "re-send it as a.r1.csv")),
    "renamed column": (
        "a.csv",
        lambda shop: shop.csv(4, 5.0, header="order_id,shopper,at,amount_eur"),
        ("column amount", "'amount' is missing", "new column 'amount_eur': renamed?", "as a.r1.csv"),
    ),
    "no header": (
        "a.csv",
        lambda shop: shop.csv(4, 5.0, 6.0).partition(b"\n")[2],
        ("column order_id", "'order_id' is missing", "as a.r1.csv"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_delivery_stops_its_own_day_only(shop: Any, case: str) -> None:
    name, content, said = REFUSED[case]
    before = {table: shop.version(table) for table in shop.env.lake.tables()}
    delivered = content(shop)
    shop.drop(4, shop.csv(4, 1.0, 2.0, first=90), name="good.csv")
    shop.drop(4, delivered, name)
    shop.drop(5, shop.csv(5, 1.0))
    summary = shop.run()

    (failed,) = summary.failed
    assert failed.unit.partition == shop.day(4)
    (problem,) = failed.problems
    for text in (f"orders/2026-03-04/{name}", *said, "Nothing was published."):
        assert text in problem
    assert not any(value in problem for value in ("Ada", "Bob", "one hundred")), "values must not be told"

    for table in before:
        state = shop.env.lake.table(table).at()
        assert state.partitions() == [shop.day(number) for number in (1, 2, 3, 5)], f"{table}: day 4 must not be out"
        assert state.version == before[table] + 1, f"{table}: only day 5 came in"
    kept = Path(shop.env.lake.storage.root) / "_landing" / sha256(delivered).hexdigest()[:2]
    assert (kept / sha256(delivered).hexdigest()).read_bytes() == delivered, "refused bytes are kept too"


REFUSED_PARQUET = {
    "not Parquet": (
        b"PAR1 and then nothing of use",
        ("is not a readable Parquet file", "ask the upstream to re-send it"),
    ),
    "other type": (
        parquet(TYPED.with_columns(pl.lit(2**53 + 1).alias("amount"))),
        ("column amount", "is Int64", "the contract cannot read all of its values as Float64", "as a.r1.parquet"),
    ),
    "time without a zone": (
        parquet(TYPED.with_columns(pl.col("at").dt.replace_time_zone(None))),
        ("column at", "is Datetime(time_unit='us', time_zone=None)", "naive_utc=True", "as a.r1.parquet"),
    ),
}


@pytest.mark.parametrize("case", REFUSED_PARQUET)
def test_typed_files_are_refused_for_their_types(new_shop: Any, case: str) -> None:
    content, said = REFUSED_PARQUET[case]
    new_shop.redeclare(lambda text: text.replace('".csv"', '".parquet"'))
    new_shop.drop(1, parquet(TYPED), "a.parquet")
    new_shop.drop(2, content, "a.parquet")
    (failed,) = new_shop.run().failed
    assert failed.unit.partition == new_shop.day(2)
    for text in ("orders/2026-03-02/a.parquet", *said):
        assert text in failed.problems[0]
    assert new_shop.frame("clean/orders").height == 1


def test_text_and_typed_files_of_one_day_are_refused_together(new_shop: Any) -> None:
    new_shop.redeclare(lambda text: text.replace('(".csv",)', '(".csv", ".parquet")'))
    new_shop.drop(1, new_shop.csv(1, 1.0), "a.csv")
    new_shop.drop(1, parquet(TYPED), "b.parquet")
    (failed,) = new_shop.run().failed
    assert "orders/2026-03-01/b.parquet, column at: is Datetime" in failed.problems[0]
    assert "and String in orders/2026-03-01/a.csv; deliver one format per source" in failed.problems[0]


def test_the_check_of_a_refused_delivery_is_an_error_in_dagster(shop: Any) -> None:
    shop.drop(4, b"")
    (failed,) = shop.materialize().failed
    records = shop.instance.get_records_for_run(
        failed.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    (evaluation,) = [record.event_log_entry.dagster_event.asset_check_evaluation_data for record in records]
    assert not evaluation.passed
    assert evaluation.severity == dg.AssetCheckSeverity.ERROR
    assert evaluation.check_name == "delivery"
    assert evaluation.asset_key.path == ["raw", "orders"]
    assert "a.csv" in evaluation.description


def test_every_broken_file_of_a_day_is_named(shop: Any) -> None:
    shop.drop(4, b"", "a.csv")
    shop.drop(4, shop.csv(4), "b.csv")
    (problem,) = shop.run().failed[0].problems
    assert "orders/2026-03-04/a.csv" in problem
    assert "orders/2026-03-04/b.csv" in problem


def files_by_day(shop: Any) -> Mapping[tuple[str, str | None], tuple[str, ...]]:
    return {key: names for key, names in shop.files().items() if key[1] not in (shop.day(4), shop.day(5))}


@pytest.mark.parametrize("how", ["revision", "overwritten"])
def test_a_correction_heals_exactly_the_days_that_it_concerns(shop: Any, how: str) -> None:
    shop.drop(4, b"")
    shop.drop(5, shop.csv(5, 1.0))
    assert len(shop.run().failed) == 1
    incomplete = shop.frame("features/spending").filter(partition_key=shop.day(5))
    before, untouched = {name: shop.version(name) for name in shop.env.lake.tables()}, files_by_day(shop)

    shop.drop(4, shop.csv(4, 100.0, 200.0), "a.r1.csv" if how == "revision" else "a.csv")
    summary = shop.run()
    assert not summary.failed
    assert [(result.unit.partition, len(result.new_versions)) for result in summary.results] == [
        (shop.day(4), 5),
        (shop.day(5), 1),  # its window reaches back into day 4
    ]
    assert files_by_day(shop) == untouched
    assert {name: shop.version(name) - version for name, version in before.items()} == {
        "raw/orders": 1,
        "clean/orders": 1,
        "quarantine/orders": 1,
        "profiles/orders": 1,
        "features/spending": 2,
    }
    healed = shop.frame("features/spending").filter(partition_key=shop.day(5))
    assert incomplete["orders_2d"].max() == 1
    assert healed["orders_2d"].max() == 2
    assert shop.due() == []


def test_a_healed_lake_is_what_it_would_be_had_nothing_been_broken(shop: Any) -> None:
    shop.drop(4, shop.csv(4, 5.0, header="order_id,shopper,at,amount_eur"))
    shop.drop(5, shop.csv(5, 1.0))
    shop.run()
    shop.drop(4, shop.csv(4, 5.0), "a.r1.csv")
    shop.run()
    healed = contents(shop)

    shop.drop(4, shop.csv(4, 5.0), "a.csv")
    (shop.home / "landing/orders/2026-03-04/a.r1.csv").unlink()
    assert not shop.run().failed
    assert contents(shop) == healed


def contents(shop: Any) -> dict[str, str]:
    """Every table's rows, without when they came and what their file was called."""
    unlike = ["_ingested_at", "_source_file"]
    return {name: content_digest(shop.frame(name), unlike) for name in shop.env.lake.tables()}


def test_a_refused_batch_is_run_again_only_when_it_is_chosen_or_forced_and_changes_nothing(shop: Any) -> None:
    shop.drop(4, b"")
    shop.run()
    before = shop.files()
    assert shop.due() == shop.run().results == []
    chosen = shop.run(chosen=lambda rhythm: rhythm.chosen(shop.day(3), shop.day(4)))
    assert [(result.unit.partition, result.success) for result in chosen.results] == [(shop.day(4), False)]
    assert [result.success for result in shop.run(force=True).results] == [True, True, True, False]
    assert shop.files() == before


def test_a_file_that_lacks_a_column_is_tried_again_when_the_contract_has_changed(shop: Any) -> None:
    shop.drop(4, shop.csv(4, 5.0, header="order_id,shopper,at,price"))
    assert shop.run().failed
    assert shop.due() == []
    shop.redeclare(
        lambda text: text.replace("amount: float = Field(ge=0)", 'amount: float = Field(ge=0, alias="price")')
    )
    assert [(unit.partition, unit.tables[0]) for unit in shop.due()][-1] == (shop.day(4), "raw/orders")


def test_a_day_of_which_most_would_be_quarantined_is_stopped_and_no_feature_says_that_nothing_happened(
    shop: Any,
) -> None:
    """An upstream that changes a sign or a spelling breaks every row."""
    shop.drop(4, shop.csv(4, *[-1.0] * 12))
    (failed,) = shop.run().failed
    assert failed.warnings == ("12 of 12 rows broke amount.ge. Nothing was published.",), "so they are in no quarantine"
    assert failed.failed == ("clean/orders",)
    assert "12 of 12 rows broke a rule, 12 of them amount.ge: so many that" in failed.problems[0]
    for table in ("clean/orders", "quarantine/orders", "features/spending"):
        assert shop.env.lake.table(table).at().partitions() == [shop.day(number) for number in (1, 2, 3)]
    shop.drop(4, shop.csv(4, -1.0, -1.0))  # of few rows a few bad ones are a large share
    (done,) = shop.run().results
    assert done.success
    aside = "set aside in quarantine/orders (allowed: 10% by all rules, from 10 rows on)"
    assert f"2 of 2 rows broke a rule, 2 of them amount.ge, {aside}." in done.warnings
