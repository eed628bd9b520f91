"""What is stale, and that exactly that is computed."""

import shutil
from collections.abc import Mapping
from typing import Any

import pytest

from assay.assets.declarations import ordered
from assay.assets.planning.plan import never_made, select, stages
from assay.assets.steps.training import Spine, TrainingSet, Upstream, training_step
from assay.errors import AssayError

Files = Mapping[tuple[str, str | None], tuple[str, ...]]


def changed(before: Files, after: Files) -> set[tuple[str, str | None]]:
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def due(shop: Any) -> list[tuple[str | None, tuple[str, ...]]]:
    return [(unit.partition, unit.tables) for unit in shop.due()]


def versions(shop: Any) -> dict[str, int]:
    return {name: shop.version(name) for name in shop.env.lake.tables()}


ALL = ("raw/orders", "clean/orders", "quarantine/orders", "profiles/orders", "features/spending")


def test_nothing_is_done_twice(shop: Any) -> None:
    assert sorted(versions(shop)) == sorted(ALL)
    before = versions(shop)
    assert due(shop) == []
    assert shop.run().results == []
    assert versions(shop) == before


def test_forced_work_on_the_same_input_makes_no_version(shop: Any) -> None:
    before = versions(shop)
    forced = shop.run(force=True)
    assert [result.unit.partition for result in forced.results] == [shop.day(number) for number in (1, 2, 3)]
    assert not forced.failed
    assert not any(result.new_versions for result in forced.results)
    assert versions(shop) == before


def test_a_new_day_computes_only_that_day(shop: Any) -> None:
    before = shop.files()
    shop.drop(4, shop.csv(4, 1.0, 2.0))
    assert due(shop) == [(shop.day(4), ALL)]
    shop.run()
    assert changed(before, shop.files()) == {(table, shop.day(4)) for table in (*ALL,)}
    assert due(shop) == []


def test_a_changed_day_makes_exactly_the_days_stale_that_read_it(shop: Any) -> None:
    """The view looks two days back, so day 2 decides its days 2 and 3; day 1 stays."""
    shop.drop(4, shop.csv(4, 1.0, 2.0))
    shop.run()
    before = shop.files()
    shop.drop(2, shop.csv(2, 11.0, 21.0, -6.0))
    (unit,) = [unit for unit in due(shop) if unit[0] == shop.day(2)]
    assert unit[1] == ALL
    summary = shop.run()
    assert [result.unit.partition for result in summary.results] == [shop.day(2), shop.day(3)]
    rewritten = changed(before, shop.files())
    assert rewritten == {*((table, shop.day(2)) for table in ALL), ("features/spending", shop.day(3))}


def test_a_change_that_changes_no_value_stops_where_it_ends(shop: Any) -> None:
    """Another file with the same rows: raw has its link to the new bytes, the features stay as they are."""
    before = shop.files()
    shop.drop(2, shop.csv(2, 10.0, 20.0, -5.0, 30.0).replace(b"\n", b"\r\n"))
    shop.run()
    assert {table for table, _ in changed(before, shop.files())} == {"raw/orders", "clean/orders", "quarantine/orders"}


def test_a_contract_change_validates_every_day_again_and_reads_no_file_again(shop: Any) -> None:
    raw = shop.version("raw/orders")
    assert shop.frame("clean/orders")["amount"].max() == 30.0
    shop.redeclare(lambda text: text.replace("Field(ge=0)", "Field(ge=0, le=25)").replace('"1.0.0"', '"1.1.0"'))
    planned = due(shop)
    assert [partition for partition, _ in planned] == [shop.day(number) for number in (1, 2, 3)]
    assert not any("raw/orders" in tables for _, tables in planned)
    assert not shop.run().failed
    assert shop.version("raw/orders") == raw
    assert shop.frame("clean/orders")["amount"].max() == 20.0
    assert set(shop.frame("quarantine/orders").explode("_rules")["_rules"]) == {"amount.ge", "amount.le"}
    assert due(shop) == []


def test_a_changed_feature_computes_only_the_view(shop: Any) -> None:
    shop.redeclare(lambda text: text.replace('pl.col("amount").sum()', 'pl.col("amount").max()'))
    assert {tables for _, tables in due(shop)} == {("features/spending",)}
    shop.run()
    assert shop.frame("features/spending")["spent_1d"].max() == 30.0


