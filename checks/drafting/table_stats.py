"""What the batches of a table show: its columns, its key and what depends on what, with how many batches agree.

A sample of all batches decides what each column is. Then each batch is counted as a whole, one after the other, so that memory
holds one of them, whatever their number.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import polars as pl

from assay.checks.drafting.column_stats import ColumnStats, stats_of
from assay.checks.drafting.dependencies import Determined, dependencies
from assay.checks.drafting.keys import MOST_ROWS, KeyTrial, first_that_holds, keys, shown_by_one
from assay.checks.drafting.tallies import ColumnTally
from assay.checks.drafting.whole_numbers import WHOLE_BATCHES, is_whole_by_chance
from assay.checks.validation.reading import DEFECT, JSON
from assay.checks.validation.seen_forms import SURELY_NONE
from assay.errors import AssayError
from assay.own_columns import is_link

#: The sample has about so many rows of all batches together, and of each at least so many.
SAMPLE, LEAST = 200_000, 20


@dataclass(frozen=True, slots=True)
class Batch:
    """One delivery: a file, or a partition of a table. `read` gives its rows as they were delivered, each time anew."""

    name: str
    read: Callable[[], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class TableStats:
    """A table. key: the columns that (nearly) tell its rows apart; repeats: rows whose key came before, in their batch or in
    another one. within: a key of each batch, whose values come again in others, or that one batch alone cannot show. missing:
    texts that mean in all columns that there is no value.

    defective: rows that the reader could not read; they are not among `rows`. kind: what a batch is ("file", "partition").
    smallest, largest: the rows of batches. left_out: what is wrong with batches that could not be used. types: columns that
    batches have in different types, with their number.
    """

    rows: int
    defective: int
    columns: tuple[ColumnStats, ...]
    key: tuple[str, ...]
    repeats: int
    determines: tuple[Determined, ...]
    batches: int = 1
    kind: str = "file"
    within: tuple[str, ...] = ()
    smallest: int = 0
    largest: int = 0
    types: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = ()
    left_out: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def kinds(self) -> str:
        return plural_of(self.kind)


def plural_of(word: str) -> str:
    """The word for several."""
    return f"{word}es" if word.endswith("ch") else f"{word}s"


def table_stats(batches: Sequence[Batch], kind: str = "file") -> TableStats:
    """What the rows of the batches show, in the order in which they came. Columns that link to the source are left out.

    Raises AssayError if none of them can be used, or a column is of types that have nothing in common.
    """
    sample = _sample(batches)
    batches = [batch for batch in batches if batch.name not in sample.left_out]
    columns, missing = _decided(sample.rows, len(batches))
    tallies: dict[str, ColumnTally] = {}
    trials: list[KeyTrial] = []
    sizes: list[int] = []
    defective, others = 0, Counter[str]()
    for place, batch in enumerate(batches):
        whole = batch.read()
        rows, broken = _readable(whole)
        defective += broken
        others.update(_other_kinds(whole))
        if not tallies:
            # The key is searched in whole batches, since of a sample of rows few share anything.
            labels = [one.name for one in sample.largest if one.n_unique() == 1 and not one.dtype.is_temporal()]
            together = keys(sample.rows, columns, labels) if sample.whole else []
            trials = [KeyTrial(key) for key in dict.fromkeys([*together, *keys(sample.largest, columns)])]
        sizes.append(rows.height)
        for column in columns:
            tally = tallies.setdefault(column.name, ColumnTally(column))
            tally.add(rows[column.name] if column.name in rows.columns else None, late=2 * place >= len(batches))
        for trial in trials:
            trial.add(rows)
    stats = tuple(
        replace(tally.stats(len(batches)), other_kinds=others.get(name, 0)) for name, tally in tallies.items()
    )
    held = first_that_holds(trials)
    key = () if held is None or (len(batches) == 1 and not shown_by_one(held.key, columns)) else held.key
    within = held.key if held is not None and not key else ()
    return TableStats(
        sum(sizes),
        defective,
        stats,
        key,
        held.within + held.across if held is not None and key else 0,
        tuple(dependencies(sample.rows, stats, key)),
        batches=len(batches),
        kind=kind,
        within=within or next((trial.key for trial in trials if trial.holds_within and not trial.holds), ()),
        smallest=min(sizes, default=0),
        largest=max(sizes, default=0),
        types=sample.types,
        left_out=tuple(sample.left_out.values()),
        missing=missing,
    )


def _decided(sample: pl.DataFrame, batches: int) -> tuple[list[ColumnStats], tuple[str, ...]]:
    """What each column is; and the texts that stand for no value in columns of numbers or times, and so in all of the table."""
    columns = [stats_of(column) for column in sample]
    listed = {text for column in columns if column.dtype != pl.String for text in column.written.missing or ()}
    missing = tuple(sorted(listed & set(SURELY_NONE)))
    if missing:
        texts = pl.col(pl.String)
        without = sample.with_columns(pl.when(~texts.is_in(list(missing))).then(texts))
        columns = [stats_of(column) for column in without]
    measured = any(column.dtype.is_float() for column in columns)
    for place, column in enumerate(columns):
        is_text = sample[column.name].dtype == pl.String
        if is_text and missing:
            every = tuple(sorted({*missing, *(column.written.missing or ())}))
            column = replace(column, written=replace(column.written, missing=every))
        if is_text and measured and batches < WHOLE_BATCHES and is_whole_by_chance(column):
            column = replace(column, dtype=pl.Float64(), whole_so_far=True)
        columns[place] = column
    return columns, missing


def _readable(frame: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """The rows that could be read, without our own columns, and how many could not."""
    rows = frame.filter(pl.col(DEFECT).is_null()) if DEFECT in frame.columns else frame
    return rows.select(name for name in rows.columns if not is_link(name)), frame.height - rows.height


@dataclass(frozen=True, slots=True)
class _Sample:
    """rows: of all batches, `whole` if they are all that there are. largest: those of the largest batch."""

    rows: pl.DataFrame
    whole: bool
    largest: pl.DataFrame
    types: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    left_out: dict[str, str]


def _sample(batches: Sequence[Batch]) -> _Sample:
    each = max(LEAST, SAMPLE // max(1, len(batches)))
    parts: list[pl.DataFrame] = []
    whole, largest, left_out = True, pl.DataFrame(), dict[str, str]()
    for batch in batches:
        try:
            rows, _ = _readable(batch.read())
        except AssayError as error:
            if len(batches) == len(left_out) + 1:
                raise
            left_out[batch.name] = str(error)
            continue
        if rows.height > largest.height or not parts:
            largest = rows.head(MOST_ROWS)
        whole = whole and rows.height <= each
        parts.append(rows if rows.height <= each else rows.sample(each, seed=0))
    dtypes: dict[str, Counter[pl.DataType]] = {}
    for part in parts:
        for name, dtype in part.schema.items():
            if dtype != pl.Null:
                dtypes.setdefault(name, Counter())[dtype] += 1
    names = dict.fromkeys(name for part in parts for name in part.columns)
    common = {name: _common(name, list(dtypes.get(name, {pl.String(): 0}))) for name in names}
    aligned = [
        part.with_columns(pl.col(name).cast(common[name], strict=False) for name in part.columns) for part in parts
    ]
    several = tuple(
        (name, tuple((str(dtype), count) for dtype, count in each.most_common()))
        for name, each in dtypes.items()
        if len(each) > 1
    )
    together = pl.concat(aligned, how="diagonal") if aligned else pl.DataFrame()
    return _Sample(together, whole, largest, several, left_out)


def _common(name: str, dtypes: Sequence[pl.DataType]) -> pl.DataType:
    """A type that can hold the values of all: text, if there is nothing better."""
    plain = [not (dtype.is_nested() or dtype == pl.Binary) for dtype in dtypes]
    empty = [pl.DataFrame(schema={name: dtype}) for dtype in dtypes]
    try:
        if any(plain) == all(plain):  # of a list and a text Polars says text, and cannot make it of the list
            return pl.concat(empty, how="vertical_relaxed").schema[name]
    except pl.exceptions.PolarsError:
        if all(plain):
            return pl.String()
    listed = ", ".join(map(str, dtypes))
    raise AssayError(
        f"The column {name!r} is of types that have nothing in common ({listed}): draft from files of one kind."
    )


def _other_kinds(rows: pl.DataFrame) -> dict[str, int]:
    """How many values of each column are JSON of another kind than text, where the reader says so."""
    if JSON not in rows.columns:
        return {}
    counts = rows[JSON].drop_nulls().value_counts()
    found: Counter[str] = Counter()
    for names, count in counts.iter_rows():
        found.update(dict.fromkeys(json.loads(names), count))
    return dict(found)
