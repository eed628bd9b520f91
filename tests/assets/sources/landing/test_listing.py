"""A look at the landing folder finds what another look, which remembers nothing, finds to be different; and lists little."""

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.assets.sources.deliveries import DeliveryError
from assay.assets.sources.file_hashes import FileHashes
from assay.assets.sources.files import Files
from assay.assets.sources.landing import folder_times, listing
from assay.assets.sources.landing.delivered import Delivered, by_marks
from assay.assets.sources.landing.folders import files_of
from assay.assets.sources.landing.listing import delivered_since, partitions_in
from assay.assets.sources.landing.places import places_of
from assay.assets.sources.reader import Reading
from assay.features.tables.partitioning import Partitioning
from assay.settings import Settings

DAILY = Partitioning.daily("2026-09-01")
DAYS = [f"2026-09-{day:02d}" for day in range(1, 5)]
PATTERNS = ("in/{day}/*.csv", "in/{day}/*/*.csv", "in/{day}/**/*.csv")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Some seconds pass, so that all that has been done until now has settled."""
    real, passed = time.time_ns, [0]
    monkeypatch.setattr(time, "time_ns", lambda: real() + passed[0])

    def pass_time(seconds: float = 10) -> None:
        passed[0] += int(seconds * 1e9)

    return pass_time


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that are listed, below that of the partitions, which is ""."""
    found: list[str] = []
    real = listing._Look._listed

    def a_folder(look: Any, folder: bytes, states: Any) -> Any:
        found.append(os.fsdecode(folder).removeprefix("."))
        return real(look, folder, states)

    monkeypatch.setattr(listing._Look, "_listed", a_folder)
    return found


def put(root: Path, path: str, content: str = "a,b\n1,2\n") -> Path:
    file = root / "in" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


def look(root: Path, before: bytes = b"", pattern: str = PATTERNS[0]) -> Delivered:
    return delivered_since(root, places_of(pattern, DAILY), before)


def test_what_is_the_same_is_not_listed_and_what_has_changed_is_found(
    tmp_path: Path, later: Callable[..., None], listed: list[str]
) -> None:
    assert look(tmp_path) == Delivered(b"", frozenset()), "there is no folder"
    files = [put(tmp_path, f"{day}/a.csv") for day in DAYS[:3]]
    put(tmp_path, "2026-09-99/a.csv")
    first = look(tmp_path)
    assert first.changed == first.unsettled == set(DAYS[:3])
    assert look(tmp_path, first.seen).changed == set(DAYS[:3]), "they may have changed again"
    later()
    settled = look(tmp_path, first.seen)
    assert (settled.changed, settled.unsettled) == (set(DAYS[:3]), frozenset())
    listed.clear()
    assert look(tmp_path, settled.seen) == Delivered(settled.seen, frozenset()) and listed == []

    def found(listing: list[str], seen: bytes, *changed: str) -> bytes:
        """What a look finds when all has settled, and what it listed for it. After it there is nothing."""
        later()
        listed.clear()
        after = look(tmp_path, seen)
        assert (after.changed, after.unsettled, sorted(listed)) == (set(changed), set(), listing)
        listed.clear()
        assert look(tmp_path, after.seen).changed == frozenset() and listed == []
        return after.seen

    seen, before = settled.seen, files[1].stat()
    files[1].write_text("a,b\n1,3\n")
    assert files[1].stat().st_ino == before.st_ino and files[1].stat().st_size == before.st_size
    seen = found([DAYS[1]], seen, DAYS[1])
    files[0].rename(files[0].with_name("b.csv"))
    seen = found([DAYS[0]], seen, DAYS[0])
    put(tmp_path, f"{DAYS[0]}/.hidden.csv")
    put(tmp_path, f"{DAYS[0]}/c.csv.part")
    (files[0].parent / "folder.csv").mkdir()
    seen = found([DAYS[0]], seen)
    shutil.move(files[2].parent, tmp_path / "aside")
    seen = found([""], seen)  # where all is gone, nothing is to be done
    shutil.move(tmp_path / "aside", files[2].parent)
    seen = found(["", DAYS[2]], seen, DAYS[2])
    put(tmp_path, f"{DAYS[3]}/a.csv")
    seen = found(["", DAYS[3]], seen, DAYS[3])
    files[1].unlink()
    seen = found([DAYS[1]], seen)
    put(tmp_path, f"{DAYS[1]}/a.csv")
    os.utime(files[1].parent, ns=(before.st_mtime_ns, before.st_mtime_ns))  # as some do that copy folders
    seen = found([DAYS[1]], seen, DAYS[1])
    for damaged in (b"nonsense", b"[]\n", b'["1 little", 5, 5]\n', seen[:-40], b'["1 big", 1, 1]\n' + bytes(40)):
        assert look(tmp_path, damaged).changed == set(DAYS)


