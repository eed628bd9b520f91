"""One column over many batches: what of each batch the decided type and properties do not fit, counted one batch at a time.

What only several batches can show is decided here, too: the first half of them proposes, the second half is judged by it.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from assay.checks.contract.field import FieldOptions
from assay.checks.contract.rules import Column
from assay.checks.drafting.column_stats import MOST_VALUES, RARE, ROWS_PER_VALUE, ColumnStats, Tally, shapes
from assay.checks.drafting.doubtful_values import doubtful_values
from assay.checks.drafting.ranges import Range
from assay.checks.drafting.text_types import SHARE
from assay.checks.text.formats import parser
from assay.checks.text.predicates import no_card_number, no_email, not_empty
from assay.checks.validation.parse import as_delivered

#: A list of values is closed if the second half of at least so many batches has new values in fewer rows than this share, and if
#: fewer rows than that have a value that is not listed.
BATCHES, NEW = 3, 0.002
_RANGED = (pl.Int32, pl.Int64, pl.Float32, pl.Float64)
#: Of so many different values nothing is listed, and they are no longer counted.
_TOO_MANY = 10 * MOST_VALUES
#: Whole numbers of at least so many digits may be codes that have lost their leading zeros, if most have as many digits.
_CODE_DIGITS, _MOST_CODES, _SOME_CODES = 4, 0.5, 0.002


@dataclass
class _Count:
    count: int = 0
    batches: int = 0
    most: float = 0.0
    examples: Counter[str] = field(default_factory=Counter)

    def add(self, count: int, of: int) -> None:
        self.count += count
        self.batches += count > 0
        self.most = max(self.most, count / of if of else 0.0)

    def tally(self) -> Tally:
        return Tally(self.count, self.batches, self.most, tuple(text for text, _ in self.examples.most_common(3)))


@dataclass
class ColumnTally:
    """What batches add up to. `decided` is what a sample of all batches showed; `late` batches are judged by those before."""

    decided: ColumnStats
    rows: int = 0
    batches: int = 0
    optional: int = 0
    counts: dict[str, _Count] = field(default_factory=dict)
    #: value -> its rows, its batches, and whether it came first in a late one
    values: dict[str, list[int]] | None = field(default_factory=dict)
    #: how many values have so many digits; texts that begin with a zero are counted apart
    digits: Counter[int] = field(default_factory=Counter)
    padded: Counter[int] = field(default_factory=Counter)
    low: Any = None
    high: Any = None
    range: Range = field(default_factory=Range)
    late_present: int = 0

    def add(self, values: pl.Series | None, *, late: bool) -> None:
        """The values of one more batch; None if it lacks the column."""
        if values is None:
            self.optional += 1
            return
        present, absent = self._present(values)
        self.rows += len(values)
        self.batches += len(present) > 0
        self.late_present += len(present) if late else 0
        self._count("nulls", len(values) - len(present), len(values))
        self._count("absent", absent, len(values))
        read = self._read(present)
        for kind, wrong in self._wrong(present, read):
            self._count(kind, int(wrong.sum()), len(present))
            if kind in ("misfits", "pattern_misfits", "format_misfits") and present.dtype == pl.String:
                self.counts[kind].examples.update(shapes(present.filter(wrong)))
        self._extremes(read.drop_nulls(), late=late)
        if self.decided.dtype == pl.String and self.decided.pii is None:
            self._names_of_digits(read.drop_nulls())
        if self.decided.values and self.values is not None:
            self._list(present.cast(pl.String), late=late)

    def _count(self, kind: str, count: int, of: int) -> None:
        self.counts.setdefault(kind, _Count()).add(count, of)

    def _present(self, values: pl.Series) -> tuple[pl.Series, int]:
        present = values.drop_nulls()
        missing = self.decided.written.missing
        if not missing or present.dtype != pl.String:
            return present, 0
        kept = present.filter(~present.is_in(list(missing)))
        return kept, len(present) - len(kept)

    def _read(self, present: pl.Series, *, naive_utc: bool = True) -> pl.Series:
        """As the drafted contract reads them."""
        decided = self.decided
        options = FieldOptions(naive_utc=naive_utc, written=replace(decided.written, missing=None))
        column = Column("v", decided.dtype, True, True, bool(decided.other_kinds), options)
        frame = present.alias("v").to_frame()
        return frame.select(as_delivered(pl.col("v"), present.dtype, column).alias("v")).to_series()

    def _wrong(self, present: pl.Series, read: pl.Series) -> Iterator[tuple[str, pl.Series]]:
        """Which values do not have a property, by its name."""
        decided = self.decided
        yield "misfits", read.is_null()
        if isinstance(decided.dtype, pl.Datetime) and decided.naive:
            # A declared format says by itself whether there is a zone.
            zoned = None if decided.written.datetime_format else self._read(present, naive_utc=False)
            yield "naive", read.is_not_null() if zoned is None else read.is_not_null() & zoned.is_null()
        if decided.dtype.is_float():
            yield "nan", read.is_nan().fill_null(False)
        if decided.dtype.is_numeric():
            yield "negative", (read < 0).fill_null(False)
        if decided.dtype == pl.String and present.dtype == pl.String:
            texts = present.alias("v").to_frame()
            tests = {"blank": not_empty, "emails": no_email, "cards": no_card_number}
            for kind, holds in tests.items():
                yield kind, texts.select(~holds(pl.col("v"))).to_series()
            if decided.pattern is not None:
                yield "pattern_misfits", ~present.str.contains(decided.pattern)
            if decided.format is not None:
                parse = parser(decided.format, decided.name)
                yield "format_misfits", texts.select(parse(pl.col("v")).is_null()).to_series()

    def _extremes(self, read: pl.Series, *, late: bool) -> None:
        if read.is_empty() or not (read.dtype.is_numeric() or read.dtype.is_temporal()):
            return
        finite = read.filter(read.is_finite()) if read.dtype.is_float() else read
        if finite.is_empty():
            return
        low, high = finite.min(), finite.max()
        self.low = low if self.low is None else min(self.low, low)  # pyright: ignore[reportArgumentType]
        self.high = high if self.high is None else max(self.high, high)  # pyright: ignore[reportArgumentType]
        if finite.dtype in _RANGED:
            self.range.add(finite, late=late)
        if finite.dtype.is_integer():
            lengths = finite.cast(pl.String).str.strip_chars_start("-").str.len_chars().value_counts()
            self.digits.update(dict(lengths.iter_rows()))

    def _names_of_digits(self, texts: pl.Series) -> None:
        for digits, pattern in ((self.digits, "^(?:[1-9][0-9]*|0)$"), (self.padded, "^0[0-9]+$")):
            lengths = texts.filter(texts.str.contains(pattern)).str.len_chars().value_counts()
            digits.update(dict(lengths.iter_rows()))

    def _list(self, texts: pl.Series, *, late: bool) -> None:
        assert self.values is not None
        for value, count in texts.alias("v").value_counts(name="n").iter_rows():
            entry = self.values.setdefault(value, [0, 0, int(late)])
            entry[0] += count
            entry[1] += 1
        if len(self.values) > _TOO_MANY:
            self.values = None

    def stats(self, batches: int) -> ColumnStats:
        """The column as all batches together show it."""
        tallies = {kind: count.tally() for kind, count in self.counts.items()}
        kinds = ("nulls", "absent", "misfits", "naive", "nan", "negative", "blank", "emails", "cards")
        sums: dict[str, Any] = {
            kind: tallies[kind].count if kind in tallies else 0
            for kind in (*kinds, "pattern_misfits", "format_misfits")
        }
        found = replace(
            self.decided,
            rows=self.rows,
            batches=self.batches,
            optional=self.optional,
            low=self.low,
            high=self.high,
            bounds=self.range.bounds() if batches >= BATCHES else None,
            shorter=self._shorter(),
            tallies=tallies,
            values=(),
            unlisted=0,
            **sums,
        )
        return self._listed(found, batches) if self.decided.values and self.values else found

    def _listed(self, found: ColumnStats, batches: int) -> ColumnStats:
        """The values that are no slips: of which each batch has its share, or many batches a few."""
        values = self.values or {}
        average = found.present / len(values)
        if len(values) > MOST_VALUES or average < ROWS_PER_VALUE:
            return replace(found, distinct=len(values))
        listed = {
            value
            for value, (rows, seen, _) in values.items()
            if (rows >= RARE * average and seen >= min(2, batches)) or (batches >= BATCHES and seen >= batches / 2)
        }
        meant = doubtful_values({value: rows for value, (rows, _, _) in values.items()})
        slips = {value: near for value, near in meant.items() if value in listed}
        listed -= slips.keys()
        others = {value: entry for value, entry in values.items() if value not in listed and value not in slips}
        unlisted = sum(rows for rows, _, _ in others.values())
        new = sum(rows for value, (rows, _, is_new) in values.items() if is_new and value not in slips)
        doubted = sum(values[value][0] for value in slips)
        rare = _Count(unlisted, max((seen for _, seen, _ in others.values()), default=0))
        rare.examples.update(shapes(pl.Series(sorted(others), dtype=pl.String)))
        return replace(
            found,
            distinct=len(values),
            values=tuple(sorted(listed)),
            unlisted=unlisted,
            closed=len(listed) > 1
            and batches >= BATCHES
            and new <= NEW * self.late_present
            and unlisted <= NEW * found.present
            and doubted <= (1 - SHARE) * found.present,
            doubtful=tuple((value, near, values[value][0]) for value, near in sorted(slips.items())),
            tallies={**found.tallies, "unlisted": rare.tally()},
        )

    def _shorter(self) -> int:
        """Whole numbers of one digit less than most, where most have the same number of digits, and none has more; or texts of
        digits, where others are padded with zeros."""
        if not self.digits or (self.low is not None and self.low < 0):
            return 0
        both = self.digits + self.padded
        most, total = max(both), sum(both.values())
        if both[most] < _MOST_CODES * total:
            return 0
        if self.decided.dtype == pl.String:
            others = self.rows - self.counts["nulls"].count - total
            is_code = bool(self.padded) and others <= (1 - SHARE) * total
            return sum(count for digits, count in self.digits.items() if digits < most) if is_code else 0
        shorter = self.digits.get(most - 1, 0)
        is_code = most >= _CODE_DIGITS and shorter >= _SOME_CODES * total
        return shorter if is_code and self.digits[most] + shorter + self.digits.get(most - 2, 0) == total else 0
