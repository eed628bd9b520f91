"""All detectors over a table: every doubted cell once, with its strongest reason, surest first."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from assay.checks.contract.contract import Contract, compiled, contract_info
from assay.checks.suggesting.broken_dependencies import broken_dependencies
from assay.checks.suggesting.conflicting_sources import conflicting_sources
from assay.checks.suggesting.finding import Finding, Findings
from assay.checks.suggesting.misplaced_values import misplaced_values
from assay.checks.suggesting.missing_tokens import missing_tokens
from assay.checks.suggesting.misspelt_words import misspelt_words
from assay.checks.suggesting.mixed_formats import mixed_formats
from assay.checks.suggesting.near_values import near_values
from assay.checks.suggesting.odd_characters import odd_characters
from assay.checks.suggesting.other_types import other_types
from assay.checks.suggesting.outliers import outliers
from assay.checks.suggesting.rare_shapes import rare_shapes
from assay.checks.suggesting.text_column import TextColumn, text_columns
from assay.checks.text.pii_detection import personal_class
from assay.checks.validation.masking import classes_of, mask_classes
from assay.checks.validation.reading import DEFECT
from assay.errors import AssayError, nearest

_OF_COLUMN: Mapping[str, Callable[[TextColumn], Findings]] = {
    "odd_character": odd_characters,
    "near_value": near_values,
    "misspelt_word": misspelt_words,
    "rare_shape": rare_shapes,
    "other_type": other_types,
    "mixed_format": mixed_formats,
}
_OF_TABLE: Mapping[str, Callable[[Sequence[TextColumn]], Findings]] = {
    "missing_token": missing_tokens,
    "broken_dependency": broken_dependencies,
    "conflicting_source": conflicting_sources,
    "outlier": outliers,
    "misplaced_value": misplaced_values,
}
_OF_FORM = ("rare_shape", "other_type", "mixed_format")
#: Less sure than this is not suggested, and nothing is certain.
LEAST, MOST = 0.5, 0.99
#: Larger tables are looked at in so many rows, chosen at random and always the same.
MOST_ROWS = 200_000
#: No column of a table is called so.
ROW = "\0row"
#: Multiplying by this (Knuth: the golden ratio of 32 bits) spreads row numbers evenly, so that a sample needs no dice.
_GOLDEN, _BITS = 2_654_435_761, 2**32


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A cell that looks wrong. Nothing is done with it unless somebody accepts it.

    row: its number in the table, from 1. key: the values of the key's columns. value: what stands there, None for null.
    expected: what the detector would put there. key, value and expected are masked like previews. kind: the detector whose
    reason it is; others: further ones that doubt the cell. confidence: the share of such cells that are wrong, an estimate.
    given: the columns that decide about this one, where it breaks a dependency. source: where the row was delivered
    (FILE_SHA256:ROW), if the table says so.
    """

    id: str
    row: int
    key: Mapping[str, Any]
    column: str
    value: str | None
    expected: str | None
    kind: str
    reason: str
    confidence: float
    others: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    source: str | None = None

    def to_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {
            "key": dict(self.key),
            "others": list(self.others),
            "given": list(self.given),
            "confidence": round(self.confidence, 3),
        }


@dataclass(frozen=True, slots=True)
class Suggestions:
    """The doubted cells of a table, surest first. rows: of the table; looked_at: those that were looked at, fewer in a large
    table. doubted: cells that are doubted, of which `cells` are the first."""

    rows: int
    looked_at: int
    doubted: int
    cells: tuple[Suggestion, ...]


def suggest(
    frame: pl.DataFrame | pl.LazyFrame,
    contract: type[Contract] | None = None,
    *,
    columns: Sequence[str] = (),
    limit: int | None = None,
    unmask: bool = False,
) -> Suggestions:
    """Cells of a table that look wrong beside the rest of it, without any rule.

    Args:
        frame: Rows as delivered, or of a table. Links to the source are left out, and so are records that could not be read.
            Of more than 200,000 rows about so many are looked at, spread evenly, so that time and memory have a bound.
        contract: Names the key, which columns hold personal data, which texts mean that there is no value, and where one may
            lack: those cells are not doubted. Without one, personal data is known by its form.
        columns: Only cells of these columns are shown; all of them are looked at. Empty: all.
        limit: So many cells at most; None: all.
        unmask: Show personal values.

    Returns:
        The doubted cells, surest first.

    Raises:
        AssayError: There is no such column.
    """
    scan = frame.lazy()
    known = scan.collect_schema().names()
    for name in columns:
        if name not in known:
            raise AssayError(f"There is no column {name}; choose one of the table's.{nearest(name, known)}")
    rows, looked_at = _looked_at(scan)
    read, optional = _as_declared(looked_at, contract)
    doubts = [
        doubt
        for doubt in _doubts(read)
        if (not columns or doubt[1] in columns) and not (doubt[1] in optional and read[doubt[1]][doubt[0]] is None)
    ]
    shown = doubts if limit is None else doubts[:limit]
    return Suggestions(rows, looked_at.height, len(doubts), tuple(_shown(looked_at, shown, contract, unmask)))


def _as_declared(rows: pl.DataFrame, contract: type[Contract] | None) -> tuple[pl.DataFrame, frozenset[str]]:
    """The rows without the texts that the contract declares as missing, and the columns in which a value may lack."""
    if contract is None:
        return rows, frozenset()
    declared = [column for column in compiled(contract).columns if column.name in rows.columns]
    missing = {column.name: list(column.options.written.missing or ()) for column in declared}
    read = rows.with_columns(
        pl.when(~pl.col(name).is_in(texts)).then(pl.col(name))
        for name, texts in missing.items()
        if texts and rows.schema[name] == pl.String
    )
    return read, frozenset(column.name for column in declared if column.nullable)


