"""Numbers as people and other programs write them, to the usual form: `1.234,50-` to `-1234.50`.

A text that is not wholly of the declared form becomes null. Nothing is tried twice: `1,234.5` under a decimal comma is no number.
"""

import re
import unicodedata

import polars as pl

from assay.errors import AssayError

_BLANK = "[ \u00a0\u2009\u202f]"
#: What separates thousands -> the characters that may stand for it.
GROUPS = {"": "", ".": r"[.]", ",": "[,]", " ": _BLANK, "'": "['\u2019]", "_": "[_]"}
NEGATIVES = ("trailing", "parentheses")
_NOT_FINITE = r"[+-]?(?i:nan|inf|infinity)"
_NO_CURRENCY = re.compile(r"[0-9+\-()%]|^\s|\s$")


def require_number_form(
    where: str, *, decimal: str, thousands: str, negative: str | None, currency: str, whole: bool
) -> None:
    """Raise AssayError for a form that is ambiguous or invalid. whole: the numbers have no fraction."""
    if decimal not in (".", ","):
        raise AssayError(f'{where}: decimal={decimal!r} is not known; use "." or ","')
    if thousands not in GROUPS:
        known = ", ".join(repr(one) for one in GROUPS if one)
        raise AssayError(f"{where}: thousands={thousands!r} is not known; use one of {known}, or '' for none")
    if thousands == decimal and not whole:
        raise AssayError(
            f"{where}: {decimal!r} would separate both thousands and decimals; declare another decimal or thousands"
        )
    if negative is not None and negative not in NEGATIVES:
        raise AssayError(f"{where}: negative={negative!r} is not known; use one of {', '.join(NEGATIVES)}")
    is_sign = any(char.isalpha() or unicodedata.category(char) == "Sc" for char in currency)
    if currency and (not is_sign or _NO_CURRENCY.search(currency)):
        raise AssayError(f'{where}: currency={currency!r} is no currency sign; write it like "€" or "EUR"')


def usual_number(
    text: pl.Expr,
    *,
    decimal: str,
    thousands: str,
    negative: str | None,
    percent: bool,
    currency: str,
    whole: bool,
    floats: bool,
) -> pl.Expr:
    """Texts of this form as numbers are usually written: a leading sign, digits, a decimal point. null for any other text.

    whole: no fraction. floats: an exponent, `nan` and `inf` are allowed too, where no sign of percent or currency is.
    """
    pattern = _pattern(decimal, thousands, negative, percent, currency, whole=whole, floats=floats)
    number = pl.when(text.str.contains(pattern)).then(text)
    if currency:
        number = number.str.replace(currency, "", literal=True)
    number = number.str.replace_all(_unneeded(thousands), "")
    if decimal != ".":
        number = number.str.replace(decimal, ".", literal=True)
    if negative == "trailing":
        number = number.str.replace("^(.+)-$", "-${1}")
    if negative == "parentheses":
        number = number.str.replace(r"^\((.+)\)$", "-${1}")
    return _hundredth(number) if percent else number


def _unneeded(thousands: str) -> str:
    inner = "".join(GROUPS[one].strip("[]") for one in dict.fromkeys((thousands, " ")))
    return f"[{inner}%]"


def _pattern(
    decimal: str, thousands: str, negative: str | None, percent: bool, currency: str, *, whole: bool, floats: bool
) -> str:
    point = f"[{decimal}]"
    grouped = f"[1-9][0-9]{{0,2}}(?:{GROUPS[thousands]}[0-9]{{3}})+|" if thousands else ""
    digits = f"(?:{grouped}[0-9]+)"
    number = digits if whole else f"(?:{digits}(?:{point}[0-9]+)?|{point}[0-9]+)"
    core = f"{number}{_BLANK}?%" if percent else number
    forms = [f"[+-]?{core}"]
    forms += [f"{core}-"] if negative == "trailing" else []
    forms += [rf"\({core}\)"] if negative == "parentheses" else []
    if currency:
        sign = pl.escape_regex(currency)
        before, after = f"{sign}{_BLANK}?", f"{_BLANK}?{sign}"
        forms += [part for form in forms for part in (f"{before}{form}", f"{form}{after}")]
        forms += [f"[+-]{before}{core}"]
        forms += [f"{core}{after}-"] if negative == "trailing" else []
        forms += [rf"\({before}{core}\)", rf"\({core}{after}\)"] if negative == "parentheses" else []
    if floats and not (percent or currency):
        forms += [f"[+-]?(?:[0-9]+(?:{point}[0-9]+)?|{point}[0-9]+)[eE][+-]?[0-9]+", _NOT_FINITE]
    return f"^(?:{'|'.join(forms)})$"


def _hundredth(number: pl.Expr) -> pl.Expr:
    """The point moved two places: a division would round twice."""
    padded = number.str.replace("^([+-]?)", "${1}000")
    return padded.str.replace(r"^([+-]?[0-9]+)([0-9]{2})(?:\.([0-9]+))?$", "${1}.${2}${3}")
