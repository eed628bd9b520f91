"""Formats of text: a parser per format that gives the canonical spelling, or null where the text is not of the format.

A parser accepts what the format's standard allows to write, nothing else; `normalization` proposes repairs for the rest.
"""

from collections.abc import Callable
from datetime import date
from difflib import get_close_matches

import polars as pl

from assay.checks.text import number_validators
from assay.checks.text.codes import (
    CALLING_CODES,
    COUNTRIES,
    COUNTRIES_ALPHA3,
    CURRENCIES,
    CURRENCY_DECIMALS,
    IBAN_LENGTHS,
    UNITS,
)
from assay.checks.text.number_validators import Parser
from assay.errors import AssayError

_AMOUNT = r"(?P<amount>[+-]?(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]+)?)"
_ATOM = r"[\p{L}\p{N}!#$%&'*+/=?^_`{|}~\-]+"
_LABEL = r"[\p{L}\p{N}](?:[\p{L}\p{N}\-]{0,61}[\p{L}\p{N}])?"
_TOP_LABEL = r"\p{L}[\p{L}\p{N}\-]{0,61}[\p{L}\p{N}]"
_EMAIL = rf"^(?P<local>{_ATOM}(?:\.{_ATOM})*)@(?P<domain>{_LABEL}(?:\.{_LABEL})*\.{_TOP_LABEL})$"
_IBAN = r"^[A-Z]{2}[0-9]{2}(?:[0-9A-Z]{11,30}|(?: [0-9A-Z]{4}){2,7}(?: [0-9A-Z]{1,4})?)$"
_PHONE = r"^\+[1-9](?:[ ().\-/]{0,2}[0-9]){6,14}$"
_CALLING = f"^(?:{'|'.join(sorted(CALLING_CODES))})"
_LETTERS = {chr(ord("A") + index): str(10 + index) for index in range(26)}


def parser(spec: str, where: str) -> Parser:
    """The parser of a format as a contract names it: "iban", or with a parameter "date:%d.%m.%Y", "money:EUR", "stdnum:isbn".

    Raises AssayError for an unknown format or parameter; `where` begins the message.
    """
    name, _, parameter = spec.partition(":")
    if name not in FORMATS:
        close = get_close_matches(name, FORMATS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(FORMATS)}"
        raise AssayError(f"{where}: unknown format {name!r}; {hint}")
    return FORMATS[name](parameter, where)


def _date(parameter: str, where: str) -> Parser:
    """A calendar date, ISO 8601 or in the given strftime format, exactly; canonical: ISO 8601."""
    pattern = parameter or "%Y-%m-%d"

    def parse(text: pl.Expr) -> pl.Expr:
        day = text.str.to_date(pattern, strict=False)
        return pl.when(day.dt.strftime(pattern) == text).then(day.dt.strftime("%Y-%m-%d"))

    probes = [date(1926, 3, 4), date(2026, 12, 31)]
    try:
        read = pl.Series(probes).dt.strftime(pattern).to_frame("v").select(parse(pl.col("v"))).to_series().to_list()
    except pl.exceptions.PolarsError:
        read = []
    if read != [probe.isoformat() for probe in probes]:
        raise AssayError(f"{where}: the format {pattern!r} does not say a whole date; it needs day, month and %Y")
    return parse


def _money(parameter: str, where: str) -> Parser:
    """An amount with an ISO 4217 code before or after it; thousands in groups of three with commas, decimals with a point.

    No more decimals than the currency has. Canonical: "1234.50 EUR".
    """
    wanted = _chosen(parameter, CURRENCIES, "currency", where) or CURRENCIES

    def parse(text: pl.Expr) -> pl.Expr:
        after = text.str.extract_groups(rf"^{_AMOUNT} ?(?P<code>[A-Z]{{3}})$")
        before = text.str.extract_groups(rf"^(?P<code>[A-Z]{{3}}) ?{_AMOUNT}$")
        amount = pl.coalesce(after.struct.field("amount"), before.struct.field("amount")).str.replace_all(r"[,+]", "")
        code = pl.coalesce(after.struct.field("code"), before.struct.field("code"))
        places = amount.str.extract(r"\.([0-9]+)$").str.len_chars().fill_null(0)
        allowed = code.replace_strict(CURRENCY_DECIMALS, default=2, return_dtype=pl.Int64)
        return pl.when(_among(code, wanted) & (places <= allowed)).then(amount + " " + code)

    return parse


