"""Whatever matches a source's pattern is read, hidden, or named with the reason why it is not read."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.assets.sources.files import Files
from assay.assets.sources.landing.leftovers import Leftover, described, left_in
from assay.assets.sources.landing.places import places_of
from assay.assets.sources.landing.scan import scan_partition
from assay.assets.sources.source import Source, unread
from assay.checks import Contract, Field, Timestamp
from assay.errors import AssayError
from assay.features.tables.partitioning import Partitioning
from assay.settings import Settings


class Rows(Contract):
    a: str = Field(key=True)
    at: Timestamp = Field()


DAILY = Partitioning.daily("2026-09-01", "2026-09-30")
DAY = "2026-09-02"
SUFFIXES = (".csv", ".jsonl.gz")
NAMES = st.sampled_from(
    [
        "a.csv",
        "B.CSV",
        "c.txt",
        "d.jsonl",
        "e.jsonl.gz",
        "f.csv.gz",
        ".g.csv",
        "h.csv.part",
        "i.tmp",
        "k",
        "caf\udce9.txt",
    ]
)


def put(root: Path, path: str) -> None:
    file = root / "in" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("a\n1\n")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.tuples(st.sampled_from(["", "sub/", ".hidden/", "sub/deep/"]), NAMES), max_size=8))
@pytest.mark.parametrize("rest", ["*", "*.csv", "*/*", "**/*"])
def test_everything_that_matches_is_read_hidden_or_named(
    tmp_path_factory: pytest.TempPathFactory, rest: str, files: set[tuple[str, str]]
) -> None:
    root = tmp_path_factory.mktemp("landing")
    for folder, name in files:
        put(root, f"{DAY}/{folder}{name}")
    pattern = f"in/{{day}}/{rest}"
    top = root / "in" / DAY
    matching = {
        str(path.relative_to(root))
        for path in top.glob(rest.removesuffix(".csv"))
        if not path.name.startswith(".") and path.is_file()
    }
    if rest.endswith(".csv"):  # in whatever case, and what will be one
        matching = {path for path in matching if path.lower().removesuffix(".part").endswith(".csv")}
    read = {delivery.path for delivery in scan_partition(root, places_of(pattern, DAILY), DAY, SUFFIXES)}
    left = {one.path for one in left_in(root, places_of(pattern, DAILY), DAY, SUFFIXES)}
    named = {path.encode(errors="surrogateescape").decode(errors="backslashreplace") for path in matching}
    unfinished = {path for path in named if path.endswith((".part", ".tmp"))}
    of_files = {path for path in left if not path.endswith("/")}
    if "/" not in rest:
        assert of_files | read == named
        folders = {path.name for path in top.glob(rest) if path.is_dir() and not path.name.startswith(".")}
        assert {path for path in left if path.endswith("/")} == {f"in/{DAY}/{name}/" for name in folders}
    else:
        assert of_files | read | unfinished == named
    assert not read & left


def test_the_planners_last_look_names_what_a_new_one_does(tmp_path: Path) -> None:
    for name in ("a.csv", "b.txt", "sub/c.csv", ".d.txt", ".e/f.csv"):
        put(tmp_path, f"{DAY}/{name}")
    put(tmp_path, "2026-09-05/only.xlsx")
    reader, where = Files("in/{day}/*", SUFFIXES), Settings(landing=tmp_path)
    delivered = reader.delivered(where, DAILY)
    both = [reader.leftovers(where, DAILY), reader.leftovers(where, DAILY, seen=delivered.seen)]
    for left in both:
        assert {one.path for one in left} == {f"in/{DAY}/b.txt", f"in/{DAY}/sub/", "in/2026-09-05/only.xlsx"}
    assert reader.leftovers(where, DAILY, DAY) == [
        Leftover(f"in/{DAY}/b.txt", "its suffix is not among the source's: .csv, .jsonl.gz"),
        Leftover(f"in/{DAY}/sub/", "a folder: to read what is in it, end the pattern 'in/{day}/*' with /**/*"),
    ]


def test_whatever_lies_beside_the_folders_of_partitions_is_named(tmp_path: Path) -> None:
    beside = ["2026-09-07", "noext", "2026-09-08.txt", "x.part", "b.csv"]
    for path in [*beside, ".hidden", f"{DAY}/a.csv", f"{DAY}/noext", "20260909/noext"]:
        put(tmp_path, path)
    reader, where = Files("in/{day}/*", (".csv",)), Settings(landing=tmp_path)
    left = {one.path: one.why for one in reader.leftovers(where, DAILY)}
    assert left.keys() == {f"in/{path}" for path in [*beside, f"{DAY}/noext"]}
    assert left["in/2026-09-07"] == "it says no partition: write it like in/2026-09-01/*"
    assert reader.unplaced(where, DAILY) == ["in/20260909"]
    deeper = Files("in/*/{day}/*", (".csv",)).leftovers(where, DAILY)
    assert {one.path for one in deeper} >= {f"in/{path}" for path in beside}
    source = Source("s", reader, Rows, ("a",), "at", partitioning=DAILY)
    (few,), (every,) = unread(source, where)[1:], unread(source, where, complete=True)[1:]
    assert "and 1 more" in few and all(f"in/{path}" in every for path in [*beside, f"{DAY}/noext"])


def test_what_lies_before_the_start_and_after_the_end_is_found(tmp_path: Path) -> None:
    for number in range(20, 32):
        put(tmp_path, f"2026-08-{number}/a.csv")
    put(tmp_path, "2026-10-01/a.csv")
    put(tmp_path, f"{DAY}/a.csv")
    (tmp_path / "in" / "2026-10-02").mkdir()
    reader, where = Files("in/{day}/*", SUFFIXES), Settings(landing=tmp_path)
    expected = [f"in/2026-08-{number}" for number in range(20, 32)] + ["in/2026-10-01"]
    assert reader.outside(where, DAILY) == expected
    assert reader.outside(where, Partitioning.daily("2026-08-20")) == []


def test_a_sentence_names_each_reason_once_and_counts_the_rest() -> None:
    assert described([]) == ""
    assert described([Leftover("x/a.txt", "why")]) == "1 thing lies there and is not read: x/a.txt (why)."
    many = [Leftover(f"x/{number}.txt", "why" if number else "other") for number in range(2_000)]
    assert described(many) == (
        "2,000 things lie there and are not read: "
        "x/0.txt (other); x/1.txt, x/10.txt, x/100.txt, x/1000.txt (why); and 1,995 more."
    )


@pytest.mark.parametrize("suffix", [".xls", "csv", ".7z", ".csv.xz", ".gz.zst", ""])
def test_a_suffix_that_nothing_reads_is_refused_where_it_is_declared(suffix: str) -> None:
    with pytest.raises(AssayError, match=r"nothing reads .*; there are \.csv"):
        Files("in/{day}/*", (".csv", suffix))


@pytest.mark.parametrize("suffix", [".jsonl", ".csv.gz", ".zip", ".CSV"])
def test_without_suffixes_it_is_that_of_the_pattern(suffix: str) -> None:
    assert Files(f"in/vital_{{day}}{suffix}") == Files(f"in/vital_{{day}}{suffix}", (suffix.lower(),))


@pytest.mark.parametrize("pattern", ["in/{day}/*", "in/{day}/*.xls", "in/{day}.pdf"])
def test_a_pattern_without_a_known_suffix_needs_one(pattern: str) -> None:
    with pytest.raises(AssayError, match="does not end in a suffix that says how its files are read"):
        Files(pattern)
