"""Swapping under readers, killed builders, and one builder at a time."""

import os
import signal
import threading
from pathlib import Path

import pytest

from assay.errors import AssayError
from assay.features.online.generations import Generations
from assay.features.online.materialize import materialize_online
from assay.features.online.online_set import OnlineSet
from assay.features.serving.feature_set import FeatureSet
from assay.features.tables.lake import Lake, open_lake
from tests.conftest import SOAK
from tests.features.online.worlds import at, begin, write
from tests.forked import run_forked

ACTIVITY = FeatureSet("activity", ["activity:*"])
KILLED = """
import os, signal, sys
from pathlib import Path
from assay.features.online import generations as g, materialize as m
from assay.features.tables.lake import open_lake
from tests.features.online.worlds import at
from tests.features.online.test_generations import ACTIVITY
folder, where = Path(sys.argv[1]), sys.argv[2]
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
if where == "reading": progress = die
else: progress = m.no_progress
if where == "writing": g.Building.write = die
if where == "renaming": os.rename = Path.rename = die
if where == "pointing": Path.replace = die
m.materialize_online(open_lake(folder / "lake"), g.Generations(folder / "online"), ACTIVITY, at=at(4), progress=progress)
"""


@pytest.fixture
def world(tmp_path: Path) -> tuple[Lake, Generations]:
    lake = open_lake(tmp_path / "lake")
    begin(lake)
    return lake, Generations(tmp_path / "online")


def test_a_kill_at_any_point_leaves_the_former_generation_whole(
    world: tuple[Lake, Generations], tmp_path: Path
) -> None:
    lake, generations = world
    keys = {"shop": "a", "customer": 1}
    materialize_online(lake, generations, ACTIVITY, at=at(1))
    write(lake, ("activity", 1, [("a", 1, 2.0, 0, 20, 1)]))
    online = OnlineSet(lake, generations, "activity@1")
    for where in ("reading", "writing", "renaming", "pointing") if SOAK else ("writing", "pointing"):
        assert run_forked("-c", KILLED, str(tmp_path), where).code == -signal.SIGKILL, where
        assert online.get(keys, at(3))["n"].to_list() == [10]
        assert OnlineSet(lake, generations, "activity@1").get(keys, at(3))["n"].to_list() == [10], where
    made = materialize_online(lake, generations, ACTIVITY, at=at(4))
    assert made.is_new
    assert online.get(keys, at(4))["n"].to_list() == [20], "the reader sees the new one"
    left = sorted(path.name for path in (tmp_path / "online" / "activity@1").iterdir())
    assert [name for name in left if name.startswith("building")] == []


def test_readers_see_one_whole_generation_while_others_come(world: tuple[Lake, Generations]) -> None:
    """Every value of a generation is the same, so that two generations in one answer would show."""
    lake, generations = world
    customers = list(range(50))

    def fill(number: int) -> None:
        write(lake, ("activity", 1, [("a", one, 2.0, 0, number, 1) for one in customers]))
        materialize_online(lake, generations, ACTIVITY, at=at(3))

    fill(0)
    seen: list[set[tuple[int, int]]] = []
    done = threading.Event()

    def read() -> None:
        online = OnlineSet(lake, generations, "activity@1")
        keys = {"shop": ["a"] * 50, "customer": customers}
        while not done.is_set():
            answer = online.get(keys, at(3))
            seen.append(set(zip(answer["n"].to_list(), answer["activity.version"].to_list(), strict=True)))

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(1, 5):
        fill(number)
    done.set()
    for thread in threads:
        thread.join(60)
    assert {len(one) for one in seen} == {1}
    order = [next(iter(one)) for one in seen]
    assert len(set(order)) > 1, "none was swapped while somebody read"
    assert len({version for _, version in order}) == len({n for n, _ in order})
    assert OnlineSet(lake, generations, "activity@1").get({"shop": "a", "customer": 7}, at(3))["n"].to_list() == [4]


def test_one_builds_at_a_time_and_what_is_not_there_is_said(world: tuple[Lake, Generations]) -> None:
    lake, generations = world
    with (
        generations.building("activity@1"),
        pytest.raises(AssayError, match="being materialised by another process"),
    ):
        materialize_online(lake, generations, ACTIVITY)
    with pytest.raises(AssayError, match=r"none is.*assay online materialize"):
        generations.find("activity")
    assert generations.sets() == []
    materialize_online(lake, generations, ACTIVITY)
    materialize_online(lake, generations, FeatureSet("activity", ["activity:n"], version="2"))
    assert generations.sets() == ["activity@1", "activity@2"]
    assert generations.find("activity@2") == "activity@2"
    with pytest.raises(AssayError, match="several versions"):
        generations.find("activity")
    with pytest.raises(AssayError, match="Did you mean"):
        generations.find("activty@2")
    assert generations.manifest("../lake") is None


def test_only_the_generation_before_is_kept(world: tuple[Lake, Generations]) -> None:
    lake, generations = world
    opened = generations.open(materialize_online(lake, generations, ACTIVITY, at=at(1)).plan.set.id)
    for number in range(3):
        write(lake, ("activity", 1, [("a", 1, 2.0, 0, number, 1)]))
        materialize_online(lake, generations, ACTIVITY, at=at(3))
    folder = generations.root / "activity@1"
    assert sorted(path.name for path in folder.glob("g*")) == ["g000003", "g000004"]
    assert (folder / "CURRENT").read_text() == "g000004"
    assert len(opened.parts["activity"][0].rows) == 1, "whoever has it open reads it still"
    assert os.access(folder / "g000004" / "manifest.json", os.R_OK)
