"""From rows to the state of their columns."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Any, cast

import numpy as np
import polars as pl

from assay.checks.contract.contract import Contract, compiled
from assay.checks.contract.rules import Column
from assay.checks.profiles.profile_state import Bound, ColumnState, ProfileState, Texts
from assay.checks.profiles.sketch_distinct import Distinct
from assay.checks.profiles.sketch_frequent import KEPT, Frequent
from assay.checks.profiles.sketch_histogram import Histogram
from assay.checks.profiles.sketch_moments import Moments
from assay.checks.profiles.sketch_quantiles import Quantiles
from assay.checks.validation.batch_counts import plain

# A text is counted for each class of characters that it has any of.
_CLASSES = {
    "digit": r"[0-9]",
    "lower": r"\p{Ll}",
    "upper": r"\p{Lu}",
    "space": r"\s",
    "punctuation": r"[[:punct:]]",
    "non_ascii": r"[^\x00-\x7F]",
}
_WIDE = "non_ascii"  # has more bytes than characters, which is known faster than by the pattern
_SHORT = 64  # characters: of longer texts a pattern sees the first few, as a rule
_ROWS = 1 << 17  # of which the bytes are looked at together


def profile(frame: pl.DataFrame, contract: type[Contract]) -> ProfileState:
    """The profile of rows: counts, ranges, quantiles, frequent values, without personal data.

    Args:
        frame: Rows in the contract's types, such as the clean rows of a validation. Other columns are left out.
        contract: Says which columns there are, and which are personal.

    Returns:
        Mergeable statistics of each column.
    """
    schema = contract.to_schema()
    columns = {
        column.name: _column(frame[column.name], column, _agreed(schema.columns[column.name], column.dtype))
        for column in compiled(contract).columns
        if column.name in frame.columns
    }
    return ProfileState(frame.height, columns)


def _column(series: pl.Series, column: Column, agreed: pl.Series) -> ColumnState:
    dtype = series.dtype
    state = ColumnState(str(dtype), len(series), series.null_count())
    values = series.drop_nulls()
    if dtype.is_float():
        values = values.drop_nans()
        state = replace(state, nan=len(series) - state.null - len(values))
    if dtype.is_nested() or dtype == pl.Null:
        return state
    if isinstance(dtype, pl.Categorical | pl.Enum):
        values = values.cast(pl.String)  # its codes mean nothing elsewhere
    # What takes long to compare is known by its hashes. The values are sorted once, and each is looked at once.
    plain = values.dtype == pl.Boolean or values.dtype.is_numeric() or values.dtype.is_temporal()
    ordered = (values if plain else values.hash(seed=0)).sort()
    counted = _Counted.of(ordered)
    hashes = counted.values.hash(seed=0) if plain else counted.values
    distinct = Distinct.of(hashes.to_numpy())
    state = replace(state, distinct=distinct)
    if values.dtype == pl.String:
        state = replace(state, texts=_texts(values, rare=distinct.estimate() > len(values) // 4))
    if column.options.pii is not None:
        return state
    if values.dtype == pl.String:
        names = dict(zip(agreed.hash(seed=0), agreed, strict=True))
        frequent = Frequent.of({names.get(value, f"#{value:016x}"): count for value, count in counted.most_frequent()})
        return replace(state, frequent=frequent)
    if values.dtype == pl.Boolean or values.dtype.is_integer():
        frequent = Frequent.of({str(value).lower(): count for value, count in counted.most_frequent()})
        state = replace(state, frequent=frequent)
    if not (values.dtype.is_numeric() or values.dtype.is_temporal()):
        return state
    numbers = _numbers(values)
    finite = numbers[np.isfinite(numbers)]
    ranks = values.to_physical() if values.dtype.is_temporal() else values
    return replace(
        state,
        infinite=len(numbers) - len(finite),
        low=_bound(values.min(), ranks.min()),
        high=_bound(values.max(), ranks.max()),
        moments=Moments.of(finite),
        quantiles=Quantiles.of(_finite(ordered)),  # which are sorted
        histogram=_by_month(ordered) if isinstance(dtype, pl.Date | pl.Datetime) else Histogram.of(finite),
    )


def _agreed(column: Any, dtype: pl.DataType) -> pl.Series:
    """The texts that the contract itself lists: they are no data."""
    listed = [str(value) for value in dtype.categories] if isinstance(dtype, pl.Enum) else []
    for check in column.checks or ():
        if check.name == "isin":
            listed += [value for value in check.statistics["allowed_values"] if isinstance(value, str)]
    return pl.Series(listed, dtype=pl.String).unique()


@dataclass(frozen=True, slots=True)
class _Counted:
    """Each value once, ascending, and how often it occurs."""

    values: pl.Series
    counts: np.ndarray

    @classmethod
    def of(cls, ordered: pl.Series) -> "_Counted":
        """Of sorted values."""
        runs = ordered.rle().struct.unnest()
        return cls(runs["value"], runs["len"].to_numpy())

    def most_frequent(self) -> Iterable[tuple[Any, int]]:
        """(value, count) of as many values as `Frequent` needs to know."""
        # Where nearly all values occur once, few are left to choose from.
        chosen = np.flatnonzero(self.counts > 1)
        if len(chosen) <= KEPT:
            chosen = np.concatenate([chosen, np.flatnonzero(self.counts[: 2 * KEPT + 1] == 1)])
        if len(chosen) > KEPT:
            chosen = chosen[np.argpartition(self.counts[chosen], -KEPT - 1)[-KEPT - 1 :]]
        return zip(self.values.gather(chosen), self.counts[chosen].tolist(), strict=True)


def _numbers(values: pl.Series) -> np.ndarray:
    dtype = values.dtype
    if isinstance(dtype, pl.Date):
        values = values.cast(pl.Datetime("us"))
    if isinstance(values.dtype, pl.Datetime):
        values = values.dt.epoch("us") / 1e6
    elif isinstance(dtype, pl.Duration):
        values = values.dt.total_microseconds() / 1e6
    elif isinstance(dtype, pl.Time):
        values = values.cast(pl.Int64) / 1e9
    return values.cast(pl.Float64).to_numpy()


def _finite(values: pl.Series) -> np.ndarray:
    numbers = _numbers(values)
    return numbers[np.isfinite(numbers)]


def _by_month(ordered: pl.Series) -> Histogram:
    # A day's month is looked for once.
    days = _Counted.of((ordered if ordered.dtype == pl.Date else ordered.dt.date()).to_physical())
    different = days.values.cast(pl.Date)
    counts = dict[int, int]()
    for year, month, count in zip(different.dt.year(), different.dt.month(), days.counts.tolist(), strict=True):
        place = year * 12 + month - 1
        counts[place] = counts.get(place, 0) + count
    return Histogram(counts)


def _bound(value: Any, rank: Any) -> Bound | None:
    if value is None:
        return None
    return Bound(_unscaled(rank) if isinstance(rank, Decimal) else rank, plain(value))


def _unscaled(value: Decimal) -> int:
    # All values of a decimal column have the same number of decimal places, so the digits alone compare.
    sign, digits, _ = value.as_tuple()
    return (-1 if sign else 1) * int("".join(map(str, digits)))


def _texts(values: pl.Series, *, rare: bool) -> Texts:
    """rare: most texts occur once; else each is looked at once, and counted as often as it occurs."""
    lengths = values.str.len_chars()
    if rare:
        classes = _classes(values, lengths)
    else:
        counted = values.alias("value").value_counts(name="count")
        has = {
            name: pl.col("count").filter(pl.col("value").str.contains(pattern)).sum()
            for name, pattern in _CLASSES.items()
        }
        classes = counted.select(**has).row(0, named=True)
    return Texts(
        lengths=Moments.of(lengths.cast(pl.Float64).to_numpy()),
        shortest=cast("int | None", lengths.min()),
        longest=cast("int | None", lengths.max()),
        empty=int((lengths == 0).sum()),
        classes=classes,
    )


def _classes(values: pl.Series, lengths: pl.Series) -> dict[str, int]:
    """For each class of characters, how many texts have any of it."""
    narrow = values.str.len_bytes() == lengths
    short = narrow & (lengths <= _SHORT)
    others = values.filter(~short)
    classes = {name: int(others.str.contains(pattern).sum()) for name, pattern in _CLASSES.items() if name != _WIDE}
    classes[_WIDE] = int((~narrow).sum())
    for part in values.filter(short & (lengths > 0)).to_frame("text").iter_slices(_ROWS):
        found = _classes_of_ascii(part["text"])
        for bit, name in enumerate(_CLASSES):
            classes[name] += int(found[np.arange(len(found)) >> bit & 1 == 1].sum())
    return classes


def _classes_of_ascii(texts: pl.Series) -> np.ndarray:
    """How many of these texts, none of them empty, have which classes of characters: counts by the classes as bits."""
    bits = np.frombuffer(texts.str.join("").item().encode().translate(_bits()), np.uint8)
    ends = texts.str.len_bytes().to_numpy().cumsum(dtype=np.int64)
    return np.bincount(np.bitwise_or.reduceat(bits, np.concatenate([[0], ends[:-1]])), minlength=1 << len(_CLASSES))


@cache
def _bits() -> bytes:
    """For each byte of an ASCII text its classes, as the patterns find them."""
    characters = pl.Series([chr(byte) for byte in range(128)])
    has = [characters.str.contains(pattern).to_numpy() for pattern in _CLASSES.values()]
    return np.packbits(has, axis=0, bitorder="little").tobytes() + bytes(128)