def _unit(parameter: str, where: str) -> Parser:
    """A number and the symbol of a unit; canonical: one space between them."""
    wanted = _chosen(parameter, UNITS, "unit", where) or UNITS

    def parse(text: pl.Expr) -> pl.Expr:
        parts = text.str.extract_groups(
            r"^(?P<number>[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?) ?(?P<unit>[^ 0-9].*)$"
        )
        unit = parts.struct.field("unit")
        return pl.when(_among(unit, wanted)).then(parts.struct.field("number") + " " + unit)

    return parse


def _country(parameter: str, where: str) -> Parser:
    """An ISO 3166-1 code: alpha-2, or with the parameter "alpha3" alpha-3."""
    if parameter not in ("", "alpha2", "alpha3"):
        raise AssayError(f'{where}: country codes are "country" (alpha-2) or "country:alpha3", not {parameter!r}')
    codes = COUNTRIES_ALPHA3 if parameter == "alpha3" else COUNTRIES
    return lambda text: pl.when(_among(text, codes)).then(text)


def _currency(parameter: str, where: str) -> Parser:
    """An ISO 4217 code."""
    wanted = _chosen(parameter, CURRENCIES, "currency", where) or CURRENCIES
    return lambda text: pl.when(_among(text, wanted)).then(text)


def _iban(parameter: str, where: str) -> Parser:
    """An international bank account number (ISO 13616), plain or printed in groups of four; canonical: without spaces.

    Country, length and check digits (ISO/IEC 7064, MOD 97-10) are tested, a country's own inner check digits are not.
    """
    _no_parameter("iban", parameter, where)

    def parse(text: pl.Expr) -> pl.Expr:
        plain = pl.when(text.str.contains(_IBAN)).then(text).str.replace_all(" ", "", literal=True)
        length = plain.str.slice(0, 2).replace_strict(IBAN_LENGTHS, default=None, return_dtype=pl.UInt32)
        moved = plain.str.slice(4) + plain.str.slice(0, 4)
        digits = moved.str.replace_many(list(_LETTERS), list(_LETTERS.values())).str.zfill(72)
        # Nobody's integers hold 70 digits, so the remainder is carried from piece to piece.
        remainder = pl.lit(0, dtype=pl.Int64)
        for start in range(0, 72, 12):
            remainder = (remainder * 10**12 + digits.str.slice(start, 12).cast(pl.Int64, strict=False)) % 97
        return pl.when((plain.str.len_chars() == length) & (remainder == 1)).then(plain)

    return parse


def _email(parameter: str, where: str) -> Parser:
    """An e-mail address (RFC 5321's dot-string at a full domain, letters of any script); canonical: domain in lower case."""
    _no_parameter("email", parameter, where)

    def parse(text: pl.Expr) -> pl.Expr:
        parts = text.str.extract_groups(_EMAIL)
        local, domain = parts.struct.field("local"), parts.struct.field("domain")
        fits = (local.str.len_bytes() <= 64) & (text.str.len_bytes() <= 254)
        return pl.when(fits).then(local + "@" + domain.str.to_lowercase())

    return parse


def _phone(parameter: str, where: str) -> Parser:
    """An international phone number with a country code that is assigned (ITU-T E.164); canonical: "+" and the digits.

    With a parameter it is a number of its country's numbering plan, too (`number_validators.phone`).
    """
    if parameter:
        return number_validators.phone(parameter, where)

    def parse(text: pl.Expr) -> pl.Expr:
        digits = pl.when(text.str.contains(_PHONE)).then(text.str.replace_all(r"[^0-9]", ""))
        return pl.when(digits.str.contains(_CALLING)).then("+" + digits)

    return parse


def _chosen(parameter: str, names: frozenset[str], what: str, where: str) -> frozenset[str]:
    wanted = frozenset(filter(None, parameter.split(",")))
    if unknown := sorted(wanted - names):
        raise AssayError(f"{where}: {unknown[0]!r} is no known {what}")
    return wanted


def _no_parameter(name: str, parameter: str, where: str) -> None:
    if parameter:
        raise AssayError(f"{where}: the format {name!r} takes no parameter, so not {parameter!r}")


def _among(text: pl.Expr, codes: frozenset[str]) -> pl.Expr:
    return text.is_in(sorted(codes))


#: Format -> (parameter, where) -> its parser.
FORMATS: dict[str, Callable[[str, str], Parser]] = {
    "date": _date,
    "money": _money,
    "unit": _unit,
    "country": _country,
    "currency": _currency,
    "iban": _iban,
    "email": _email,
    "phone": _phone,
    "stdnum": number_validators.stdnum,
}
