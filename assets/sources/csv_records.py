"""CSV by RFC 4180, one record at a time: a record that is not legal is a defect, and the next physical line starts afresh.

Polars and the standard library are too kind for this: they pad short rows, let an open quote swallow the rest of the file,
or cannot tell an empty field (null) from a quoted empty one.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import polars as pl

from assay.assets.sources.csv_dialect import dialect_seen
from assay.assets.sources.deliveries import DeliveryError
from assay.assets.sources.text import ENCODING, UNPARSABLE, UTF8, frame_of, lines_of, undecodable
from assay.features.storage.column_names import unusable
from assay.own_columns import delivered_names

Fields = list[str | None]
_ASK = "ask the upstream for a header line that names every column once"
_OTHER_LINE = MappingProxyType({"skip_lines": ""})  # what stands where the header should be may be a title

#: Characters of a record over several lines, at most: a quote that nothing closes would else hold all that follows it.
LONGEST = 1 << 25

_FIELD = re.compile(r'(?:\A|,)("(?:[^"]|"")*+"|[^",\r\n]*+)')


def read_records(path: str, content: bytes, encoding: str = UTF8) -> pl.DataFrame:
    """Every record as strings: an empty field is null, a quoted empty one is the empty string.

    A last line without line feed counts as whole if its fields do. Raises `DeliveryError` for an unusable header.
    """
    lines = lines_of(path, content, encoding)
    first = next((index for index, line in enumerate(lines) if line.rstrip("\r")), len(lines))
    text, used = record_at(lines, first, None) if first < len(lines) else ("", 0)
    header = header_of(path, first + 1, text, encoding)
    rows: list[Fields] = []
    defects: dict[int, tuple[str, str]] = {}
    for fields, text in records(lines, first + used, len(header)):
        if fields is None:
            defects[len(rows)] = (ENCODING if undecodable(text) else UNPARSABLE, text)
        rows.append(fields or [None] * len(header))
    columns = zip(*rows, strict=True) if rows else ((),) * len(header)
    return frame_of(dict(zip(header, columns, strict=True)), defects, len(rows))


def records(lines: list[str], start: int, width: int) -> Iterator[tuple[Fields | None, str]]:
    """Each record's fields (None: it has a defect) and its text. Blank lines are no records."""
    index = start
    while index < len(lines):
        line = lines[index]
        if '"' in line:
            text, used = record_at(lines, index, width)
            fields = fields_of(text)
            index += used
        else:
            text = line.removesuffix("\r")
            fields = [field or None for field in text.split(",")] if "\r" not in text else None
            index += 1
        if text:
            yield (fields if fields and len(fields) == width and not undecodable(text) else None), text


def record_at(lines: list[str], start: int, width: int | None) -> tuple[str, int]:
    """The text of the record at `start` and how many physical lines it has.

    Legal quoting leaves a line open only after an odd number of quotes, and closes it on the next odd line; so an open line
    is tried up to there, and stands alone if that gives no legal record, or one of more than LONGEST characters. All scans
    together stay linear.
    """
    if lines[start].count('"') % 2:
        end = next((index for index in range(start + 1, len(lines)) if lines[index].count('"') % 2), None)
        if end is not None and sum(map(len, lines[start : end + 1])) + end - start <= LONGEST:
            text = "\n".join(lines[start : end + 1]).removesuffix("\r")
            fields = fields_of(text)
            if fields is not None and width in (None, len(fields)):
                return text, end + 1 - start
    return lines[start].removesuffix("\r"), 1


def fields_of(text: str) -> Fields | None:
    """The fields of one record, or None if it is not legal: then the matches do not cover the text."""
    raw = _FIELD.findall(text)
    if sum(map(len, raw)) + len(raw) - 1 != len(text):
        return None
    return [field[1:-1].replace('""', '"') if field[:1] == '"' else field or None for field in raw]


def header_of(path: str, line: int, text: str, encoding: str = UTF8) -> list[str]:
    """The column names. Errors give positions: without a header line, a "name" would be somebody's value."""

    def refuse(
        problem: str, column: int | None = None, action: str = _ASK, declares: Mapping[str, str] = _OTHER_LINE
    ) -> DeliveryError:
        where = f"#{column}" if column else None
        return DeliveryError(path, problem, action, line=line, column=where, declares=declares)

    names = fields_of(text)
    if names is None or undecodable(text):
        problem, seen = f"the header is not legal CSV in {encoding}", dialect_seen(text)
        if seen is None:
            raise refuse(problem)
        raise refuse(f"{problem}, and {seen.what}", action=f"{seen.declare}, or {_ASK}", declares=seen.declares)
    header: list[str] = []
    for position, name in enumerate(names, start=1):
        if name is None or not name.strip():
            raise refuse("the header leaves this column without a name", position)
        if name in header:
            raise refuse(f"the header gives this column the name of column #{header.index(name) + 1}", position)
        if why := unusable(name):
            raise refuse(f"this column {why}", position, "ask the upstream for another name")
        header.append(name)
    return delivered_names(header)
