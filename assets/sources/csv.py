"""CSV in blocks of lines: what is plainly legal is read by Polars, and the record reader has the rest.

The record reader decides what a record is. Polars reads a block only where a count or a pattern proves that both agree: each
line is one legal record with all its fields. Small files and those that are not UTF-8 throughout have the record reader alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from assay.assets.sources.csv_records import Fields, header_of, read_records, record_at, records
from assay.assets.sources.deliveries import DeliveryError
from assay.assets.sources.text import UNPARSABLE

SMALL = 1 << 16
BLOCK = 1 << 23
MARK = "\ufeff"

_FIELD = r'(?:"(?:[^"\r]|"")*"|[^",\r]*)'


def read_csv(path: str, content: bytes) -> pl.DataFrame:
    """Every record as strings: an empty field is null, a quoted empty one is the empty string. See `read_delivery`.

    A last line without line feed counts as whole if its fields do. Raises `DeliveryError` for an unusable header.
    """
    frame = read_blocks(path, content, BLOCK) if len(content) > SMALL else None
    return read_records(path, content) if frame is None else frame


def read_blocks(path: str, content: bytes, size: int) -> pl.DataFrame | None:
    """What the record reader would give, from blocks of `size` bytes; or None where the file is for it alone."""
    head = content[:4096]
    if 4 * head.count(0) > len(head):
        return None
    try:
        header, position = _header(path, content)
        parts = list[pl.DataFrame]()
        while position < len(content):
            part, position = _next(content, position, size, len(header))
            parts.append(part)
    except (_Doubt, DeliveryError, UnicodeDecodeError, pl.exceptions.PolarsError):
        return None  # the record reader says what is wrong
    if not sum(part.height for part in parts):
        return None
    # Column by column: the parts of one are freed before the next one is put together.
    columns = [pl.concat([part.drop_in_place(name) for part in parts]).rechunk() for name in parts[0].columns]
    frame = pl.DataFrame(columns, schema=[*header, "_defect", "_line"])
    numbers = pl.int_range(1, frame.height + 1, dtype=pl.Int64, eager=True).alias("_row_number")
    return frame.insert_column(len(header), numbers)


class _Doubt(Exception):
    """Polars and the record reader do not agree, or might not."""


def _header(path: str, content: bytes) -> tuple[list[str], int]:
    """The column names of the first line that has any, and where the next line starts."""
    start = 3 if content.startswith(MARK.encode()) else 0
    number = 1
    while start < len(content):
        end = content.find(b"\n", start)
        end = len(content) if end < 0 else end
        line = content[start:end]
        if line.rstrip(b"\r"):
            if line.count(b'"') % 2:
                raise _Doubt
            return header_of(path, number, line.decode().removesuffix("\r")), end + 1
        start, number = end + 1, number + 1
    raise _Doubt


def _next(content: bytes, start: int, size: int, width: int) -> tuple[pl.DataFrame, int]:
    """The records of the lines from `start`, and where the next block starts: where no record is open."""
    while True:
        stop = content.find(b"\n", start + size - 1) + 1 or len(content)
        block = content[start:stop]
        text = block.decode()
        plain = _plain(block, width)
        if plain is not None:
            return plain, stop
        mixed = _Mixed(text.split("\n"), width)
        if mixed.closed or stop == len(content):
            return mixed.frame(), stop
        size = 2 * (stop - start)  # a quote is open: the line that may close it is in the next block


def _plain(block: bytes, width: int) -> pl.DataFrame | None:
    """The records of lines without quotes and blank ones. Polars refuses a line with too many fields; if then all lines have as
    many commas together as they should, none has too few."""
    if b'"' in block or b"\n\n" in block or block.startswith((b"\n", b"\r", MARK.encode())):
        return None
    if b"\r" in block and (block.count(b"\r") != block.count(b"\r\n") or b"\n\r" in block):
        return None
    lines = block.count(b"\n") + (not block.endswith(b"\n"))
    if block.count(b",") != lines * (width - 1):
        return None
    frame = _polars(block, width, quote=None)
    return _with_defects(frame) if frame is not None and frame.height == lines else None


@dataclass(frozen=True, slots=True)
class _Other:
    """A record that the record reader has read: its first line, its fields (None: it has a defect), and its text."""

    line: int
    fields: Fields | None
    text: str


class _Mixed:
    """Lines of which some are legal records on their own. `closed`: no quote is open at the end."""

    def __init__(self, lines: list[str], width: int) -> None:
        self.lines, self.width = lines, width
        self.series = pl.Series(lines, dtype=pl.String)
        self.others: list[_Other] = []
        alone = self.series.str.contains(f"^{_FIELD}(?:,{_FIELD}){{{width - 1}}}\r?$")
        self.alone = alone & ~self.series.is_in(["", "\r"])
        self.closed = self._join()
        self._read_rest()

    def _join(self) -> bool:
        """Records over several lines. Only a line with an odd number of quotes can start or end one."""
        odd = (self.series.str.count_matches('"', literal=True) % 2 == 1).arg_true().to_list()
        taken, free, closed = list[int](), 0, True
        for line in odd:
            if line < free:
                continue
            text, used = record_at(self.lines, line, self.width)
            closed = used > 1
            if used > 1:
                ((fields, _),) = records(self.lines[line : line + used], 0, self.width)
                self.others.append(_Other(line, fields, text))
                taken += range(line, line + used)
                free = line + used
        self.taken = taken
        return closed

    def _read_rest(self) -> None:
        """What stands alone and is not plainly legal. Blank lines are no records."""
        free = ~self.alone
        if self.taken:
            free = free.scatter(self.taken, False)
            self.alone = self.alone.scatter(self.taken, False)
        for line in free.arg_true().to_list():
            for fields, text in records([self.lines[line]], 0, self.width):
                self.others.append(_Other(line, fields, text))

    def frame(self) -> pl.DataFrame:
        """All records in their order."""
        good = self.series.filter(self.alone)
        content = "".join(f"{line}\n" for line in good)
        if content.startswith(MARK):
            raise _Doubt
        frame = _polars(content.encode(), self.width) if content else _of([], self.width).select(_names(self.width))
        if frame is None or frame.height != good.len():
            raise _Doubt
        place = pl.Series("place", self.alone.arg_true(), pl.UInt32)
        both = [_with_defects(frame).with_columns(place), _of(self.others, self.width)]
        return pl.concat(both).sort("place").drop("place")


def _names(width: int) -> list[str]:
    return [f"c{position}" for position in range(width)]


def _polars(block: bytes, width: int, quote: str | None = '"') -> pl.DataFrame | None:
    """The lines' fields by Polars, or None if it refuses them."""
    try:
        return pl.read_csv(
            block, has_header=False, schema=dict.fromkeys(_names(width), pl.String), quote_char=quote, eol_char="\n"
        )
    except pl.exceptions.PolarsError:
        return None


def _with_defects(frame: pl.DataFrame) -> pl.DataFrame:
    nothing = pl.lit(None, pl.String)
    return frame.with_columns(_defect=nothing, _line=nothing)


def _of(others: Sequence[_Other], width: int) -> pl.DataFrame:
    rows = [
        (*(one.fields or [None] * width), *((None, None) if one.fields else (UNPARSABLE, one.text)), one.line)
        for one in others
    ]
    schema = dict.fromkeys([*_names(width), "_defect", "_line"], pl.String) | {"place": pl.UInt32}
    return pl.DataFrame(rows, schema=schema, orient="row")
