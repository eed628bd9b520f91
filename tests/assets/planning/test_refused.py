"""What was refused is planned again when what it is made of or judged by has changed, and what needs it waits until then."""

from dataclasses import replace
from typing import Any

import pytest

from assay.assets.planning.pending import judged_again
from assay.assets.planning.refused import forget_withdrawn, staying_refused, to_judge_again
from assay.assets.steps.step import execute
from assay.features.tables.refusals import refusals
from tests.declared import daily_source

SHOPPERS = daily_source(
    "shoppers", "shopper: str = Field(key=True)", "since: Timestamp = Field()", start="2026-03-01", event_time="since"
)


@pytest.fixture
def two(new_shop: Any) -> Any:
    """Orders by known shoppers only, and the shoppers."""
    refer = 'shopper: str = Field(pii="name", exists_in="clean/shoppers")'
    new_shop.redeclare(lambda text: text.replace('shopper: str = Field(pii="name")', refer) + SHOPPERS)
    return new_shop


def deliver(shop: Any, number: int, *names: str, column: str = "shopper") -> None:
    file = shop.home / "landing" / "shoppers" / shop.day(number) / "a.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([f"{column},since", *(f"{name},{shop.day(number)}T00:00:00Z" for name in names), ""]))


def planned(shop: Any) -> list[tuple[str | None, list[str]]]:
    return [(unit.partition, [step.outputs[0] for step in unit.steps]) for unit in shop.due()]


def said(shop: Any) -> str:
    """What a dry run says of batches that are refused now, and may be judged by the same command."""
    left = [(one.table, one.partition) for one in staying_refused(shop.steps, shop.env)]
    return judged_again(shop.due(), left, shop.steps)


def test_what_looks_up_in_a_refused_day_waits_for_it(two: Any) -> None:
    """Else all of the day's orders would be of unknown shoppers, and stay in quarantine when those come."""
    deliver(two, 1, "Ada Byron", column="name")
    deliver(two, 2, "Ada Byron")
    two.drop(1, two.csv(1, 1.0, 2.0))
    (failed,) = two.run().failed
    assert failed.failed == ("raw/shoppers",)
    assert planned(two) == []
    (one,) = staying_refused(two.steps, two.env)
    assert (one.partition, one.table) == (two.day(1), "raw/shoppers")
    assert set(one.waiting) >= {"clean/shoppers", "clean/orders"}
    assert "raw/orders" not in one.waiting, "it is there"

    two.drop(2, two.csv(2, 1.0))
    assert [day for day, _ in planned(two)] == [two.day(2)], "other days go on"
    deliver(two, 1, "Ada Byron", "Bob Noyce")
    assert not two.run().failed
    assert two.frame("clean/orders").height == 3
    assert refusals(two.env.lake) == []


def test_a_batch_that_a_looked_up_table_stopped_is_planned_when_that_has_changed(two: Any) -> None:
    deliver(two, 1, "Somebody Else")
    two.drop(1, two.csv(1, *[1.0] * 12))
    (failed,) = two.run().failed
    assert failed.failed == ("clean/orders",)
    assert planned(two) == []
    assert said(two) == ""
    two.drop(3, two.csv(3, 1.0))
    assert said(two) == "", "no planned run writes what it is looked up in"
    deliver(two, 2, "Ada Byron", "Bob Noyce")
    two.drop(3, b"")
    assert said(two) == "After that, if clean/shoppers then has what was missing: clean/orders 2026-03-01."
    two.drop(3, b"").unlink()
    first, then = two.run().results
    assert (first.unit.partition, first.success) == (two.day(2), True)
    assert (then.unit.partition, then.unit.tables[0], then.success) == (two.day(1), "clean/orders", True)
    assert planned(two) == [] and to_judge_again(two.steps, two.env) == []


