"""What a table's rows show about each column: the evidence from which a contract is drafted, with its counts."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from typing import Any

import polars as pl

from assay.checks.contract.written_form import USUAL, WrittenForm
from assay.checks.drafting.pattern_inference import common_pattern
from assay.checks.drafting.text_types import FEW_ROWS, SHARE, TIMESTAMP, TextType, as_type, text_type
from assay.checks.text.pii_detection import personal_class
from assay.checks.text.predicates import no_card_number, no_email, not_empty
from assay.checks.validation.reading import DEFECT, JSON
from assay.own_columns import is_link

#: Below this share of nulls the nulls are taken for defects.
NULLS = 0.01
#: A column has a list of values if there are at most so many, each in so many rows on average.
MOST_VALUES, ROWS_PER_VALUE = 100, 20
#: A listed value that is so much rarer than the average one is left out.
RARE = 0.05
#: Functional dependencies are looked for among so many columns and rows.
MOST_COLUMNS, MOST_ROWS = 12, 100_000
_ID = re.compile(r"(?i)(^|_|[a-z])(id|key|uuid|guid|code|number|no|nr)$")
#: So many examples of how texts are written are shown, without their digits and letters.
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class ColumnStats:
    """One column. Counts are rows. A range and values are given only where they are no personal data.

    misfits: values that are not of `dtype`. values: the listed values, unlisted: rows with a value that is too rare for the
    list. pattern_misfits: values that do not match `pattern`. negative: values below zero. blank, emails, cards: texts
    that are blank, hold an address or a card number. naive: times without a zone. other_kinds: JSON values that are no texts.
    written: the form of the texts, with `missing`; absent: how many mean that there is no value, which `nulls` has, too. shapes:
    how the texts are written, without digits and letters. rivals, mixed: as of a `TextType`.
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

    @property
    def present(self) -> int:
        return self.rows - self.nulls

    @property
    def nullable(self) -> bool:
        """Nulls that are too many for defects."""
        return self.nulls > NULLS * self.rows or self.rows == 0


@dataclass(frozen=True, slots=True)
class TableStats:
    """A table. key: the columns that (nearly) tell its rows apart; repeats: rows whose key came before.

    defective: rows that the reader could not read; they are not among `rows`. determines: functional dependencies
    (determinant, dependent, groups) that hold in the sample.
    """

    rows: int
    defective: int
    columns: tuple[ColumnStats, ...]
    key: tuple[str, ...]
    repeats: int
    determines: tuple[tuple[str, str, int], ...]


def column_stats(frame: pl.DataFrame) -> TableStats:
    """What the rows of a table show. Columns that link to the source are left out."""
    defective = frame[DEFECT].is_not_null().sum() if DEFECT in frame.columns else 0
    rows = frame.filter(pl.col(DEFECT).is_null()) if DEFECT in frame.columns else frame
    others = _other_kinds(rows)
    rows = rows.select(name for name in rows.columns if not is_link(name))
    columns = tuple(replace(one, other_kinds=others.get(one.name, 0)) for one in map(stats_of, rows))
    key, repeats = _key(rows, columns)
    return TableStats(rows.height, int(defective), columns, key, repeats, tuple(_dependencies(rows, columns, key)))


def _other_kinds(rows: pl.DataFrame) -> dict[str, int]:
    """How many values of each column are JSON of another kind than text, where the reader says so."""
    if JSON not in rows.columns:
        return {}
    counts = rows[JSON].drop_nulls().value_counts()
    found: Counter[str] = Counter()
    for names, count in counts.iter_rows():
        found.update(dict.fromkeys(json.loads(names), count))
    return found


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
    common = {"name": name, "dtype": dtype, "rows": rows, "nulls": rows - len(present), "distinct": distinct}
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
        common["shapes"] = _shapes(present)
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


def _shapes(texts: pl.Series) -> tuple[str, ...]:
    """The most frequent shapes of texts: no digit and no letter of them is shown."""
    shapes = texts.str.replace_all("[0-9]", "9").str.replace_all(r"\p{Lu}", "A").str.replace_all(r"\p{Ll}", "a")
    counts = shapes.alias("v").value_counts().sort(["count", "v"], descending=[True, False])
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
    if pii is not None or undecided:
        return facts
    pattern = common_pattern(texts, SHARE) if len(texts) >= FEW_ROWS else None
    if pattern is not None:
        return facts | {"pattern": pattern[0], "pattern_misfits": pattern[1]}
    if distinct <= MOST_VALUES and len(texts) >= ROWS_PER_VALUE * distinct:
        counts = texts.value_counts(sort=True)
        listed = counts.filter(pl.col("count") >= RARE * len(texts) / distinct)
        names = tuple(sorted(listed[texts.name].to_list()))
        return facts | {"values": names, "unlisted": len(texts) - int(listed["count"].sum())}
    return facts


def _key(rows: pl.DataFrame, columns: Sequence[ColumnStats]) -> tuple[tuple[str, ...], int]:
    """The column that nearly tells all rows apart, else a pair of columns; the one that is called like a key comes first. Of few
    rows only a column that tells all of them apart."""
    full = [
        c for c in columns if c.pii is None and not c.nullable and not c.dtype.is_nested() and not c.dtype.is_float()
    ]
    if rows.height < FEW_ROWS:
        whole = [c for c in full if c.distinct == rows.height > 1 and not c.dtype.is_temporal()]
        return ((max(whole, key=_named_like_id).name,), 0) if whole else ((), 0)
    single = [
        c for c in full if c.distinct >= SHARE * c.present and not c.dtype.is_temporal() and c.dtype != pl.Boolean
    ]
    single = [
        c for c in single if _named_like_id(c) or (c.distinct == c.present and (c.pattern or c.dtype.is_integer()))
    ]
    if single:
        best = max(single, key=lambda column: (_named_like_id(column), column.distinct / column.present))
        return (best.name,), best.present - best.distinct
    ids = {column.name for column in full if _named_like_id(column)}
    for first, second in combinations(full, 2):
        if first.name in ids or second.name in ids:
            distinct = rows.select(pl.struct(first.name, second.name).n_unique()).item()
            if distinct >= SHARE * rows.height:
                return (first.name, second.name), rows.height - distinct
    # Measurements: what was measured, and when. A time that tells nearly all rows apart by itself proves nothing of the other.
    times = [c for c in full if c.dtype.is_temporal() and c.distinct < SHARE * c.present]
    for one in (c for c in full if c.dtype == pl.String and 1 < c.distinct < SHARE * c.present):
        for time in times:
            distinct = rows.select(pl.struct(one.name, time.name).n_unique()).item()
            if distinct >= SHARE * rows.height:
                return (one.name, time.name), rows.height - distinct
    return (), 0


def _named_like_id(column: ColumnStats) -> bool:
    return _ID.search(column.name) is not None


def _dependencies(
    rows: pl.DataFrame, columns: Sequence[ColumnStats], key: Sequence[str]
) -> Iterator[tuple[str, str, int]]:
    repeating = [
        column.name
        for column in columns
        if 1 < column.distinct <= column.present / 2 and column.name not in key and not column.dtype.is_float()
    ][:MOST_COLUMNS]
    some = rows.head(MOST_ROWS)
    for one, other in permutations(repeating, 2):
        pair = some.select(one, other).drop_nulls()
        groups = pair[one].n_unique()
        # Few rows a group would make a dependency of chance.
        enough = groups > 1 and pair[other].n_unique() > 1 and pair.height >= FEW_ROWS and pair.height >= 2 * groups
        if enough and pair.n_unique() == groups:
            yield one, other, groups
