"""A contract that reconciles a batch with another table: counted at the same partition, judged before anything is published."""

from pathlib import Path
from typing import Any

from assay.assets.planning.plan import waiting
from assay.features.tables.table_log import read_log
from tests.declared import daily_source

RECEIPTS = daily_source(
    "receipts", "receipt: str = Field(key=True)", "at: Timestamp = Field()", start="2026-03-01", event_time="at"
)


def reconcile(shop: Any) -> None:
    shop.redeclare(
        lambda text: (
            text.replace("import Contract, Field,", "import Contract, Field, RowCount,").replace(
                'freshness = "1d"', 'freshness = "1d"\n        row_count = RowCount("raw/receipts", rows=1)'
            )
            + RECEIPTS
        )
    )


def receipts(shop: Any, number: int, count: int) -> None:
    file = Path(shop.home, "landing", "receipts", shop.day(number), "r.csv")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        "\n".join(["receipt,at", *(f"{number}-{index},{shop.day(number)}T09:00:00Z" for index in range(count)), ""])
    )


def clean_days(shop: Any) -> list[str]:
    lake = shop.env.lake
    return lake.table("clean/orders").at().partitions() if "clean/orders" in lake.tables() else []


def test_a_batch_is_reconciled_with_the_same_days_count(new_shop: Any) -> None:
    shop = new_shop
    reconcile(shop)
    for number, counted in ((1, 4), (2, 2)):
        shop.drop(number, shop.csv(number, 1.0, 2.0, 3.0, 4.0))
        receipts(shop, number, counted)
    (failed,) = shop.run().failed
    assert failed.unit.partition == shop.day(2), "4 rows against 2 receipts, and one may be missing"
    assert clean_days(shop) == [shop.day(1)]

    receipts(shop, 2, 3)
    assert not shop.run().failed
    assert clean_days(shop) == [shop.day(1), shop.day(2)], "the count arrived again, and the batch is healed by itself"
    log = read_log(shop.env.lake, "clean/orders")
    assert log is not None
    read = {item.snapshot.table: item for item in log.commits[-1].inputs}
    assert read["raw/receipts"].partitions == (shop.day(2),) and not read["raw/receipts"].lookup
    check = next(check for check in log.commits[-1].checks if check["name"] == "row_count")
    assert check["passed"] and check["evaluated"] == 1


def test_a_batch_waits_for_the_count(new_shop: Any) -> None:
    shop = new_shop
    reconcile(shop)
    shop.drop(1, shop.csv(1, 1.0))
    assert not shop.run().failed, "what waits has not failed"
    assert clean_days(shop) == []
    clean = [step for step in shop.steps if step.outputs[0] == "clean/orders"]
    assert waiting(clean, shop.env, lambda _: [shop.day(1)]) == [
        "raw/receipts does not exist yet: materialise it first."
    ]
    receipts(shop, 1, 1)
    assert not shop.run().failed
    assert clean_days(shop) == [shop.day(1)]


def test_a_batch_waits_for_its_own_days_count(new_shop: Any) -> None:
    shop = new_shop
    reconcile(shop)
    for number in (1, 2):
        shop.drop(number, shop.csv(number, 1.0))
    receipts(shop, 1, 1)
    assert not shop.run().failed
    assert clean_days(shop) == [shop.day(1)], "no count is not a count of none"
    clean = [step for step in shop.steps if step.outputs[0] == "clean/orders"]
    assert waiting(clean, shop.env, lambda _: [shop.day(2)]) == [
        f"raw/receipts has no partition {shop.day(2)} yet: materialise it first."
    ]
