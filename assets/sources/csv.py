"""CSV in blocks of lines: what is plainly legal is read by Polars, and the record reader has the rest.

The record reader decides what a record is. Polars reads a block only where a count or a pattern proves that both agree: each
line is one legal record with all its fields. Blocks are read one after the other, so memory does not grow with the file.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from assay.assets.sources.csv_records import LONGEST, Fields, header_of, read_records, record_at, records
from assay.assets.sources.deliveries import PIECE, DeliveryError
from assay.assets.sources.limits import USUAL_LIMITS, Limits
from assay.assets.sources.line_blocks import LineBlocks
from assay.assets.sources.text import (
    ENCODING,
    HEAD,
    UNPARSABLE,
    UTF8,
    refuse_binary,
    refuse_undecodable,
    shown,
    undecodable,
)

SMALL = 1 << 16
BLOCK = PIECE
MARK = "\ufeff"

_FIELD = r'(?:"(?:[^"\r]|"")*"|[^",\r]*)'


def read_csv(path: str, content: bytes, encoding: str = UTF8) -> pl.DataFrame:
    """Every record as strings: an empty field is null, a quoted empty one is the empty string. See `read_delivery`.

    A last line without line feed counts as whole if its fields do. Raises `DeliveryError` for an unusable header.
    """
    if len(content) <= SMALL:
        return read_records(path, content, encoding)
    parts = list(csv_blocks(path, [content], encoding=encoding))
    # Column by column: the parts of one are freed before the next one is put together.
    columns = [pl.concat([part.drop_in_place(name) for part in parts]).rechunk() for name in parts[0].columns]
    return pl.DataFrame(columns)


def csv_blocks(
    path: str, pieces: Iterable[bytes], size: int = BLOCK, *, encoding: str = UTF8, limits: Limits = USUAL_LIMITS
) -> Iterator[pl.DataFrame]:
    """What `read_csv` gives of the content in these pieces, as frames of the records in about `size` bytes each: at least one,
    which may be empty. Raises `DeliveryError` as it does, and for what is beyond the limits; for too many lines that are not
    UTF-8, only at the end. `encoding`: which one the text had before, for errors."""
    source = LineBlocks(path, iter(pieces), limits)
    refuse_binary(path, source.peek(HEAD), encoding)
    lines = _Lines()
    try:
        header, block = _header(path, source, size, lines, encoding)
    except DeliveryError:
        while block := source.next(size):
            lines.count(block)
        refuse_undecodable(path, lines.undecodable, lines.filled, encoding)
        raise
    limits.require_columns(path, len(header))
    rows = 0
    while True:
        part = _records(block, source, size, len(header), lines)
        part.columns = [*header, "_defect", "_line"]
        numbers = pl.int_range(rows + 1, rows + part.height + 1, dtype=pl.Int64, eager=True).alias("_row_number")
        rows += part.height
        yield part.insert_column(len(header), numbers)
        del part, numbers
        if not (block := source.next(size)):
            break
    refuse_undecodable(path, lines.undecodable, lines.filled, encoding)


@dataclass(slots=True)
class _Lines:
    """How many lines were read that are not blank, and how many of them are not UTF-8."""

    filled: int = 0
    undecodable: int = 0

    def count(self, block: bytes) -> None:
        self.add(block.decode(errors="surrogateescape").split("\n"))

    def add(self, lines: Sequence[str]) -> None:
        self.filled += sum(map(bool, lines))
        self.undecodable += sum(map(undecodable, lines))


def _header(path: str, source: LineBlocks, size: int, counted: _Lines, encoding: str) -> tuple[list[str], bytes]:
    """The column names of the first line that has any, and the rest of its block."""
    number, block = 1, source.next(size).removeprefix(MARK.encode())
    while True:
        lines = block.decode(errors="surrogateescape").split("\n")
        first = next((index for index, line in enumerate(lines) if line.rstrip("\r")), None)
        if first is None and not source.empty:
            counted.add(lines)
            number, block = number + len(lines) - 1, source.next(size)
            continue
        first = len(lines) if first is None else first
        text, used = record_at(lines, first, None) if first < len(lines) else ("", 0)
        if used == 1 and _is_open(lines, first) and not source.empty:
            block += source.next(max(size, len(block)))
            continue
        try:
            header = header_of(path, number + first, text, encoding)
        except DeliveryError:
            counted.add(lines)
            raise
        counted.add(lines[: first + used])
        return header, "\n".join(lines[first + used :]).encode(errors="surrogateescape")


def _is_open(lines: Sequence[str], start: int) -> bool:
    """Whether the line at `start`, which has an odd number of quotes, may go on beyond these lines."""
    if lines[start].count('"') % 2 == 0 or any(line.count('"') % 2 for line in lines[start + 1 :]):
        return False
    return sum(map(len, lines[start:])) + len(lines) - 1 - start <= LONGEST


def _records(block: bytes, source: LineBlocks, size: int, width: int, counted: _Lines) -> pl.DataFrame:
    """The records of a block, and of what must be read with it because a record is open at its end."""
    while True:
        plain = _plain(block, width)
        if plain is not None:
            counted.filled += plain.height
            return plain
        mixed = _Mixed(block, width)
        if mixed.closed or source.empty:
            counted.filled += mixed.filled
            counted.undecodable += mixed.undecodable
            return mixed.frame()
        block += source.next(max(size, len(block)))  # the line that may close the quote comes later


def _plain(block: bytes, width: int) -> pl.DataFrame | None:
    """The records of lines without quotes and blank ones. Polars refuses a line with too many fields; if then all lines have as
    many commas together as they should, none has too few. A blank line has too few, but where records have one field."""
    if not block or b'"' in block or block.startswith((b"\n", b"\r", MARK.encode())):
        return None
    if width == 1 and b"\n\n" in block:
        return None
    if b"\r" in block and (block.count(b"\r") != block.count(b"\r\n") or b"\n\r" in block):
        return None
    data = np.frombuffer(block, np.uint8)  # in which numpy counts several times as fast
    lines = int(np.count_nonzero(data == ord("\n"))) + (not block.endswith(b"\n"))
    if np.count_nonzero(data == ord(",")) != lines * (width - 1):
        return None
    frame = _polars(block, width, quote=None)
    return _with_defects(frame) if frame is not None and frame.height == lines else None


@dataclass(frozen=True, slots=True)
class _Other:
    """A record that the record reader has read: its first line, its fields (None: it has a defect), and its text."""

    line: int
    fields: Fields | None
    text: str


@dataclass(slots=True)
class _Mixed:
    """Lines of which some are legal records on their own. `closed`: no record is open at the end."""

    block: bytes
    width: int
    lines: list[str] = field(init=False)
    closed: bool = field(init=False, default=True)
    undecodable: int = field(init=False, default=0)
    series: pl.Series = field(init=False)
    alone: pl.Series = field(init=False)
    others: list[_Other] = field(init=False, default_factory=list)
    taken: list[int] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        bad = list[int]()
        try:
            self.lines = self.block.decode().split("\n")
            self.series = pl.Series(self.lines, dtype=pl.String)
        except UnicodeDecodeError:
            self.lines = self.block.decode(errors="surrogateescape").split("\n")
            bad = [index for index, line in enumerate(self.lines) if undecodable(line)]
            self.series = pl.Series(self.block.decode(errors="replace").split("\n"), dtype=pl.String)
        self.undecodable = len(bad)
        alone = self.series.str.contains(f"^{_FIELD}(?:,{_FIELD}){{{self.width - 1}}}\r?$")
        # Polars drops a mark at the beginning of what it reads.
        self.alone = alone & ~self.series.is_in(["", "\r"]) & ~self.series.str.starts_with(MARK)
        self._leave(bad)
        self._join()

    @property
    def filled(self) -> int:
        return int((self.series != "").sum())

    def _leave(self, lines: Sequence[int]) -> None:
        if lines:
            self.alone = self.alone.scatter(lines, False)

    def _join(self) -> None:
        """Records over several lines. Only a line with an odd number of quotes can start or end one."""
        odd = (self.series.str.count_matches('"', literal=True) % 2 == 1).arg_true().to_list()
        free = 0
        for line in odd:
            if line < free:
                continue
            text, used = record_at(self.lines, line, self.width)
            if used > 1:
                ((fields, _),) = records(self.lines[line : line + used], 0, self.width)
                self.others.append(_Other(line, fields, text))
                self.taken += range(line, line + used)
                free = line + used
        if odd and odd[-1] >= free:
            self.closed = not _is_open(self.lines, odd[-1])
        self._leave(self.taken)

    def frame(self) -> pl.DataFrame:
        """All records in their order."""
        plain = self._read_alone()
        if plain is None:  # Polars does not agree with the pattern: the record reader has all lines
            self._leave(self.alone.arg_true().to_list())
            plain = _of([], self.width).drop("place", "_defect", "_line")
        self._read_rest()
        if not self.others:
            return _with_defects(plain)
        place = pl.Series("place", self.alone.arg_true(), pl.UInt32)
        both = [_with_defects(plain).with_columns(place), _of(self.others, self.width)]
        return pl.concat(both).sort("place").drop("place")

    def _read_alone(self) -> pl.DataFrame | None:
        height = int(self.alone.sum())
        if not height:
            return _of([], self.width).drop("place", "_defect", "_line")
        everything = height == len(self.lines) - (self.lines[-1] == "")
        content = self.block if everything else "\n".join(self.series.filter(self.alone)).encode() + b"\n"
        frame = _polars(content, self.width)
        return frame if frame is not None and frame.height == height else None

    def _read_rest(self) -> None:
        """What does not stand alone. Blank lines are no records."""
        free = ~self.alone
        if self.taken:
            free = free.scatter(self.taken, False)
        for line in free.arg_true().to_list():
            for fields, text in records([self.lines[line]], 0, self.width):
                self.others.append(_Other(line, fields, text))


def _polars(block: bytes, width: int, quote: str | None = '"') -> pl.DataFrame | None:
    """The lines' fields by Polars, or None if it refuses them."""
    schema = dict.fromkeys([f"c{position}" for position in range(width)], pl.String)
    try:
        return pl.read_csv(block, has_header=False, schema=schema, quote_char=quote, eol_char="\n")
    except pl.exceptions.PolarsError:
        return None


def _with_defects(frame: pl.DataFrame) -> pl.DataFrame:
    nothing = pl.lit(None, pl.String)
    return frame.with_columns(_defect=nothing, _line=nothing)


def _of(others: Sequence[_Other], width: int) -> pl.DataFrame:
    rows = [(*(one.fields or [None] * width), *_defect(one), one.line) for one in others]
    names = [*(f"c{position}" for position in range(width)), "_defect", "_line"]
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String) | {"place": pl.UInt32}, orient="row")


def _defect(one: _Other) -> tuple[str | None, str | None]:
    if one.fields:
        return None, None
    return (ENCODING, shown(one.text)) if undecodable(one.text) else (UNPARSABLE, one.text)
