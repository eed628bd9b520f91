"""Old history goes; what the UI shows of a partition, and what is still open, stays."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assay.assets.dagster.dagster_metadata import asset_key
from assay.assets.dagster.history import last_runs, unresolved
from assay.assets.dagster.history_retention import keep_history
from assay.assets.dagster.maintenance import maintenance, upkeep
from assay.assets.dagster.materialize import open_instance
from assay.assets.dagster.run_recovery import beating
from assay.assets.dagster.to_dagster import build_asset
from assay.assets.upkeep import Upkeep

CLEAN = asset_key("clean/orders")


@pytest.fixture(params=["sqlite", "one table"])
def instance(request: pytest.FixtureRequest, new_shop: Any, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """With a file for the events of each run, and with all of them in one table, as PostgreSQL has them."""
    if request.param == "one table":
        yield new_shop.instance
        return
    with open_instance(tmp_path / "dagster") as opened:
        new_shop.instance = opened
        yield opened


def by_name(found: list[Upkeep]) -> dict[str, Upkeep]:
    return {one.what: one for one in found}


def test_what_is_old_and_shown_nowhere_goes(new_shop: Any, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    new_shop.drop(1, new_shop.csv(1, 1.0))
    new_shop.materialize()
    new_shop.drop(1, new_shop.csv(1, 1.0, 2.0), "late.csv")
    new_shop.drop(2, b"")
    new_shop.materialize()
    refused, late, first = (run.run_id for run in last_runs(instance))
    with beating(instance, first):
        pass
    later = datetime.now(UTC) + timedelta(days=91)

    def shown() -> Any:
        assert definition is not None
        status = instance.get_status_by_partition(CLEAN, [new_shop.day(1), new_shop.day(2)], definition)
        made = instance.get_latest_materialization_event(CLEAN)
        verdicts = instance.event_log_storage.get_latest_asset_check_execution_by_key(checks)
        return status, made and made.run_id, {key: item.run_id for key, item in verdicts.items()}

    step = next(step for step in new_shop.steps if "clean/orders" in step.outputs)
    assets = build_asset(step, {})
    definition, checks = assets.partitions_def, [spec.key for spec in assets.check_specs]
    before, problems = shown(), unresolved(last_runs(instance))
    assert before[1] == late and len(problems) == 1

    assert by_name(keep_history(instance, 90, do=True))["history"].count == 0, "nothing is old"
    looked = by_name(keep_history(instance, 90, do=False, now=later))
    assert (looked["history"].count, looked["history"].done) == (2, False)
    assert "1 run to delete and 1 run to lose the log" in looked["history"].detail
    assert keep_history(instance, 0, do=True, now=later)[0].count == 0
    assert {run.run_id for run in last_runs(instance)} == {refused, late, first}, "looking changes nothing"

    done = by_name(keep_history(instance, 90, do=True, now=later))
    assert done["history"].done
    assert {run.run_id for run in last_runs(instance)} == {refused, late}
    assert (shown(), unresolved(last_runs(instance))) == (before, problems)
    assert instance.get_records_for_run(refused).records
    steps = instance.get_records_for_run(late, of_type=dg.DagsterEventType.STEP_SUCCESS).records
    assert steps == []
    assert by_name(keep_history(instance, 90, do=False, now=later))["history"].count == 0


def test_heartbeats_of_runs_that_ended_go_at_once(new_shop: Any) -> None:
    new_shop.drop(1, new_shop.csv(1, 1.0))
    new_shop.materialize()
    assert by_name(keep_history(new_shop.instance, 90, do=True))["heartbeats"].count == 1
    assert by_name(keep_history(new_shop.instance, 90, do=True))["heartbeats"].count == 0


def test_the_daily_job_loses_nothing_unless_somebody_has_decided(
    new_shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, schedule = maintenance("shop", lambda: new_shop.env)
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert (job.name, schedule.name) == ("shop_maintain", "shop_maintain_daily")
    found = by_name(upkeep(new_shop.env, new_shop.instance, do=True, history=False))
    assert [name for name, one in found.items() if not one.done] == [
        "history",
        "ticks",
        "lineage spool",
        "old versions",
    ]

    def history_of_the_job() -> str:
        done = job.execute_in_process(instance=new_shop.instance)
        (run,) = [
            text for entry in new_shop.instance.all_logs(done.run_id) if (text := entry.user_message)[:8] == "history:"
        ]
        return run

    assert history_of_the_job().startswith("history: 0 runs to delete")
    monkeypatch.setenv("ASSAY_HISTORY_DAYS", "0")
    assert "ASSAY_HISTORY_DAYS=0" in history_of_the_job()