def test_a_batch_is_run_by_the_command_that_runs_what_it_was_refused_for(two: Any) -> None:
    deliver(two, 1, "Somebody Else")
    two.drop(1, two.csv(1, 1.0))
    two.run()
    two.drop(2, two.csv(2, *[1.0] * 12))
    assert [failed.failed for failed in two.run().failed] == [("clean/orders",)]
    deliver(two, 2, "Ada Byron", "Bob Noyce")
    done = two.run()
    assert not done.failed
    tables = [(unit.partition, unit.tables[0]) for unit in (result.unit for result in done.results)]
    assert tables == [(two.day(2), "raw/shoppers"), (two.day(2), "clean/orders")]
    assert two.env.lake.table("features/spending").at().partitions([two.day(2)])
    assert planned(two) == [] and refusals(two.env.lake) == []


def test_a_batch_that_waited_for_a_table_is_run_by_the_command_that_makes_it(two: Any) -> None:
    two.drop(1, two.csv(1, 1.0))
    two.drop(2, two.csv(2, 1.0))
    two.run()
    assert not two.env.lake.table("clean/orders").exists()
    deliver(two, 2, "Ada Byron", "Bob Noyce")
    assert not two.run().failed
    assert two.env.lake.table("clean/orders").at().partitions() == [two.day(1), two.day(2)]
    assert planned(two) == []


def test_a_batch_that_stays_refused_is_judged_once_for_a_change(two: Any) -> None:
    """And what failed is not tried twice."""
    deliver(two, 1, "Somebody Else")
    two.drop(1, two.csv(1, *[1.0] * 12))
    two.drop(2, b"")
    two.run()
    for number in (2, 3, 4):
        deliver(two, number, f"Nobody {number}")
    done = two.run()
    tables = [(unit.partition, unit.tables[0]) for unit in (result.unit for result in done.results)]
    assert (two.day(1), "clean/orders") not in tables, "nobody whom it lacks is among them"
    assert len(tables) == len(set(tables))
    assert planned(two) == [], "its parents have changed no more"
    assert [one.table for one in staying_refused(two.steps, two.env)] == ["clean/orders", "raw/orders"]


def test_a_refused_batch_is_run_again_only_when_its_table_has_other_rows_that_it_refers_to(two: Any) -> None:
    def again(*names: str, number: int = 3) -> bool:
        deliver(two, number, *names)
        units = [result.unit for result in two.run().results]
        assert planned(two) == [] and to_judge_again(two.steps, two.env) == []
        return (two.day(1), "clean/orders") in [(unit.partition, unit.tables[0]) for unit in units]

    deliver(two, 2, "Somebody Else")
    two.drop(1, two.csv(1, *[1.0] * 13))
    assert two.run().failed
    assert not again("Nobody")
    assert again("Nobody", number=1), "its own day is there now, so the message about it no longer holds"
    (kept,) = refusals(two.env.lake)
    assert "has not arrived" not in kept.problem
    assert not again("Nobody", "Somebody Else")
    assert again("Ada Byron"), "of whom few of them are"
    assert [one.table for one in staying_refused(two.steps, two.env)] == ["clean/orders"]
    assert again("Nobody") and again("Ada Byron", "Bob Noyce")
    assert refusals(two.env.lake) == []


def test_a_delivery_that_was_withdrawn_is_not_refused_any_more(two: Any) -> None:
    deliver(two, 1, "Ada Byron", column="name")
    assert two.run().failed
    forget_withdrawn(two.steps, two.env)
    assert len(refusals(two.env.lake)) == 1, "it is still there"
    (two.home / "landing" / "shoppers" / two.day(1) / "a.csv").unlink()
    assert staying_refused(two.steps, two.env) == []
    forget_withdrawn(two.steps, two.env)
    assert refusals(two.env.lake) == []


def test_a_run_that_refuses_several_batches_names_them_all(two: Any) -> None:
    deliver(two, 1, "Ada Byron", column="name")
    two.drop(1, b"")
    (failed,) = two.materialize().failed
    assert two.instance.get_run_by_id(failed.run_id).tags["assay/refused"] == "raw/orders, raw/shoppers"
    assert [one.table for one in staying_refused(two.steps, two.env)] == ["raw/orders", "raw/shoppers"]


