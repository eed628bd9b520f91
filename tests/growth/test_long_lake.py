"""The long lakes that growth is measured on are what a project of one's own makes."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.assets.declarations import pipeline
from assay.assets.planning.plan import planned_runs, stages
from assay.assets.project import read_project
from assay.assets.steps.step import execute
from assay.features.tables.digest import content_digest
from benchmarks.long_lake import LongLake, day_of, long_lake


@pytest.fixture
def no_package_left() -> Iterator[None]:
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name in [name for name in sys.modules if name.partition(".")[0] == "visits"]:
        del sys.modules[name]


def contents(lake: LongLake) -> dict[str, str]:
    tables = lake.store.lake.tables()
    return {name: content_digest(lake.store.table(name).scan().collect(), ["_ingested_at"]) for name in tables}


@pytest.mark.usefixtures("no_package_left")
def test_a_long_lake_goes_on_where_it_was_killed_and_is_a_projects_own(tmp_path: Path) -> None:
    whole = long_lake(tmp_path / "whole", 3)
    killed = long_lake(tmp_path / "killed", 1)
    killed.deliver(1)
    execute(killed.steps[0], killed.store.env(), day_of(1))  # and nothing after it
    assert killed.days() == 1
    long_lake(killed.folder, 3)
    assert contents(killed) == contents(whole)
    assert whole.store.table("quarantine/visits_000").at().rows() == 2 * 3
    project = pipeline(read_project(whole.folder))
    assert [(step.name, step.code_version) for step in project] == [
        (step.name, step.code_version) for step in whole.steps
    ]
    env = whole.store.env(recording=False)
    assert [unit for stage in stages(project) for unit in planned_runs(stage, env)] == []


def test_sources_have_five_tables_each_and_days_of_their_own(tmp_path: Path) -> None:
    lake = long_lake(tmp_path, 1, sources=2)
    assert len(lake.store.lake.tables()) == 10
    one, other = (lake.store.table(f"clean/visits_00{number}").scan().collect() for number in (0, 1))
    assert one.height == other.height == 98
    assert not set(one["visit_id"]) & set(other["visit_id"])
