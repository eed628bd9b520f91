"""Every window is cut into few blocks, and each of them is one that is kept."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.features.tables.partitioning import Partitioning
from assay.features.window_parts.blocks import Block, cut, ending_at, position_of

positions = st.integers(1, 1 << 20)


def covered(block: Block) -> list[int]:
    return list(range(block.first, block.last + 1))


@given(positions, st.integers(0, 400))
def test_blocks_are_a_window_without_gaps_and_overlaps(first: int, more: int) -> None:
    blocks = list(cut(first, first + more))
    assert [position for block in blocks for position in covered(block)] == list(range(first, first + more + 1))
    assert len(blocks) <= 2 * (more + 1).bit_length()


@given(positions, st.integers(1, 400))
def test_each_block_is_kept_where_it_ends(first: int, length: int) -> None:
    for block in cut(first, first + length - 1):
        assert block in ending_at(block.last, length)


@given(positions, st.integers(1, 400))
def test_a_block_is_its_halves_and_one_of_them_was_kept_before(position: int, length: int) -> None:
    (single, *larger) = ending_at(position, length)
    assert single == Block(position, 0)
    for block in larger:
        before, now = block.halves()
        assert covered(before) + covered(now) == covered(block)
        assert now in ending_at(position, length) and before in ending_at(before.last, length)


def test_no_positions_are_no_blocks() -> None:
    assert list(cut(5, 4)) == []


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
@pytest.mark.parametrize("kind", ["hourly", "daily", "weekly", "monthly"])
def test_partitions_that_follow_each_other_have_neighbouring_positions(kind: str, zone: str) -> None:
    partitioning = getattr(Partitioning, kind)(date(2025, 12, 1), time_zone=zone)
    until = datetime(2026, 1, 1, tzinfo=UTC) if kind == "hourly" else datetime(2027, 6, 1, tzinfo=UTC)
    keys = partitioning.overlapping(datetime(2025, 12, 20, tzinfo=UTC), until)
    assert len(keys) > 5
    assert {later - earlier for earlier, later in pairwise(position_of(partitioning, key) for key in keys)} == {1}


@pytest.mark.parametrize("zone", ["Australia/Lord_Howe", "Antarctica/Troll"])
def test_no_two_hours_have_one_position_when_clocks_are_set(zone: str) -> None:
    partitioning = Partitioning.hourly(date(2026, 1, 1), time_zone=zone)
    spring, autumn = datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)
    keys = [key for set_at in (spring, autumn) for key in partitioning.overlapping(set_at, set_at + timedelta(days=9))]
    places = [position_of(partitioning, key) for key in keys]
    assert places == sorted(set(places))
