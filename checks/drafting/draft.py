"""A first contract for a table, as Python source: every rule with the evidence for it, every doubt as a question."""

import keyword
import re
from collections.abc import Iterator

import polars as pl

from assay.checks.contract.contract import Contract
from assay.checks.drafting.column_stats import (
    FEW_ROWS,
    MOST_ROWS,
    NULLS,
    SHARE,
    TIMESTAMP,
    ColumnStats,
    TableStats,
    column_stats,
)
from assay.errors import AssayError

_NAMES = {pl.String(): "str", pl.Int64(): "int", pl.Float64(): "float", pl.Boolean(): "bool", TIMESTAMP: "Timestamp"}
WIDTH = 120
_PII = {
    "email": "e-mail addresses",
    "phone": "phone numbers",
    "card": "payment-card numbers",
    "name": "names of people",
    "free_text": "sentences",
}


def draft_contract(frame: pl.DataFrame, name: str) -> str:
    """Python source of a first contract for data that has none.

    Comments say on how many rows each rule rests. They hold no personal data.

    Args:
        frame: Rows as delivered (text or typed) or as a reader gives them. Links to the source are left out.
        name: The table or file that the class is called after.

    Returns:
        The source of a module with the contract.

    Raises:
        AssayError: There is no column.
    """
    return source_of(column_stats(frame), name)


def source_of(stats: TableStats, name: str) -> str:
    """The source for what was found. Raises AssayError if there is no column."""
    if not stats.columns:
        raise AssayError(f"{name}: there are no columns to draft a contract from; give a table that has some")
    body = [line for column in stats.columns for line in _column(column, stats)]
    text = "\n".join([*_head(stats, name), *body, *_tail(stats)])
    imports = [word for word in ("Contract", "Field", "Timestamp") if re.search(rf"\b{word}\b", text)]
    needs_polars = ["import polars as pl", ""] if re.search(r"\bpl\.", text) else []
    docstring = (
        f'"""A drafted contract: {SHARE:.0%} of the values must have a property for it to be proposed; review each."""'
    )
    lines = [docstring, "", *needs_polars, f"from assay.checks import {', '.join(imports)}", "", "", text, ""]
    return "\n".join(lines)


def _head(stats: TableStats, name: str) -> Iterator[str]:
    words = re.findall(r"[A-Za-z0-9]+", name.rpartition("/")[2].partition(".")[0])
    title = "".join(word[:1].upper() + word[1:] for word in words)
    yield f"class {title if title.isidentifier() and not keyword.iskeyword(title) else 'Table'}(Contract):"
    yield f"    # Drafted from {_rows(stats.rows)}."
    if stats.defective:
        yield f"    # {_rows(stats.defective)} could not be read and were left out."
    if not stats.key:
        yield f"    # No key: {_no_key(stats)}."
    elif len(stats.key) > 1:
        key = " and ".join(map(_shown, stats.key))
        yield f"    # {key} together tell {_of(stats.rows - stats.repeats, stats.rows)} rows apart: the key?"


def _no_key(stats: TableStats) -> str:
    """Why none is proposed."""
    if stats.rows < 2:
        return f"{_rows(stats.rows)} cannot show one"
    apart = [_shown(one.name) for one in stats.columns if one.distinct == one.present == stats.rows]
    if apart:
        verbs = ("tells", "is") if len(apart) == 1 else ("tell", "are")
        return f"{', '.join(apart)} {verbs[0]} the rows apart, but {verbs[1]} not of the kind that a key is"
    if stats.rows < FEW_ROWS:
        return "no column tells these few rows apart"
    return "neither a column nor a pair of columns tells the rows apart"


def _tail(stats: TableStats) -> Iterator[str]:
    for one, other, groups in stats.determines:
        rows = min(stats.rows, MOST_ROWS)
        yield f"    # {_shown(one)} determines {_shown(other)} in {_rows(rows)}, {groups:,} groups: always?"
    yield ""
    yield "    class Config(Contract.Config):"
    yield '        version = "0.1.0"'
    yield "        # The data do not say who owns them nor how fresh they must be: add owner and freshness."


