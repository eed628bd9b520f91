"""Columns that determine another one in nearly all rows, with the rows that are exceptions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import polars as pl

from assay.checks.drafting.column_stats import ColumnStats
from assay.checks.drafting.text_types import FEW_ROWS

#: They are looked for among so many columns and rows.
MOST_COLUMNS, MOST_ROWS = 12, 100_000
#: With more exceptions than this share of the rows it is no dependency.
EXCEPTIONS = 0.01


@dataclass(frozen=True, slots=True)
class Determined:
    """`one` determines `other` in `rows` rows of `groups` groups, but for `exceptions` rows that have another value than most."""

    one: str
    other: str
    rows: int
    groups: int
    exceptions: int


def dependencies(rows: pl.DataFrame, columns: Sequence[ColumnStats], key: Sequence[str]) -> Iterator[Determined]:
    """The dependencies between the columns. With exceptions only where they are less than a tenth of what chance would leave."""
    repeating = [
        column.name
        for column in columns
        if 1 < column.distinct <= column.present / 2 and column.name not in key and not column.dtype.is_float()
    ][:MOST_COLUMNS]
    some = rows.head(MOST_ROWS)
    for one, other in permutations(repeating, 2):
        pair = some.select(one=one, other=other).drop_nulls()
        groups = pair["one"].n_unique()
        # Few rows a group would make a dependency of chance.
        if groups < 2 or pair["other"].n_unique() < 2 or pair.height < FEW_ROWS or pair.height < 2 * groups:
            continue
        counts = pair.group_by("one", "other").len()
        exceptions = pair.height - int(counts.group_by("one").agg(pl.col("len").max())["len"].sum())
        by_chance = pair.height - int(pair["other"].value_counts()["count"].max())  # pyright: ignore[reportArgumentType]
        if exceptions <= EXCEPTIONS * pair.height and exceptions <= by_chance / 10:
            yield Determined(one, other, pair.height, groups, exceptions)
