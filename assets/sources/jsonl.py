"""JSON lines: one object a line; a line that is not one is a defect. Numbers keep the digits that were delivered."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

import polars as pl

from assay.assets.sources.deliveries import RecordsBeside
from assay.assets.sources.limits import USUAL_LIMITS, Limits
from assay.assets.sources.line_blocks import LineBlocks
from assay.assets.sources.text import (
    ENCODING,
    HEAD,
    UNPARSABLE,
    frame_of,
    refuse_binary,
    refuse_undecodable,
    undecodable,
)
from assay.features.storage.column_names import RecordNames, unusable
from assay.own_columns import delivered_names

BLOCK = 1 << 22
MOST_NESTED = 100  # lists and objects in each other; Python itself ends at about 300
MOST_VALUES = 1 << 22  # of a frame: it needs memory for each column and row, whatever is in it
_MARK = "\ufeff".encode()


class _Number(str):
    """A JSON number as it was written: a float would drop digits of amounts and ids."""

    __slots__ = ()


def read_jsonl(path: str, content: bytes, limits: Limits = USUAL_LIMITS) -> pl.DataFrame:
    """Every line's values as strings: text as it is, other scalars and nested values as JSON text, null as null. `_json` names
    the columns of which a record has anything but text or null.

    The columns are those of all lines in order of appearance; a key that a line lacks is null. See `read_delivery`. Raises
    `DeliveryError` for a file with more keys, or a longer line, than the limits allow.
    """
    return pl.concat(list(jsonl_blocks(path, lambda: [content], limits)))


def jsonl_blocks(
    path: str,
    pieces: Callable[[], Iterable[bytes]],
    limits: Limits = USUAL_LIMITS,
    size: int = BLOCK,
    beside: RecordsBeside | None = None,
) -> Iterator[pl.DataFrame]:
    """What `read_jsonl` gives, frame by frame: at least one, and the same columns in each. A file of more than one block is read
    twice, first for its keys. Of records that came one by one (`beside`), those whose keys do not fit to the others are defects.
    """
    source = LineBlocks(path, iter(pieces()), limits)
    refuse_binary(path, source.peek(HEAD))
    lines = _lines(source.next(size).removeprefix(_MARK))
    bad = filled = 0

    def counted() -> Iterator[list[str]]:
        nonlocal bad, filled, lines
        while lines:
            bad, filled = bad + sum(map(undecodable, lines)), filled + sum(map(bool, lines))
            yield lines
            lines = _lines(source.next(size))

    records: Iterable[_Record] = _records(counted())
    if source.empty:
        records = list(records)
    names: dict[str, None] = {}
    together = None if beside is None else RecordNames(limits.columns, beside.columns, beside.one_column, names)
    for record in records:
        if together is not None:
            together.take(record.values or {})
            continue
        for name in record.values or ():
            if name not in names:
                names[name] = None
                limits.require_columns(path, len(names), "different keys", record.line)
    refuse_undecodable(path, bad, filled)
    if not isinstance(records, list):
        source = LineBlocks(path, iter(pieces()), limits)
        lines = _lines(source.next(size).removeprefix(_MARK))
        records = _records(counted())
    if beside is not None and together is not None:
        records = _fitting(records, together, beside.unfit)
    yield from _frames(records, [*names], size)


def _fitting(records: Iterable["_Record"], together: RecordNames, unfit: set[int]) -> Iterator["_Record"]:
    for record in records:
        if record.values is None or together.fit(record.values):
            yield record
        else:
            unfit.add(record.line)
            yield replace(record, values=None)


def _lines(block: bytes) -> list[str]:
    """The physical lines, without their line feeds; after the last one is none."""
    lines = block.decode(errors="surrogateescape").split("\n")
    if not lines[-1]:
        del lines[-1]
    return lines


@dataclass(frozen=True, slots=True)
class _Record:
    line: int
    text: str
    values: dict[str, object] | None  # None: it is not one JSON object


def _records(blocks: Iterable[list[str]]) -> Iterator[_Record]:
    before = 0
    for lines in blocks:
        for number, line in enumerate(lines, start=before + 1):
            if line.strip():
                yield _Record(number, line, None if undecodable(line) else record_of(line))
        before += len(lines)


@dataclass(slots=True)
class _Part:
    """The records of some lines: for each key where it has a value, and the texts of the values."""

    places: dict[str, list[int]] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    defects: dict[int, tuple[str, str]] = field(default_factory=dict)
    kinds: list[str | None] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return len(self.kinds)

    def add(self, record: _Record, others: dict[tuple[str, ...], str]) -> None:
        values = record.values
        if values is None:
            kind = ENCODING if undecodable(record.text) else UNPARSABLE
            self.defects[self.rows] = kind, record.text.removesuffix("\r")
            values = {}
        for name, value in values.items():
            if value is not None:
                self.places.setdefault(name, []).append(self.rows)
                self.texts.setdefault(name, []).append(_text(value))
        not_texts = tuple(name for name, value in values.items() if not (value is None or type(value) is str))
        if not_texts not in others:
            others[not_texts] = json.dumps(delivered_names(not_texts))
        self.kinds.append(others[not_texts] if not_texts else None)

    def frame(self, names: Sequence[str], before: int) -> pl.DataFrame:
        """The records, numbered on from those before."""
        delivered = delivered_names(list(names))
        columns = {
            name: _column(self.places.get(old, []), self.texts.get(old, []), self.rows)
            for name, old in zip(delivered, names, strict=True)
        }
        frame = frame_of(columns, self.defects, self.rows)
        return frame.with_columns(pl.Series("_json", self.kinds, pl.String), pl.col("_row_number") + before)


def _frames(records: Iterable[_Record], names: Sequence[str], size: int) -> Iterator[pl.DataFrame]:
    before = held = 0
    part, others = _Part(), dict[tuple[str, ...], str]()
    for record in records:
        part.add(record, others)
        held += len(record.text)
        if held >= size or part.rows * len(names) >= MOST_VALUES:
            yield part.frame(names, before)
            before, held, part = before + part.rows, 0, _Part()
    if part.rows or not before:
        yield part.frame(names, before)


def _column(places: list[int], texts: list[str], rows: int) -> pl.Series:
    """The texts at their places among so many rows, null elsewhere."""
    values = pl.Series(texts, dtype=pl.String)
    if len(places) == rows:
        return values
    return pl.Series([None], dtype=pl.String).new_from_index(0, rows).scatter(places, values)


def record_of(line: str) -> dict[str, object] | None:
    """The named values of a line, or None if it is not one JSON object with distinct names that a table can hold, or too deep."""
    try:
        value = json.loads(
            line, parse_int=_Number, parse_float=_Number, parse_constant=_refuse_constant, object_pairs_hook=_distinct
        )
        if not isinstance(value, dict) or not all(map(str.strip, value)) or any(map(unusable, value)):
            return None
        if line.count("[") + line.count("{") > MOST_NESTED and _depth(value) > MOST_NESTED:
            return None
        if "\\u" in line:
            # An escaped half of a surrogate pair is legal JSON syntax, but no text.
            "".join(map(_text, ([*value], *value.values()))).encode()
        return value
    except (ValueError, RecursionError):
        return None


def _depth(value: object) -> int:
    """How deep lists and objects stand in each other."""
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        level = [item for one in level for item in (one.values() if isinstance(one, dict) else one)]
    return depth


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