def _column(column: ColumnStats, stats: TableStats) -> Iterator[str]:
    for comment in _evidence(column, stats):
        yield f"    # {comment}"
    attribute = column.name
    arguments = list(_arguments(column, stats))
    plain = attribute.isidentifier() and not attribute.startswith("_") and not keyword.iskeyword(attribute)
    if not plain or hasattr(Contract, attribute):
        attribute = f"column_{stats.columns.index(column) + 1}"
        arguments.insert(0, f"alias={quoted(column.name)}")
    start = f"    {attribute}: {annotation(column.dtype)} = Field("
    line = f"{start}{', '.join(arguments)})"
    if len(line) <= WIDTH:
        yield line
        return
    yield start
    yield from (f"        {argument}," for argument in arguments if not argument.startswith("isin="))
    if column.values:
        yield "        isin=["
        yield from (f"            {quoted(value)}," for value in column.values)
        yield "        ],"
    yield "    )"


def _arguments(column: ColumnStats, stats: TableStats) -> Iterator[str]:
    if column.name in stats.key:
        yield "key=True"
    elif column.nullable:
        yield "nullable=True"
    if column.pii is not None:
        yield f'pii="{column.pii}"'
    if column.naive:
        yield "naive_utc=True"
    yield from column.written.arguments()
    if column.dtype == pl.String and column.other_kinds:
        yield "coerce=True"
    if column.dtype == pl.String and column.present and column.blank <= (1 - SHARE) * column.present:
        if column.pii in ("free_text", "name"):
            yield "not_empty=True"
        if column.pii == "free_text":
            yield from (
                f"{rule}=True"
                for rule, count in (("no_email", column.emails), ("no_card_number", column.cards))
                if count <= (1 - SHARE) * column.present
            )
    if column.pattern is not None:
        yield f"str_matches={_raw(column.pattern)}"
    if column.values:
        yield f"isin=[{', '.join(map(quoted, column.values))}]"
    if _never_negative(column):
        yield "ge=0"


# Words in names of what is counted or measured from zero. Other numbers (temperatures, balances, differences) may be negative
# though they have not been so far, so that a bound would stop the first cold day.
_FROM_ZERO = re.compile(
    "age|amount|area|bytes|capacity|cost|count|days|distance|duration|fee|height|hours|items|length|minutes|n|num|passengers|"
    "population|price|qty|quantity|rows|seconds|size|spend|stock|tickets|total|units|volume|weight|width"
)


def _never_negative(column: ColumnStats) -> bool:
    """Whether a lower bound of zero is proposed: the name is that of a count or an amount, and the values agree."""
    measured = column.dtype.is_numeric() and not column.dtype.is_unsigned_integer() and column.low is not None
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column.name).lower())
    return measured and any(map(_FROM_ZERO.fullmatch, words)) and column.negative <= (1 - SHARE) * column.present


