"""Which transactions a lake holds."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.assets.databases.replication.resume import Resume, ResumeMemory
from assay.settings import Settings

HERE = Resume(100, "log", "columns")


@given(
    st.integers(0, 2**40),
    st.sets(st.integers(1, 30), min_size=1),
    st.integers(-40, 40),
)
def test_a_snapshot_is_seen_as_the_server_sees_it_also_where_ids_wrap_round(
    start: int, running: set[int], offset: int
) -> None:
    low, high = start + min(running), start + 31
    snapshot = f"{low}:{high}:{','.join(str(start + one) for one in sorted(running))}"
    xid = max(0, start + offset)
    resume = Resume(100, "log", "columns", snapshot, 200)
    seen = xid < low or (xid < high and xid - start not in running)
    assert resume.holds(150, xid & 0xFFFFFFFF) == seen
    assert resume.holds(99, xid & 0xFFFFFFFF)
    assert not resume.holds(200, xid & 0xFFFFFFFF)


def test_a_snapshot_counts_until_everything_that_it_sees_was_read() -> None:
    resume = Resume(100, "log", "columns", "5:5:", 200)
    assert resume.at(150) == Resume(150, "log", "columns", "5:5:", 200)
    assert resume.at(200) == Resume(200, "log", "columns")
    assert resume.at(50) == resume


@pytest.mark.parametrize("text", [None, "", "no json", "[]", '{"lsn": 1}', HERE.to_text().replace("100", '"100"')])
def test_what_is_no_place_to_go_on_from_is_none(text: object) -> None:
    assert Resume.of_text(text) is None
    assert Resume.of_text(HERE.to_text()) == HERE


def test_what_is_remembered_counts_after_its_commit_only(tmp_path: Path) -> None:
    memory, later = ResumeMemory.of(Settings(home=tmp_path), "things"), HERE.at(300)
    assert memory.resume(HERE) == HERE
    memory.keep(HERE, later)
    memory.keep(HERE, None, advanced=200)
    assert (memory.resume(HERE), memory.advanced(HERE)) == (later, 200)
    assert (memory.resume(None), memory.advanced(None)) == (None, 0)
    other = ResumeMemory.of(Settings(home=tmp_path, lake=str(tmp_path / "other")), "things")  # pyright: ignore[reportCallIssue]
    assert other.resume(HERE) == HERE
    memory.file.write_text("damaged")
    assert memory.resume(HERE) == HERE
