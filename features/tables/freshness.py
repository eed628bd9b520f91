"""How new the data of a table is, measured by the data: by its newest event, or where it has no time of events, by the end of the
newest partition that has arrived.

Nothing is scanned: the newest event is known from the statistics of the data files. So it costs the same for a long history, and
whoever asks (Dagster, `assay status`, `assay doctor`, the console) says the same sentence.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from assay.features.tables.lake import TableState

PROMISE = "promise"  # in a commit's `extra`
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(minutes=5)  # clocks differ


@dataclass(frozen=True, slots=True)
class Promise:
    """What contract and upstream have agreed on: how old (seconds) the newest data may be, by which column, and after which
    partition nothing more comes (None: it does not end)."""

    seconds: float
    event_time: str = ""
    last: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Freshness:
    """`newest`: until when there is data, None where nothing has arrived. `message` is one sentence."""

    fresh: bool
    newest: datetime | None
    message: str

    def to_dict(self) -> dict[str, Any]:
        newest = self.newest.isoformat() if self.newest is not None else None
        return {"fresh": self.fresh, "newest": newest, "message": self.message}


def freshness(
    state: TableState | None,
    table: str,
    promise: Promise,
    now: datetime,
    end_of: Callable[[str], datetime] | None = None,
) -> Freshness:
    """Whether the newest data is as new as promised. A source whose last partition has arrived is finished, which is not old.

    Args:
        state: The table now; None where there is none.
        table: Its name.
        promise: What was agreed on.
        now: The time now.
        end_of: When the data of a partition is complete. Default: as the commits say.
    """
    newest, words = (None, "") if state is None else _newest(state, promise.event_time, now, end_of)
    if state is None or newest is None:
        return Freshness(True, None, f"{table}: no data yet.")
    last = state.last_partition()
    if promise.last is not None and last is not None and last >= promise.last:
        return Freshness(True, newest, f"{table}: {words}, which is all of it: the source ends with {promise.last}.")
    allowed, age = timedelta(seconds=promise.seconds), max(now - newest, timedelta(0))
    fresh = age <= allowed
    old, limit = in_words(age), in_words(allowed)
    return Freshness(
        fresh, newest, f"{table}: {words}, {'more than ' * (not fresh and old == limit)}{old} old, allowed {limit}."
    )


def promised(state: TableState) -> Promise | None:
    """What was promised when the table was last written, if anything was."""
    version = state.index.last_written(state.version)
    found = state.index.commit(version).extra.get(PROMISE) if version is not None else None
    try:
        return Promise(**found) if found else None
    except TypeError:  # of a later release
        return None


def in_words(span: timedelta) -> str:
    """`1.3 days`, `2 hours`, `12 minutes`; never more than it is."""
    for unit, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if span.total_seconds() >= seconds:
            number = math.floor(span.total_seconds() / seconds * 10) / 10
            text = f"{number:,.1f}".removesuffix(".0")
            return f"{text} {unit}{'' if text == '1' else 's'}"
    return "less than a minute"


def _newest(
    state: TableState, column: str, now: datetime, end_of: Callable[[str], datetime] | None
) -> tuple[datetime | None, str]:
    """A moment, and what it is in words."""
    if column in state.schema:
        event, beside = _newest_event(state, column, now)
        if event is not None and state.schema[column] == pl.Date:  # it was at some time of that day
            return min(event + timedelta(days=1), max(now, event)), f"newest event {event:%Y-%m-%d}{beside}"
        if event is not None:
            return event, f"newest event {event:%Y-%m-%d %H:%M} UTC{beside}"
    key = state.last_partition()
    end = None if key is None else end_of(key) if end_of is not None else _period_end(state, key)
    if end is None:
        return None, ""
    end = end.astimezone(UTC)
    none = "no event so far, " if column in state.schema else ""
    return end, f"{none}newest partition {key}, until {end:%Y-%m-%d %H:%M} UTC"


def _newest_event(state: TableState, column: str, now: datetime) -> tuple[datetime | None, str]:
    """The newest event that has happened, and what must stand beside it: one of the year 2062 must not make a dead source look
    alive."""
    until = (now + _AHEAD - _EPOCH) // timedelta(microseconds=1)
    if state.checkpointed is None:
        high, low, beyond = state.index.newest_value(state.version, column, until)
    else:
        high, low, beyond = _of_actions(pl.DataFrame(state.checkpointed.get_add_actions(flatten=True)), column, until)
    micros = max((value for value in (high, low) if value is not None), default=None)
    if micros is None:
        return None, ""
    # Of a file that also holds events of the future, only the oldest one is known.
    later, future = " or later" * (low is not None), " (others are in the future)" * (beyond is not None)
    return _EPOCH + timedelta(microseconds=micros), f"{later}{future}"


def _of_actions(actions: pl.DataFrame, column: str, until: int) -> tuple[int | None, int | None, int | None]:
    """As `newest_value` of an index, which there is none of."""
    names = [f"max.{column}", f"min.{column}"]
    if any(name not in actions.columns for name in names):
        return None, None, None
    high, low = (pl.col(name).cast(pl.Datetime("us")).to_physical() for name in names)
    past = high <= until
    return actions.select(
        high.filter(past).max().alias("high"),
        low.filter(~past & (low <= until)).max().alias("low"),
        high.filter(~past).max().alias("beyond"),
    ).row(0)


def _period_end(state: TableState, key: str) -> datetime | None:
    commit = state.writer_of(key)
    return commit.period[1] if commit is not None and commit.period is not None else None