def test_what_happens_in_the_same_moment_as_a_look_is_found_by_the_next(
    tmp_path: Path, later: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here every change has the time of the one before, as where times are of whole seconds."""
    file = put(tmp_path, f"{DAYS[0]}/a.csv")
    os.utime(file, (int(time.time()), int(time.time())))
    real = os.stat

    def coarse(path: Any, **given: Any) -> Any:
        found = real(path, **given)
        return _Rounded(found) if given else found

    monkeypatch.setattr(os, "stat", coarse)
    first = look(tmp_path)
    put(tmp_path, f"{DAYS[0]}/b.csv")
    second = look(tmp_path, first.seen)
    assert second.changed == {DAYS[0]} and second.seen.count(b".csv") == 2
    (tmp_path / "in" / DAYS[1]).mkdir()
    third = look(tmp_path, second.seen)
    assert DAYS[1].encode() in third.seen
    file.write_text("a,b\n1,3\n")
    assert DAYS[0] in third.unsettled and look(tmp_path, third.seen).changed == {DAYS[0]}


class _Rounded:
    def __init__(self, found: os.stat_result) -> None:
        self._found = found
        self.st_ctime_ns = found.st_ctime_ns // 10**9 * 10**9

    def __getattr__(self, name: str) -> Any:
        return getattr(self._found, name)


def test_a_folder_behind_a_link_or_on_another_file_system_is_listed_each_time(
    tmp_path: Path, later: Callable[..., None], listed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, f"{DAYS[0]}/x/a.csv")
    aside = tmp_path / "aside" / "y"
    aside.mkdir(parents=True)
    (tmp_path / "in" / DAYS[1]).mkdir()
    (tmp_path / "in" / DAYS[1] / "link").symlink_to(aside.parent)
    later()
    pattern = "in/{day}/*/*/*.csv"
    seen = look(tmp_path, pattern=pattern).seen
    (aside / "a.csv").write_text("1")
    later()
    listed.clear()
    assert look(tmp_path, seen, pattern).changed == {DAYS[1]} and listed == [f"{DAYS[1]}/link", f"{DAYS[1]}/link/y"]
    monkeypatch.setattr(folder_times, "KEEPS_TIMES", frozenset({"nfs"}))
    folder_times.keeps_times.cache_clear()
    seen = look(tmp_path).seen
    listed.clear()
    assert look(tmp_path, seen).changed == frozenset() and sorted(listed) == ["", *DAYS[:2]]
    folder_times.keeps_times.cache_clear()


def test_a_file_that_is_renamed_while_its_folder_is_listed_takes_nothing_else_with_it(
    tmp_path: Path, later: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, f"{DAYS[0]}/a.csv")
    upload = put(tmp_path, f"{DAYS[0]}/b.csv")
    later()
    real = listing._kind

    def then_renamed(entry: Any) -> str:
        kind = real(entry)
        if entry.name == upload.name:
            upload.rename(upload.with_suffix(".done"))
        return kind

    with monkeypatch.context() as patch:
        patch.setattr(listing, "_kind", then_renamed)
        first = look(tmp_path)
    assert first.changed == first.unsettled == {DAYS[0]}
    later()
    second = look(tmp_path, first.seen)
    put(tmp_path, f"{DAYS[0]}/c.csv")
    assert look(tmp_path, second.seen).changed == {DAYS[0]}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_target_of_a_link_may_come_later_or_go_and_come_again(
    tmp_path: Path, later: Callable[..., None], listed: list[str], pattern: str
) -> None:
    aside, below = tmp_path / "aside", "" if pattern == PATTERNS[0] else "x/"
    put(tmp_path, f"{DAYS[0]}/{below}a.csv")
    (tmp_path / "in" / DAYS[0] / below / "late.csv").symlink_to(aside / "late.csv")  # a file
    (tmp_path / "in" / DAYS[1]).symlink_to(aside)  # a day
    (tmp_path / "in" / DAYS[2]).mkdir()
    if below:
        (tmp_path / "in" / DAYS[2] / "x").symlink_to(aside / "x")  # a folder of a day
    later()
    seen = look(tmp_path, look(tmp_path, pattern=pattern).seen, pattern).seen
    found = {DAYS[0], DAYS[1]} | ({DAYS[2]} if pattern == PATTERNS[1] else set())  # `**` follows no link
    for _ in range(2):
        listed.clear()
        assert look(tmp_path, seen, pattern) == Delivered(seen, frozenset()) and listed == []
        (aside / "x").mkdir(parents=True)
        (aside / below / "b.csv").write_text("1")
        (aside / "late.csv").write_text("1")
        later()
        there = look(tmp_path, seen, pattern)
        assert there.changed == found
        shutil.rmtree(aside)
        later()
        seen = look(tmp_path, there.seen, pattern).seen


@contextmanager
def nobody(folder: Path) -> Iterator[None]:
    """Somebody who may not read a folder."""
    folder.chmod(0)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o755)


@pytest.mark.parametrize(("pattern", "closed"), [(PATTERNS[0], ""), (PATTERNS[1], "/x"), (PATTERNS[2], "/x")])
def test_a_day_that_cannot_be_read_is_reported_alone(later: Callable[..., None], pattern: str, closed: str) -> None:
    with tempfile.TemporaryDirectory() as name:  # others than its owner may look into this one
        root = Path(name)
        root.chmod(0o755)
        for day in DAYS[:2]:
            put(root, f"{day}{closed}/a.csv")
        later()
        readable, settings = look(root, pattern=pattern), Settings(landing=root)
        reading = Reading("orders", ("id",), DAYS[0], DAILY, settings, lambda: None, FileHashes())
        with nobody(root / f"in/{DAYS[0]}{closed}"):
            later()
            for before in (b"", readable.seen):
                closed_day = look(root, before, pattern)
                assert closed_day.changed == {DAYS[0]} | (set() if before else {DAYS[1]})
            assert look(root, closed_day.seen, pattern).unsettled == {DAYS[0]}, "it is reported at each look"
            assert partitions_in(root, places_of(pattern, DAILY)) == DAYS[:2]
            with pytest.raises(DeliveryError) as problem:
                Files(pattern, (".csv",)).deliveries(reading)
        assert str(problem.value) == (
            f"in/{DAYS[0]}{closed}: cannot be read (Permission denied), so nothing of orders is taken for {DAYS[0]}; "
            "see to it that the user that runs Assay may read it, and run again"
        )
        later()
        assert look(root, closed_day.seen, pattern).changed == {DAYS[0]}
        assert len(Files(pattern, (".csv",)).deliveries(reading)) == 1


def test_marks_of_another_reader_are_compared() -> None:
    first = by_marks({"a": "1", "b": "2", "c": ""}, b"")
    assert (first.changed, first.unsettled) == ({"a", "b", "c"}, {"c"})
    second = by_marks({"a": "1", "b": "3", "c": "", "d": "1"}, first.seen)
    assert (second.changed, second.unsettled) == ({"b", "c", "d"}, {"c"})
    assert by_marks({"a": "1"}, b"damaged").changed == {"a"}


FLAT = ("in/orders_{day}.csv", "in/{day:%Y%m}/*_{day}*.csv", "in/**/{day}.csv")


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.sampled_from(FLAT), st.integers(0, 2**32), st.lists(st.booleans(), min_size=5, max_size=25))
def test_whatever_happens_to_files_that_say_their_day_is_found(
    tmp_path_factory: pytest.TempPathFactory, later: Callable[..., None], pattern: str, seed: int, passing: list[bool]
) -> None:
    root, chance = tmp_path_factory.mktemp("landing"), random.Random(seed)
    (root / "in").mkdir()
    places = places_of(pattern, DAILY)
    seen, before = look(root, pattern=pattern).seen, _brute_force(root, pattern)
    for passes in passing:
        for _ in range(chance.randrange(3)):
            day = chance.choice(DAYS)
            example = (
                places.example(day).replace("**/", chance.choice(["", "x/", "x/y/"])).replace("*", chance.choice("ab"))
            )
            name = example.removeprefix("in/").replace(".csv", chance.choice([".csv", ".csv", ".r1.csv", ".CSV"]))
            files = sorted(path for path in (root / "in").rglob("*") if path.is_file())
            match chance.randrange(6):
                case 0 if files:
                    chance.choice(files).unlink()
                case 1 if files:
                    chance.choice(files).rename(root / "in" / "aside.csv")
                case 2 if files and files[0].parent != root / "in":
                    shutil.rmtree(files[0].parent)
                case 3 if files:
                    chance.choice(files).write_text(chance.choice(["4", "5"]))
                case _:
                    put(root, name, chance.choice(["1", "2", "33"]))
        if passes:
            later()
        found, now = look(root, seen, pattern), _brute_force(root, pattern)
        assert {day for day in DAYS if now[day] and now[day] != before[day]} <= found.changed
        assert found.changed <= {day for day in DAYS if now[day]}
        if passes:
            assert found.unsettled == frozenset()
        seen, before = found.seen, now
    later()
    seen = look(root, seen, pattern).seen
    assert look(root, seen, pattern) == Delivered(seen, frozenset()), "what is the same is not looked at"


def _brute_force(root: Path, pattern: str) -> dict[str, list[tuple[Any, ...]]]:
    """The files of each partition, by all that tells them apart."""
    found = {}
    for day in DAYS:
        stats = [(file, file.stat()) for file in files_of(root, places_of(pattern, DAILY), day)]
        found[day] = sorted((file, s.st_size, s.st_mtime_ns, s.st_ino) for file, s in stats)
    return found


def _happens(root: Path, chance: random.Random) -> None:
    top = root / "in"
    everything = sorted(top.rglob("*"))
    files = [path for path in everything if path.is_file()]
    folder = f"{chance.choice(DAYS)}/{chance.choice(['', 'x/', 'x/y/', 'z/'])}"
    match chance.randrange(10):
        case 0 | 1:
            put(root, f"{folder}{chance.choice('ab')}.csv", chance.choice(["1", "2", "33"]))
        case 2 if files:
            chance.choice(files).write_text(chance.choice(["4", "5"]))
        case 3 if files:
            chance.choice(files).unlink()
        case 4 if everything:
            path = chance.choice(everything)
            path.rename(path.with_name(chance.choice(["a.csv", "c.csv", "w"]) if path.parent != top else DAYS[3])) if (
                path.is_file() or (path.parent == top and not (top / DAYS[3]).exists())
            ) else None
        case 5 if everything:
            path = chance.choice(everything)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        case 6:
            (top / folder).mkdir(parents=True, exist_ok=True)
        case _ if files:  # atomically, as careful upstreams do
            fresh = put(root, f"{chance.choice(DAYS)}/.fresh", "6")
            fresh.replace(chance.choice(files))
        case 8:
            link = top / folder / f"{chance.choice('ab')}.csv"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(root / "target")
        case 9:
            (root / "target").unlink() if (root / "target").exists() else (root / "target").write_text("7")
        case _:
            pass


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.sampled_from(PATTERNS), st.integers(0, 2**32), st.lists(st.booleans(), min_size=5, max_size=25))
def test_whatever_happens_is_found(
    tmp_path_factory: pytest.TempPathFactory, later: Callable[..., None], pattern: str, seed: int, passing: list[bool]
) -> None:
    root, chance = tmp_path_factory.mktemp("landing"), random.Random(seed)
    (root / "in").mkdir()
    seen, before = look(root, pattern=pattern).seen, _brute_force(root, pattern)
    for passes in passing:
        for _ in range(chance.randrange(3)):
            _happens(root, chance)
        if passes:
            later()
        found, now = look(root, seen, pattern), _brute_force(root, pattern)
        different = {day for day in DAYS if now[day] and now[day] != before[day]}
        assert different <= found.changed
        if passes:
            assert found.unsettled == frozenset() or not (root / "target").exists()
        seen, before = found.seen, now
    later()
    seen = look(root, seen, pattern).seen
    assert look(root, seen, pattern) == Delivered(seen, frozenset()), "what is the same is not looked at"
