"""The files of partitions, wherever they lie: compared with a walk through everything, and counted."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.assets.sources.files import Files
from assay.assets.sources.landing import folders
from assay.assets.sources.landing.folders import files_of
from assay.assets.sources.landing.leftovers import left_in, misnamed_files, outside_of, unplaced_folders
from assay.assets.sources.landing.listing import delivered_since, partitions_in
from assay.assets.sources.landing.places import Places, places_of
from assay.assets.sources.landing.scan import scan_partition
from assay.assets.sources.landing.tree import folder_tree
from assay.features.tables.partitioning import Partitioning
from assay.settings import Settings

DAILY = Partitioning.daily("2026-09-02", "2026-09-04")
WEEKLY = Partitioning.weekly("2026-08-31")
MONTHLY = Partitioning.monthly("2026-09")
PATTERNS = [
    ("in/{day}/*", DAILY),
    ("in/o_{day}.csv", DAILY),
    ("in/*{day}*.csv", DAILY),
    ("in/dt={day}/**/*", DAILY),
    ("in/{day:%Y/%m/%d}/*", DAILY),
    ("in/{day:%Y%m}/o_{day}.csv", DAILY),
    ("in/*/{day}.csv", DAILY),
    ("in/**/{day}.csv", DAILY),
    ("in/{day}.csv", WEEKLY),
    ("in/{day}/*", MONTHLY),
]
FOLDERS = (
    "",
    "2026-09-02",
    "2026-09-03",
    "dt=2026-09-03",
    "2026/09/04",
    "202609",
    "north",
    "2026-08-31",
    "x/y",
    "20260902",
)
NAMES = (
    "a.csv", "b.txt", "o_2026-09-02.csv", "o_2026-09-02.r1.csv", "o_2026-09-03.CSV", "2026-09-04.csv", "2026-09-01.csv",
    "o_2026-13-01.csv", "o_20260902.csv", "o_2026-09-02.csv.part", ".o_2026-09-02.csv", "x2026-09-02y.csv", "2026-10-01.csv",
)  # fmt: skip


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is listed, some seconds after everything has settled."""
    found: list[object] = []
    real, clock = os.scandir, time.time_ns

    def counted(path: object = ".") -> object:
        found.append(path)
        return real(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", counted)
    monkeypatch.setattr(time, "time_ns", lambda: clock() + 10**10)
    monkeypatch.setattr(folders, "_placed", {})
    return found


def put(root: Path, path: str, content: str = "a\n1\n") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


@pytest.mark.parametrize(("pattern", "partitioning"), PATTERNS)
def test_each_file_is_of_the_partition_that_its_path_says_or_is_named(
    tmp_path: Path, pattern: str, partitioning: Partitioning
) -> None:
    places, chance = places_of(pattern, partitioning), random.Random(pattern)
    for trial in range(12):
        root = tmp_path / str(trial)
        for _ in range(25):
            put(root, f"in/{chance.choice(FOLDERS)}/{chance.choice(NAMES)}")
        everything = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
        visible = [path for path in everything if not path.rpartition("/")[2].startswith(".")]
        finished = [path for path in visible if not path.endswith(".part")]
        expected: dict[str, set[str]] = {}
        for path in finished:
            if (key := places.file_key(path)) is not None:
                expected.setdefault(key, set()).add(path)
        assert set(delivered_since(root, places).changed) == expected.keys()
        assert partitions_in(root, places) == [key for key in sorted(expected) if partitioning.contains(key)]
        keys = [*expected, "2026-09-03" if partitioning is DAILY else "2026-09"]
        keys = [key for key in keys if partitioning.is_key(key)]
        for key in keys:
            found = {file.relative_to(root).as_posix() for file in files_of(root, places, key)}
            assert found == expected.get(key, set()), key
            taken = {one.path for one in scan_partition(root, places, key, (".csv",))}
            left = {one.path for one in left_in(root, places, key, (".csv",)) if not one.path.endswith("/")}
            unfinished = {path for path in visible if path.endswith(".part") and places.file_key(path) == key}
            assert taken | left == expected.get(key, set()) | unfinished and not taken & left
        named = {one.path for one in misnamed_files(folder_tree(root, places), places)}
        assert not named & set().union(*expected.values(), set())
        if "/" not in pattern.removeprefix("in/"):  # all lie in one folder
            flat = {path for path in visible if path.count("/") == 1}
            assert named == {path for path in flat if places.file_key(path) is None}
        outside = outside_of(folder_tree(root, places), places)
        before_or_after = {key for key in expected if not partitioning.contains(key)}
        assert bool(outside) == bool(before_or_after)
        for folder in unplaced_folders(folder_tree(root, places), places):
            assert any(path.startswith(f"{folder}/") for path in finished)
            assert not any(path.startswith(f"{folder}/") for paths in expected.values() for path in paths)


def test_a_folder_with_the_files_of_many_partitions_is_listed_once_when_it_changes(
    tmp_path: Path, listed: list[object]
) -> None:
    places = places_of("shop/orders_{day}.csv", Partitioning.daily("2020-01-01"))
    days = places.partitioning.keys_between("2020-01-01", "2021-12-31")
    for day in days:
        put(tmp_path, f"shop/orders_{day}.csv")
    first = delivered_since(tmp_path, places)
    assert first.changed == set(days) and len(listed) == 1
    assert delivered_since(tmp_path, places, first.seen).seen == first.seen and len(listed) == 1
    assert all(len(scan_partition(tmp_path, places, day)) == 1 for day in days) and len(listed) == 2
    put(tmp_path, f"shop/orders_{days[7]}.r1.csv")
    second = delivered_since(tmp_path, places, first.seen)
    assert second.changed == {days[7]} and len(listed) == 3
    revisions = [(one.revision, one.superseded_by) for one in scan_partition(tmp_path, places, days[7])]
    assert revisions == [(0, f"shop/orders_{days[7]}.r1.csv"), (1, None)] and len(listed) == 4
    (tmp_path / "shop" / f"orders_{days[8]}.csv").write_text("a\n2\n")
    third = delivered_since(tmp_path, places, second.seen)
    assert third.changed == {days[8]}
    (tmp_path / "shop" / f"orders_{days[9]}.csv").unlink()
    assert delivered_since(tmp_path, places, third.seen).changed == frozenset(), (
        "where all is gone, nothing is to be done"
    )


@pytest.mark.parametrize("pattern", ["in/{day:%Y/%m/%d}/*", "in/dt={day}/*", "in/{month:%Y-%m}/{day}.csv"])
def test_only_the_folders_that_changed_and_those_of_one_partition_are_listed(
    tmp_path: Path, listed: list[object], pattern: str
) -> None:
    places = places_of(pattern, Partitioning.daily("2026-01-01"))

    def file(key: str) -> str:
        return places.example(key).replace("*", "a.csv")

    days = places.partitioning.keys_between("2026-01-01", "2026-03-31")
    for day in days:
        put(tmp_path, file(day))
    first = delivered_since(tmp_path, places)
    assert first.changed == set(days)
    listed.clear()
    put(tmp_path, file(days[40]) + ".csv" if pattern.endswith("*") else file(days[40]).replace(".csv", ".r1.csv"))
    second = delivered_since(tmp_path, places, first.seen)
    assert second.changed == {days[40]} and len(listed) == 1
    listed.clear()
    assert len(scan_partition(tmp_path, places, days[40])) == 2 and len(listed) == 1
    put(tmp_path, file("2026-05-01"))
    listed.clear()
    third = delivered_since(tmp_path, places, second.seen)
    assert third.changed == {"2026-05-01"} and len(listed) <= 4


def test_sources_that_share_a_folder_are_told_apart(tmp_path: Path) -> None:
    settings, reader = Settings(landing=tmp_path), Files("in/a_{day}.csv", (".csv",))
    for name in ("a_2026-09-02.csv", "b_2026-09-02.csv", "a_20260902.csv"):
        put(tmp_path, f"in/{name}")
    assert [(one.path, one.why) for one in reader.leftovers(settings, DAILY)] == [
        ("in/a_20260902.csv", "it says no partition: write it like in/a_2026-09-02.csv"),
        ("in/b_2026-09-02.csv", "it says no partition: write it like in/a_2026-09-02.csv"),
    ]
    assert reader.partitions(settings, DAILY) == ["2026-09-02"]


def test_places_are_the_same_by_pattern_and_partitions() -> None:
    one: Callable[[], Places] = lambda: places_of("in/{day}/*", DAILY)  # noqa: E731
    assert one() == one().near("2026-09-02") and hash(one()) == hash(one().near("2026-09-02"))
