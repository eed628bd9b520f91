"""The type that a column of texts has, and the form in which they are written: for a draft, with what speaks against it.

The usual form comes first. Another one is proposed if it reads more of the texts, and only if no other form reads as many to
other values. Texts that mean that there is no value are left out, if the rest is of a type.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from assay.checks.contract.field import FieldOptions
from assay.checks.contract.rules import Column
from assay.checks.contract.written_form import USUAL, WrittenForm
from assay.checks.text.pii_detection import personal_class
from assay.checks.validation.parse import typed
from assay.checks.validation.seen_forms import Fit, fits, means_no_value, rivals

#: A property that this share of the values has is proposed; the rest would break the rule, and is counted.
SHARE = 0.98
FEW_ROWS = 20
TIMESTAMP = pl.Datetime("us", "UTC")
_USUAL = (pl.Int64(), pl.Float64(), pl.Boolean(), pl.Date(), TIMESTAMP, pl.Time())
#: A number comes last, since many texts are digits with something between.
_KINDS = {pl.Boolean(): "boolean", pl.Date(): "date", TIMESTAMP: "timestamp", pl.Time(): "time", pl.Float64(): "number"}
#: For at most this many rival forms a draft counts the texts that each reads.
_FORMS = 3
_GROUPED = r"^[+-]?[1-9][0-9]{0,2}\.[0-9]{3}$"
#: Eight digits are a date only if all are, in these years.
_DIGITS, _YEARS = "%Y%m%d", (1900, 2100)


@dataclass(frozen=True, slots=True)
class TextType:
    """What texts are. read: they in that type, null: a misfit. absent: those that mean that there is no value.

    naive: how many times have no zone. rivals: forms of which the texts do not say which is meant; they stay texts then, unless
    one is the usual form. mixed: forms that each read some of them, and only together all; they stay texts, too.
    """

    dtype: pl.DataType
    read: pl.Series
    form: WrittenForm = USUAL
    absent: tuple[str, ...] = ()
    naive: int = 0
    rivals: tuple[str, ...] = ()
    mixed: tuple[tuple[str, int], ...] = ()


def text_type(name: str, texts: pl.Series) -> TextType:
    """The type of texts, of which none is null; text where they have no other in common."""
    empty = means_no_value(texts)
    others = texts.filter(~empty)
    found = _type_of(name, others)
    if found.dtype == pl.String:
        return TextType(pl.String(), texts, rivals=found.rivals, mixed=found.mixed)
    absent = tuple(texts.filter(empty).unique().sort().to_list())
    return replace(found, absent=absent)


def _type_of(name: str, texts: pl.Series) -> TextType:
    if texts.is_empty():
        return TextType(pl.String(), texts)
    # "007" is a name made of digits, and reading it as a number would lose the zeros.
    padded = bool(texts.str.contains(r"^[+-]?0[0-9]").any())
    usual = _best_usual(texts, [dtype for dtype in _USUAL if not (padded and dtype.is_numeric())])
    if usual is not None and not usual.read.null_count() and usual.dtype != pl.Int64:
        grouped = usual.dtype == pl.Float64 and len(texts) >= FEW_ROWS and texts.str.contains(_GROUPED).all()
        return replace(usual, rivals=("the usual form", 'thousands="."')) if grouped else usual
    if personal_class(name, texts)[0] not in (None, "free_text"):
        return usual or TextType(pl.String(), texts)
    return _written(texts, usual, padded=padded)


def _best_usual(texts: pl.Series, dtypes: Sequence[pl.DataType]) -> TextType | None:
    """The first type that reads all texts, else the one that reads the most: one 2.5 makes decimals of whole numbers."""
    found: list[TextType] = []
    for dtype in dtypes:
        if (one := _usual(texts, dtype)) is not None:
            found.append(one)
            if not one.read.null_count():
                break
    return min(found, key=lambda one: one.read.null_count(), default=None)


def _usual(texts: pl.Series, dtype: pl.DataType) -> TextType | None:
    read = as_type(texts, dtype)
    if len(read) - read.null_count() < SHARE * len(texts):
        return None
    zoned = as_type(texts, dtype, naive_utc=False) if dtype == TIMESTAMP else read
    return TextType(dtype, read, naive=zoned.null_count() - read.null_count())


def _written(texts: pl.Series, usual: TextType | None, *, padded: bool) -> TextType:
    """The usual type if there is one and no form reads more of the texts."""
    if usual is not None and not usual.read.null_count():
        return _day_of_digits(texts) or usual
    most = 0 if usual is None else len(texts) - usual.read.null_count()
    seen: list[tuple[str, pl.Series]] = []
    for dtype, kind in _KINDS.items():
        found = [fit for fit in fits(texts, dtype) if _is_meant(fit, texts, dtype, padded=padded)]
        if found and (best := found[0]).read >= SHARE * len(texts) and best.read > most:
            others = rivals(best, found)
            if not others:
                return _decided(best, texts, dtype)
            if usual is None:
                return TextType(pl.String(), texts, rivals=tuple(str(fit.form) for fit in (best, *others)))
        seen += [(str(fit.form), fit.values.is_not_null()) for fit in found[:1]]
        plain = as_type(texts, dtype).is_not_null()
        seen += [(f"the usual form of a {kind}", plain)] if plain.any() else []
    return usual or TextType(pl.String(), texts, mixed=_mixed(seen))


def _decided(best: Fit, texts: pl.Series, dtype: pl.DataType) -> TextType:
    """What a form reads, as whole numbers if it can. Groups of digits that are all alike are a code, not a number."""
    form = replace(best.form, decimal=None)
    whole = [fit for fit in fits(texts, pl.Int64()) if fit.form == form] if dtype.is_numeric() else []
    if whole and whole[0].read == best.read:
        if texts.str.len_chars().n_unique() == 1:
            return TextType(pl.String(), texts)
        return TextType(pl.Int64(), whole[0].values, form)
    return TextType(dtype, best.values, best.form, naive=best.read if best.naive else 0)


def _mixed(seen: list[tuple[str, pl.Series]]) -> tuple[tuple[str, int], ...]:
    """The forms that together read the texts, if they do and each is needed for more than a few."""
    left, kept = None, list[tuple[str, int]]()
    for form, reads in sorted(seen, key=lambda one: -int(one[1].sum())):
        rest = reads if left is None else reads & left
        if rest.sum() > (1 - SHARE) * len(reads):
            kept.append((form, int(rest.sum())))
            left = ~reads if left is None else left & ~reads
    few = left is not None and left.sum() <= (1 - SHARE) * len(left)
    return tuple(kept[:_FORMS]) if few and len(kept) > 1 else ()


def _is_meant(fit: Fit, texts: pl.Series, dtype: pl.DataType, *, padded: bool) -> bool:
    """Whether a form is more than chance: words for true need some rows, and digits alone are no date."""
    if dtype == pl.Boolean:
        return len(texts) >= FEW_ROWS
    if dtype == pl.Date and fit.form.date_format == _DIGITS:
        return False
    return not (padded and dtype.is_numeric())


def _day_of_digits(texts: pl.Series) -> TextType | None:
    if len(texts) < FEW_ROWS or not texts.str.contains("^[0-9]{8}$").all():
        return None
    fit = next((fit for fit in fits(texts, pl.Date()) if fit.form.date_format == _DIGITS), None)
    near = fit is not None and fit.values.dt.year().is_between(*_YEARS).all() and fit.read == len(texts)
    return TextType(pl.Date(), fit.values, fit.form) if fit is not None and near else None


def as_type(values: pl.Series, dtype: pl.DataType, *, naive_utc: bool = True) -> pl.Series:
    """Values as a contract reads them in the usual form; null for those that are not of the type."""
    column = Column("v", dtype, True, True, False, FieldOptions(naive_utc=naive_utc))
    return values.alias("v").to_frame().select(typed(pl.col("v"), values.dtype, column).alias("v")).to_series()
