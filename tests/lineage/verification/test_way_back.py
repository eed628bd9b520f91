"""Any commit is few steps from any later one, and each step is vouched for."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from assay.features.storage.delta_log import far_back
from assay.lineage.verification.way_back import way_back

VERSIONS = st.integers(0, 300_000)


def links(version: int) -> dict[int, str]:
    return dict.fromkeys([version - 1, *far_back(version)], "") if version else {}


def test_which_versions_a_version_vouches_for() -> None:
    assert far_back(1) == far_back(7) == [] and far_back(12) == [10, 8] and far_back(16) == [14, 12, 8, 0]
    assert sum(len(links(version)) for version in range(1, 1025)) < 2 * 1024


@given(VERSIONS, VERSIONS)
def test_the_way_is_short_and_without_gaps(one: int, other: int) -> None:
    start, goal = max(one, other), min(one, other)
    way = way_back(start, [goal], links)
    assert (way[0], way[-1]) == (start, goal) and len(way) <= 2 * start.bit_length() + 1
    assert all(later in links(earlier) for earlier, later in pairwise(way))


@given(st.integers(0, 2_000), st.sets(st.integers(0, 2_500), max_size=8))
def test_all_that_is_wanted_lies_on_the_way(start: int, wanted: set[int]) -> None:
    way = way_back(start, wanted, links)
    assert {version for version in wanted if version <= start} <= set(way)
    assert way == sorted(way, reverse=True) and len(way) == len(set(way)) <= 1 + (len(wanted) or 1) * 2 * 12


def test_logs_from_before_and_of_other_tools_are_walked_one_by_one() -> None:
    assert way_back(6, [2], lambda version: {version - 1: ""}) == [6, 5, 4, 3, 2]
    assert way_back(6, [2], lambda version: {}) == [6, 5, 4, 3, 2]
    foreign = {9: {8: "", 7: "", 6: ""}}  # 8 and 7 are of another tool: 9 vouches for them and for the one before
    assert way_back(9, [6, 3], lambda version: foreign.get(version, {5: "", 4: ""} if version == 6 else {})) == [
        9,
        6,
        4,
        3,
    ]
