"""What says of rows of predictions whether they took affected rows of a table, and what it says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from assay.lineage.predictions.find_prediction import UNREADABLE

EVENT_TIME = "event_time"
HIT = "__hit"


Test = Callable[[pl.DataFrame], pl.Series]


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """By row, whether it took an affected row of a table, and whether that is not certain (`perhaps`)."""

    taken: pl.Series
    perhaps: pl.Series


@dataclass(frozen=True, slots=True, eq=False)
class Unsure:
    """Rows that may have taken an affected row, besides those of which a test says that they did, and why that is not known."""

    test: Test
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Tests:
    """By table that was read: which rows took affected rows of it. `notes` by table: why more of them may be named, as far as
    the rows were looked at; `unsure` by table: rows of which that is not recorded, while it is of the others."""

    by_table: Mapping[str, Test]
    notes: dict[str, frozenset[str]]
    unsure: Mapping[str, Unsure]

    def __call__(self, rows: pl.DataFrame) -> dict[str, Hits]:
        return {table: self._answer(table, test, rows) for table, test in self.by_table.items()}

    def _answer(self, table: str, test: Test, rows: pl.DataFrame) -> Hits:
        try:
            taken = test(rows)
            unsure = self.unsure[table].test(rows) & ~taken if table in self.unsure else none(rows)
        except UNREADABLE as problem:
            what = f"rows of {table} that were read are gone ({type(problem).__name__}): all that could have taken them count"
            self.notes[table] |= {what}
            return Hits(every(rows), every(rows))
        return Hits(taken | unsure, every(rows) if self.notes[table] else unsure)

    def reasons(self, table: str, hits: Hits) -> frozenset[str]:
        """Why more rows may be named than took an affected row of a table, of those that were looked at."""
        unsure = self.unsure.get(table)
        why = frozenset([unsure.why]) if unsure is not None and (hits.taken & hits.perhaps).any() else frozenset[str]()
        return self.notes[table] | why


def unrecorded(what: str) -> str:
    return f"it is not recorded {what}: all that a commit wrote count"


def every(rows: pl.DataFrame) -> pl.Series:
    return pl.repeat(True, rows.height, eager=True)


def none(rows: pl.DataFrame) -> pl.Series:
    return pl.repeat(False, rows.height, eager=True)


def any_of(tests: Sequence[Test]) -> Test:
    """Whether any of the tests says yes, by row."""

    def test(rows: pl.DataFrame) -> pl.Series:
        hits = none(rows)
        for one in tests:
            hits = hits | one(rows)
        return hits

    return test


def is_in(rows: pl.DataFrame, asked: pl.DataFrame, on: Sequence[str]) -> pl.Series:
    """Whether rows equal one of `asked` in some columns."""
    if not on:  # rows that are the same for all
        return pl.repeat(asked.height > 0, rows.height, eager=True)
    left = rows.select(pl.col(name).cast(asked.schema[name], strict=False) for name in on)
    return left.join(
        asked.select(*on, pl.lit(True).alias(HIT)).unique(), on=list(on), how="left", maintain_order="left"
    )[HIT].fill_null(False)
