"""The events of Dagster's runs: of a failing one, a retried one, of several days at once, and of what was there already."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

import assay
from assay import Files, Partitioning
from assay.assets.dagster.definitions import definitions_of
from assay.assets.dagster.jobs import job_name
from assay.assets.steps.step import Step
from assay.features.tables.transaction import Transaction
from assay.lineage.delivery.rebuild import rebuild
from assay.lineage.store.lineage_store import open_lineage_store
from tests.lineage.everything import answers, difference
from tests.lineage.semantics import broken_rules

Official = Callable[[Mapping[str, Any]], list[str]]


def told(shop: Any) -> list[dict[str, Any]]:
    return [item.data for item in shop.env.recorder.store.events()]


def run_ends(events: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    return Counter((item["job"]["name"], item["eventType"]) for item in events if item["eventType"] != "START")


def parents(events: list[dict[str, Any]]) -> set[str]:
    return {item["run"]["facets"]["parent"]["run"]["runId"] for item in events}


def execute(shop: Any, steps: tuple[Step, ...], **options: Any) -> dg.ExecuteInProcessResult:
    job = definitions_of(steps).resolve_job_def(job_name(steps[0]))
    return job.execute_in_process(instance=shop.instance, raise_on_error=False, **options)


def test_a_refused_batch(new_shop: Any, official: Official) -> None:
    severity = 'freshness = "1d"\n        severity = {"amount.ge": Block(share=0.2)}'
    new_shop.redeclare(
        lambda text: text.replace('freshness = "1d"', severity).replace("import Contract,", "import Block, Contract,")
    )
    new_shop.drop(1, new_shop.csv(1, 1.0, 2.0, -3.0))
    assert execute(new_shop, new_shop.steps, partition_key=new_shop.day(1)).success, (
        "for Dagster: only its check is red"
    )
    events = told(new_shop)
    assert broken_rules(events) == []
    assert [problem for event in events for problem in official(event)] == []
    assert run_ends(events) == {("raw/orders", "COMPLETE"): 1, ("clean/orders", "FAIL"): 1}
    failed = events[-1]["run"]["facets"]
    assert "amount.ge" in failed["errorMessage"]["message"]
    assert {item["name"]: item["status"] for item in failed["test"]["tests"]}["amount.ge"] == "fail"
    assert "Byron" not in str(events)
    assert [item["facets"]["assay_snapshot"]["table"] for item in events[-1]["inputs"]] == ["raw/orders"]
    assert len(parents(events)) == 1


def test_a_retry_is_a_run_of_its_own(new_shop: Any, tmp_path: Path) -> None:
    """The first attempt meets a trouble that passes."""
    tried = tmp_path / "tried"

    def prepare(tx: Transaction, env: Any) -> None:
        del tx, env
        if not tried.exists():
            tried.touch()
            raise ConnectionResetError("Ada Byron")

    def compute(tx: Transaction, env: Any, prepared: None) -> None:
        del env, prepared
        tx.write("raw/things", pl.DataFrame({"a": [1]}))

    assert execute(new_shop, (Step(("raw/things",), prepare, compute, "1"),)).success
    events = told(new_shop)
    assert broken_rules(events) == []
    assert [item["eventType"] for item in events] == ["START", "FAIL", "START", "COMPLETE"]
    assert len({item["run"]["runId"] for item in events}) == 2
    assert len(parents(events)) == 1
    assert events[1]["run"]["facets"]["errorMessage"]["message"].startswith("ConnectionResetError at ")
    assert "Byron" not in str(events)


def test_a_backfill_of_several_days_in_one_run(new_shop: Any, official: Official) -> None:
    for number in (1, 2, 3):
        new_shop.drop(number, new_shop.csv(number, 10.0, 20.0))
    steps = tuple(replace(step) for step in new_shop.steps)
    names = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    days = dict(zip(names, (new_shop.day(1), new_shop.day(3)), strict=True))
    assert execute(new_shop, steps, tags=days).success
    events = told(new_shop)
    assert broken_rules(events) == []
    assert [problem for event in events for problem in official(event)] == []
    assert run_ends(events) == dict.fromkeys(
        [("raw/orders", "COMPLETE"), ("clean/orders", "COMPLETE"), ("features/spending", "COMPLETE")], 3
    )
    assert len(parents(events)) == 1
    begins = {item["run"]["facets"]["nominalTime"]["nominalStartTime"][:10] for item in events}
    assert begins == {new_shop.day(number) for number in (1, 2, 3)}


def test_what_is_there_already_is_said_and_not_written_again(shop: Any) -> None:
    before = len(told(shop))
    assert execute(shop, shop.steps, partition_key=shop.day(2)).success
    events = told(shop)
    assert broken_rules(events) == []
    outputs = [item for event in events[before:] for item in event["outputs"]]
    assert {item["facets"]["assay_snapshot"]["role"] for item in outputs} == {"unchanged"}


def test_events_name_the_time_that_a_partition_covers(new_shop: Any, official: Official) -> None:
    """A month in Berlin, which its key alone does not say; recreated from the commits it is the same."""
    orders = new_shop.package.orders.orders
    monthly = replace(
        orders,
        name="bills",
        reader=Files("bills/{partition}/*", (".csv",)),
        partitioning=Partitioning.monthly("2026-03", time_zone="Europe/Berlin"),
    )
    store = assay.open()
    rows = pl.DataFrame({"order_id": ["1"], "shopper": ["Ada"], "at": ["2026-03-05T00:00:00Z"], "amount": [5.0]})
    store.ingest(monthly, rows, "2026-03")
    events = told(new_shop)
    assert [problem for event in events for problem in official(event)] == []
    expected = {"nominalStartTime": "2026-02-28T23:00:00.000000Z", "nominalEndTime": "2026-03-31T22:00:00.000000Z"}
    assert events and all(expected.items() <= event["run"]["facets"]["nominalTime"].items() for event in events)
    commit = store.table("raw/bills").history()[-1]
    assert commit.period == (datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 31, 22, tzinfo=UTC))
    store.recorder.close()
    again = open_lineage_store(new_shop.home / "again.db")
    rebuild(again, store.lake)
    for event in again.events():
        assert expected.items() <= event.data["run"]["facets"]["nominalTime"].items()
    again.close()


def test_the_lineage_of_a_pipeline_is_restored_whole(new_shop: Any) -> None:
    """A day that came, a day that was refused and then healed, and a run that had nothing to do."""
    severity = 'freshness = "1d"\n        severity = {"amount.ge": Block(share=0.2)}'
    new_shop.redeclare(
        lambda text: text.replace('freshness = "1d"', severity).replace("import Contract,", "import Block, Contract,")
    )
    new_shop.drop(2, new_shop.csv(2, 10.0, 20.0))
    for _ in range(2):
        execute(new_shop, new_shop.steps, partition_key=new_shop.day(2))
    new_shop.drop(3, new_shop.csv(3, 1.0, -3.0))
    execute(new_shop, new_shop.steps, partition_key=new_shop.day(3))
    new_shop.drop(3, new_shop.csv(3, 1.0, 3.0), name="again.csv")
    execute(new_shop, new_shop.steps, partition_key=new_shop.day(3))
    before, lake = new_shop.env.recorder.store, new_shop.env.lake
    assert {run.state for run in before.runs()} == {"COMPLETE", "FAIL"}
    again = open_lineage_store(new_shop.home / "again.db")
    assert rebuild(again, lake).ok
    assert difference(answers(before, lake), answers(again, lake)) == {}
    again.close()
