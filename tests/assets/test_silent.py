"""Who does not answer is left alone for a while, and nobody else waits for him."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assay.assets import silent
from assay.assets.lacking import DENIED, UNREACHABLE, NotConnected
from assay.assets.silent import ask, forget_silences, looking, resting, silence_of
from assay.assets.sources.reader import NothingDelivered
from assay.errors import AssayError

HOME, NOW = Path("home"), datetime(2026, 9, 1, 12, tzinfo=UTC)


class Upstream:
    """Asked by planning, and by runs."""

    def __init__(self) -> None:
        self.asked, self.now = 0, NOW
        self.problem: AssayError | None = NotConnected("It is down.", UNREACHABLE)

    def answer(self) -> str:
        self.asked += 1
        if self.problem:
            raise self.problem
        return "rows"

    def ask(self, *, planning: bool = True, batch: str = "000001", source: str = "orders") -> str:
        return ask(HOME, source, batch, self.now, planning=planning, question=self.answer)

    def fails(self, *, planning: bool = True, batch: str = "000001") -> None:
        with pytest.raises(NotConnected, match=r"^It is down\.$"):
            self.ask(planning=planning, batch=batch)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    forget_silences()
    yield Upstream()
    forget_silences()


def test_planning_asks_a_silent_upstream_again_after_longer_and_longer_rests(upstream: Upstream) -> None:
    asked_at: list[int] = []
    for second in range(0, 3600, 30):
        before, upstream.now = upstream.asked, NOW + timedelta(seconds=second)
        upstream.fails()
        if upstream.asked > before:
            asked_at.append(second)
    assert asked_at == [0, 60, 180, 420, 900, 1500, 2100, 2700, 3300]


def test_a_run_asks_all_the_same_and_so_does_planning_for_the_next_batch(upstream: Upstream) -> None:
    upstream.fails()
    upstream.fails(planning=False)
    upstream.fails(batch="000002")
    assert upstream.asked == 3


@pytest.mark.parametrize("answer", [None, NothingDelivered("nothing"), NotConnected("no login", DENIED)])
def test_who_has_answered_is_asked_again(upstream: Upstream, answer: AssayError | None) -> None:
    upstream.fails()
    (one,) = resting(HOME, NOW)
    assert str(one) == "orders does not answer, and is not asked again before 12:01 UTC: It is down."
    assert resting(Path("elsewhere"), NOW) == []
    upstream.problem = answer
    with suppress(AssayError):
        upstream.ask(planning=False)
    assert silence_of(HOME, "orders") is None
    assert resting(HOME, NOW) == []


def test_when_too_much_time_is_lost_planning_leaves_the_others_to_the_next_look(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silent, "_PATIENCE", 0.0)
    with pytest.raises(NothingDelivered, match="orders is looked at later: others did not answer for"):
        upstream.ask()
    assert upstream.asked == 0
    upstream.fails(planning=False)
    monkeypatch.setattr(silent, "_PATIENCE", 1e-9)
    upstream.fails(batch="000002")
    upstream.problem = None
    with pytest.raises(NothingDelivered, match="stock is looked at later"):
        upstream.ask(source="stock")
    assert upstream.ask(source="stock", planning=False) == "rows"
    monkeypatch.setattr(silent, "_SPAN", 0.0)
    assert upstream.ask(source="stock") == "rows"


def test_only_while_planning_asks_nobody_waits_long(upstream: Upstream) -> None:
    for planning in (True, False):
        assert ask(HOME, "orders", "", NOW, planning=planning, question=looking) is planning
    assert not looking()