def findings(frame: pl.DataFrame) -> Iterator[tuple[str, Finding]]:
    """What each detector finds, under its name."""
    columns = text_columns(frame.drop(ROW, strict=False))
    for kind, detect in _OF_COLUMN.items():
        for column in columns:
            yield from ((kind, finding) for finding in detect(column))
    for kind, detect_in_table in _OF_TABLE.items():
        yield from ((kind, finding) for finding in detect_in_table(columns))


def _looked_at(scan: pl.LazyFrame) -> tuple[int, pl.DataFrame]:
    """How many rows there are, and those that are looked at, with their numbers."""
    rows = int(scan.select(pl.len()).collect().item())
    numbered = scan.with_row_index(ROW, 1)
    if rows > MOST_ROWS:
        place = (pl.col(ROW).cast(pl.UInt64) * _GOLDEN) % _BITS
        numbered = numbered.filter(place < MOST_ROWS * _BITS // rows)
    if DEFECT in scan.collect_schema():
        numbered = numbered.filter(pl.col(DEFECT).is_null())
    return rows, numbered.collect()


#: index of the row, column, confidence, the finding with the strongest reason, its kind, and the other kinds
_Doubt = tuple[int, str, float, Finding, str, tuple[str, ...]]


def _doubts(rows: pl.DataFrame) -> list[_Doubt]:
    """The cells of which the detectors together are sure enough, each with the strongest finding. Detectors are taken as
    independent: each takes its share of the doubt that the others leave. Those that look at the form see the same thing: of them
    the strongest counts."""
    cells: dict[tuple[int, str], dict[str, Finding]] = {}
    for kind, finding in findings(rows):
        for row in finding.rows.tolist():
            of_cell = cells.setdefault((row, finding.column), {})
            if kind not in of_cell or of_cell[kind].confidence < finding.confidence:
                of_cell[kind] = finding
    doubts: list[_Doubt] = []
    for (row, column), of_cell in cells.items():
        doubt = 1 - max((finding.confidence for kind, finding in of_cell.items() if kind in _OF_FORM), default=0.0)
        for kind, finding in of_cell.items():
            doubt *= 1.0 if kind in _OF_FORM else 1 - finding.confidence
        if 1 - doubt >= LEAST:
            kinds = sorted(of_cell, key=lambda kind: -of_cell[kind].confidence)
            doubts.append((row, column, min(MOST, 1 - doubt), of_cell[kinds[0]], kinds[0], tuple(kinds[1:])))
    order = {name: number for number, name in enumerate(rows.columns)}
    return sorted(doubts, key=lambda doubt: (-round(doubt[2], 3), doubt[0], order[doubt[1]]))


def _shown(
    rows: pl.DataFrame, doubts: Sequence[_Doubt], contract: type[Contract] | None, unmask: bool
) -> Iterator[Suggestion]:
    """The suggestions with their values as they may be shown."""
    names = dict.fromkeys(doubt[1] for doubt in doubts)
    key = [name for name in (contract_info(contract).key if contract else ()) if name in rows.columns]
    classes = {} if unmask else personal_classes(rows.select(*{**names, **dict.fromkeys(key)}), contract)
    keys = _masked(rows[[doubt[0] for doubt in doubts]].select(key), classes, unmask).to_dicts() if key else []
    values: dict[int, tuple[str | None, str | None]] = {}
    for name in names:
        numbers = [number for number, doubt in enumerate(doubts) if doubt[1] == name]
        shown = pl.DataFrame(
            {
                name: rows[name].cast(pl.String).gather([doubts[number][0] for number in numbers]),
                "expected": pl.Series([doubts[number][3].expected for number in numbers], dtype=pl.String),
            }
        )
        value = _masked(shown.select(name), classes, unmask).to_series().to_list()
        expected = _masked(shown.select(pl.col("expected").alias(name)), classes, unmask).to_series().to_list()
        values.update(zip(numbers, zip(value, expected, strict=True), strict=True))
    places, sources = rows[ROW].to_list(), _sources(rows)
    for number, (row, column, confidence, finding, kind, others) in enumerate(doubts):
        source = sources[row] if sources else None
        yield Suggestion(
            id=suggestion_id(column, source or places[row]),
            row=places[row],
            key=keys[number] if keys else {},
            column=column,
            value=values[number][0],
            expected=values[number][1],
            kind=kind,
            reason=finding.reason,
            confidence=confidence,
            others=others,
            given=finding.given,
            source=source,
        )


def suggestion_id(column: str, row: str | int) -> str:
    """The id of what is suggested about a cell. `row`: where it was delivered, `SHA256:ROW` with 12 characters of the digest;
    else its number in the table."""
    return hashlib.sha256(f"{column}\0{row}".encode()).hexdigest()[:10]


def _sources(rows: pl.DataFrame) -> list[str]:
    """Where each row was delivered, as `assay quarantine show` has it in `_row`; empty if the table does not say."""
    if not {"_source_sha256", "_row_number"} <= set(rows.columns):
        return []
    return rows.select(pl.format("{}:{}", pl.col("_source_sha256").str.head(12), "_row_number")).to_series().to_list()


def personal_classes(rows: pl.DataFrame, contract: type[Contract] | None) -> dict[str, str | None]:
    """The class of personal data of each column: by the contract, else by the form of the values."""
    if contract is not None:
        return classes_of(contract)
    texts = {name: rows[name].cast(pl.String).drop_nulls() for name in rows.columns}
    return {name: personal_class(name, text)[0] if len(text) else None for name, text in texts.items()}


def _masked(frame: pl.DataFrame, classes: Mapping[str, str | None], unmask: bool) -> pl.DataFrame:
    return frame if unmask else mask_classes(frame, classes)