def test_the_same_bytes_in_another_days_folder_are_taken_once(shop: Any) -> None:
    shop.drop(4, shop.csv(4, 7.0))
    shop.drop(4, shop.csv(3, 10.0, 20.0, -5.0, 30.0), name="late-copy.csv")
    summary = shop.run()
    assert not summary.failed
    assert any("same bytes as orders/2026-03-03/a.csv: taken once" in text for text in summary.results[-1].warnings)
    assert shop.frame("raw/orders").filter(partition_key=shop.day(4)).height == 1
    assert shop.frame("quarantine/orders").height == 3  # the negative amounts, no duplicate ids
    assert due(shop) == []


def test_a_day_of_nothing_but_copies_is_an_empty_batch(shop: Any) -> None:
    shop.drop(4, shop.csv(3, 10.0, 20.0, -5.0, 30.0), name="late-copy.csv")
    assert not shop.run().failed
    assert shop.frame("raw/orders").filter(partition_key=shop.day(4)).is_empty()
    assert due(shop) == []


def test_steps_wait_for_an_upstream_that_is_not_there(new_shop: Any) -> None:
    shop = new_shop
    assert due(shop) == []
    shop.drop(1, shop.csv(1, 1.0))
    shop.steps = select(shop.steps, ["clean/orders", "features/"])
    assert due(shop) == [], "without the raw table there is nothing to validate"


def test_a_day_before_the_first_is_not_looked_at(shop: Any) -> None:
    old = shop.home / "landing" / "orders" / "2026-02-27"
    shutil.copytree(shop.home / "landing" / "orders" / shop.day(1), old)
    assert due(shop) == []


def test_select_names_folders_and_upstreams(new_shop: Any) -> None:
    def names(*wanted: str) -> list[str]:
        return [step.outputs[0] for step in select(new_shop.steps, wanted)]

    assert names("clean/orders") == ["clean/orders"] == names("quarantine/orders") == names("clean/")
    assert names("+features/spending") == ["raw/orders", "clean/orders", "features/spending"] == names()
    with pytest.raises(AssayError, match=r"No asset is called 'clean/order'\..* There are: raw/orders, clean/orders"):
        names("clean/order")


def test_two_declarations_of_one_table_are_refused(new_shop: Any) -> None:
    with pytest.raises(AssayError, match="raw/orders is written by two declarations"):
        ordered([*new_shop.steps, new_shop.steps[0]])


def test_daily_steps_that_follow_each_other_are_one_run(new_shop: Any) -> None:
    assert [[step.outputs[0] for step in stage] for stage in stages(new_shop.steps)] == [
        ["raw/orders", "clean/orders", "features/spending"]
    ]


FOLLOWING = """
from assay import Feature, OnDemandView, Spine, TrainingSet

double = OnDemandView("double", [Feature("spent", 2 * pl.col("once"))], uses=["spending:spent_1d as once"])
later = TrainingSet(
    "later",
    Spine(source="clean/orders", keys=["shopper"], event_time="at"),
    features=["double:spent"],
    label="amount",
    until="2026-03-03",
)
"""


def test_what_waits_all_the_same_is_not_run_with_what_it_follows(new_shop: Any) -> None:
    """It would do nothing, and the lineage would have it as a run that failed."""
    shop = new_shop
    shop.drop(1, shop.csv(1, 1.0))
    shop.redeclare(lambda text: text + FOLLOWING)
    assert [result.unit.tables for result in shop.run().results] == [ALL, ("features/double",)]
    shop.redeclare(lambda text: text.replace("2 * pl.col", "3 * pl.col"))
    assert due(shop) == [(None, ("features/double",))], "also where it was seen to wait by an earlier plan"
    shop.run()
    shop.drop(2, shop.csv(2, 2.0))
    assert [result.unit.tables for result in shop.run().results] == [ALL, ("training/later",)]
    shop.redeclare(lambda text: text.replace("3 * pl.col", "4 * pl.col"))
    assert due(shop) == [(None, ("features/double", "training/later"))], "and what can be made follows"


def test_what_was_never_made_names_what_it_waits_for(shop: Any) -> None:
    """A training set of a view that does not exist waits for ever; that is not `up to date`."""
    spine = Spine(source="clean/orders", keys=["order_id"], event_time="at")
    lost = TrainingSet("lost", spine=spine, features=["spendng:orders_7d"], label="amount", until="2026-03-04")
    steps = (
        *shop.steps,
        training_step(lost, Upstream(partitions={"clean/orders": shop.package.orders.orders.partitioning})),
    )
    (reason,) = never_made(steps, shop.env)
    assert reason.startswith("training/lost waits: ") and "spendng" in reason
    assert never_made(shop.steps, shop.env) == []
