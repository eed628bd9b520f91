"""Who does not answer is left alone for a while, and nobody else waits for him."""

import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assay.assets import silent
from assay.assets.lacking import DENIED, UNREACHABLE, NotConnected
from assay.assets.silent import ask, beside, forget_silences, hanging, looking, resting, silence_of
from assay.assets.sources.reader import NothingDelivered
from assay.errors import AssayError
from tests.forked import run_forked

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)


class Upstream:
    """Asked by planning, and by runs."""

    def __init__(self, home: Path) -> None:
        self.home, self.asked, self.now = home, 0, NOW
        self.problem: AssayError | None = NotConnected("It is down.", UNREACHABLE)

    def answer(self) -> str:
        self.asked += 1
        if self.problem:
            raise self.problem
        return "rows"

    def ask(self, *, planning: bool = True, batch: str = "000001", source: str = "orders") -> str:
        return ask(self.home, source, batch, self.now, planning=planning, question=self.answer)

    def fails(self, *, planning: bool = True, batch: str = "000001") -> None:
        with pytest.raises(NotConnected, match=r"^It is down\.$"):
            self.ask(planning=planning, batch=batch)


@pytest.fixture
def upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Upstream:
    monkeypatch.setattr(silent, "_lost", [])
    return Upstream(tmp_path)


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
    (one,) = resting(upstream.home, NOW)
    assert str(one) == "orders does not answer, and is not asked again before 12:01 UTC: It is down."
    assert resting(Path("elsewhere"), NOW) == []
    upstream.problem = answer
    with suppress(AssayError):
        upstream.ask(planning=False)
    assert silence_of(upstream.home, "orders") is None
    assert resting(upstream.home, NOW) == []


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


def test_only_while_planning_asks_nobody_waits_long(tmp_path: Path) -> None:
    for planning in (True, False):
        assert ask(tmp_path, "orders", "", NOW, planning=planning, question=looking) is planning
    assert not looking()


def test_a_run_that_fails_too_makes_no_rest_longer(upstream: Upstream) -> None:
    upstream.fails()
    first = silence_of(upstream.home, "orders")
    upstream.fails(planning=False)
    assert silence_of(upstream.home, "orders") == first
    forget_silences(upstream.home)
    assert resting(upstream.home, NOW) == []
    upstream.fails(planning=False)
    assert [one.source for one in resting(upstream.home, NOW)] == ["orders"], "planning need not ask, too"


_OTHER = """
import sys
from datetime import datetime
from pathlib import Path
from assay.assets.lacking import NotConnected
from assay.assets.silent import ask, resting
home, now = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
try:
    ask(home, "orders", "000001", now, planning=sys.argv[3] == "look", question=lambda: print("asked"))
except NotConnected as problem:
    print(problem, len(resting(home, now)))
"""


def test_all_processes_know_who_is_silent_and_who_has_answered(upstream: Upstream) -> None:
    def other(how: str) -> str:
        return run_forked("-c", _OTHER, str(upstream.home), NOW.isoformat(), how).out.strip()

    upstream.fails()
    assert other("look") == "It is down. 1"
    assert other("run") == "asked"
    assert resting(upstream.home, NOW) == []
    upstream.problem = None
    assert upstream.ask() == "rows"


NO_ZONE = b'{"batch": "", "problem": "", "rest": 1, "until": "2026-09-01"}'


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", NO_ZONE])
def test_a_file_that_is_damaged_costs_one_question(upstream: Upstream, content: bytes) -> None:
    upstream.fails()
    (file,) = (upstream.home / silent.FOLDER).iterdir()
    file.write_bytes(content)
    assert silence_of(upstream.home, "orders") is None and resting(upstream.home, NOW) == []
    upstream.fails()
    assert upstream.asked == 2


def test_where_no_file_can_be_written_this_process_knows_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("no folder")
    upstream = Upstream(tmp_path / "home")
    upstream.fails()
    upstream.fails()
    assert upstream.asked == 1 and len(resting(upstream.home, NOW)) == 1
    upstream.problem = None
    assert upstream.ask(planning=False) == "rows" and resting(upstream.home, NOW) == []


def test_who_is_still_being_asked_is_not_asked_once_more(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by the sensor, whose tick fails while its thread goes on."""
    asked, answer = threading.Event(), threading.Event()

    def question() -> str:
        asked.set()
        assert answer.wait(30)
        return "rows"

    def look() -> str:
        return ask(upstream.home, "orders", "", NOW, planning=True, question=question)

    thread = threading.Thread(target=look)
    thread.start()
    assert asked.wait(30)
    monkeypatch.setattr(silent, "_SPAN", 0.0)
    with pytest.raises(NothingDelivered, match=r"^orders has been asked 0 seconds ago, and is not asked again before"):
        look()
    assert hanging(upstream.home) and hanging(Path("elsewhere")) == []
    answer.set()
    assert ask(upstream.home, "orders", "", NOW, planning=False, question=question) == "rows"
    thread.join()
    assert hanging(upstream.home) == [] and look() == "rows"


def test_what_is_asked_beside_planning_counts_and_is_left_when_too_much_is_lost(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert beside("", lambda: "rows") == "rows"
    monkeypatch.setattr(silent, "_PATIENCE", 1e-9)
    assert beside("", lambda: "rows") == "rows", "a prompt answer costs nothing"
    monkeypatch.setattr(silent, "_PROMPT", 0.0)
    assert beside("", lambda: "rows") == "rows"
    assert beside("", lambda: "rows") == ""
    with pytest.raises(NothingDelivered):
        upstream.ask()
