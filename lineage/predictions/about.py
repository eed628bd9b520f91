"""Predictions by what a complaint knows: the beginning of an id, whom or what they are about, and a time.

Only files that can hold them are opened: the log knows the range of ids, and so of times, of every data file, and the key
index which partitions may hold a key.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import polars as pl

from assay.errors import AssayError, known_names, nearest
from assay.features.serving.relevant_partitions import partitions_holding
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake, TableState
from assay.lineage.predictions.find_prediction import ID
from assay.lineage.predictions.latest import (
    LoggedPrediction,
    Sought,
    latest_predictions,
    newest_in,
    newest_of,
    states_of,
)

SHORTEST = 8  # characters of a beginning
LISTED = 20
_DASHES = (8, 4, 4, 4, 12)
_WHOLE = sum(_DASHES)
_IS_BEGINNING = re.compile(rf"[0-9a-f]{{{SHORTEST},{_WHOLE}}}")


class Ambiguous(AssayError):
    """Several predictions have ids that begin so: `candidates`, the newest first; `more` says that these are not all."""

    def __init__(self, beginning: str, candidates: Sequence[LoggedPrediction], more: bool) -> None:
        count = f"More than {len(candidates)}" if more else str(len(candidates))
        super().__init__(f"{count} predictions have ids that begin with {beginning}: give more of the id.")
        self.candidates, self.more = tuple(candidates), more


def whole_id(lake: Lake, text: str) -> str:
    """The id that a text is, or the only one that begins with it (8 characters at least; dashes may be left out).

    Raises:
        AssayError: The text is no beginning of an id, or no prediction has such an id.
        Ambiguous: Several have.
    """
    beginning = as_beginning(text)
    if len(beginning) == _WHOLE + len(_DASHES) - 1:
        return beginning
    found = _beginning(lake, beginning)
    if not found:
        names = ", ".join(lake.tables(Kind.PREDICTIONS.folder)) or "no predictions have been logged in this lake"
        raise AssayError(f"No prediction has an id that begins with {beginning} (looked in: {names}).")
    if len(found) > 1:
        raise Ambiguous(beginning, found[:LISTED], len(found) > LISTED)
    return found[0].id


def beginning_with(lake: Lake, text: str) -> list[LoggedPrediction]:
    """The predictions whose ids begin with a text, newest first, 20 at most; none for a text that no id begins with."""
    digits = text.strip().lower().replace("-", "")
    return _beginning(lake, as_beginning(text))[:LISTED] if _IS_BEGINNING.fullmatch(digits) else []


def _beginning(lake: Lake, beginning: str) -> list[LoggedPrediction]:
    sought = Sought(condition=pl.col(ID).str.starts_with(beginning), ids=(beginning, f"{beginning}g"))
    return newest_of(newest_in(state, sought, LISTED + 1) for state in states_of(lake, None))


def as_beginning(text: str) -> str:
    """A beginning of an id as ids are written: in small letters, with dashes. Raises AssayError for what is none."""
    digits = text.strip().lower().replace("-", "")
    if not _IS_BEGINNING.fullmatch(digits):
        raise AssayError(
            f"That is not a prediction id, nor the first {SHORTEST} or more characters of one. Ids look like "
            "01990b3c-5c00-7abc-8def-0123456789ab; `assay predictions --about KEY=VALUE` finds them by whom they are about."
        )
    parts, at = [], 0
    for length in _DASHES:
        parts.append(digits[at : at + length])
        at += length
    return "-".join(part for part in parts if part)


def predictions_about(
    lake: Lake,
    about: Mapping[str, str],
    model: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 20,
) -> list[LoggedPrediction]:
    """The predictions about somebody or something, newest first.

    Args:
        lake: Where the tables are.
        about: Keys of the predictions and their values as texts, such as `{"customer_id": "C0012"}`: all must fit.
        model: Only this model's; None: those of every model that has these keys.
        since: Only those at or after this time (with a zone).
        until: Only those before this time (with a zone).
        limit: At most so many.

    Raises:
        AssayError: No model's predictions have such a key, or a value is none of the key's type. Values are not quoted.
    """
    states = states_of(lake, model)
    keys = {state.table.name: keys_of(state) for state in states}
    known = {key for each in keys.values() for key in each}
    for name in about:
        if name not in known:
            raise AssayError(
                f"No predictions{f' of {model}' if model else ''} are about {name!r}.{nearest(name, known)}{known_names(known)}"
            )
    having = [state for state in states if set(about) <= set(keys[state.table.name])]
    if not having:
        lists = "; ".join(f"{own_name(table)} by {', '.join(each)}" for table, each in keys.items())
        raise AssayError(f"No model predicts by {', '.join(about)} together: {lists}.")
    return newest_of(_about(state, about, since, until, limit) for state in having)[:limit]


def predictions_matching(lake: Lake, text: str, *, limit: int = LISTED) -> list[LoggedPrediction]:
    """The predictions that a search finds, newest first: by `KEY=VALUE`, `KEY VALUE` or a value of any key, in capitals or not,
    by a day (`2026-09-03`, UTC), or both. Of text that no key can have the value of there are none."""
    words, day = _day_of(text)
    since, until = (day, _after(day)) if day is not None else (None, None)
    if not words:
        return [] if day is None else latest_predictions(lake, since=since, until=until, limit=limit)
    found: dict[str, LoggedPrediction] = {}
    for state in states_of(lake, None):
        for key in keys_of(state):
            for value in _values(words, key):
                try:
                    rows = _about(state, {key: value}, since, until, limit)
                except AssayError:  # no value of the key's type
                    continue
                found |= {item.id: item for item in rows}
                if rows:
                    break
    return newest_of([list(found.values())])[:limit]


def _values(words: str, key: str) -> Iterable[str]:
    """What a text may mean as a value of a key, as it stands first."""
    name, separator, value = words.partition("=")
    if separator and name.strip() != key:
        return ()
    first, space, rest = words.partition(" ")
    value = value.strip() if separator else rest.strip() if space and first == key else words
    return dict.fromkeys((value, value.upper(), value.lower()))


def _day_of(text: str) -> tuple[str, datetime | None]:
    """The text without a day at its end or its beginning, and the day."""
    words = text.split()
    for place, rest in ((-1, words[:-1]), (0, words[1:])):
        with suppress(ValueError, IndexError):
            return " ".join(rest), datetime.strptime(words[place], "%Y-%m-%d").replace(tzinfo=UTC)
    return text.strip(), None


def _after(day: datetime) -> datetime | None:
    """The day after; None after the last one that there is."""
    return day + timedelta(days=1) if day.date() < date.max else None


def _about(
    state: TableState, about: Mapping[str, str], since: datetime | None, until: datetime | None, limit: int
) -> list[LoggedPrediction]:
    asked = pl.DataFrame([_typed(state, name, value) for name, value in about.items()])
    condition = pl.all_horizontal(pl.col(name) == pl.lit(asked[name]).first() for name in about)
    # All days of one key are looked up; in a span of time the ids narrow enough.
    all_time = since is None and until is None
    partitions = partitions_holding(state, list(about), asked) if all_time and state.partitioned else None
    return newest_in(state, Sought(since, until, condition, partitions), limit)


def keys_of(state: TableState) -> tuple[str, ...]:
    """The columns that say whom or what a table's predictions are about, of every commit that wrote some."""
    named = (key for commit in state.commits if commit.predictions for key in commit.predictions.keys)
    return tuple(key for key in dict.fromkeys(named) if key in state.schema)


def _typed(state: TableState, name: str, value: str) -> pl.Series:
    """The value in the key's type. The engine's error would quote it."""
    dtype = state.schema[name]
    try:
        return pl.Series(name, [value]).cast(dtype)
    except pl.exceptions.PolarsError:
        raise AssayError(f"{state.table.name}: the key {name} is {dtype}, and the value given for it is not.") from None
