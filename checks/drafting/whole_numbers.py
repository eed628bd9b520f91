"""Whole numbers that may be something else: measurements that were whole so far, or codes that have lost their zeros."""

import re

import polars as pl

from assay.checks.drafting.column_stats import ColumnStats

#: With fewer different numbers in fewer batches, those of a table of measurements may be whole by chance.
WHOLE_BATCHES, _FEW = 30, 20
#: Names of what is counted or calls something.
_WHOLE = re.compile(
    r"(?i)(^|[_ ])(id|key|code|no|nr|num|number|count|n|year|month|day|hour|minute|second|week|quarter|weekday|age|qty|quantity|"
    r"items|pieces|visits|tickets|passengers|rows|rank|level|size|version|flag|is|has)($|[_ ])"
)
_CODE = re.compile(
    "(?i)plz|zip|postal|postcode|postleit|code|nummer|number|konto|account|blz|phone|tel|ean|gtin|isbn|sku"
)
#: Small numbers are called so more often by chance (a mean is no EAN), so that their names must end in such a word.
_SHORT_CODE = re.compile("(?i)(code|nummer|number|konto|(^|[_ ])(nr|sku|plz|zip))$")
#: Smaller numbers are measured or counted rather than names, if they are not called codes.
LEAST_CODE = 1000


def is_whole_by_chance(column: ColumnStats) -> bool:
    """Whether so few different whole numbers came that decimals may come, too."""
    if column.dtype != pl.Int64 or column.low is None or column.distinct >= _FEW:
        return False
    is_flag = column.distinct == 2 and (column.low, column.high) == (0, 1)
    is_named = _WHOLE.search(column.name) is not None or _CODE.search(column.name) is not None
    return not (is_flag or is_named) and column.low > -LEAST_CODE and column.high < LEAST_CODE


def is_perhaps_code(column: ColumnStats, *, from_zero: bool) -> bool:
    """Whether whole numbers may be names made of digits: they are called so, or most have as many digits and some one less.
    `from_zero`: they are called like what is counted or measured."""
    if not column.dtype.is_integer() or column.low is None or column.low < 0:
        return False
    if column.high < LEAST_CODE:
        return _SHORT_CODE.search(column.name) is not None and may_be_short_code(column)
    return (column.shorter > 0 and not from_zero) or _CODE.search(column.name) is not None


def may_be_short_code(column: ColumnStats) -> bool:
    """Whether whole numbers have different numbers of digits, as codes have that were padded with zeros (007, 012)."""
    return column.low is not None and column.low >= 0 and len(str(int(column.low))) < len(str(int(column.high)))
