"""A contract with a beginning: days of before stay as they were judged, until something else than the contract changes."""

from typing import Any

import pytest

from assay.assets.sources.source import Files, Source
from assay.checks import Contract, Field, Timestamp
from assay.errors import AssayError
from assay.features.tables.partitioning import Partitioning


def tightened(text: str, since: str = "2026-03-02") -> str:
    declared = text.replace("amount: float = Field(ge=0)", "amount: float = Field(ge=10)")
    return declared.replace('version = "1.0.0"', f'version = "2.0.0"\n        since = "{since}"')


@pytest.fixture
def shop(new_shop: Any) -> Any:
    for number in (1, 2, 3):
        new_shop.drop(number, new_shop.csv(number, 5.0, 20.0))
    assert not new_shop.run().failed
    return new_shop


def days(shop: Any, table: str = "quarantine/orders") -> list[str]:
    return sorted(set(shop.frame(table)["partition_key"])) if shop.frame(table).height else []


def test_days_of_before_stay_and_those_of_after_are_judged_again(shop: Any) -> None:
    assert days(shop) == []
    shop.redeclare(tightened)
    assert [unit.partition for unit in shop.due()] == ["2026-03-02", "2026-03-03"]
    assert not shop.run().failed
    assert days(shop) == ["2026-03-02", "2026-03-03"]
    contracts = {
        key: shop.env.lake.table("clean/orders").at().writer_of(key).contract["version"]
        for key in ("2026-03-01", "2026-03-02")
    }
    assert contracts == {"2026-03-01": "1.0.0", "2026-03-02": "2.0.0"}
    assert shop.due() == []


def test_the_beginning_itself_decides_nothing_of_days_after_it(shop: Any) -> None:
    shop.redeclare(tightened)
    shop.run()
    shop.redeclare(lambda text: text.replace("2026-03-02", "2026-03-03"))
    assert shop.due() == []
    shop.redeclare(lambda text: text.replace('since = "2026-03-03"', 'since = "2026-03-01"'))
    assert [unit.partition for unit in shop.due()] == ["2026-03-01"]


def test_what_is_delivered_anew_is_judged_by_the_contract_of_today(shop: Any) -> None:
    shop.redeclare(tightened)
    shop.run()
    shop.drop(1, shop.csv(1, 6.0, 21.0), "a.r1.csv")
    shop.run()
    assert days(shop) == ["2026-03-01", "2026-03-02", "2026-03-03"]
    assert shop.due() == []


def test_a_day_of_before_that_comes_late_is_judged_by_the_contract_of_today(new_shop: Any) -> None:
    new_shop.drop(3, new_shop.csv(3, 5.0))
    new_shop.run()
    new_shop.redeclare(tightened)
    new_shop.drop(1, new_shop.csv(1, 5.0, 20.0))
    new_shop.run()
    assert days(new_shop) == ["2026-03-01", "2026-03-03"]


def test_who_wants_history_judged_again_forces_it(shop: Any) -> None:
    shop.redeclare(tightened)
    shop.run(force=True)
    assert days(shop) == ["2026-03-01", "2026-03-02", "2026-03-03"]
    assert shop.due() == []


def test_two_contracts_later_the_first_days_still_stay(shop: Any) -> None:
    shop.redeclare(tightened)
    shop.run()
    shop.redeclare(lambda text: text.replace("ge=10", "ge=30").replace("2.0.0", "3.0.0").replace("03-02", "03-03"))
    assert [unit.partition for unit in shop.due()] == ["2026-03-03"]
    shop.run()
    held = shop.frame("quarantine/orders").group_by("partition_key").len().sort("partition_key").rows()
    assert held == [("2026-03-02", 1), ("2026-03-03", 2)]


def test_without_partitions_in_time_there_is_no_before() -> None:
    class Orders(Contract):
        order_id: str = Field(key=True)
        at: Timestamp = Field()

        class Config(Contract.Config):
            since = "2026-03-02"

    with pytest.raises(AssayError, match="no time"):
        Source(
            "orders",
            Files("orders/{key}/*", (".csv",)),
            Orders,
            ("order_id",),
            "at",
            partitioning=Partitioning.static("north"),
        )


@pytest.mark.parametrize("since", ["yesterday", "2026-02-30", 20260302, ""])
def test_a_beginning_is_a_day(since: object) -> None:
    with pytest.raises(AssayError, match=r"Config\.since"):
        type(
            "Orders",
            (Contract,),
            {"__annotations__": {"order_id": str}, "Config": type("Config", (), {"since": since})},
        )
