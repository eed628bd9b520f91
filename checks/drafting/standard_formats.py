"""The standard by which the texts of a column are written, if nearly all are; and the units that stand behind numbers."""

import re

import polars as pl

from assay.checks.drafting.text_types import FEW_ROWS, SHARE
from assay.checks.text.codes import UNIT_WORDS, UNITS
from assay.checks.text.formats import parser

#: Format -> the different values that nearly all must be of it; codes of two letters are also those of states and languages,
#: so that without a telling name many are needed.
_FORMATS = {"email": 1, "iban": 1, "phone": 1, "country": 25, "country:alpha3": 25, "currency": 10}
_TELLING = {"country": re.compile(r"(?i)countr|nation"), "currency": re.compile(r"(?i)curr(?!ent)")}
_QUANTITY = r"^[+-]?[0-9]+(?:[.,][0-9]+)?(?: ?)([^\s0-9.,][^0-9]{0,19})$"
_MOST_UNITS = 40


def standard_format(name: str, texts: pl.Series) -> tuple[str, int] | None:
    """The format, and how many of the texts are not of it; None if there is none that nearly all are of."""
    if len(texts) < FEW_ROWS:
        return None
    values = texts.alias("v").value_counts(name="n")
    for spec, least in _FORMATS.items():
        kind = spec.partition(":")[0]
        telling = kind in _TELLING and _TELLING[kind].search(name) is not None
        if values.height < (1 if telling else least):
            continue
        misfits = int(values.filter(parser(spec, name)(pl.col("v")).is_null())["n"].sum())
        if misfits <= (1 - SHARE) * len(texts):
            return spec, misfits
    return None


def units_of(texts: pl.Series) -> tuple[tuple[str, int], ...]:
    """The spellings of units behind numbers, most frequent first; none if the texts are not quantities."""
    if len(texts) < FEW_ROWS:
        return ()
    units = texts.str.extract(_QUANTITY).alias("unit").str.strip_chars()
    if units.null_count() > (1 - SHARE) * len(units):
        return ()
    counts = units.drop_nulls().value_counts(name="n").sort(["n", "unit"], descending=[True, False])
    first = counts["unit"].str.to_lowercase().str.extract(r"^([^\s.]+)").is_in(sorted(UNIT_WORDS))
    known = int(counts.filter(first.fill_null(False))["n"].sum())
    return tuple(counts.iter_rows()) if counts.height <= _MOST_UNITS and known >= len(units) / 2 else ()


def are_standard(units: tuple[tuple[str, int], ...]) -> bool:
    """Whether the spellings are symbols that `format="unit:…"` knows."""
    return all(unit in UNITS for unit, _ in units)
