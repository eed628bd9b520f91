"""How the texts of a column are written, where it is not in the usual form: declared for a field, or for all of a contract.

Nothing here is guessed from the data. A text that is not of the declared form breaks the column's `dtype`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import polars as pl

from assay.checks.text.number_forms import require_number_form
from assay.checks.text.time_formats import TimeFormat, time_format
from assay.errors import AssayError

_LISTS = ("true_values", "false_values", "missing")
#: Option -> the kinds of columns that it says something of; of "any" kind, it may be declared everywhere.
_KINDS = {
    "decimal": ("fraction",),
    "thousands": ("fraction", "whole"),
    "negative": ("fraction", "whole"),
    "percent": ("fraction",),
    "currency": ("fraction", "whole"),
    "date_format": ("date",),
    "datetime_format": ("datetime",),
    "time_format": ("time",),
    "true_values": ("boolean",),
    "false_values": ("boolean",),
    "missing": ("any",),
}
#: Options that only a field has: of all columns of a table they are never true.
_FIELD_ONLY = ("percent", "currency")


@dataclass(frozen=True, slots=True)
class WrittenForm:
    """The declared form of a column's texts. None: not declared here; the contract's form holds, or else the usual one."""

    decimal: str | None = None
    thousands: str | None = None
    negative: str | None = None
    percent: bool | None = None
    currency: str | None = None
    date_format: str | None = None
    datetime_format: str | None = None
    time_format: str | None = None
    true_values: tuple[str, ...] | None = None
    false_values: tuple[str, ...] | None = None
    missing: tuple[str, ...] | None = None

    def __bool__(self) -> bool:
        return bool(self.declared())

    def declared(self) -> dict[str, Any]:
        """The options that are declared, by name."""
        return {name: value for name in OPTIONS if (value := getattr(self, name)) is not None}

    def beyond(self, common: "WrittenForm") -> dict[str, Any]:
        """What a column declares itself, where a contract says `common` of all."""
        return {name: value for name, value in self.declared().items() if value != getattr(common, name)}

    @property
    def is_number_form(self) -> bool:
        """Whether numbers are in another than the usual form."""
        plain = self.decimal in (None, ".") and not (self.thousands or self.percent or self.currency)
        return not plain or self.negative is not None

    def numbers(self, dtype: pl.DataType) -> dict[str, Any]:
        """What the reader of numbers has to know."""
        return {
            "decimal": self.decimal or ".",
            "thousands": self.thousands or "",
            "negative": self.negative,
            "percent": bool(self.percent),
            "currency": self.currency or "",
            "whole": dtype.is_integer(),
            "floats": dtype.is_float(),
        }

    def times(self, dtype: pl.DataType, where: str = "") -> TimeFormat | None:
        """The format of dates or times of this type; None: ISO 8601."""
        kind = _kind(dtype)
        text = getattr(self, f"{kind}_format") if kind in ("date", "datetime", "time") else None
        return time_format(text, day=kind != "time", clock=kind != "date", where=where) if text else None

    def arguments(self) -> list[str]:
        """The options as arguments of a `Field`, as Python source."""
        return [f"{name}={_written(value)}" for name, value in self.declared().items()]

    def __str__(self) -> str:
        return ", ".join(self.arguments())


#: Nothing is declared.
USUAL = WrittenForm()
OPTIONS = tuple(field.name for field in fields(WrittenForm))
#: The options that a contract's `Config` may have.
FOR_ALL = tuple(name for name in OPTIONS if name not in _FIELD_ONLY)


def written_form(where: str, options: Mapping[str, Any]) -> WrittenForm:
    """The form that an author declares. Raises AssayError for a value of another type; the rest is checked with the column."""
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        if name in _LISTS:
            listed = sorted(value) if isinstance(value, (set, frozenset)) else value
            given[name] = (value,) if isinstance(value, str) else tuple(listed)
            if not all(isinstance(one, str) for one in given[name]):
                raise AssayError(f'{where}: {name} lists texts; write them in quotes, like {name}=("-", "0")')
        elif not isinstance(value, bool if name == "percent" else str):
            raise AssayError(f"{where}: {name}={value!r} is not a {'truth value' if name == 'percent' else 'text'}")
    return WrittenForm(**given)


def form_of_column(
    where: str, own: WrittenForm, common: WrittenForm, dtype: pl.DataType, *, naive_utc: bool
) -> WrittenForm:
    """The form that holds for a column: its own, else what of the contract's says anything of its type.

    Raises AssayError for an option of its own that says nothing of its type, and for a form that could be read in two ways.
    """
    for name in own.declared():
        if not _fits(name, dtype):
            raise AssayError(f"{where}: {name} says nothing of a column of type {dtype}; remove it")
    fitting = {name: value for name, value in common.declared().items() if _fits(name, dtype)}
    form = replace(own, **{name: value for name, value in fitting.items() if getattr(own, name) is None})
    if dtype.is_numeric():
        numbers = form.numbers(dtype)
        require_number_form(where, **{name: numbers[name] for name in numbers if name not in ("percent", "floats")})
    made = form.times(dtype, where)
    if made is not None and isinstance(dtype, pl.Datetime) and not (made.zoned or naive_utc):
        raise AssayError(f"{where}: {form.datetime_format!r} has no zone; add %z, or say naive_utc=True if it is UTC")
    _require_distinct(where, form)
    return form


def _require_distinct(where: str, form: WrittenForm) -> None:
    if bool(form.true_values) != bool(form.false_values):
        raise AssayError(f"{where}: true_values and false_values belong together; declare both")
    meanings = {"true": form.true_values, "false": form.false_values, "missing": form.missing}
    seen: dict[str, str] = {}
    for meaning, texts in meanings.items():
        for text in texts or ():
            if seen.setdefault(text, meaning) != meaning:
                raise AssayError(f"{where}: {text!r} is declared as {seen[text]} and as {meaning}; keep one")


def _fits(name: str, dtype: pl.DataType) -> bool:
    return not {"any", _kind(dtype)}.isdisjoint(_KINDS[name])


def _kind(dtype: pl.DataType) -> str:
    if dtype.is_integer():
        return "whole"
    if dtype.is_float() or isinstance(dtype, pl.Decimal):
        return "fraction"
    if isinstance(dtype, pl.Datetime):
        return "datetime"
    kinds: dict[pl.DataType, str] = {pl.Date(): "date", pl.Time(): "time", pl.Boolean(): "boolean"}
    return kinds.get(dtype, "")


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({_listed(value)}{',' if len(value) == 1 else ''})"
    plain = isinstance(value, str) and value.isprintable() and '"' not in value and "\\" not in value
    return f'"{value}"' if plain else repr(value)


def _listed(values: Iterable[str]) -> str:
    return ", ".join(map(_written, values))
