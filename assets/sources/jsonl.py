"""JSON lines: one object a line; a line that is not one is a defect. Numbers keep the digits that were delivered."""

import json
from typing import NoReturn

import polars as pl

from assay.assets.sources.deliveries import DeliveryError
from assay.assets.sources.text import ENCODING, UNPARSABLE, frame_of, lines_of, undecodable
from assay.own_columns import delivered_names

MOST_COLUMNS = 2_000  # of a file: a frame needs memory for each column and row, whatever is in it


class _Number(str):
    """A JSON number as it was written: a float would drop digits of amounts and ids."""

    __slots__ = ()


def read_jsonl(path: str, content: bytes) -> pl.DataFrame:
    """Every line's values as strings: text as it is, other scalars and nested values as JSON text, null as null. `_json` names
    the columns of which a record has anything but text or null.

    The columns are those of all lines in order of appearance; a key that a line lacks is null. See `read_delivery`. Raises
    `DeliveryError` for a file with more than MOST_COLUMNS keys.
    """
    places: dict[str, list[int]] = {}
    texts: dict[str, list[str]] = {}
    defects: dict[int, tuple[str, str]] = {}
    others: dict[tuple[str, ...], str] = {}
    kinds: list[str | None] = []
    rows = 0
    for number, line in enumerate(lines_of(path, content), start=1):
        if not line.strip():
            continue
        values = None if undecodable(line) else _object(line)
        if values is None:
            defects[rows] = (ENCODING if undecodable(line) else UNPARSABLE, line.removesuffix("\r"))
            values = {}
        for name, value in values.items():
            if name not in places:
                if len(places) == MOST_COLUMNS:
                    problem = f"has more than {MOST_COLUMNS:,} different keys, so that data seem to stand in the keys"
                    raise DeliveryError(path, problem, "ask the upstream to put them into values", line=number)
                places[name], texts[name] = [], []
            if value is not None:
                places[name].append(rows)
                texts[name].append(_text(value))
        not_texts = tuple(name for name, value in values.items() if not (value is None or type(value) is str))
        if not_texts not in others:
            others[not_texts] = json.dumps(delivered_names(not_texts))
        kinds.append(others[not_texts] if not_texts else None)
        rows += 1
    names = delivered_names(list(places))
    columns = {name: _column(places[old], texts[old], rows) for name, old in zip(names, places, strict=True)}
    return frame_of(columns, defects, rows).with_columns(pl.Series("_json", kinds, pl.String))


def _column(places: list[int], texts: list[str], rows: int) -> pl.Series:
    """The texts at their places among so many rows, null elsewhere."""
    values = pl.Series(texts, dtype=pl.String)
    if len(places) == rows:
        return values
    return pl.Series([None], dtype=pl.String).new_from_index(0, rows).scatter(places, values)


def _object(line: str) -> dict[str, object] | None:
    """The named values of a line, or None if it is not one JSON object with distinct, non-blank names."""
    try:
        value = json.loads(
            line, parse_int=_Number, parse_float=_Number, parse_constant=_refuse_constant, object_pairs_hook=_distinct
        )
        if not isinstance(value, dict) or not all(map(str.strip, value)):
            return None
        if "\\u" in line:
            # An escaped half of a surrogate pair is legal JSON syntax, but no text.
            "".join(map(_text, ([*value], *value.values()))).encode()
        return value
    except (ValueError, RecursionError):
        return None


def _text(value: object) -> str:
    if isinstance(value, str):
        return str(value)
    return _json(value)


def _json(value: object) -> str:
    """JSON text, with numbers as written (`json.dumps` would quote them)."""
    match value:
        case _Number():
            return str(value)
        case dict():
            return "{" + ", ".join(f"{_json(name)}: {_json(item)}" for name, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object; two values under one name are a contradiction, and choosing one would be a guess."""
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name occurs twice")
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
