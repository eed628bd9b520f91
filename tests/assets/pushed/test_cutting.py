"""When files are cut: the partition is over, there are enough records, or the first one has waited for long enough."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assay.assets.pushed.cutting import cut_due, due, neglected
from assay.assets.pushed.inbox import Inbox, Waiting
from assay.assets.pushed.pushed import Pushed
from assay.assets.sources.source import Source
from assay.checks import Contract, Field, Timestamp
from assay.errors import AssayError
from assay.features.tables.partitioning import Partitioning

AT = datetime(2026, 9, 1, 10, 0, tzinfo=UTC)


class Orders(Contract):
    order_id: str = Field(key=True)
    at: Timestamp = Field()


def orders(reader: Pushed, partitioning: Partitioning | None = None) -> Source:
    return Source(
        name="orders",
        reader=reader,
        contract=Orders,
        key=("order_id",),
        event_time="at",
        partitioning=partitioning or Partitioning.daily("2026-09-01"),
    )


@pytest.mark.parametrize(
    ("rows", "now", "expected"),
    [
        (1, AT, False),
        (99, AT + timedelta(minutes=14, seconds=59), False),
        (99, AT + timedelta(minutes=15), True),
        (100, AT, True),
        (1, datetime(2026, 9, 2, tzinfo=UTC), True),
    ],
)
def test_whichever_is_first(rows: int, now: datetime, expected: bool) -> None:
    source = orders(Pushed("orders", rows=100, every=timedelta(minutes=15)))
    assert due(Waiting("orders", "2026-09-01", rows, AT), source, now) is expected


def test_without_a_time_a_partition_waits_for_its_end_in_its_own_zone() -> None:
    tokyo = orders(Pushed("orders"), Partitioning.daily("2026-09-01", time_zone="Asia/Tokyo"))
    waiting = Waiting("orders", "2026-09-01", 1, AT)
    assert not due(waiting, tokyo, datetime(2026, 9, 1, 14, 59, tzinfo=UTC))
    assert due(waiting, tokyo, datetime(2026, 9, 1, 15, 0, tzinfo=UTC))


def test_fixed_keys_never_end() -> None:
    shops = orders(Pushed("orders", every=timedelta(hours=1)), Partitioning.static("north", "south"))
    waiting = Waiting("orders", "north", 1, AT)
    assert not due(waiting, shops, AT)
    assert due(waiting, shops, AT + timedelta(hours=1))


def test_what_waits_for_a_partition_of_an_earlier_declaration_is_cut_at_once() -> None:
    hourly = orders(Pushed("orders"), Partitioning.hourly("2026-09-01-00"))
    assert due(Waiting("orders", "2026-09-01", 1, AT), hourly, AT)


def test_only_what_is_due_and_still_declared_is_cut(tmp_path: Path) -> None:
    inbox, landing = Inbox(tmp_path / "received.db"), tmp_path / "landing"
    inbox.put("orders", "orders", "2026-09-01", [b'{"order_id": "a"}'], AT, "k")
    inbox.put("gone", "gone", "2026-09-01", [b'{"order_id": "b"}'], AT)
    source = orders(Pushed("orders", every=timedelta(minutes=1)))
    assert cut_due(inbox, [source], landing, AT) == ([], [])
    (file,), _ = cut_due(inbox, [source], landing, AT + timedelta(minutes=1))
    assert file.read_bytes().endswith(b'"order_id": "a"}\n')
    assert [one.source for one in inbox.waiting()] == ["gone"]
    assert cut_due(inbox, [source], landing, AT + timedelta(days=9)) == ([], [])
    assert not inbox.put("orders", "orders", "2026-09-09", [b"{}"], AT + timedelta(days=9), "k").repeated


def test_how_files_are_cut_makes_nothing_stale_and_where_they_lie_does() -> None:
    daily = Partitioning.daily("2026-09-01")
    one, other = Pushed("orders"), Pushed("orders", rows=5, every=timedelta(minutes=5))
    assert one.identity(daily) == other.identity(daily) != Pushed("shop").identity(daily)
    assert replace(one, folder="shop").pattern == "shop/{partition}/*"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"folder": "../orders"}, "name its folder"),
        ({"folder": "orders", "rows": 0}, "rows must be"),
        ({"folder": "orders", "every": timedelta(0)}, "every must be"),
    ],
)
def test_what_cannot_be_declared(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(AssayError, match=message):
        Pushed(**wrong)  # pyright: ignore[reportArgumentType]


def test_what_nobody_cuts_is_neglected(tmp_path: Path) -> None:
    inbox, source = Inbox(tmp_path / "received.db"), orders(Pushed("orders", every=timedelta(minutes=1)))
    assert neglected(inbox, [source], AT, timedelta(0)) == []
    inbox.put("orders", "orders", "2026-09-01", [b"{}"], AT)
    ten = timedelta(minutes=10)
    assert neglected(inbox, [source], AT + timedelta(minutes=10, seconds=59), ten) == []
    assert [one.rows for one in neglected(inbox, [source], AT + timedelta(minutes=11), ten)] == [1]
    assert [one.source for one in neglected(inbox, [], AT + ten, ten)] == ["orders"]
