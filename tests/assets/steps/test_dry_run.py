"""Planning looks and writes nothing; what it has hashed is not hashed again until it changes."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import assay
from assay.assets.planning.plan import planned_runs, stages
from assay.assets.sources.file_hashes import hashes_in
from assay.cli import pipeline as command


@pytest.fixture(autouse=True)
def _no_memory_of_other_tests() -> None:
    hashes_in.cache_clear()


def everything(folder: Path) -> dict[str, str]:
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def deliver(shop: Any) -> None:
    for number in (1, 2, 3):
        file = shop.drop(number, shop.csv(number, 10.0))
        os.utime(file, (1e9, 1e9))


def plan(shop: Any) -> int:
    env = assay.open().env(recording=False)
    return sum(1 for stage in stages(shop.steps) for _ in planned_runs(stage, env))


def test_a_plan_leaves_home_and_lake_as_they_were(new_shop: Any) -> None:
    deliver(new_shop)
    before = everything(new_shop.home)
    assert plan(new_shop) == 3
    assert everything(new_shop.home) == before
    new_shop.run()
    new_shop.drop(3, new_shop.csv(3, 11.0))
    before = everything(new_shop.home)
    assert plan(new_shop) == 1
    assert everything(new_shop.home) == before


def test_nothing_is_hashed_twice(new_shop: Any) -> None:
    deliver(new_shop)
    hashes = assay.open().env(recording=False).hashes
    plan(new_shop)
    plan(new_shop)
    assert hashes.computed == 3
    assert not new_shop.run().failed
    assert hashes.computed == 3, "the run knows what planning saw"
    hashes_in.cache_clear()
    assert plan(new_shop) == 0
    assert assay.open().env(recording=False).hashes.computed == 0, "another process knows what runs kept"


def test_the_command_rehashes_when_it_is_forced(new_shop: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deliver(new_shop)
    monkeypatch.setenv("ASSAY_PROJECT", "shop")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    hashes = assay.open().env(recording=False).hashes
    for arguments, computed in ((["--dry-run"], 3), (["--dry-run"], 3), (["--force"], 6)):
        result = CliRunner().invoke(command.materialize, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert hashes.computed == computed


def test_bytes_that_changed_behind_the_memory_are_found_out(new_shop: Any) -> None:
    """Same size, time and inode: the run sees other bytes than were planned, says so, and hashes again."""
    deliver(new_shop)
    plan(new_shop)
    file = new_shop.home / "landing" / "orders" / new_shop.day(2) / "a.csv"
    file.write_bytes(file.read_bytes().replace(b"10.0", b"20.0"))
    os.utime(file, (1e9, 1e9))
    (failed,) = new_shop.run().failed
    assert "changed while it was being read" in failed.problems[0]
    assert not new_shop.run().failed
    assert new_shop.frame("clean/orders").filter(partition_key=new_shop.day(2))["amount"].to_list() == [20.0]


def test_one_source_that_fails_to_look_stops_no_other(new_shop: Any) -> None:
    """Any error of one step, in whatever it is asked while planning, is seen where it is run."""

    def broken(*_: Any) -> Any:
        raise OSError("the share is not mounted")

    from dataclasses import replace

    deliver(new_shop)
    lost = replace(
        new_shop.steps[0],
        outputs=("raw/lost",),
        prepare=broken,
        keep=None,
        landed=broken,
        checks=(),
    )
    new_shop.steps = (lost, *new_shop.steps)
    summary = new_shop.run()
    assert {result.failed for result in summary.failed} == {("raw/lost",)}
    assert all("the share is not mounted" in result.problems[0] for result in summary.failed)
    assert new_shop.frame("clean/orders").height == 3
