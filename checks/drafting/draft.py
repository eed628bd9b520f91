"""A first contract for a table, as Python source: every rule with the evidence for it, every doubt as a question."""

import re
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from assay.checks.contract.written_form import WrittenForm
from assay.checks.drafting.attribute_names import attribute_names, class_name_for, names_used
from assay.checks.drafting.column_stats import TIMESTAMP, ColumnStats
from assay.checks.drafting.evidence import column_evidence, never_negative, quoted, rows_of, shown, table_evidence
from assay.checks.drafting.standard_formats import are_standard
from assay.checks.drafting.table_stats import Batch, TableStats, table_stats
from assay.checks.drafting.text_types import SHARE
from assay.errors import AssayError

_NAMES = {pl.String(): "str", pl.Int64(): "int", pl.Float64(): "float", pl.Boolean(): "bool", TIMESTAMP: "Timestamp"}
WIDTH = 120


def draft_contract(frame: pl.DataFrame | Sequence[pl.DataFrame], name: str) -> str:
    """Python source of a first contract for data that has none.

    Comments say on how many rows and batches each rule rests. They hold no personal data. What a single batch shows of values and
    ranges is asked in a comment; only several batches make rules of it.

    Args:
        frame: Rows as delivered (text or typed) or as a reader gives them: one batch, or several in the order in which they came,
            such as the days of a week. Links to the source are left out.
        name: What the class is called, or a table or file that it is called after.

    Returns:
        The source of a module with the contract.

    Raises:
        AssayError: There is no column, or batches have one in types that have nothing in common.
    """
    frames = [frame] if isinstance(frame, pl.DataFrame) else list(frame)

    def batch(number: int, rows: pl.DataFrame) -> Batch:
        return Batch(str(number), lambda: rows)

    return source_of(table_stats([batch(number, rows) for number, rows in enumerate(frames)], "batch"), name)


def source_of(stats: TableStats, name: str) -> str:
    """The source for what was found. Raises AssayError if there is no column."""
    if not stats.columns:
        raise AssayError(f"{name}: there are no columns to draft a contract from; give a table that has some")
    columns = [column.name for column in stats.columns]
    used = names_used(_class(stats, name, attribute_names(columns, ())))
    text = _class(stats, name, attribute_names(columns, used))
    imports = [word for word in ("Contract", "Field", "Timestamp") if word in used]
    needs_optional = ["from typing import Optional", ""] if "Optional" in used else []
    needs_polars = ["import polars as pl", ""] if "pl" in used else []
    docstring = (
        f'"""A drafted contract: {SHARE:.0%} of the values must have a property for it to be proposed; review each."""'
    )
    lines = [
        docstring,
        "",
        *needs_optional,
        *needs_polars,
        f"from assay.checks import {', '.join(imports)}",
        "",
        "",
        text,
        "",
    ]
    return "\n".join(lines)


def _class(stats: TableStats, name: str, attributes: Mapping[str, str]) -> str:
    body = [line for column in stats.columns for line in _column(column, stats, attributes[column.name])]
    return "\n".join([*_head(stats, name), *body, *_tail(stats)])


def _head(stats: TableStats, name: str) -> Iterator[str]:
    yield f"class {class_name(name)}(Contract):"
    yield from (f"    # {line}" for comment in table_evidence(stats) for line in _wrapped(comment, 4))


def class_name(name: str) -> str:
    """A class called like a table, a file, or what somebody calls it."""
    words = re.findall(r"[A-Za-z0-9]+", name.rpartition("/")[2].partition(".")[0])
    title = "".join(word[:1].upper() + word[1:] for word in words)
    return class_name_for(title, ())


def _wrapped(comment: str, indent: int) -> Iterator[str]:
    """A comment in lines that fit, broken only between words."""
    line = ""
    for word in comment.split(" "):
        if line and len(line) + len(word) + indent + 3 > WIDTH:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line


def _tail(stats: TableStats) -> Iterator[str]:
    for found in stats.determines:
        but = f", but for {rows_of(found.exceptions)}" if found.exceptions else ""
        yield (
            f"    # {shown(found.one)} determines {shown(found.other)} in {rows_of(found.rows)}, {found.groups:,} groups{but}: "
            "always?"
        )
    yield ""
    yield "    class Config(Contract.Config):"
    yield '        version = "0.1.0"'
    if stats.missing:
        yield f"        missing = ({', '.join(map(quoted, stats.missing))},)"
    yield "        # The data do not say who owns them nor how fresh they must be: add owner and freshness."


def _column(column: ColumnStats, stats: TableStats, attribute: str) -> Iterator[str]:
    yield from (f"    # {line}" for comment in column_evidence(column, stats) for line in _wrapped(comment, 4))
    arguments = list(_arguments(column, stats))
    if attribute != column.name:
        arguments.insert(0, f"alias={quoted(column.name)}")
    made = annotation(column.dtype)
    start = f"    {attribute}: {f'Optional[{made}]' if column.optional else made} = Field("
    line = f"{start}{', '.join(arguments)})"
    if len(line) <= WIDTH:
        yield line
        return
    yield start
    yield from (f"        {argument}," for argument in arguments if not argument.startswith("isin="))
    if column.closed:
        yield "        isin=["
        yield from (f"            {quoted(value)}," for value in column.values)
        yield "        ],"
    yield "    )"


def _arguments(column: ColumnStats, stats: TableStats) -> Iterator[str]:
    if column.name in stats.key:
        yield "key=True"
    elif column.nullable or column.optional:
        yield "nullable=True"
    if column.pii is not None:
        yield f'pii="{column.pii}"'
    if column.naive:
        yield "naive_utc=True"
    common = WrittenForm(missing=stats.missing or None)
    yield from (argument for argument in column.written.arguments() if argument not in common.arguments())
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
    if column.format is not None:
        yield f'format="{column.format}"'
    if column.units and are_standard(column.units):
        yield f'format="unit:{",".join(sorted(unit for unit, _ in column.units))}"'
    if column.pattern is not None:
        yield f"str_matches={_raw(column.pattern)}"
    if column.closed:
        yield f"isin=[{', '.join(map(quoted, column.values))}]"
    low, high = column.bounds or (None, None)
    if never_negative(column):
        yield "ge=0"
    elif low is not None and column.low < 0:
        yield f"ge={low!r}"
    if high is not None:
        yield f"le={high!r}"


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


def _raw(pattern: str) -> str:
    return f'r"{pattern}"' if pattern.isprintable() and '"' not in pattern else repr(pattern)
