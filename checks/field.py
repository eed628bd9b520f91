"""How a contract is written down: severities, field options, row rules. Everything here also works as plain pandera."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import pandera.polars as pa
import polars as pl
from pandera.api.dataframe.model_components import DATAFRAME_CHECK_KEY, CheckInfo
from pandera.api.polars.types import PolarsData

from assay.checks.text import no_card_number, no_email, not_empty
from assay.errors import AssayError

#: The one type of a point in time in Assay: microseconds, UTC.
Timestamp = Annotated[pl.Datetime, "us", "UTC"]

METADATA_KEY = "assay"
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
class FieldOptions:
    """What Assay knows about a column beyond pandera."""

    key: bool = False
    exists_in: str | None = None
    canonical_unique: tuple[str, ...] | None = None
    pii: str | None = None
    naive_utc: bool = False


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """A rule over one column as a pandera check function: pandera runs it, Assay compiles it."""

    predicate: Callable[[pl.Expr], pl.Expr]

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
    metadata: dict[str, Any] | None = None,
    **pandera: Any,
) -> Any:
    """A column of a contract: `pandera.Field` and what Assay adds to it.

    key: part of the table's key; the key's columns together are unique (first row stays) and not null.
    exists_in: foreign key, "clean/customers" (the column of the same name) or "clean/customers.id".
    canonical_unique: column(s) naming the entity; no two entities may have names that are spellings of one name.
    not_empty, no_email, no_card_number: text is not blank, holds no e-mail address, no payment-card number.
    pii: class of personal data, one of name, email, phone, card, free_text: how previews mask it.
    naive_utc: timestamps without a zone are UTC (without this they break `<column>.dtype`).
    coerce (pandera's): values of another type may be converted with loss; text is always parsed strictly.
    Raises AssayError for an unknown pii class or option.
    """
    if pii is not None and pii not in PII_CLASSES:
        raise AssayError(f"Field(pii={pii!r}): unknown class of personal data; use one of {', '.join(PII_CLASSES)}")
    entity = (canonical_unique,) if isinstance(canonical_unique, str) else canonical_unique
    options = FieldOptions(
        key=key,
        exists_in=exists_in,
        canonical_unique=None if entity is None else tuple(entity),
        pii=pii,
        naive_utc=naive_utc,
    )
    try:
        field = pa.Field(metadata={**(metadata or {}), METADATA_KEY: options}, **pandera)
    except re.error as error:
        raise AssayError(f"Field({', '.join(pandera)}): the regular expression does not compile ({error})") from error
    except (TypeError, ValueError, pa.errors.SchemaInitError) as error:
        raise AssayError(f"Field({', '.join(pandera)}): {error}") from error
    wanted = {"not_empty": not_empty, "no_email": no_email, "no_card_number": no_card_number}
    field.checks += [pa.Check(ColumnRule(TEXT_RULES[name]), name=name) for name, on in wanted.items() if on]
    return field


def severity_of(value: Any, where: str) -> Severity | Block:
    """A severity as people write it ("warn", Severity.WARN, Block(share=0.01)). Raises AssayError for anything else."""
    if isinstance(value, Block):
        return value
    try:
        return Severity(value)
    except ValueError:
        known = ", ".join(Severity)
        raise AssayError(
            f"{where}: unknown severity {value!r}; use one of {known}, or Block(share=…, rows=…)"
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

    The expression reads the contract's columns with their contract types, `partition_key` and the columns that start
    with "_". A row for which it is null is valid. Raises AssayError for an unknown severity.
    """

    effect = severity_of(severity, "rule")

    def mark(build: Callable[..., pl.Expr]) -> Any:
        method = classmethod(build)
        setattr(method, DATAFRAME_CHECK_KEY, _RowRuleInfo(build, name or build.__name__, effect))
        return method

    return mark
