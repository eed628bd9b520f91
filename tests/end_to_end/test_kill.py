"""`kill -9` at random moments of a materialisation, then the same command again: as if nothing had happened."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

import assay
from assay.assets.dagster.materialize import open_instance
from assay.features.tables.digest import content_digest
from assay.store import Store
from tests.lineage.semantics import broken_rules

KILLS = 12 if os.environ.get("SOAK") else 2
TABLES = 19  # three sources as raw, clean, quarantine and profiles; five views, one with partials; the vectors
UNTIL = "2026-09-02"

pytestmark = pytest.mark.timeout(1800)


def commits(place: Any) -> int:
    """Versions in the lake, read from outside."""
    return sum(1 for _ in (place.home / "lake").glob("*/*/_delta_log/*.json"))


def kill_at(place: Any, wanted: int, delay: float) -> bool:
    """Materialise until there are so many versions and a moment longer, then kill -9. Whether it was still running."""
    process = place.start("materialize", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and commits(place) < wanted:
        time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def contents(store: Store) -> dict[str, tuple[dict[str | None, int], str]]:
    """Rows by partition and the digest of all rows, of every table; without the moment at which they came in."""
    found = {}
    for name in store.lake.tables():
        frame = store.table(name).scan().collect()
        # The definition of an on-demand view is one row of no partition.
        cut = "partition_key" if "partition_key" in frame.columns else pl.lit(None)
        rows = dict(frame.group_by(cut).len().iter_rows())
        found[name] = (rows, content_digest(frame, ["_ingested_at"]))
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, new_place: Callable[..., Any], quick_model: Path) -> Any:
    place = new_place(tmp_path_factory.mktemp("undisturbed"), {"ASSAY_EMBEDDING_MODEL": str(quick_model)})
    place.assay("demo", "--until", UNTIL)
    place.assay("materialize")
    return place


@pytest.fixture(scope="module")
def killed(undisturbed: Any, tmp_path_factory: pytest.TempPathFactory, new_place: Callable[..., Any]) -> Any:
    """The same deliveries, materialised by commands that were killed again and again, and by one that was not."""
    place = new_place(tmp_path_factory.mktemp("killed"), undisturbed.settings)
    place.home.mkdir()
    shutil.copytree(undisturbed.home / "landing", place.home / "landing")
    seed = random.randrange(10**6)
    chance, all_of_them = random.Random(seed), commits(undisturbed)
    moments = [(chance.randrange(all_of_them), chance.uniform(0, 0.3)) for _ in range(KILLS)]
    print(f"seed {seed}: killed after versions (of {all_of_them}) and seconds {sorted(moments)}")
    caught = [kill_at(place, wanted, delay) for wanted, delay in sorted(moments)]
    assert any(caught), "every command was done before it could be killed"
    place.assay("materialize")
    place.assay("lineage", "recover", "--quiet", "0")
    return place


def test_rows_and_digests_are_those_of_an_undisturbed_run(undisturbed: Any, killed: Any) -> None:
    expected, found = (contents(assay.open(home=place.home)) for place in (undisturbed, killed))
    assert len(expected) == TABLES
    assert found == expected


def test_nothing_is_left_to_do(killed: Any) -> None:
    again = killed.json("materialize")
    assert (again["runs"], again["failed"], again["left"]) == ([], 0, [])


def test_no_version_is_half_written(killed: Any) -> None:
    """Every version, not only the last, has all its files whole: their names are the digests of their bytes."""
    store = assay.open(home=killed.home)
    for name in store.lake.tables():
        for version in range(store.table(name).at().version + 1):
            state = store.table(name).at(version)
            assert state.scan().collect().height == state.rows()


def test_every_committed_run_has_its_one_end(killed: Any) -> None:
    store = assay.open(home=killed.home)
    history = (commit for name in store.lake.tables() for commit in store.table(name).history())
    committed = {commit.run_id for commit in history if commit.run_id and commit.rows is not None}
    ends = [event.run_id for event in store.lineage_store.events() if event.kind == "COMPLETE"]
    assert committed <= set(ends)
    assert len(ends) == len(set(ends))


def test_every_run_has_one_start_and_one_end(killed: Any) -> None:
    """Those that were killed before they published anything were given up."""
    events = [event.data for event in assay.open(home=killed.home).lineage_store.events()]
    assert broken_rules(events) == []
    assert {event["eventType"] for event in events} <= {"START", "COMPLETE", "ABORT"}


def test_no_run_of_a_killed_command_stays_in_progress(killed: Any) -> None:
    """Otherwise the sensor, which waits for runs in progress, would wait for ever."""
    with open_instance(Path(killed.environment["DAGSTER_HOME"])) as instance:
        statuses = {run.status for run in instance.get_runs()}
    assert statuses <= {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}
