"""What is asked for in the body of a request, and answers as JSON or Arrow."""

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from assay.errors import AssayError, nearest
from assay.features.online.manifest import Manifest
from assay.features.online.packing import to_series
from assay.features.online.reading import Answer, ViewAnswer

JSON, ARROW = "application/json", "application/vnd.apache.arrow.stream"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIELDS = ("sets", "keys", "at")
_AS_THEY_ARE = (pl.Boolean, pl.Date, pl.Datetime, pl.Duration, pl.Time)  # of which packed rows have numbers


class TooManyKeys(AssayError):
    """More keys than one request may have."""


@dataclass(frozen=True, slots=True)
class Question:
    """The body of a request: which sets, for which keys, at which moment (None: now)."""

    sets: tuple[str, ...]
    keys: Mapping[str, list[Any]]
    at: datetime | None
    rows: int


def question(body: bytes, most: int) -> Question:
    """A body as JSON.

    Args:
        body: Of the request.
        most: How many keys it may have.

    Raises:
        AssayError: It is not what it must be; no value of it is in the message.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise AssayError("The body is no JSON.") from None
    if not isinstance(data, dict):
        raise AssayError('The body is an object: {"sets": ["router"], "keys": {"customer_id": ["C1"]}}.')
    for name in data:
        if name not in _FIELDS:
            raise AssayError(f"The body has {name[:50]!r}; it may have {', '.join(_FIELDS)}.{nearest(name, _FIELDS)}")
    sets = data.get("sets")
    sets = [sets] if isinstance(sets, str) else sets
    if not isinstance(sets, list) or not sets or not all(isinstance(one, str) for one in sets):
        raise AssayError('"sets" names one or more feature sets: ["router@1"].')
    if len(set(sets)) < len(sets):
        raise AssayError('"sets" names a set twice.')
    keys, rows = _keys(data.get("keys"))
    if rows > most:
        raise TooManyKeys(f"{rows:,} keys are more than the {most:,} that one request may have: send several.")
    return Question(tuple(sets), keys, _moment(data.get("at")), rows)


def _keys(given: Any) -> tuple[dict[str, list[Any]], int]:
    if not isinstance(given, dict) or not given:
        raise AssayError('"keys" is an object of columns: {"customer_id": ["C1", "C2"]}.')
    columns = {name: values if isinstance(values, list) else [values] for name, values in given.items()}
    if len({len(values) for values in columns.values()}) > 1:
        raise AssayError("The columns of keys differ in length: give one value of each per row.")
    for name, values in columns.items():
        if any(isinstance(value, dict | list) for value in values):
            raise AssayError(f"Key {name!r} has values that are neither text nor whole numbers.")
    return columns, len(next(iter(columns.values())))


def _moment(given: Any) -> datetime | None:
    if given is None:
        return None
    try:
        at = datetime.fromisoformat(given)
    except (TypeError, ValueError):
        raise AssayError('"at" is a time such as 2026-09-25T12:00:00Z.') from None
    if at.tzinfo is None:
        raise AssayError('"at" needs a time zone, such as 2026-09-25T12:00:00Z.')
    return at


def as_json(asked: Question, answers: Mapping[str, tuple[Answer, Manifest]]) -> bytes:
    """The answers of sets to one question."""
    sets = {name: _of_set(answer, manifest) for name, (answer, manifest) in answers.items()}
    at = next(iter(answers.values()))[0].at
    data = {"at": _instant(at), "rows": asked.rows, "sets": sets}
    try:
        return json.dumps(data, ensure_ascii=False, allow_nan=False, default=plain, separators=(",", ":")).encode()
    except ValueError:  # JSON has no such numbers
        return json.dumps(_finite(data), ensure_ascii=False, default=plain, separators=(",", ":")).encode()


def _of_set(answer: Answer, manifest: Manifest) -> dict[str, Any]:
    return {
        "generation": manifest.number,
        "built_at": manifest.built_at.isoformat(),
        "features": {
            name: _values(values, view.types[name]) for view in answer.views for name, values in view.values.items()
        },
        "views": {view.joined.name: _of_view(view, answer.at) for view in answer.views},
    }


def _of_view(view: ViewAnswer, at: int) -> dict[str, Any]:
    data = {"table": view.joined.table, "version": view.version, "state": view.state}
    if view.time is None:
        return data
    return data | {
        "event_time": _instants(view.time),
        "age_seconds": [None if time is None else (at - time) / 1e6 for time in view.time],
    }


def _values(values: list[Any], dtype: pl.DataType) -> list[Any]:
    if isinstance(dtype, _AS_THEY_ARE):
        return to_series("", values, dtype).to_list()
    return values


def _instants(times: list[int | None]) -> list[str | None]:
    texts = np.datetime_as_string(np.array([time or 0 for time in times], "M8[us]"), timezone="UTC").tolist()
    return [None if time is None else text for time, text in zip(times, texts, strict=True)]


def _instant(microseconds: int) -> str:
    return (_EPOCH + timedelta(microseconds=microseconds)).isoformat()


def plain(value: Any) -> Any:
    """Values for which JSON has no form: times as ISO 8601, durations in seconds, decimals as text, bytes in base64."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value) if isinstance(value, Decimal) else repr(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


def as_arrow(answers: Mapping[str, tuple[Answer, Manifest]]) -> bytes:
    """The answers as one table in Arrow's stream format: the keys, and the columns of each set as `<set>/<column>`."""
    columns: list[pl.Series] = []
    for name, (answer, _) in answers.items():
        frame, keys = answer.frame(), {key.name for key in answer.keys}
        columns = columns or list(answer.keys)
        columns += [column.alias(f"{name}/{column.name}") for column in frame.get_columns() if column.name not in keys]
    stream = io.BytesIO()
    pl.DataFrame(columns).write_ipc_stream(stream, compat_level=pl.CompatLevel.oldest())
    return stream.getvalue()


def of_set(table: pl.DataFrame, name: str, keys: Sequence[str]) -> pl.DataFrame:
    """The columns of one set, as `store.online_set(name).get` gives them."""
    wanted = {column: column.removeprefix(f"{name}/") for column in table.columns if column.startswith(f"{name}/")}
    return table.select(*keys, *(pl.col(column).alias(short) for column, short in wanted.items()))
