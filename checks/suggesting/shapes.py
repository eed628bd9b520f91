"""The shape of a text: which kinds of characters follow each other, and the formats of dates and times."""

import polars as pl

#: A sign, digits with a point, an exponent. A decimal comma is another format.
NUMBER = r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_GROUPED = r"^\s*[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?\s*$"
_MONTHS = (
    r"(?i)\b(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?"
    r"|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b"
)
_HALVES = r"(?i)\b[ap]\.?m\b\.?"
#: A day with three parts, or a time with a colon, and nothing else but words of dates.
_DAY = r"9[-./]9[-./]9|M[ -]9(?:,? 9)?|9[ .-]M(?:[ -]9)?"
_TIME = r"9:9(?::9)?(?:\.9)?(?: ?H)?|9 ?H"
_MOMENT = rf"^(?:[A-Z][a-z]{{2,3}},? )?(?:(?:{_DAY}|{_TIME})[T, ]*){{1,3}}(?:Z|[+-]9(?::?9)?)?$"


def shapes_of(values: pl.Series) -> list[str]:
    """Each text with runs of letters as a, of digits as 9. Numbers have one shape, also with a sign, a point or an exponent."""
    shape = values.str.replace_all(r"\p{L}+", "a").str.replace_all(r"[0-9]+", "9")
    # A million has one comma more than a thousand, and is no other kind of value.
    shape = pl.when(values.str.contains(_GROUPED)).then(shape.str.replace_all("(?:,9)+", ",9")).otherwise(shape)
    return pl.select(pl.when(values.str.contains(NUMBER)).then(pl.lit("9")).otherwise(shape)).to_series().to_list()


def moment_format(values: pl.Series) -> pl.Series:
    """The format of each date or time, null for other texts: runs of digits as 9, names of months as M, a.m. and p.m. as H."""
    shape = values.str.strip_chars().str.replace_all(_MONTHS, "M").str.replace_all(_HALVES, "H")
    shape = shape.str.replace_all(r"[0-9]{4}", "Y").str.replace_all(r"[0-9]+", "9")
    plain = shape.str.replace_all("Y", "9")
    return pl.select(pl.when(plain.str.contains(_MOMENT)).then(shape)).to_series()
