"""After many days that nobody attended, the lake equals an undisturbed one, and each defect was reported once."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.scheduler.instigation import TickStatus

import assay
from assay.assets.dagster.dagster_metadata import check_name, verdict
from assay.assets.dagster.history import last_runs, sensors, unresolved
from assay.assets.dagster.jobs import BY_TAG, partition_of
from assay.assets.dagster.materialize import open_instance
from assay.assets.dagster.run_recovery import UNFINISHED
from assay.features.tables.digest import content_digest
from assay.features.tables.run_record import CheckResult
from assay.store import Store
from tests.conftest import SOAK
from tests.end_to_end.unattended.conftest import Lakes
from tests.lineage.semantics import broken_rules

ALL = 10**6
BY_DEFECT = {"empty": "raw", "column missing": "clean", "implausible": "clean"}

pytestmark = pytest.mark.timeout(7200)


@pytest.fixture(scope="module")
def store(lakes: Lakes) -> Iterator[Store]:
    opened = _opened(lakes.place)
    yield opened
    opened.lineage_store.close()


@pytest.fixture(scope="module")
def instance(lakes: Lakes) -> Iterator[dg.DagsterInstance]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", lakes.place.environment["DAGSTER_HOME"])
        with open_instance(Path(lakes.place.environment["DAGSTER_HOME"])) as opened:
            yield opened


def _opened(place: Any) -> Store:
    given = {"project": place.settings["ASSAY_PROJECT"], "lineage_db": place.settings.get("ASSAY_LINEAGE_DB", "")}
    return assay.open(home=place.home, **given)


def _contents(store: Store) -> dict[tuple[str, str | None], tuple[int, str]]:
    """Rows and digest of each table's partitions, without the moment at which the rows came in."""
    found = {}
    for name in store.lake.tables():
        frame = store.table(name).scan().collect()
        for (key,), part in frame.partition_by("partition_key", as_dict=True).items():
            found[name, key] = part.height, content_digest(part, ["_ingested_at"])
    return found


def test_the_lake_is_that_of_a_machine_on_which_nothing_happened(lakes: Lakes, store: Store) -> None:
    expected, found = _contents(_opened(lakes.undisturbed)), _contents(store)
    assert len({table for table, _ in expected}) == 13
    assert {key: found.get(key) for key in expected if found.get(key) != expected[key]} == {}
    assert found.keys() == expected.keys()


def test_no_row_is_doubled(store: Store) -> None:
    for source in ("orders", "payments", "visits"):
        rows = store.table(f"clean/{source}").scan().select(pl.col("id").n_unique() == pl.len()).collect().item()
        assert rows, source


def test_nothing_is_judged_twice(lakes: Lakes, store: Store, instance: dg.DagsterInstance) -> None:
    """However many asked for it at once: of the same input a partition has one commit."""
    together = [run for run in instance.get_runs() if partition_of(run) in lakes.soak.happened.together]
    launched = {
        name for run in together for name in ("dagster/backfill", "dagster/sensor_name", BY_TAG) if name in run.tags
    }
    assert len(launched) > 1 or SOAK, launched
    for name in store.lake.tables():
        last: dict[str | None, str] = {}
        for commit in store.table(name).history():
            if commit.rows is not None:
                assert last.get(commit.partition) != commit.fingerprint, (name, commit.partition, commit.version)
                last[commit.partition] = commit.fingerprint


def test_everything_is_done_and_only_defects_are_red(lakes: Lakes, instance: dg.DagsterInstance) -> None:
    open_defects = {(item.partition, f"{BY_DEFECT[item.kind]}/{item.source}") for item in _defects(lakes, healed=False)}
    assert instance.get_runs_count(dg.RunsFilter(statuses=UNFINISHED)) == 0
    red = unresolved(last_runs(instance, ALL))
    defective = {partition for partition, _ in open_defects}
    assert [run for run in red if run.partition not in defective] == []
    assert {run.partition for run in red} == defective
    answer = lakes.place.json("status", code=3)
    assert (answer["given_up"], answer["broken"]) == ([], [])
    assert {(run["partition"]) for run in answer["refused"]} == {partition for partition, _ in open_defects}
    assert answer["stale"] == answer["failed"] == answer["died"] == [], "what is refused is not to be done"


