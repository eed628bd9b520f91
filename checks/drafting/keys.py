"""Which columns tell rows apart: searched among all columns and their combinations, in one batch, then tried on all batches.

A combination is no key because its values happen not to meet: so many repeats as chance alone would make must be missing.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import prod

import numpy as np
import polars as pl

from assay.checks.drafting.column_stats import NULLS, ColumnStats
from assay.checks.drafting.text_types import FEW_ROWS, SHARE

#: Keys of several columns have at most so many, of so many that are looked at, and are searched in so many rows.
MOST_TOGETHER, MOST_COLUMNS, MOST_ROWS = 3, 10, 50_000
#: So many repeats must be expected by chance for their absence to say something, and at most this share of them be there.
EXPECTED, OBSERVED = 20, 0.1
#: Whole numbers that chance would have repeated so often, or of which this share of the range is taken, are running numbers.
REPEATED, DENSE = 5, 0.5
#: Longer texts are no key.
LONGEST = 100
#: So many candidates are tried on all batches, with so many keys of each in memory.
MOST_TRIED, MOST_KEYS = 5, 4_000_000
_NEVER = (pl.Boolean, pl.Binary, pl.Duration, pl.Object)
_ID = re.compile(r"(?i)(^|_|[a-z])(id|key|uuid|guid|code|number|no|nr)$")

Key = tuple[str, ...]


def keys(rows: pl.DataFrame, columns: Sequence[ColumnStats], labels: Collection[str] = ()) -> list[Key]:
    """The combinations of columns that (nearly) tell these rows apart, the likeliest first. Of few rows only a column that tells
    all of them apart.

    Args:
        rows: Of one batch.
        columns: What all batches show of their columns.
        labels: Columns that have one value in each batch, such as the day of the month: with one of them in it a key would
            differ between these batches whatever the rest is, and no longer when the value comes again.
    """
    rows = rows.head(MOST_ROWS)
    full = [
        c
        for c in columns
        if c.name in rows.columns
        and c.pii is None
        and c.nulls <= NULLS * c.rows
        and not (c.optional or c.dtype.is_nested() or c.dtype.is_float() or c.dtype in _NEVER)
    ]
    distinct = {c.name: rows[c.name].n_unique() for c in full}
    if rows.height < FEW_ROWS:
        whole = [
            c
            for c in full
            if distinct[c.name] == rows.height > 1
            and not c.dtype.is_temporal()
            and _is_meant(rows[c.name], c, distinct[c.name])
        ]
        return [(c.name,) for c in sorted(whole, key=_named_like_id, reverse=True)]
    apart = [c for c in full if distinct[c.name] >= SHARE * rows.height]
    single = [c for c in apart if not c.dtype.is_temporal() and _is_meant(rows[c.name], c, distinct[c.name])]
    single.sort(key=lambda c: (_named_like_id(c), _is_code(c), distinct[c.name]), reverse=True)
    found: list[Key] = [(c.name,) for c in single]
    # What tells the rows apart by itself proves nothing of a column beside it.
    parts = [c for c in full if c not in apart and distinct[c.name] > 1 and c.name not in labels]
    return [*found, *_together(rows, sorted(parts, key=_named_like_id, reverse=True)[:MOST_COLUMNS])][:MOST_TRIED]


def _is_meant(values: pl.Series, column: ColumnStats, distinct: int) -> bool:
    """Whether a column that tells nearly all rows apart is a key rather than values that chance kept from meeting."""
    if _named_like_id(column):
        return True
    if distinct < len(values):
        return False
    if column.dtype.is_integer():
        numbers = values.cast(pl.Float64, strict=False).drop_nulls()
        span = 0.0 if numbers.is_empty() else float(numbers.max() - numbers.min() + 1)  # pyright: ignore[reportOperatorIssue, reportArgumentType]
        return span > 0 and (len(values) ** 2 / (2 * span) >= REPEATED or len(values) >= DENSE * span)
    longest = values.cast(pl.String).str.len_chars().max() if column.dtype == pl.String else 0
    return column.dtype != pl.String or int(longest or 0) <= LONGEST  # pyright: ignore[reportArgumentType]


def shown_by_one(key: Key, columns: Sequence[ColumnStats]) -> bool:
    """Whether one batch is enough for a key: it is called like one, is a code of letters and digits, or has a time in it.
    What else tells the rows of a batch apart, as a number that counts them, may begin anew in the next one."""
    parts = [column for column in columns if column.name in key]
    if len(parts) > 1:
        return any(part.dtype.is_temporal() for part in parts)
    return all(_named_like_id(part) or part.pattern is not None for part in parts)


def _is_code(column: ColumnStats) -> bool:
    return column.pattern is not None or column.dtype.is_integer()


def _named_like_id(column: ColumnStats) -> bool:
    return _ID.search(column.name) is not None


def _together(rows: pl.DataFrame, columns: Sequence[ColumnStats]) -> list[Key]:
    """Combinations of as few columns as tell the rows apart."""
    meet = {c.name: _chance(rows[c.name]) for c in columns}
    named = {c.name for c in columns if _named_like_id(c)}
    for number in range(2, MOST_TOGETHER + 1):
        found: list[tuple[int, int, Key]] = []
        for names in combinations(meet, number):
            expected = rows.height * (rows.height - 1) / 2 * prod(meet[name] for name in names)
            if expected < EXPECTED:
                continue
            repeats = rows.height - rows.select(pl.struct(names).n_unique()).item()
            if repeats <= (1 - SHARE) * rows.height and repeats <= OBSERVED * expected:
                found.append((len(named & set(names)), -repeats, names))
        if found:
            order = {name: place for place, name in enumerate(rows.columns)}
            best = sorted(found, key=lambda one: (-one[0], -one[1]))
            return [tuple(sorted(names, key=order.__getitem__)) for _, _, names in best]
    return []


def _chance(values: pl.Series) -> float:
    """How likely two rows have the same value."""
    counts = values.alias("v").value_counts(name="n")["n"].cast(pl.Float64)
    return float((counts * (counts - 1)).sum() / (len(values) * (len(values) - 1)))


@dataclass
class KeyTrial:
    """A candidate, tried batch after batch: repeats within a batch, and of keys of other batches.

    Keys are held as fingerprints of 64 bits. Where there are too many, every second key is let go with all rows that have it,
    again and again: the share of repeats stays what it is.
    """

    key: Key
    rows: int = 0
    within: int = 0
    lacking: int = 0
    thinned: int = 0
    _batches: list[np.ndarray] = field(default_factory=list)
    _held: int = 0

    def add(self, rows: pl.DataFrame) -> None:
        """The rows of one more batch."""
        if not set(self.key) <= set(rows.columns):
            self.lacking += 1
            return
        texts = rows.select(pl.col(name).cast(pl.String) for name in self.key).drop_nulls()
        found = texts.select(pl.struct(self.key).hash(seed=0)).to_series().to_numpy()
        different = np.unique(found)
        self.rows += len(found)
        self.within += len(found) - len(different)
        self._batches.append(self._kept(different))
        self._held += len(self._batches[-1])
        while self._held > MOST_KEYS:
            self.thinned += 1
            self._batches = [self._kept(batch) for batch in self._batches]
            self._held = sum(map(len, self._batches))

    def _kept(self, keys: np.ndarray) -> np.ndarray:
        return keys[(keys >> np.uint64(8)) % np.uint64(2**self.thinned) == 0]

    @property
    def across(self) -> int:
        """About how many keys of a batch came in one before it, too."""
        if not self._batches:
            return 0
        together = np.concatenate(self._batches)
        return (len(together) - len(np.unique(together))) * 2**self.thinned

    @property
    def holds_within(self) -> bool:
        return not self.lacking and self.within <= (1 - SHARE) * self.rows

    @property
    def holds(self) -> bool:
        return self.holds_within and self.within + self.across <= (1 - SHARE) * self.rows


def first_that_holds(trials: Sequence[KeyTrial]) -> KeyTrial | None:
    """The likeliest key that holds in all batches and across them."""
    return next((trial for trial in trials if trial.holds), None)
