"""The published table of types: `python -m tests.checks.conformance.delivered_types` writes docs/delivered-types.md.

For each type that a delivery may have and each that a contract may declare: which values are taken. All others break `dtype`.
"""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import polars as pl

from assay.checks import Timestamp

PAGE = Path(__file__).parents[3] / "docs" / "delivered-types.md"
NOON = datetime(2026, 9, 24, 12, tzinfo=UTC)
_NANOSECOND = 1_790_251_200_000_000_001  # after NOON

#: What is delivered: values that show where the meaning of a type ends, each as the page writes it.
DELIVERED: dict[str, dict[str, pl.Series]] = {
    name: {text: pl.Series([value], dtype=dtype) for text, value in values.items()}
    for name, dtype, values in (
        (
            "text",
            pl.String,
            {text: text for text in ("1", "1.5", "true", "2026-09-24", "2026-09-24T12:00:00Z", "09:30")},
        ),
        ("whole number", pl.Int64, {"1": 1, "300": 300, "46289": 46289, "2⁵³ + 1": 2**53 + 1}),
        ("unsigned number", pl.UInt64, {"1": 1, "2⁶⁴ − 1": 2**64 - 1}),
        (
            "floating-point number",
            pl.Float64,
            {"1.0": 1.0, "1.5": 1.5, "1e300": 1e300, "∞": float("inf"), "NaN": float("nan")},
        ),
        ("decimal", pl.Decimal(12, 3), {"1.000": Decimal("1.000"), "1.500": Decimal("1.5"), "1.234": Decimal("1.234")}),
        ("true or false", pl.Boolean, {"true": True, "false": False}),
        ("date", pl.Date, {"2026-09-24": date(2026, 9, 24)}),
        ("time with a zone", pl.Datetime("ms", "Europe/Berlin"), {"14:00+02:00": NOON}),
        ("time in ns", pl.Datetime("ns", "UTC"), {"12:00:00.000000001Z": _NANOSECOND}),
        ("time without a zone", pl.Datetime("us"), {"12:00": NOON.replace(tzinfo=None)}),
        ("time of day", pl.Time, {"09:30": time(9, 30)}),
        ("duration", pl.Duration, {"1 h": timedelta(hours=1)}),
        ("category", pl.Categorical, {"a": "a"}),
        ("bytes", pl.Binary, {"a": b"a"}),
        ("list", pl.List(pl.Int64), {"[1]": [1]}),
        ("struct", pl.Struct({"a": pl.Int64}), {"{a: 1}": {"a": 1}}),
        ("nothing but nulls", pl.Null, {"null": None}),
    )
}
#: What is declared.
DECLARED: dict[str, Any] = {
    "str": str,
    "int": int,
    "pl.Int8": pl.Int8,
    "float": float,
    "Decimal(10, 2)": Annotated[pl.Decimal, 10, 2],
    "bool": bool,
    "date": date,
    "Timestamp": Timestamp,
    "time": time,
}
#: The truth, written by hand: by delivered type and value what it is in each declared type that takes it.
_ONE = {"int": 1, "pl.Int8": 1, "float": 1.0, "Decimal(10, 2)": Decimal(1)}
TAKEN: dict[str, dict[str, dict[str, Any]]] = {
    "text": {
        "1": {"str": "1", **_ONE},
        "1.5": {"str": "1.5", "float": 1.5, "Decimal(10, 2)": Decimal("1.5")},
        "true": {"str": "true", "bool": True},
        "2026-09-24": {"str": "2026-09-24", "date": date(2026, 9, 24)},
        "2026-09-24T12:00:00Z": {"str": "2026-09-24T12:00:00Z", "Timestamp": NOON},
        "09:30": {"str": "09:30", "time": time(9, 30)},
    },
    "whole number": {
        "1": _ONE,
        "300": {"int": 300, "float": 300.0, "Decimal(10, 2)": Decimal(300)},
        "46289": {"int": 46289, "float": 46289.0, "Decimal(10, 2)": Decimal(46289)},
        "2⁵³ + 1": {"int": 2**53 + 1},
    },
    "unsigned number": {"1": _ONE},
    "floating-point number": {
        "1.0": _ONE,
        "1.5": {"float": 1.5, "Decimal(10, 2)": Decimal("1.5")},
        "1e300": {"float": 1e300},
        "∞": {"float": float("inf")},
    },
    "decimal": {
        "1.000": _ONE,
        "1.500": {"float": 1.5, "Decimal(10, 2)": Decimal("1.5")},
        "1.234": {"float": 1.234},
    },
    "true or false": {"true": {"bool": True}, "false": {"bool": False}},
    "date": {"2026-09-24": {"date": date(2026, 9, 24)}},
    "time with a zone": {"14:00+02:00": {"Timestamp": NOON}},
    "time in ns": {"12:00:00.000000001Z": {"Timestamp": NOON}},
    "time of day": {"09:30": {"time": time(9, 30)}},
    "category": {"a": {"str": "a"}},
    "nothing but nulls": {"null": dict.fromkeys(DECLARED)},
}

_PAGE = """# Delivered and declared types

Typed deliveries (Parquet, Excel, databases, frames) go to the contract as they are, and the contract is the one judge of
their types: a value is taken in another type only if it means the same there. A cell lists the values that are taken, of
those in the second column. The others break the rule `dtype`. This page is made from the corpus in
`tests/checks/conformance`, and a test keeps it true.

{table}

- A number is no text, no truth value, no date and no time, and none of these is a number: day 46289 of a spreadsheet is not
  2096-09-25.
- Fractions of a second beyond a microsecond are cut, in texts and in times in nanoseconds.
- A time without a zone is taken where the field declares `naive_utc=True`, a number or a text in another form where it declares
  one ([written forms](written-forms.md)). `coerce=True` also takes what changes the value, and is never the default.
- pandas makes whole numbers with gaps floating-point numbers: `int` takes them while they are whole, and the gaps are nulls.
"""


def page() -> str:
    """docs/delivered-types.md as the corpus gives it now."""
    head = ["delivered", "values", *(f"`{name}`" for name in DECLARED)]
    rows = [head, ["---"] * len(head)]
    for name, values in DELIVERED.items():
        taken = TAKEN.get(name, {})
        cells = (
            _cell([text for text in values if declared in taken.get(text, {})], len(values)) for declared in DECLARED
        )
        rows.append([name, ", ".join(f"`{text}`" for text in values), *cells])
    return _PAGE.format(table="\n".join(f"| {' | '.join(row)} |" for row in rows))


def _cell(taken: list[str], values: int) -> str:
    if len(taken) == values:
        return "all" if values > 1 else "yes"
    return ", ".join(f"`{text}`" for text in taken) or "–"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
