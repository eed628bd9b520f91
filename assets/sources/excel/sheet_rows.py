"""The rows of a sheet, one after the other: those that say something, with what each cell says."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from assay.assets.sources.deliveries import DeliveryError
from assay.assets.sources.excel.cells import Kind, moment_text, number_text, unescaped
from assay.assets.sources.excel.workbook import MOST_TEXT, Sheet, Text, Workbook
from assay.assets.sources.excel.xml import Attributes, parsed

_Value = TypeVar("_Value")

_ROWS, _COLUMNS = 1 << 20, 1 << 14  # of a sheet
_PLACE = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})")


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell says, and whether it is a text; else it is a number, a date, a time, true, false or an error."""

    text: str
    is_text: bool


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of a row that say something, by their column, from 1. `number` is Excel's."""

    number: int
    cells: dict[int, Cell]


def sheet_rows(book: Workbook, sheet: Sheet) -> Iterator[Row]:
    """The rows that have more than empty texts. Raises DeliveryError for a cell that nobody can know the value of, and errors of
    many kinds for a damaged file."""
    reading = _Reading(book, sheet)
    with book.archive.open(sheet.member) as stream:
        for _ in parsed(stream, reading.start, reading.end, reading.add):
            yield from reading.rows
            reading.rows = []


def letters(column: int) -> str:
    """A column's name in Excel: A, B, …, AA, …."""
    name = ""
    while column:
        column, digit = divmod(column - 1, 26)
        name = chr(ord("A") + digit) + name
    return name


def _at(values: Sequence[_Value], index: int) -> _Value:
    if index < 0:
        raise ValueError("a number below 0")
    return values[index]


class _Reading:
    """What was read of a sheet so far."""

    def __init__(self, book: Workbook, sheet: Sheet) -> None:
        self.rows: list[Row] = []
        self._book, self._sheet, self._inline = book, sheet, Text(book.path)
        self._in_data = False
        self._row = self._column = 0
        self._cells: dict[int, Cell] = {}
        self._type, self._style, self._written, self._has_formula = "n", 0, "", False
        self._value: list[str] | None = None  # of the cell; None outside of it

    def start(self, name: str, attributes: Attributes) -> None:
        match name:
            case "c" if self._in_data:
                self._place(attributes.get("r"))
                self._type, self._style = attributes.get("t", "n"), int(attributes.get("s", "0"))
                self._written, self._has_formula, self._value = "", False, None
            case "v" if self._in_data:
                self._value = []
            case "f":
                self._has_formula = True
            case "row" if self._in_data:
                number = int(attributes.get("r", self._row + 1))
                if not self._row < number <= _ROWS:
                    raise ValueError("rows out of order")
                self._row, self._column, self._cells = number, 0, {}
            case "sheetData":
                self._in_data = True
            case _:
                self._inline.start(name)

    def end(self, name: str) -> None:
        match name:
            case "v" if self._value is not None:
                self._written, self._value = "".join(self._value), None
            case "c" if self._in_data:
                if (cell := self._cell()) is not None:
                    self._cells[self._column] = cell
            case "row" if self._in_data:
                if any(cell.text for cell in self._cells.values()):
                    self.rows.append(Row(self._row, self._cells))
            case "sheetData":
                self._in_data = False
            case _:
                self._inline.end(name)

    def add(self, text: str) -> None:
        if self._value is None:
            self._inline.add(text)
        elif sum(map(len, self._value)) + len(text) <= MOST_TEXT:
            self._value.append(text)
        else:
            raise ValueError("a value without end")

    def _place(self, written: str | None) -> None:
        column = self._column + 1
        if written is not None:
            match = _PLACE.fullmatch(written)
            if match is None or int(match[2]) != self._row:
                raise ValueError("a cell in another row")
            column = 0
            for letter in match[1]:
                column = 26 * column + ord(letter) - ord("A") + 1
        if not self._column < column <= _COLUMNS:
            raise ValueError("cells out of order")
        self._column = column

    def _cell(self) -> Cell | None:
        written, text = self._written, self._inline.taken()
        match self._type:
            case "s":
                return Cell(_at(self._book.texts, int(written)), is_text=True) if written else None
            case "inlineStr":
                return Cell(text, is_text=True)
            case "str":
                return Cell(unescaped(written), is_text=True)
            case _ if not written.strip():
                if self._has_formula:
                    raise self._refuse("has a formula and no value", "ask the upstream to open and save it in Excel")
                return None
            case "b":
                return Cell({"1": "true", "0": "false", "true": "true", "false": "false"}[written], is_text=False)
            case "e" | "d":
                return Cell(written, is_text=False)
            case "n":
                return Cell(self._number(written.strip()), is_text=False)
        raise ValueError("a type of cell that nobody knows")

    def _number(self, written: str) -> str:
        kinds = self._book.kinds
        kind = _at(kinds, self._style) if self._style or kinds else Kind.NUMBER
        if kind is Kind.NUMBER:
            return number_text(written)
        return moment_text(written, kind, from_1904=self._book.from_1904)

    def _refuse(self, problem: str, action: str) -> DeliveryError:
        place = f"{letters(self._column)}{self._row}"
        return DeliveryError(self._book.path, f"cell {place} of sheet {self._sheet.name!r} {problem}", action)
