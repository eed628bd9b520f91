"""Upstreams that did not answer. Planning leaves them alone for a while, so that whoever waits for them does so once, and
everything else goes on.

Who is silent stands in small files below the home, so that all processes know it: the sensor waits, `assay status` and
`assay doctor` do not wait again. A run asks all the same. Losing a file costs one question.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from assay.assets.lacking import UNREACHABLE, NotConnected, outage_of
from assay.assets.sources.reader import Postponed

T = TypeVar("T")

FIRST_REST = timedelta(minutes=1)  # doubled each time
LONGEST_REST = timedelta(minutes=10)
CONNECT_SECONDS = 5  # while planning
FOLDER = "silent"
_PATIENCE = 20.0  # seconds that planning loses to silent upstreams at most in each
_SPAN = 60.0  # seconds: a sensor's tick fails after them
_PROMPT = 1.0  # seconds: who takes longer is counted

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


_unkept: dict[tuple[Path, str], Silence] = {}  # where no file can be written
_lost: list[tuple[float, float]] = []  # when, and how many seconds
_asking: dict[tuple[Path, str], float] = {}  # since when planning of this process waits for an answer


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
        Postponed: Planning has lost too much time to other upstreams, and asks this one the next time; or a look
            before still waits for the answer.
    """
    silence = silence_of(home, source)
    if planning:
        if silence is not None and silence.batch == batch and now < silence.until <= now + LONGEST_REST:
            raise NotConnected(silence.problem, UNREACHABLE)
        if _hangs(since := _asking.get((home, source))):
            raise Postponed(_still_asked(source, since))
        if (lost := _lost_seconds()) >= _PATIENCE:
            raise Postponed(f"{source} is looked at later: others did not answer for {lost:.0f} seconds.")
    began = time.monotonic()
    try:
        with _as_planning(home, source, planning):
            answer = question()
    except Exception as problem:
        if outage_of(problem) != UNREACHABLE:  # it has answered, if only that there is nothing
            if silence is not None:
                _forget(home, source)
            raise
        if planning:
            _lost.append((time.monotonic(), time.monotonic() - began))
        text = str(problem) if isinstance(problem, NotConnected) else f"{source} fails with {type(problem).__name__}."
        if planning or silence is None:  # a run that fails too makes no rest longer
            rest = min(2 * silence.rest, LONGEST_REST) if silence is not None else FIRST_REST
            _keep(home, Silence(source, batch, text, rest, now + rest))
        if planning:  # the same text as while it is not asked
            raise NotConnected(text, UNREACHABLE) from problem
        raise
    if silence is not None:
        _forget(home, source)
    return answer


def beside(otherwise: T, question: Callable[[], T]) -> T:
    """What an upstream answers that is asked beside planning, such as whether it lets us in; `otherwise` where planning has lost
    too much time already. What it takes is lost, too."""
    if _lost_seconds() >= _PATIENCE:
        return otherwise
    began = time.monotonic()
    try:
        return question()
    finally:
        if (took := time.monotonic() - began) >= _PROMPT:
            _lost.append((time.monotonic(), took))


def silence_of(home: Path, source: str) -> Silence | None:
    """The last silence of a source, if it has not answered since."""
    if (unkept := _unkept.get((home, source))) is not None:
        return unkept
    try:
        kept = json.loads(_file(home, source).read_text(encoding="utf-8"))
        rest, until = timedelta(seconds=kept["rest"]), datetime.fromisoformat(kept["until"])
        return Silence(source, str(kept["batch"]), str(kept["problem"]), rest, until) if until.tzinfo else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def resting(home: Path, now: datetime) -> list[Silence]:
    """The sources of a project that planning does not ask now."""
    names = {file.stem for file in (home / FOLDER).glob("[!.]*.json")} | {one for at, one in _unkept if at == home}
    silences = (silence_of(home, name) for name in sorted(names))
    return [one for one in silences if one is not None and now < one.until]


def hanging(home: Path) -> list[str]:
    """The sources for whose answer an earlier look of this process still waits, in sentences."""
    return [
        _still_asked(source, since) for (at, source), since in sorted(_asking.items()) if at == home and _hangs(since)
    ]


def forget_silences(home: Path) -> None:
    """Ask every upstream of a project again."""
    for name in {file.stem for file in (home / FOLDER).glob("*.json")} | {one for at, one in _unkept if at == home}:
        _forget(home, name)
    _lost.clear()


def _hangs(since: float | None) -> bool:
    return since is not None and time.monotonic() - since >= _SPAN


def _still_asked(source: str, since: float | None) -> str:
    seconds = time.monotonic() - (since or 0.0)
    return f"{source} has been asked {seconds:,.0f} seconds ago, and is not asked again before it answers."


def _file(home: Path, source: str) -> Path:
    return home / FOLDER / f"{source}.json"


def _keep(home: Path, silence: Silence) -> None:
    kept = {"batch": silence.batch, "problem": silence.problem, "rest": silence.rest.total_seconds()}
    file = _file(home, silence.source)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{uuid.uuid4().hex}.json")
        temporary.write_text(json.dumps(kept | {"until": silence.until.isoformat()}), encoding="utf-8")
        temporary.replace(file)
        _unkept.pop((home, silence.source), None)
    except OSError:
        _unkept[home, silence.source] = silence


def _forget(home: Path, source: str) -> None:
    _unkept.pop((home, source), None)
    with suppress(OSError):
        _file(home, source).unlink(missing_ok=True)


def _lost_seconds() -> float:
    recent = time.monotonic() - _SPAN
    _lost[:] = [(at, seconds) for at, seconds in _lost if at > recent]
    return sum(seconds for _, seconds in _lost)


@contextmanager
def _as_planning(home: Path, source: str, planning: bool) -> Iterator[None]:
    token = _looking.set(planning)
    if planning:
        _asking.setdefault((home, source), time.monotonic())
    try:
        yield
    finally:
        _looking.reset(token)
        if planning:
            _asking.pop((home, source), None)