def test_keys_of_a_day_whose_parents_have_not_come_are_not_said_to_be_wrong(two: Any) -> None:
    deliver(two, 1, "Somebody Else")
    two.drop(1, two.csv(1, *[1.0] * 12))
    two.drop(2, two.csv(2, *[1.0] * 12))
    by_day = {result.unit.partition: " ".join(result.problems) for result in two.run().failed}
    assert "shopper.exists: so many that the delivery or the rule is wrong." in by_day[two.day(1)], "they have come"
    lacking = f"clean/shoppers has no {two.day(2)} (it has not arrived)"
    assert f"12 of them shopper.exists: {lacking}. The batch is run again when that is there." in by_day[two.day(2)]

    deliver(two, 2, "Ada Byron", "Bob Noyce", column="name")
    two.drop(2, two.csv(2, 1.0, 2.0))  # of few rows a few bad ones stop nothing
    assert [failed.failed for failed in two.run().failed] == [("raw/shoppers",)]
    clean = next(step for step in two.steps if step.outputs[0] == "clean/orders")
    done = execute(clean, two.env, two.day(2)).done
    (said,) = [check.message for check in done.checks if check.name == "shopper.exists"]
    assert said == (
        "2 of 2 rows broke shopper.exists, set aside in quarantine/orders (allowed: 10% by all rules, from 10 rows on). "
        f"clean/shoppers has no {two.day(2)} (raw/shoppers refused it). When that is there, "
        f"`assay materialize clean/orders --partition {two.day(2)} --force` judges the rows again."
    )
    deliver(two, 2, "Ada Byron", "Bob Noyce")
    assert not two.run().failed
    assert execute(clean, two.env, two.day(2), force=True).done.writes[0].rows == 2


def test_work_that_failed_is_kept_with_its_reason_and_is_to_be_done(new_shop: Any) -> None:
    new_shop.drop(1, new_shop.csv(1, 1.0))
    bad = 'pl.col("amount").str.len_chars().sum()'
    new_shop.redeclare(lambda text: text.replace('pl.col("amount").sum()', bad))
    (failed,) = new_shop.materialize().failed
    (kept,) = refusals(new_shop.env.lake)
    assert (kept.table, kept.partition, kept.failed) == ("features/spending", new_shop.day(1), True)
    assert "view 'spending' could not be computed" in kept.problem
    assert kept.parent_id == failed.run_id
    assert staying_refused(new_shop.steps, new_shop.env) == []
    assert planned(new_shop) == [(new_shop.day(1), ["features/spending"])]
    new_shop.redeclare(lambda text: text.replace(bad, 'pl.col("amount").sum()'))
    assert not new_shop.run().failed
    assert refusals(new_shop.env.lake) == []


def test_of_an_error_of_a_library_only_the_kind_is_kept_and_of_an_outage_nothing(shop: Any) -> None:
    def executed(problem: Exception) -> list[str]:
        def compute(tx: Any, env: Any, prepared: Any) -> None:
            raise problem

        with pytest.raises(type(problem)):
            execute(replace(shop.steps[0], compute=compute), shop.env, shop.day(4))
        return [refusal.problem for refusal in refusals(shop.env.lake)]

    shop.drop(4, shop.csv(4, 1.0))
    assert executed(OSError(28, "a cell's value")) == []
    assert executed(KeyError("a cell's value")) == ["KeyError: the run says more."]
    assert not shop.run().failed
    assert refusals(shop.env.lake) == []


def test_a_batch_that_may_be_taken_now_is_named_until_it_is_run(two: Any) -> None:
    deliver(two, 1, "Somebody Else")
    two.drop(1, two.csv(1, *[1.0] * 12))
    assert two.run().failed
    deliver(two, 2, "Ada Byron", "Bob Noyce")
    for name in ("raw/shoppers", "clean/shoppers"):
        execute(next(step for step in two.steps if step.outputs[0] == name), two.env, two.day(2))
    (one,) = to_judge_again(two.steps, two.env)
    assert (one.partition, one.table) == (two.day(1), "clean/orders")
    assert staying_refused(two.steps, two.env) == []
    assert planned(two)[0] == (two.day(1), ["clean/orders", "features/spending"])
    assert not two.run().failed and to_judge_again(two.steps, two.env) == []
