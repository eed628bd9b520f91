"""Upstreams that did not answer. Planning leaves them alone for a while, so that whoever waits for them does so once, and
everything else goes on.

In this process's memory: a run asks all the same, and so does another process.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from assay.assets.lacking import UNREACHABLE, NotConnected, outage_of
from assay.assets.sources.reader import NothingDelivered

T = TypeVar("T")

FIRST_REST = timedelta(minutes=1)  # doubled each time
LONGEST_REST = timedelta(minutes=10)
CONNECT_SECONDS = 5  # while planning
_PATIENCE = 20.0  # seconds that planning loses to silent upstreams at most in each
_SPAN = 60.0  # seconds: a sensor's tick fails after them

_looking: ContextVar[bool] = ContextVar("looking", default=False)


@dataclass(frozen=True, slots=True)
class Silence:
    """A source whose upstream did not answer: for which batch, why, and until when planning does not ask again."""

    source: str
    batch: str
    problem: str
    rest: timedelta
    until: datetime

    def __str__(self) -> str:
        return f"{self.source} does not answer, and is not asked again before {self.until:%H:%M} UTC: {self.problem}"


_silent: dict[tuple[Path, str], Silence] = {}
_lost: list[tuple[float, float]] = []  # when, and how many seconds


def looking() -> bool:
    """Whether planning asks now: then nobody waits long for an answer, and nobody asks twice."""
    return _looking.get()


def ask(home: Path, source: str, batch: str, now: datetime, *, planning: bool, question: Callable[[], T]) -> T:
    """What an upstream answers. Planning does not ask one that was silent a moment ago.

    Args:
        home: Of the project.
        source: The source's name.
        batch: The number of its next batch, where its batches are numbered: after another one it is asked at once.
        now: The time.
        planning: Whether it is planning that asks.
        question: Asks.

    Raises:
        NotConnected: It does not answer, or did not when it was asked last.
        NothingDelivered: Planning has lost too much time to other upstreams, and asks this one the next time.
    """
    silence = _silent.get((home, source))
    if planning:
        if silence is not None and silence.batch == batch and now < silence.until <= now + LONGEST_REST:
            raise NotConnected(silence.problem, UNREACHABLE)
        if (lost := _lost_seconds()) >= _PATIENCE:
            raise NothingDelivered(f"{source} is looked at later: others did not answer for {lost:.0f} seconds.")
    began = time.monotonic()
    try:
        with _as_planning(planning):
            answer = question()
    except Exception as problem:
        if outage_of(problem) != UNREACHABLE:  # it has answered, if only that there is nothing
            _silent.pop((home, source), None)
            raise
        if planning:
            _lost.append((time.monotonic(), time.monotonic() - began))
        text = str(problem) if isinstance(problem, NotConnected) else f"{source} fails with {type(problem).__name__}."
        rest = min(2 * silence.rest, LONGEST_REST) if silence is not None else FIRST_REST
        _silent[home, source] = Silence(source, batch, text, rest, now + rest)
        if planning:  # the same text as while it is not asked
            raise NotConnected(text, UNREACHABLE) from problem
        raise
    _silent.pop((home, source), None)
    return answer


def silence_of(home: Path, source: str) -> Silence | None:
    """The last silence of a source, if it has not answered since."""
    return _silent.get((home, source))


def resting(home: Path, now: datetime) -> list[Silence]:
    """The sources of a project that planning does not ask now."""
    return [one for (place, _), one in sorted(_silent.items()) if place == home and now < one.until]


def forget_silences() -> None:
    """Ask every upstream again."""
    _silent.clear()
    _lost.clear()


def _lost_seconds() -> float:
    recent = time.monotonic() - _SPAN
    _lost[:] = [(at, seconds) for at, seconds in _lost if at > recent]
    return sum(seconds for _, seconds in _lost)


@contextmanager
def _as_planning(planning: bool) -> Iterator[None]:
    token = _looking.set(planning)
    try:
        yield
    finally:
        _looking.reset(token)
