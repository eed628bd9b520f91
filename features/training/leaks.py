"""What must not happen between the parts of a split: an entity, a window or a label on both sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any, Literal

import numpy as np
import polars as pl

from assay.errors import AssayError
from assay.features.training.lookback import Lookback
from assay.features.views.timestamps import format_duration, microseconds

Kind = Literal["entity", "window", "label"]
Numbers = np.ndarray[Any, np.dtype[Any]]
"""One value per row of the training set."""
LEFT_OUT = -1
_PART = "__part"


class SplitLeaks(AssayError):
    """A split would let a model learn what it is tested on. `kind` is `entity`, `window` or `label`."""

    def __init__(self, message: str, kind: Kind) -> None:
        super().__init__(message)
        self.kind: Kind = kind


def refuse_windows(
    where: str, parts: Numbers, times: Numbers, names: Sequence[str], frame: pl.DataFrame, lookbacks: Sequence[Lookback]
) -> None:
    """Raise SplitLeaks where a row's features look over a boundary into the time of another part's rows.

    Args:
        where: The training set, for the message.
        parts: The part of each row, as its place in `names`, or LEFT_OUT.
        times: Event times in µs.
        names: Of the parts.
        frame: Rows with the views' keys.
        lookbacks: Of each view. One whose keys are never in two parts may look back as far as it likes.
    """
    for item in sorted(lookbacks, key=lambda item: -microseconds(item.back or timedelta(0))):
        if item.back == timedelta(0):
            continue
        for one, other in combinations(range(len(names)), 2):
            gap = _gap(times, parts, one, other)
            if gap is None or (item.back is not None and gap >= microseconds(item.back)):
                continue
            if not shared_entities(frame, item.keys, parts, one, other):
                continue
            sides = f"{names[one]} and {names[other]}"
            if item.back is None:
                raise SplitLeaks(
                    f"{where}: view {item.view!r} {item.why}, so that windows of {sides} may overlap. Say how far back counts, "
                    "e.g. lookback='7d' (lookback='0d' where each value is of one moment), or split by_entity.",
                    "window",
                )
            raise SplitLeaks(
                f"{where}: view {item.view!r} looks {format_duration(item.back)} back, but {sides} are only "
                f"{_span(gap)} apart, so that features on both sides are made from the same events. Write "
                f"embargo='{format_duration(item.back)}'.",
                "window",
            )


def refuse_shared_entities(
    where: str, parts: Numbers, names: Sequence[str], frame: pl.DataFrame, keys: Mapping[str, Sequence[str]]
) -> None:
    """Raise SplitLeaks where somebody is in two parts.

    Args:
        where: The training set, for the message.
        parts: The part of each row.
        names: Of the parts.
        frame: Rows with the keys.
        keys: Columns that say who a row is about, by what they are the key of.
    """
    for owner, columns in keys.items():
        for one, other in combinations(range(len(names)), 2):
            if count := shared_entities(frame, columns, parts, one, other):
                name = ", ".join(columns)
                written = repr(columns[0]) if len(columns) == 1 else repr(list(columns))
                raise SplitLeaks(
                    f"{where}: {count:,} of {name} ({owner}) {'is' if count == 1 else 'are'} in {names[one]} and in "
                    f"{names[other]}. Split by_entity={written}, or by_time; or say that the parts may share it: "
                    f"shared={written}.",
                    "entity",
                )


def refuse_late_labels(where: str, late: int, part: str, boundary: int, column: str) -> None:
    """Raise SplitLeaks if rows of a part have labels that were known only after the part ended."""
    if late:
        raise SplitLeaks(
            f"{where}: {late:,} {'row' if late == 1 else 'rows'} of {part} got the label ({column}) after the boundary "
            f"{instant_text(boundary)}, when it could not have been learned. Write "
            "purge=True to leave them out, or an embargo as long as labels take.",
            "label",
        )


def shared_entities(frame: pl.DataFrame, keys: Sequence[str], parts: Numbers, one: int, other: int) -> int:
    """How many entities have rows in both parts. A null key is nobody."""
    rows = frame.select(*keys, pl.Series(_PART, parts)).drop_nulls()
    sides = [rows.filter(pl.col(_PART) == part).select(keys).unique() for part in (one, other)]
    return sides[0].join(sides[1], on=list(keys), how="semi").height


def leave_out(parts: Numbers, rows: Numbers, why: str, out: dict[str, int]) -> None:
    """Take rows out of their part; count them in `out` by the reason."""
    if count := int(rows.sum()):
        out[why] = out.get(why, 0) + count
        parts[rows] = LEFT_OUT


def in_order(times: Numbers, parts: Numbers, count: int) -> bool:
    """Whether each part is later than the ones before it, as a whole."""
    return all(
        bool(times[parts == one].max() < times[parts == other].min()) for one, other in combinations(range(count), 2)
    )


def instant_text(us: int) -> str:
    """µs since 1970 as ISO 8601."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(us))).isoformat()


def _gap(times: Numbers, parts: Numbers, one: int, other: int) -> int | None:
    """The least time from a row of one part to the next later, or earlier, one of the other; 0 where they are mixed."""
    chosen = (parts == one) | (parts == other)
    order = np.argsort(times[chosen], kind="stable")
    at, side = times[chosen][order], (parts[chosen] == one)[order]
    turns = np.flatnonzero(side[1:] != side[:-1])
    return min(_steps(at, turns), default=None)


def _steps(at: Numbers, turns: Numbers) -> Iterator[int]:
    yield from (at[turns + 1] - at[turns]).tolist()


def _span(us: int) -> str:
    return format_duration(timedelta(microseconds=us)) or "nothing"
