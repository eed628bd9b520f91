"""The lists of files that are run first, or by a worker of their own, name what is there."""

from pathlib import Path

from tests.order import LONGEST, WAITING, place_of, waits

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_listed_is_there_and_listed_once() -> None:
    for listed in (LONGEST, WAITING):
        assert [name for name in listed if not (ROOT / name).exists()] == []
        assert len(set(listed)) == len(listed)


def test_what_waits_is_not_what_computes_longest() -> None:
    assert waits("tests/assay/cli/test_up.py::test_after_a_kill_nothing_is_left")
    assert not waits(LONGEST[0])
    assert [place_of(name) for name in (LONGEST[0], "tests/test_house.py::x", "tests/growth/test_trace.py::x")] == [
        0,
        len(LONGEST) - 1,
        len(LONGEST),
    ]
