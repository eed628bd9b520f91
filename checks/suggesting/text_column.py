"""A column as detectors see it: its different texts, how often each occurs, and what they can be read as."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from assay.checks.suggesting.shapes import NUMBER, moment_format
from assay.own_columns import is_link

#: What people and programs write where there is no value. A hyphen is one only if it stands alone.
MISSING_TOKENS = frozenset(
    {
        *(
            "n/a",
            "na",
            "#n/a",
            "n.a.",
            "n.a",
            "nan",
            "nan%",
            "null",
            "none",
            "nil",
            "nul",
            "(null)",
            "<null>",
            "\\n",
            "#null!",
        ),
        *("-", "--", "---", "–", "—", "?", "??", "???", ".", "..", "...", "*", "_", "#", "/"),
        *("empty", "(empty)", "blank", "(blank)", "missing", "unknown", "undefined", "unspecified", "not available"),
        *("not applicable", "not known", "not provided", "no data", "tbd", "tba", "tbc", "#ref!", "#value!", "#div/0!"),
        *("#name?", "#num!", "#nv", "#bezug!", "#wert!", "#zahl!"),
    }
)


#: Types whose values have no text.
_NO_TEXT = (pl.Binary, pl.Duration, pl.Object)


@dataclass(frozen=True)
class TextColumn:
    """The present values of a column as text.

    values: the different texts, most frequent first. counts: their rows. codes: for each row the index of its text, -1 for
    null. An empty text counts as null.
    """

    name: str
    values: pl.Series
    counts: np.ndarray
    codes: np.ndarray

    @property
    def rows(self) -> int:
        return len(self.codes)

    @cached_property
    def nulls(self) -> int:
        return int((self.codes < 0).sum())

    @property
    def present(self) -> int:
        return self.rows - self.nulls

    @cached_property
    def texts(self) -> list[str]:
        return self.values.to_list()

    @cached_property
    def is_missing(self) -> np.ndarray:
        """Which values are tokens for "no value"."""
        return self.values.str.strip_chars().str.to_lowercase().is_in(list(MISSING_TOKENS)).to_numpy()

    @cached_property
    def numbers(self) -> np.ndarray:
        """The values as numbers, NaN where they are none."""
        read = self.values.str.strip_chars()
        return (
            pl.select(pl.when(read.str.contains(NUMBER)).then(read.cast(pl.Float64, strict=False)))
            .to_series()
            .fill_null(float("nan"))
            .to_numpy()
        )

    def share(self, mask: np.ndarray) -> float:
        """The share of the rows with a value (tokens for none left out) that the marked values have."""
        real = ~self.is_missing
        total = self.counts[real].sum()
        return float(self.counts[mask & real].sum() / total) if total else 0.0

    @cached_property
    def number_share(self) -> float:
        return self.share(~np.isnan(self.numbers))

    @cached_property
    def moments(self) -> pl.Series:
        """The format of each value as a date or time, null for others."""
        return moment_format(self.values)

    @cached_property
    def moment_share(self) -> float:
        return self.share(self.moments.is_not_null().to_numpy())

    @cached_property
    def _order(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self.codes, kind="stable")
        return order, np.searchsorted(self.codes[order], np.arange(len(self.counts) + 1))

    def rows_of(self, value: int) -> np.ndarray:
        """The rows that have the value with this index."""
        order, starts = self._order
        return order[starts[value] : starts[value + 1]]


def text_columns(frame: pl.DataFrame) -> list[TextColumn]:
    """The columns of a table, without links to the source, lists, structs and bytes."""
    return list(_columns(frame))


def _columns(frame: pl.DataFrame) -> Iterator[TextColumn]:
    for series in frame.iter_columns():
        if is_link(series.name) or series.dtype.is_nested() or series.dtype in _NO_TEXT:
            continue
        text = series.cast(pl.String)
        text = text.set(text == "", None).alias("value")
        counts = text.drop_nulls().value_counts(sort=True, name="n").sort(["n", "value"], descending=[True, False])
        index = counts.select("value", code=pl.int_range(pl.len(), dtype=pl.Int64))
        codes = text.to_frame().join(index, on="value", how="left", maintain_order="left")["code"].fill_null(-1)
        yield TextColumn(series.name, counts["value"], counts["n"].to_numpy().astype(np.int64), codes.to_numpy())
