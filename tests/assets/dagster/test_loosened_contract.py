"""A loosened contract on the command line and in Dagster: history is neither run nor called stale, and can be asked for."""

import json
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from assay.assets.dagster.dagster_metadata import asset_key
from assay.assets.dagster.definitions import definitions_of
from assay.assets.dagster.materialize import materialize, run_unit
from assay.assets.declarations import declarations
from assay.assets.planning.plan import PlannedRun
from assay.checks import contract_info
from assay.cli import main

DAYS = ["2026-03-01", "2026-03-02", "2026-03-03"]


def looser(text: str) -> str:
    return text.replace("Field(ge=0)", "Field(ge=-5)").replace('"1.0.0"', '"1.1.0"')


@pytest.fixture
def assay(shop: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    monkeypatch.setenv("DAGSTER_HOME", str(shop.home / "dagster"))

    def run(*arguments: str) -> Any:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out = capsys.readouterr().out
        assert ended.value.code == 0, out
        return json.loads(out) if "--json" in arguments else " ".join(out.split())

    return run


def test_the_command_says_what_may_come_in_and_judges_it_when_it_is_asked(shop: Any, assay: Callable[..., Any]) -> None:
    then = contract_info(shop.package.orders.Orders).digest
    shop.redeclare(looser)
    declarations.cache_clear()
    now = contract_info(shop.package.orders.Orders).digest
    asked = assay("materialize", "--json")
    assert asked["runs"] == []
    assert [(one["table"], one["rows"]) for one in asked["as_judged"]] == [("clean/orders", 3)]
    said = (
        "clean/orders in 3 partitions (2026-03-01 to 2026-03-03): the changed contract may take 3 quarantined rows "
        "(amount.ge); `assay materialize clean/orders --judge-again` judges them again"
    )
    assert assay("materialize").endswith(f"{said}.")
    assert assay("materialize", "--dry-run") == f"Nothing would run. {said}"
    found = assay("status", "--json")
    assert found["up_to_date"] and found["stale"] == []
    assert [(one["table"], one["partitions"], one["rows"]) for one in found["as_judged"]] == [("clean/orders", DAYS, 3)]
    text = assay("status")
    assert "Everything is up to date but for what stays as declared or judged" in text and said in text

    planned = assay("materialize", "--judge-again", "--dry-run", "--json")
    assert [unit["partition"] for unit in planned] == DAYS
    asked = assay("materialize", "--judge-again", "--partition", DAYS[0], "--json")
    assert [(run["partition"], run["success"]) for run in asked["runs"]] == [(DAYS[0], True)]
    assert "features/spending" in asked["runs"][0]["assets"] and asked["as_judged"] == []
    chosen = assay("materialize", "--partition", DAYS[1], "--json")
    assert [one["partitions"] for one in chosen["as_judged"]] == [[DAYS[1]]]

    # Which contract judged which day, and what it demanded.
    judges = [assay("contract", "show", "clean/orders", "--partition", day, "--json") for day in DAYS]
    assert [one["digest"] for one in judges] == [now, then, then]
    assert [one["declaration"]["options"]["version"] for one in judges] == ["1.1.0", "1.0.0", "1.0.0"]
    assert assay("contract", "show", then[:12], "--json") == judges[1]
    shown = assay("contract", "show", then)
    assert shown.startswith(f"Orders 1.0.0 digest {then} freshness 1d, owner shop")
    assert "amount float no ge 0" in shown and "order_id str no key" in shown


def test_dagster_calls_nothing_stale(shop: Any) -> None:
    materialize(shop.steps, shop.env, shop.instance, force=True)  # in this instance
    assert statuses(shop) == {StaleStatus.FRESH}
    shop.redeclare(looser)
    assert statuses(shop) == {StaleStatus.FRESH}


def test_a_run_that_finds_nothing_to_do_says_what_may_come_in(shop: Any) -> None:
    """As somebody starts it in the UI."""
    shop.redeclare(looser)
    clean = next(step for step in shop.steps if "clean/orders" in step.outputs)
    assert run_unit(PlannedRun(DAYS[0], (clean,)), definitions_of(shop.steps), shop.instance).new_versions == ()
    event = shop.instance.get_latest_materialization_event(asset_key("clean/orders"))
    metadata = event.asset_materialization.metadata
    assert (metadata["rows_that_may_be_taken"].value, metadata["new_version"].value) == (1, False)
    records = shop.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(asset_key("clean/orders"), "amount__ge"), limit=1
    )
    said = records[0].event.dagster_event.event_specific_data.description
    assert "`assay materialize clean/orders --partition 2026-03-01 --judge-again`" in said


def statuses(shop: Any) -> set[StaleStatus]:
    graph = definitions_of(shop.steps).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(shop.instance, graph, LoadingContextForTest(shop.instance))
    tables = [table for step in shop.steps for table in step.outputs]
    return {resolver.get_status(dg.AssetKey(table.split("/")), day) for table in tables for day in DAYS}
