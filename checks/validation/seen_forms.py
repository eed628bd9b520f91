"""Which declared form would read the texts of a column: asked for drafts and for messages, never to read a delivery.

Each candidate is tried by the reader itself, so that what is proposed here is what a declaration then does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import polars as pl

from assay.checks.contract.field import FieldOptions
from assay.checks.contract.rules import Column
from assay.checks.contract.written_form import WrittenForm
from assay.checks.text.codes import CURRENCIES
from assay.checks.validation.parse import as_delivered

#: What people and programs write where there is no value. It means so only where the other texts are of some type.
NO_VALUE = (
    *("", "-", "--", "---", "\u2013", "?", ".", "*", "#N/A", "#NULL!", "#VALUE!", "#NV", r"\N"),
    # What Excel writes where a formula has no value.
    *("#REF!", "#DIV/0!", "#NAME?", "#NUM!", "#BEZUG!", "#WERT!", "#ZAHL!"),
    *("N/A", "n/a", "NA", "na", "n.a.", "N.A.", "n. a.", "k.A.", "k. A.", "NULL", "Null", "null", "(null)", "<null>"),
    *("None", "none", "nil", "NIL", "n/v", "N/V", "unknown", "Unknown", "UNKNOWN", "missing", "MISSING"),
)
#: Those that mean so in a text, too: no word is written like them.
SURELY_NONE = (
    *("#N/A", "#NULL!", "#VALUE!", "#NV", "#REF!", "#DIV/0!", "#NAME?", "#NUM!", "#BEZUG!", "#WERT!", "#ZAHL!", r"\N"),
    *("N/A", "n/a", "NA", "n.a.", "N.A.", "n. a.", "k.A.", "k. A.", "NULL", "null", "(null)", "<null>", "NaN", "nan"),
)
_SAMPLE = 1_000
_SOME = 0.02  # a candidate that reads fewer of a sample than this share is not tried on all
_SEPARATORS = (
    *({"decimal": ","}, {"thousands": ","}, {"decimal": ",", "thousands": "."}, {"thousands": "."}),
    *({"decimal": ",", "thousands": " "}, {"thousands": " "}, {"thousands": "'"}, {"decimal": ",", "thousands": "'"}),
)
_CURRENCY = r"^[+\-(]?(\p{Sc}|[A-Z]{3})[^\p{L}\p{Sc}]*$|^[^\p{L}\p{Sc}]*?(\p{Sc}|[A-Z]{3})[\-)]?$"
_DAYS = ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y", "%Y{0}%m{0}%d", "%d{0}%m{0}%y", "%m{0}%d{0}%y", "%y{0}%m{0}%d")
_NAMED_DAYS = ("%d{0}%b{0}%Y", "%d{0}%b{0}%y", "%d{0}%B{0}%Y")
DATE_FORMATS = (
    *(day.format(between) for day, between in product(_DAYS, "./-")),
    *(day.format(between) for day, between in product(_NAMED_DAYS, " -/")),
    *("%d. %B %Y", "%b %d, %Y", "%B %d, %Y", "%d%b%Y", "%Y%m%d"),
)
TIME_FORMATS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%H.%M")
_ZONES = ("", "%z", " %z")
_MOMENT = r"^(.*?[^ ,T:])([ ,T:]+)([0-9]{1,2}[:.][0-9]{2}.*)$"
_TRUTHS = (
    *(
        ("yes", "no"),
        ("y", "n"),
        ("t", "f"),
        ("ja", "nein"),
        ("j", "n"),
        ("wahr", "falsch"),
        ("oui", "non"),
        ("o", "n"),
    ),
    *(("vrai", "faux"), ("si", "no"), ("s\u00ed", "no"), ("s", "n"), ("sim", "n\u00e3o"), ("on", "off"), ("1", "0")),
)


@dataclass(frozen=True, slots=True)
class Fit:
    """A form, and the texts as it reads them; null: not of it."""

    form: WrittenForm
    naive: bool
    values: pl.Series

    @property
    def read(self) -> int:
        return len(self.values) - self.values.null_count()

    def differs(self, other: "Fit") -> bool:
        """Whether a text means one value in this form and another one in the other."""
        return bool((self.values != other.values).any())


def fits(texts: pl.Series, dtype: pl.DataType) -> list[Fit]:
    """The forms, other than the usual one, that read some of the texts as this type. Best first: those that read the most, and of
    equals those that need fewer words."""
    sample = texts.sample(_SAMPLE, seed=0) if len(texts) > _SAMPLE else texts
    candidates = _matching(sample, dtype, list(_candidates(sample, dtype)))
    tried = (Fit(form, naive, _values(sample, dtype, form, naive)) for form, naive in candidates)
    few = [fit for fit in tried if fit.read > _SOME * len(sample)]
    if sample is not texts:
        few = [Fit(fit.form, fit.naive, _values(texts, dtype, fit.form, fit.naive)) for fit in few]
    return sorted(few, key=lambda fit: (-fit.read, len(fit.form.declared())))


def rivals(best: Fit, others: Sequence[Fit]) -> list[Fit]:
    """The forms that read as many of the texts, to other values: the texts do not say which of them is meant."""
    return [fit for fit in others if fit.read == best.read and fit.differs(best)]


def means_no_value(texts: pl.Series) -> pl.Series:
    """Which texts are written where there is no value."""
    return texts.is_in(list(NO_VALUE))


def _values(texts: pl.Series, dtype: pl.DataType, form: WrittenForm, naive: bool) -> pl.Series:
    column = Column("v", dtype, True, True, False, FieldOptions(naive_utc=naive, written=form))
    return texts.alias("v").to_frame().select(as_delivered(pl.col("v"), pl.String(), column).alias("v")).to_series()


def _matching(
    texts: pl.Series, dtype: pl.DataType, candidates: list[tuple[WrittenForm, bool]]
) -> list[tuple[WrittenForm, bool]]:
    """Without the formats of days and times whose pattern fits too few texts: of most that is seen for all in one pass, where
    to read them takes several for each."""
    made = {str(number): form.times(dtype) for number, (form, _) in enumerate(candidates)}
    patterns = {
        number: pl.col("v").str.contains(time.pattern).sum() for number, time in made.items() if time is not None
    }
    if not patterns:
        return candidates
    counts = texts.alias("v").to_frame().select(**patterns).row(0, named=True)
    least = _SOME * len(texts)
    return [one for number, one in enumerate(candidates) if counts.get(str(number), len(texts)) > least]


def _candidates(texts: pl.Series, dtype: pl.DataType) -> Iterator[tuple[WrittenForm, bool]]:
    if texts.is_empty():
        return
    if dtype.is_numeric():
        yield from ((form, False) for form in _numbers(texts, whole=dtype.is_integer()))
    elif dtype == pl.Date:
        yield from ((WrittenForm(date_format=text), False) for text in DATE_FORMATS)
    elif dtype == pl.Time:
        yield from ((WrittenForm(time_format=text), False) for text in TIME_FORMATS)
    elif isinstance(dtype, pl.Datetime):
        yield from _moments(texts)
    elif dtype == pl.Boolean:
        yield from ((form, False) for form in _truths(texts))


def _numbers(texts: pl.Series, *, whole: bool) -> Iterator[WrittenForm]:
    """With what is seen of signs, all ways in which separators are used."""
    signs: dict[str, str | bool] = {}
    if texts.str.contains(r"[0-9].*-$").any():
        signs["negative"] = "trailing"
    elif texts.str.contains(r"^\(.*\)$").any():
        signs["negative"] = "parentheses"
    if not whole and texts.str.ends_with("%").any():
        signs["percent"] = True
    found = texts.str.extract_groups(_CURRENCY).struct.unnest()
    seen = pl.coalesce(found.to_series(0), found.to_series(1))
    names = found.select(seen).to_series().drop_nulls()
    names = names.filter(names.is_in(sorted(CURRENCIES)) | names.str.contains(r"^\p{Sc}$"))
    if not names.is_empty():
        signs["currency"] = str(names.value_counts(sort=True)[names.name][0])
    if signs:
        yield WrittenForm(**signs)  # pyright: ignore[reportArgumentType] - each of its own type
    for separators in _SEPARATORS:
        ambiguous = separators.get("thousands") == "." and "decimal" not in separators
        if ambiguous if not whole else "decimal" in separators:
            continue
        yield WrittenForm(**separators, **signs)  # pyright: ignore[reportArgumentType]


def _moments(texts: pl.Series) -> Iterator[tuple[WrittenForm, bool]]:
    """Formats of days and of times of day that fit what stands before and after a blank or T."""
    parts = texts.str.extract_groups(_MOMENT).struct.unnest().drop_nulls()
    if parts.is_empty():
        return
    before, between, after = parts.get_columns()
    days = [fit.form.date_format for fit in fits(before, pl.Date())]
    gap = str(between.value_counts(sort=True)[between.name][0])
    if not days:
        return
    clocks = [(clock, zone) for clock, zone in product(TIME_FORMATS, _ZONES) if _reads_some_clock(after, clock + zone)]
    for day, (clock, zone) in product(days, clocks):
        yield WrittenForm(datetime_format=f"{day}{gap}{clock}{zone}"), not zone


def _reads_some_clock(texts: pl.Series, clock: str) -> bool:
    """Whether some texts are of this format: after a day that is the same for all."""
    moments = "2000-01-01 " + texts
    form = WrittenForm(datetime_format=f"%F {clock}")
    read = _values(moments, pl.Datetime("us", "UTC"), form, "%z" not in clock)
    return read.null_count() < len(read)


def _truths(texts: pl.Series) -> Iterator[WrittenForm]:
    """Pairs of words of which both occur, in whatever case: listed as they occur."""
    spellings = texts.unique().sort().to_list()
    if len(spellings) > _SAMPLE // 10:
        return
    for true, false in _TRUTHS:
        yes, no = (tuple(text for text in spellings if text.lower() == word) for word in (true, false))
        if yes and no:
            yield WrittenForm(true_values=yes, false_values=no)
