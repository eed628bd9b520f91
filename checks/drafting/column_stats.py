"""What the values of a column show: the evidence from which a contract is drafted, with its counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from assay.checks.contract.written_form import USUAL, WrittenForm
from assay.checks.drafting.pattern_inference import common_pattern
from assay.checks.drafting.standard_formats import standard_format, units_of
from assay.checks.drafting.text_types import FEW_ROWS, SHARE, TIMESTAMP, TextType, as_type, text_type
from assay.checks.text.pii_detection import personal_class
from assay.checks.text.predicates import no_card_number, no_email, not_empty

#: Below this share of nulls the nulls are taken for defects.
NULLS = 0.002
#: That there is none in so many rows, or in any of several batches, is evidence that none will come. Some in at least half of
#: several batches are usual, however few they are.
NO_NULLS, SEVERAL = 10_000, 3
#: A column has a list of values if there are at most so many, each in so many rows on average.
MOST_VALUES, ROWS_PER_VALUE = 100, 20
#: A listed value that is so much rarer than the average one is left out.
RARE = 0.05
#: So many examples of how texts are written are shown, without their digits and letters.
_EXAMPLES, _LONGEST_EXAMPLE = 3, 40


@dataclass(frozen=True, slots=True)
class Tally:
    """How often something occurs: its values or rows, the batches that have some, the largest share in one of them, and how such
    texts are written, without digits and letters."""

    count: int = 0
    batches: int = 0
    most: float = 0.0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ColumnStats:
    """One column. Counts are rows. A range and values are given only where they are no personal data.

    batches: files or partitions that have a value; optional: those without the column. tallies: of what would leave or is to be
    asked, in which batches it is. closed: whether the values were all seen before the last batches came, bounds: a range that
    the last batches kept, which only several batches can show. whole_so_far: numbers that are taken for decimals, though few
    different ones came and all were whole.

    misfits: values that are not of `dtype`. values: the listed values, unlisted: rows with a value that is too rare for the
    list; doubtful: values that are rather slips, each with the value that is meant ("": none) and its rows. pattern_misfits:
    values that do not match `pattern`. negative: values below zero. blank, emails, cards: texts
    that are blank, hold an address or a card number. format: the standard that the texts are written by. units: those that
    are written behind numbers, with their rows. shorter: whole numbers of a digit less than most, or texts of digits that are
    shorter than most and not padded with zeros, as others are. naive: times without a zone.
    other_kinds: JSON values that are no texts. written: the form of the texts, with `missing`; absent: how many mean that there
    is no value, which `nulls` has, too. shapes: how the texts are written, without digits and letters. rivals, mixed: as of a
    `TextType`.
    """

    name: str
    dtype: pl.DataType
    rows: int
    nulls: int
    distinct: int
    misfits: int
    naive: int = 0
    nan: int = 0
    negative: int = 0
    low: Any = None
    high: Any = None
    values: tuple[str, ...] = ()
    unlisted: int = 0
    doubtful: tuple[tuple[str, str, int], ...] = ()
    pattern: str | None = None
    pattern_misfits: int = 0
    pii: str | None = None
    pii_share: float = 0.0
    blank: int = 0
    emails: int = 0
    cards: int = 0
    other_kinds: int = 0
    written: WrittenForm = USUAL
    absent: int = 0
    shapes: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()
    mixed: tuple[tuple[str, int], ...] = ()
    format: str | None = None
    format_misfits: int = 0
    units: tuple[tuple[str, int], ...] = ()
    shorter: int = 0
    batches: int = 1
    optional: int = 0
    closed: bool = False
    bounds: tuple[Any, Any] | None = None
    whole_so_far: bool = False
    tallies: Mapping[str, Tally] = field(default_factory=dict)

    @property
    def present(self) -> int:
        return self.rows - self.nulls

    @property
    def nullable(self) -> bool:
        """Nulls that are too many for defects or come again and again, or too few rows to say that none will come."""
        few = self.rows < NO_NULLS and self.batches < SEVERAL
        usual = self.batches >= SEVERAL and self.tallies.get("nulls", Tally()).batches >= self.batches / 2
        return few or usual or self.nulls > NULLS * self.rows


def stats_of(values: pl.Series) -> ColumnStats:
    """What the values of one column show."""
    present = values.drop_nulls()
    found = _read(present)
    dtype, read = found.dtype, found.read
    if found.absent:
        present = present.filter(~present.is_in(list(found.absent)))
    name, rows = values.name, len(values)
    distinct = present.n_unique() if not dtype.is_nested() else len(present)
    absent = rows - values.null_count() - len(present)
    common: dict[str, Any] = {
        "name": name,
        "dtype": dtype,
        "rows": rows,
        "nulls": rows - len(present),
        "distinct": distinct,
    }
    common |= {"misfits": read.null_count(), "naive": found.naive, "absent": absent}
    common |= {
        "rivals": found.rivals,
        "mixed": found.mixed,
        "written": replace(found.form, missing=found.absent or None),
    }
    if dtype == pl.String:
        undecided = bool(found.rivals or found.mixed)
        return ColumnStats(**common, **_text(name, read, distinct, undecided=undecided))
    if found.form and dtype != pl.Boolean:
        common["shapes"] = shapes(present)
    read = read.drop_nulls()
    if dtype.is_numeric():
        nan = int(read.is_nan().sum()) if dtype.is_float() else 0
        finite = read.filter(read.is_finite()) if dtype.is_float() else read
        negative = int((finite < 0).sum())
        return ColumnStats(**common, nan=nan, negative=negative, low=finite.min(), high=finite.max())
    if dtype.is_temporal():
        return ColumnStats(**common, low=read.min(), high=read.max())
    return ColumnStats(**common)


def _read(present: pl.Series) -> TextType:
    """The type that the values have, and the values in it."""
    source = present.dtype
    if isinstance(source, (pl.Categorical, pl.Enum)) or source == pl.Null:
        return TextType(pl.String(), present.cast(pl.String))
    if isinstance(source, pl.Datetime):
        naive = len(present) if source.time_zone is None else 0
        return TextType(TIMESTAMP, as_type(present, TIMESTAMP), naive=naive)
    return text_type(present.name, present) if source == pl.String else TextType(source, present)


def shapes(texts: pl.Series) -> tuple[str, ...]:
    """The most frequent shapes of texts: no digit and no letter of them is shown."""
    masked = texts.str.slice(0, _LONGEST_EXAMPLE).str.replace_all("[0-9]", "9")
    masked = masked.str.replace_all(r"\p{Lu}", "A").str.replace_all(r"\p{Ll}", "a")
    counts = masked.alias("v").value_counts().sort(["count", "v"], descending=[True, False])
    return tuple(counts["v"].head(_EXAMPLES).to_list())


def _text(name: str, texts: pl.Series, distinct: int, *, undecided: bool) -> dict[str, Any]:
    """What texts show. undecided: they are probably of another type, so that neither their shape nor a list of them is a rule."""
    if texts.is_empty():
        return {}
    pii, share = personal_class(name, texts)
    tests = (
        texts.alias("v")
        .to_frame()
        .select(
            blank=(~not_empty(pl.col("v"))).sum(),
            emails=(~no_email(pl.col("v"))).sum(),
            cards=(~no_card_number(pl.col("v"))).sum(),
        )
    )
    facts: dict[str, Any] = {"pii": pii, "pii_share": share, **{n: int(v) for n, v in tests.row(0, named=True).items()}}
    if undecided:
        return facts
    if (standard := standard_format(name, texts)) is not None:
        return facts | {"format": standard[0], "format_misfits": standard[1]}
    if pii is not None:
        return facts
    if units := units_of(texts):
        return facts | {"units": units}
    pattern = common_pattern(texts, SHARE) if len(texts) >= FEW_ROWS else None
    if pattern is not None:
        return facts | {"pattern": pattern[0], "pattern_misfits": pattern[1]}
    if distinct <= MOST_VALUES and len(texts) >= ROWS_PER_VALUE * distinct:
        counts = texts.value_counts(sort=True)
        listed = counts.filter(pl.col("count") >= RARE * len(texts) / distinct)
        names = tuple(sorted(listed[texts.name].to_list()))
        return facts | {"values": names, "unlisted": len(texts) - int(listed["count"].sum())}
    return facts
