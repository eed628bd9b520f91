"""The records of an Excel workbook: the rows below the header of one of its sheets, in the form that JSON lines have.

A cell keeps its type: what is no text is named in `_json`, so that a number is no text of digits, and an error, such as `#N/A`,
is a value of no type.
"""

import json
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.parsers.expat import ExpatError

import polars as pl

from assay.assets.sources.deliveries import DeliveryError
from assay.assets.sources.excel.declared import Excel
from assay.assets.sources.excel.sheet_rows import Row, letters, sheet_rows
from assay.assets.sources.excel.workbook import RESEND, Sheet, Workbook, opened, workbook
from assay.assets.sources.limits import Limits
from assay.assets.sources.text import frame_of
from assay.own_columns import delivered_names

BLOCK = 1 << 22  # characters of a frame
_VALUES = 1 << 20  # of a frame
_OTHER_HEADER = (
    "declare Files(…, excel=Excel(header_row=…)), or ask the upstream for a header that names every column once"
)
_SHOWN = 20
# What reading a damaged file may meet: of its zip, of its XML, of what that should say.
_DAMAGES = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError),
    *(ExpatError, ValueError, LookupError, OverflowError),
)


def excel_blocks(path: str, source: bytes | Path, excel: Excel, limits: Limits) -> Iterator[pl.DataFrame]:
    """See `read_delivery`. Raises DeliveryError for what is no workbook, is damaged or has a password, for one of which nobody
    knows which sheet is meant, and for a header that does not name each column once.

    Args:
        path: The file's, for errors.
        source: The file.
        excel: Where its rows stand.
        limits: What it may be at most.
    """
    try:
        with opened(path, source, limits) as archive:
            book = workbook(path, archive)
            sheet = _sheet_of(book, excel)
            rows = sheet_rows(book, sheet)
            header = _header(book, sheet, rows, excel)
            limits.require_columns(path, len(header))
            yield from _frames(book, sheet, rows, header, limits)
    except _DAMAGES:
        raise DeliveryError(path, "is not an Excel workbook, or is damaged", RESEND) from None


def _sheet_of(book: Workbook, excel: Excel) -> Sheet:
    if excel.sheet is not None:
        for sheet in book.sheets:
            if sheet.name == excel.sheet:
                return sheet
        problem = f"has no sheet {excel.sheet!r}; its sheets are {_named(book.sheets)}"
        raise DeliveryError(
            book.path, problem, "declare one of them, or ask the upstream for the usual one", declares={"sheet": ""}
        )
    filled = [sheet for sheet in book.sheets if next(sheet_rows(book, sheet), None) is not None]
    if not filled:
        raise DeliveryError(book.path, "has no rows in any sheet", RESEND)
    if len(filled) > 1:
        problem = f"has rows in {len(filled)} sheets: {_named(filled)}"
        raise DeliveryError(
            book.path, problem, "declare which one is meant: Files(…, excel=Excel(sheet=…))", declares={"sheet": ""}
        )
    return filled[0]


def _named(sheets: Sequence[Sheet]) -> str:
    more = f" and {len(sheets) - _SHOWN} more" if len(sheets) > _SHOWN else ""
    return ", ".join(repr(sheet.name) for sheet in sheets[:_SHOWN]) + more


def _header(book: Workbook, sheet: Sheet, rows: Iterator[Row], excel: Excel) -> dict[int, str]:
    """The names of the columns by their position. Errors give positions: without a header, a "name" would be somebody's value."""
    row = next((row for row in rows if row.number >= excel.header_row), None)
    where = f"row {excel.header_row} of sheet {sheet.name!r}, where the header should be,"
    if row is None or row.number != excel.header_row:
        seen = f"; the next row that is not is {row.number}" if row else ""
        raise DeliveryError(book.path, f"{where} is empty{seen}", _OTHER_HEADER, declares={"header_row": ""})
    header = {column: cell.text for column, cell in row.cells.items() if cell.text.strip()}
    places: dict[str, int] = {}
    for column, name in header.items():
        if name in places:
            problem = f"{where} gives columns {letters(places[name])} and {letters(column)} the same name"
            raise DeliveryError(book.path, problem, _OTHER_HEADER, declares={"header_row": ""})
        places[name] = column
    return dict(zip(header, delivered_names([*header.values()]), strict=True))


def _frames(
    book: Workbook, sheet: Sheet, rows: Iterator[Row], header: dict[int, str], limits: Limits
) -> Iterator[pl.DataFrame]:
    """The rows, frame by frame, and at least one. All texts together may be as large as a file's content: a workbook has a text
    once, however many cells say it."""
    most = limits.content(sum(one.file_size for one in book.archive.infolist()))
    part, before, total = list[Row](), 0, 0
    held = 0
    for row in rows:
        for column in row.cells:
            if column not in header and row.cells[column].text:
                place = f"cell {letters(column)}{row.number} of sheet {sheet.name!r}"
                problem = f"{place} has a value, and its column has no name in the header"
                raise DeliveryError(book.path, problem, _OTHER_HEADER, declares={"header_row": ""})
        part.append(row)
        held += sum(len(cell.text) for cell in row.cells.values())
        if held >= BLOCK or len(part) * len(header) >= _VALUES:
            total += held
            if total > most:
                problem = f"says more than {limits.times} times what it holds, as no usual file does"
                raise DeliveryError(book.path, problem, "ask the upstream to send it as CSV")
            yield _frame(part, header, before)
            before, held, part = before + len(part), 0, []
    if part or not before:
        yield _frame(part, header, before)


def _frame(rows: Sequence[Row], header: dict[int, str], before: int) -> pl.DataFrame:
    columns: dict[str, list[str | None]] = {
        name: [row.cells[column].text if column in row.cells else None for row in rows]
        for column, name in header.items()
    }
    others: dict[tuple[str, ...], str] = {}
    kinds: list[str | None] = []
    for row in rows:
        no_texts = tuple(header[column] for column, cell in row.cells.items() if not cell.is_text)
        if no_texts and no_texts not in others:
            others[no_texts] = json.dumps(no_texts)
        kinds.append(others.get(no_texts))
    frame = frame_of(columns, {}, len(rows))
    return frame.with_columns(pl.Series("_json", kinds, pl.String), pl.col("_row_number") + before)