def test_each_defect_is_reported_once(lakes: Lakes, instance: dg.DagsterInstance) -> None:
    runs = [run for run in last_runs(instance, ALL) if run.problems and not run.died]
    reported = Counter((run.partition, problem) for run in runs for problem in run.problems)
    assert set(reported.values()) == {1}, reported
    assert {partition for partition, _ in reported} == {item.partition for item in lakes.soak.plan.defects}
    assert len(reported) == len(lakes.soak.plan.defects), reported


def test_what_died_is_made_good(lakes: Lakes, instance: dg.DagsterInstance) -> None:
    runs = last_runs(instance, ALL)
    assert [run for run in runs if run.status == "failure" and not run.died] == []
    died = sum(run.died for run in runs)
    print(f"{Counter(run.status for run in runs)}, of which {died} died")
    assert died or lakes.soak.happened.days < 20  # which run is killed, and whether it has ended before, is chance


def test_the_latest_verdicts_are_those_of_the_data(lakes: Lakes, instance: dg.DagsterInstance) -> None:
    red = {
        (key.asset_key.to_user_string(), key.name, partition)
        for key, partition, passed in _verdicts(instance)
        if not passed
    }
    refused = {(f"{BY_DEFECT[d.kind]}/{d.source}", d.partition) for d in _defects(lakes, healed=False)}
    assert {item for item in red if (item[0], item[2]) not in refused} == set(_failed_in(_opened(lakes.undisturbed)))
    assert {(table, partition) for table, _, partition in red} >= refused


def test_the_sensor_failed_only_while_there_was_no_disk(lakes: Lakes, instance: dg.DagsterInstance) -> None:
    (state,) = sensors(instance, "shop")
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, statuses=[TickStatus.FAILURE])
    problems = [tick.error.to_string() for tick in ticks if tick.error]
    assert [text for text in problems if "full" not in text and "No space" not in text] == []


def test_lineage_has_lost_nothing(lakes: Lakes, store: Store) -> None:
    events = store.lineage_store.events()
    committed = {
        commit.run_id
        for name in store.lake.tables()
        for commit in store.table(name).history()
        if commit.run_id and commit.rows is not None
    }
    ends = Counter(event.run_id for event in events if event.kind == "COMPLETE")
    assert committed - set(ends) == set()
    assert set(ends.values()) == {1}
    assert [line for line in broken_rules(event.data for event in events) if not _lost_start(lakes, line)] == []


def _failed_in(store: Store) -> Iterator[tuple[str, str, str | None]]:
    """What is marked in the last commit of each partition, such as many rows in quarantine."""
    for name in store.lake.tables():
        seen = set()
        for commit in reversed(store.table(name).at().commits):
            if commit.partition not in seen and commit.rows is not None:
                seen.add(commit.partition)
                for check in commit.checks:
                    result = CheckResult(**check)
                    if result.table == name and not verdict(result, commit.partition).passed:
                        yield name, check_name(check["name"]), commit.partition


def _lost_start(lakes: Lakes, line: str) -> bool:
    """A full disk takes a START with it; the end is made from the commit."""
    return lakes.soak.happened.disk_full > 0 and "has 0 START and 1 terminal" in line


def _defects(lakes: Lakes, *, healed: bool) -> list[Any]:
    return [item for item in lakes.soak.plan.defects if (item.healed is not None) is healed]


def _verdicts(instance: dg.DagsterInstance) -> Iterator[tuple[Any, str | None, bool]]:
    """The last one of each check on each partition."""
    seen = set()
    for record in _evaluations(instance):
        event = record.asset_check_evaluation_data
        place = (event.asset_check_key, event.partition)
        if place not in seen:
            seen.add(place)
            yield event.asset_check_key, event.partition, event.passed


def _evaluations(instance: dg.DagsterInstance) -> Iterator[Any]:
    """Newest first, of all runs."""
    found = []
    for run in instance.get_runs():
        records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
        found += [(record.timestamp, record.event_log_entry.dagster_event) for record in records]
    return (event for _, event in sorted(found, key=lambda item: item[0], reverse=True))