def _evidence(column: ColumnStats, stats: TableStats) -> Iterator[str]:
    if column.rows and not column.present:
        yield f"No values in {_rows(column.rows)}: the type is a guess."
    if column.dtype == pl.String and column.other_kinds:
        others = _of(column.other_kinds, column.present)
        yield f"{others} values are JSON numbers, arrays or the like: text all the same?"
    if stats.key == (column.name,):
        unique = f"{_of(column.distinct, column.present)} values are distinct: the key?"
        yield unique + (f" {_rows(stats.repeats)} repeat a value and would leave." if stats.repeats else "")
        if stats.rows < FEW_ROWS:
            yield f"{_rows(stats.rows)} prove little: more may repeat a value."
    if column.nulls:
        nulls = f"Null in {_of(column.nulls, column.rows)} rows"
        yield f"{nulls}." if column.nullable else f"{nulls}, fewer than {NULLS:.0%}: defects? They would leave."
    if column.absent:
        yield f"{_of(column.absent, column.rows)} texts are listed as `missing`: do they mean that there is no value?"
    if column.shapes:
        read = _of(column.present - column.misfits, column.present)
        yield f"{read} values are written in this form, like {', '.join(map(repr, column.shapes))}: always?"
    if column.written.true_values:
        yield f"{_of(column.present - column.misfits, column.present)} values are the words listed: true and false?"
    if column.rivals:
        yield f"Texts fit {' or '.join(column.rivals)}, to other values: which is meant?"
    if column.mixed:
        forms = ", ".join(f"{form} in {_rows(count)}" for form, count in column.mixed)
        yield f"Several forms: {forms}. Ask the upstream for one."
    if column.misfits:
        yield f"{_of(column.misfits, column.present)} values are not of this type and would leave."
    if column.naive:
        yield f"{_of(column.naive, column.present)} times have no zone: UTC?"
    if column.nan:
        yield f"{_of(column.nan, column.present)} values are NaN and would leave."
    if column.pii is not None:
        yield f"Looks like {_PII[column.pii]} ({column.pii_share:.0%} of a sample): personal data?"
    for count, what in ((column.blank, "blank"), (column.emails, "with an e-mail address")):
        if count and column.pii != "email":
            yield f"{_of(count, column.present)} texts are {what}."
    if column.cards and column.pii != "card":
        yield f"{_of(column.cards, column.present)} texts are with a payment-card number."
    if column.pattern is not None:
        matching = column.present - column.pattern_misfits
        yield f"{_of(matching, column.present)} values have this form: all?"
    if column.values:
        yield f"{len(column.values)} values, each in {_rows(column.present // column.distinct)} on average: all there are?"
        if column.unlisted:
            yield f"{_of(column.unlisted, column.present)} rows have other, rare values, which are not listed and would leave."
    if column.low is not None:
        sign = "only the sign is made a rule" if _never_negative(column) else "the range is not made a rule"
        yield f"Seen from {column.low} to {column.high}; {sign}."
        if column.negative and _never_negative(column):
            yield f"{_of(column.negative, column.present)} values are negative and would leave."


def annotation(dtype: pl.DataType) -> str:
    """A type as a contract's annotation."""
    if dtype in _NAMES:
        return _NAMES[dtype]
    match dtype:
        case pl.List():
            return f"pl.List({_inner(dtype.inner)})"
        case pl.Array():
            return f"pl.Array({_inner(dtype.inner)}, {dtype.size})"
        case pl.Struct():
            fields = ", ".join(f"{quoted(field.name)}: {_inner(field.dtype)}" for field in dtype.fields)
            return f"pl.Struct({{{fields}}})"
        case pl.Enum():
            return f"pl.Enum([{', '.join(map(quoted, dtype.categories))}])"
        case pl.Decimal():
            return f"pl.Decimal({dtype.precision}, {dtype.scale})"
        case pl.Duration():
            return f'pl.Duration("{dtype.time_unit}")'
        case pl.Datetime():
            zone = None if dtype.time_zone is None else f'"{dtype.time_zone}"'
            return f'pl.Datetime("{dtype.time_unit}", {zone})'
        case _:
            return f"pl.{type(dtype).__name__}"


def _inner(dtype: object) -> str:
    made = dtype() if isinstance(dtype, type) else dtype
    text = annotation(made)  # pyright: ignore[reportArgumentType] - a type inside a type is one too
    plain = {"str": "pl.String", "int": "pl.Int64", "float": "pl.Float64", "bool": "pl.Boolean"}
    return {**plain, "Timestamp": 'pl.Datetime("us", "UTC")'}.get(text, text)


def quoted(text: str) -> str:
    """A text as a Python string, in double quotes where that needs no escapes."""
    if not text.isprintable() or '"' in text or text.endswith("\\"):
        return repr(text)
    return f'r"{text}"' if "\\" in text else f'"{text}"'


def _raw(pattern: str) -> str:
    return f'r"{pattern}"' if pattern.isprintable() and '"' not in pattern else repr(pattern)


def _shown(name: str) -> str:
    """A column's name in a comment, where a line break would end the comment."""
    return name if name.isidentifier() else repr(name)


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _of(count: int, total: int) -> str:
    return f"{count:,} of {total:,}"
