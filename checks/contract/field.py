"""How a contract is written down: severities, field options, row rules. Everything here also works as plain pandera."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

import pandera.polars as pa
import polars as pl
from pandera.api.dataframe.model_components import DATAFRAME_CHECK_KEY, CheckInfo
from pandera.api.polars.types import PolarsData

from assay.checks.contract.conditional_rules import required_predicate, sequence_predicate
from assay.checks.contract.written_form import USUAL, WrittenForm, written_form
from assay.checks.text.formats import parser
from assay.checks.text.normalization import normal_form
from assay.checks.text.predicates import no_card_number, no_email, not_empty
from assay.errors import AssayError
from assay.stable_text import stable_text

#: The one type of a point in time in Assay: microseconds, UTC.
Timestamp = Annotated[pl.Datetime, "us", "UTC"]

METADATA_KEY = "assay"
#: Which of several rows with one key stays: the first or the last one in order, or none where they differ.
DUPLICATES = ("first", "latest", "none")
PII_CLASSES = ("name", "email", "phone", "card", "free_text")
TEXT_RULES: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "not_empty": not_empty,
    "no_email": no_email,
    "no_card_number": no_card_number,
}


class Severity(StrEnum):
    """What a broken rule does."""

    INFO = "info"  #: it is counted
    WARN = "warn"  #: it is counted and the check is marked
    QUARANTINE = "quarantine"  #: the row leaves (the default)
    BLOCK = "block"  #: the row leaves, and the batch stops once the threshold is passed

    @property
    def removes_row(self) -> bool:
        return self in (Severity.QUARANTINE, Severity.BLOCK)


@dataclass(frozen=True, slots=True)
class Block:
    """Stop the batch when more than `rows` rows or more than `share` (0 to 1) of its rows break the rule.

    Without a threshold one broken row stops the batch.
    """

    share: float | None = None
    rows: int | None = None

    def __post_init__(self) -> None:
        if self.share is not None and not 0 <= self.share <= 1:
            raise AssayError(f"Block(share={self.share}): a share is between 0 and 1; for a count write rows=…")
        if self.rows is not None and self.rows < 0:
            raise AssayError(f"Block(rows={self.rows}): a number of rows is not negative")

    def exceeded(self, invalid: int, share: float) -> bool:
        if self.share is None and self.rows is None:
            return invalid > 0
        return (self.rows is not None and invalid > self.rows) or (self.share is not None and share > self.share)


@dataclass(frozen=True, slots=True)
class RowCount:
    """The batch has as many rows as another place counts: `reference` names that count for `validate(counts=…)`.

    share, rows: how far it may be off, as a share of the counted rows (0 to 1) or in rows, whichever is more.
    """

    reference: str
    share: float = 0.0
    rows: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise AssayError(f"RowCount(share={self.share}): a share is between 0 and 1; for a count write rows=…")
        if self.rows < 0:
            raise AssayError(f"RowCount(rows={self.rows}): a number of rows is not negative")


@dataclass(frozen=True, slots=True)
class QuarantineLimits:
    """How many rows of one batch (of one day, where days are delivered) may go to quarantine. Shares are from 0 to 1.

    Without limits of its own a contract has these: more than a tenth of a batch warns, and more than half of it stops the
    batch, since then it is the rule or the whole delivery that is wrong, not the rows.

    Args:
        warn: More than this share of the batch warns; None: never.
        block: More than this share stops the batch: nothing of it is published; None: never.
        rows: A batch of fewer rows is never stopped, since a few bad rows are a large share of it; it warns.
        rules: For single rules: more than this share of the batch makes the rule's own check warn. Otherwise a rule whose
            rows went to quarantine passes, with their count. (What stops a batch by one rule is `Block`.)

    Raises:
        AssayError: A share is not between 0 and 1.
    """

    warn: float | None = 0.1
    block: float | None = 0.5
    rows: int = 10
    rules: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        named = {"warn": self.warn, "block": self.block, **self.rules}
        for name, share in named.items():
            if share is not None and not 0 <= share <= 1:
                raise AssayError(f"QuarantineLimits: {name} = {share} is not a share; write a number from 0 to 1")


@dataclass(frozen=True, slots=True)
class FieldOptions:
    """What Assay knows about a column beyond pandera. written: in a compiled column, what the contract says of all is in it."""

    key: bool = False
    exists_in: str | None = None
    canonical_unique: tuple[str, ...] | None = None
    pii: str | None = None
    naive_utc: bool = False
    required_if: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    sequence: str | None = None
    per: tuple[str, ...] = ()
    format: str | None = None
    normal: tuple[str, ...] = ()
    # Digests of contracts that declare none of these must not change, so they are added to them apart.
    written: WrittenForm = field(default=USUAL, repr=False)
    was: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """A rule over one column as a pandera check function: pandera runs it, Assay compiles it.

    others: further columns that the predicate reads. sequence: whether it compares rows with rows before them.
    """

    predicate: Callable[[pl.Expr], pl.Expr]
    others: tuple[str, ...] = ()
    sequence: bool = False

    def __call__(self, data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(self.predicate(pl.col(data.key)))


@dataclass(frozen=True, slots=True)
class RowRule:
    """A rule over a whole row as a pandera check function: pandera runs it, Assay compiles it."""

    expr: pl.Expr
    severity: Severity | Block

    def __call__(self, data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(self.expr)


def Field(  # noqa: N802 - pandera's own spelling, so that a contract reads like any pandera model
    *,
    key: bool = False,
    exists_in: str | None = None,
    canonical_unique: str | Sequence[str] | None = None,
    not_empty: bool = False,
    no_email: bool = False,
    no_card_number: bool = False,
    pii: str | None = None,
    naive_utc: bool = False,
    required_if: Mapping[str, Any] | None = None,
    sequence: str | None = None,
    per: str | Sequence[str] = (),
    format: str | None = None,
    normal: str | Sequence[str] = (),
    decimal: str | None = None,
    thousands: str | None = None,
    negative: str | None = None,
    percent: bool | None = None,
    currency: str | None = None,
    date_format: str | None = None,
    datetime_format: str | None = None,
    time_format: str | None = None,
    true_values: str | Sequence[str] | None = None,
    false_values: str | Sequence[str] | None = None,
    missing: str | Sequence[str] | None = None,
    was: str | Sequence[str] = (),
    metadata: dict[str, Any] | None = None,
    **pandera: Any,
) -> Any:
    """A column of a contract: `pandera.Field` and what Assay adds to it.

    Args:
        key: Part of the table's key; the key's columns together are unique (`Config.duplicates` says which row stays) and
            not null.
        exists_in: Foreign key, "clean/customers" (the column of the same name) or "clean/customers.id".
        canonical_unique: Column(s) naming the entity; no two entities may have names that are spellings of one name.
        not_empty: Text is not blank.
        no_email: Text holds no e-mail address.
        no_card_number: Text holds no payment-card number.
        pii: Class of personal data, one of name, email, phone, card, free_text: how previews mask it.
        naive_utc: Timestamps without a zone are UTC (without this they break `<column>.dtype`).
        required_if: {column: value or values}: not null in rows where each of these columns has (one of) these values.
        sequence: Against the row before it with a value: increasing, strictly_increasing, decreasing, strictly_decreasing
            or consecutive (one more). Order is the order of delivery.
        per: The sequence holds within rows that are equal in these columns.
        format: Text is written as a standard says: date (or "date:%d.%m.%Y"), money ("money:EUR"), unit ("unit:kg,g"),
            country ("country:alpha3"), currency, iban, email, phone ("phone:DE": a number of that country's plan, or of
            another's with its country code; "phone:international"), "stdnum:NAME" (a validator of python-stdnum).
        normal: Text is in normal form (strip, spaces, nfc, lower, upper, code, iban, email, phone; several apply in turn);
            breaking it warns, and `canonical_spellings` shows the canonical spelling. Values are never changed.
        decimal: Texts have this before decimals, "." (usual) or ",". This and what follows may stand in `Config`, too.
        thousands: Groups of three digits are separated by ".", ",", " " (any blank), "'" or "_"; "": by nothing (usual).
        negative: Numbers below zero may also be written "trailing" (`5-`) or in "parentheses" (`(5)`).
        percent: Every text ends in `%`, and is read as a hundredth. Not in `Config`.
        currency: The sign that may stand before or after a number, e.g. "€" or "EUR". Not in `Config`.
        date_format: How dates are written, in the words of `strptime`, e.g. "%d.%m.%Y".
        datetime_format: The same of timestamps; without %z it needs `naive_utc`.
        time_format: The same of times of day.
        true_values: Texts that mean true, exactly; with `false_values` instead of `true` and `false`.
        false_values: Texts that mean false.
        missing: Texts that mean that there is no value, exactly, e.g. ("", "N/A"): they are null, which `nullable` judges.
        was: What the upstream called the column before: deliveries under either name are read, one that has both is refused.
        metadata: Of one's own, kept with the column.
        **pandera: What `pandera.Field` takes, such as `gt`, `isin`, `nullable`; with `coerce`, values of another type may be
            converted with loss (text is always parsed strictly).

    Raises:
        AssayError: The pii class, format, normal form, sequence, written form or an option is unknown.
    """
    if pii is not None and pii not in PII_CLASSES:
        raise AssayError(f"Field(pii={pii!r}): unknown class of personal data; use one of {', '.join(PII_CLASSES)}")
    entity = (canonical_unique,) if isinstance(canonical_unique, str) else canonical_unique
    numbers = {"decimal": decimal, "thousands": thousands, "negative": negative, "percent": percent}
    times = {"date_format": date_format, "datetime_format": datetime_format, "time_format": time_format}
    texts = {"true_values": true_values, "false_values": false_values, "missing": missing}
    options = FieldOptions(
        key=key,
        exists_in=exists_in,
        canonical_unique=None if entity is None else tuple(entity),
        pii=pii,
        naive_utc=naive_utc,
        required_if=tuple((other, _listed(values)) for other, values in (required_if or {}).items()),
        sequence=sequence,
        per=_listed(per),
        format=format,
        normal=_listed(normal),
        was=_listed(was),
        written=written_form("Field", {**numbers, "currency": currency, **times, **texts}),
    )
    try:
        made = pa.Field(metadata={**(metadata or {}), METADATA_KEY: options}, **pandera)
    except re.error as error:
        raise AssayError(f"Field({', '.join(pandera)}): the regular expression does not compile ({error})") from error
    except (TypeError, ValueError, pa.errors.SchemaInitError) as error:
        raise AssayError(f"Field({', '.join(pandera)}): {error}") from error
    wanted = {"not_empty": not_empty, "no_email": no_email, "no_card_number": no_card_number}
    made.checks += [pa.Check(ColumnRule(TEXT_RULES[name]), name=name) for name, on in wanted.items() if on]
    made.checks += _context_checks(options)
    return made


def _context_checks(options: FieldOptions) -> list[pa.Check]:
    checks = []
    if options.required_if:
        others = tuple(other for other, _ in options.required_if)
        predicate = required_predicate(options.required_if)
        # Null is what this rule is about, so pandera must not leave it out.
        checks.append(pa.Check(ColumnRule(predicate, others), name="required_if", ignore_na=False))
    if options.sequence is not None:
        predicate = sequence_predicate(options.sequence, options.per)
        checks.append(pa.Check(ColumnRule(predicate, options.per, sequence=True), name="sequence"))
    elif options.per:
        raise AssayError("Field(per=…) says within which rows a sequence runs; give sequence= too")
    if options.format is not None:
        parse = parser(options.format, "Field(format=…)")
        checks.append(pa.Check(ColumnRule(lambda value: parse(value).is_not_null() | value.is_null()), name="format"))
    if options.normal:
        form = normal_form(options.normal, "Field(normal=…)")
        checks.append(pa.Check(ColumnRule(lambda value: form(value) == value), name="normal", raise_warning=True))
    return checks


def _listed(value: Any) -> tuple[Any, ...]:
    """The values, those of a set in an order that is the same in every process."""
    if isinstance(value, (set, frozenset)):
        return tuple(sorted(value, key=stable_text))
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def severity_of(value: Any, where: str) -> Severity | Block:
    """A severity as people write it ("warn", Severity.WARN, Block(share=0.01)). Raises AssayError for anything else."""
    if isinstance(value, Block):
        return value
    try:
        return Severity(value)
    except ValueError:
        names = ", ".join(Severity)
        raise AssayError(
            f"{where}: unknown severity {value!r}; use one of {names}, or Block(share=…, rows=…)"
        ) from None


class _RowRuleInfo(CheckInfo):
    """Tells pandera how to turn a method marked with `rule` into a check."""

    def __init__(self, build: Callable[[Any], pl.Expr], name: str, severity: Severity | Block) -> None:
        super().__init__(build)
        self.name, self.severity = name, severity

    def to_check(self, model_cls: type) -> pa.Check:
        expr = self.check_fn(model_cls)
        if not isinstance(expr, pl.Expr):
            raise AssayError(f"{model_cls.__name__}: the rule {self.name} must return a polars expression")
        return pa.Check(RowRule(expr, self.severity), name=self.name)


def rule(*, name: str | None = None, severity: Any = Severity.QUARANTINE) -> Callable[[Callable[..., pl.Expr]], Any]:
    """Mark a method of a contract as a row rule. The method returns a polars expression that is true for a valid row.

        @rule(name="event_time.not_after_delivery")
        def not_after_delivery(cls) -> pl.Expr:
            return pl.col("event_time").dt.date() <= pl.col("partition_key").str.to_date()

    The expression reads the contract's columns with their contract types, `partition_key` and the other columns that Assay
    adds (`_source_file`, …). A row for which it is null is valid.

    Args:
        name: The rule's name in reports, checks and quarantine. Default: the method's.
        severity: What happens to a row that breaks it: info, warn, quarantine, or block (or a `Block` with its threshold).

    Raises:
        AssayError: The severity is unknown.
    """

    effect = severity_of(severity, "rule")

    def mark(build: Callable[..., pl.Expr]) -> Any:
        method = classmethod(build)
        setattr(method, DATAFRAME_CHECK_KEY, _RowRuleInfo(build, name or build.__name__, effect))
        return method

    return mark
