"""A contract as Python source, to be read and edited: what an imported document becomes."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pandera.polars as pa

from assay.checks.contract.builtin import BUILTINS
from assay.checks.contract.contract import Contract
from assay.checks.contract.field import METADATA_KEY, TEXT_RULES, QuarantineLimits
from assay.checks.contract.rules import Column, not_first
from assay.checks.drafting.attribute_names import attribute_names, class_name_for, names_used
from assay.checks.drafting.draft import annotation
from assay.checks.drafting.evidence import quoted
from assay.checks.exchange.declared import CODE, EXPRESSION, Declaration, DeclaredRule, declaration, metadata_of_table
from assay.errors import AssayError

_SAME = ("isin", "notin", "str_matches", "str_contains", "str_startswith", "str_endswith", "str_length", "in_range")


def to_source(contract: type[Contract]) -> str:
    """Python source that declares the same contract. Raises AssayError for rules that are Python code already."""
    declared = declaration(contract)
    for item in declared.written.values():
        if item.check == CODE:
            raise AssayError(f"{declared.plan.info.name}: the rule {item.rule.name} is Python code; copy it by hand")
    columns = [column.name for column in declared.plan.columns]
    used = names_used(_class(contract, declared, attribute_names(columns, ()), "Table"))
    name = class_name_for(declared.plan.info.name, used)
    return f"{_imports(used)}\n\n\n{_class(contract, declared, attribute_names(columns, used), name)}"


def _class(contract: type[Contract], declared: Declaration, attributes: Mapping[str, str], name: str) -> str:
    columns = zip(declared.plan.columns, contract.to_schema().columns.values(), strict=True)
    body = [_column(declared, column, written, attributes[column.name]) for column, written in columns]
    rules = [item for item in declared.written.values() if item.check == EXPRESSION]
    lines = [f"class {name}(Contract):", *body, "", *_config(contract, declared, name)]
    lines += [line for number, item in enumerate(rules, start=1) for line in _rule(item, number)]
    return "\n".join(lines) + "\n"


def _imports(used: Collection[str]) -> str:
    standard = [f"import {name}" for name in ("datetime", "io") if name in used]
    names = {"Decimal": "decimal", "Optional": "typing"}
    standard += [f"from {module} import {name}" for name, module in names.items() if name in used]
    others = ["import polars as pl"] if "pl" in used else []
    own = ("Block", "Contract", "Field", "QuarantineLimits", "Timestamp", "rule")
    ours = [f"from assay.checks import {', '.join(name for name in own if name in used)}"]
    ours += ["from assay.checks.contract.field import RowCount"] if "RowCount" in used else []
    return "\n\n".join("\n".join(part) for part in (standard, others, ours) if part)


def _column(declared: Declaration, column: Column, written: pa.Column, attribute: str) -> str:
    mine = [item for item in declared.written.values() if item.rule.column == column.name and item.check != EXPRESSION]
    arguments = [] if attribute == column.name else [f"alias={quoted(column.name)}"]
    flags = {"nullable": column.nullable, "coerce": column.coerce, "regex": column.pattern is not None}
    names = {rule.name for rule in declared.plan.rules}
    implied = (declared.plan.info.key, declared.unique)
    flags["unique"] = f"{column.name}.unique" in names and (column.name,) not in implied
    arguments += [f"{name}=True" for name, on in flags.items() if on]
    options = {field.name: (getattr(column.options, field.name), field.default) for field in fields(column.options)}
    del options["written"]
    arguments += [f"{name}={_option(name, value)}" for name, (value, default) in options.items() if value != default]
    own = column.options.written.beyond(declared.plan.written)
    arguments += [f"{name}={_literal(value)}" for name, value in own.items()]
    arguments += [_argument(item) for item in mine if item.check not in options]
    arguments += [f"{name}={_literal(value)}" for name, value in _words(written, _own(written))]
    kind = annotation(column.dtype)
    kind = kind if column.required else f"Optional[{kind}]"
    return f"    {attribute}: {kind} = Field({', '.join(arguments)})"


def _own(written: pa.Column) -> Mapping[str, Any]:
    return {name: value for name, value in (written.metadata or {}).items() if name != METADATA_KEY}


def _words(declared: pa.Column | pa.DataFrameSchema, metadata: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Title, description and metadata, if there are any."""
    for name, value in (("title", declared.title), ("description", declared.description), ("metadata", metadata)):
        if value:
            yield name, value


def _option(name: str, value: Any) -> str:
    return _literal(dict(value)) if name == "required_if" else _literal(value)


def _argument(item: DeclaredRule) -> str:
    if item.check in TEXT_RULES:
        return f"{item.check}=True"
    name = item.check if item.check in _SAME or item.check not in BUILTINS else BUILTINS[item.check][0]
    given = {key: value for key, value in item.arguments.items() if value is not None}
    if len(given) == 1 and item.check != "str_length":
        return f"{name}={_literal(next(iter(given.values())))}"
    return f"{name}={_literal(given)}"


def _config(contract: type[Contract], declared: Declaration, name: str) -> Iterator[str]:
    info, schema = declared.plan.info, contract.to_schema()
    yield "    class Config(Contract.Config):"
    if info.name != name:
        yield f"        name = {quoted(info.name)}"
    yield f"        version = {quoted(info.version)}"
    if info.owner is not None:
        yield f"        owner = {quoted(info.owner)}"
    if info.freshness is not None:
        yield f"        freshness = {_literal(contract.__options__['freshness'])}"
    if info.since is not None:
        yield f"        since = {quoted(info.since.isoformat())}"
    for word, value in _words(schema, metadata_of_table(contract)):
        yield f"        {word} = {_literal(value)}"
    if schema.strict:
        yield f"        strict = {_literal(schema.strict)}"
    if schema.ordered:
        yield "        ordered = True"
    for name, value in declared.plan.written.declared().items():
        yield f"        {name} = {_literal(value)}"
    if declared.unique:
        yield f"        unique = {_literal(list(declared.unique))}"
    if kept := not_first(declared.plan.rules):
        yield f"        duplicates = {_literal(kept)}"
    for rule in declared.plan.rules:
        if rule.kind == "count":
            own = {name: getattr(rule, name) for name in ("reference", "share", "rows")}
            yield f"        row_count = RowCount({_keywords(own)})"
    limits = {item.name: getattr(info.quarantine, item.name) for item in fields(QuarantineLimits)}
    given = {name: value for name, value in limits.items() if value != getattr(QuarantineLimits(), name)}
    if given:
        yield f"        quarantine = QuarantineLimits({_keywords(given)})"
    severities = [
        f"            {quoted(rule.name)}: {_severity(rule.severity, rule.block)},"
        for rule in declared.plan.rules
        if rule.severity != ("block" if rule.kind in ("table", "count") else "quarantine") or rule.block is not None
    ]
    if severities:
        yield from ("        severity = {", *severities, "        }")


def _keywords(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_literal(value)}" for name, value in values.items())


def _severity(severity: str, block: Any) -> str:
    if block is None:
        return quoted(str(severity))
    given = {name: getattr(block, name) for name in ("share", "rows") if getattr(block, name) is not None}
    return f"Block({', '.join(f'{name}={value}' for name, value in given.items())})"


def _rule(item: DeclaredRule, number: int) -> Iterator[str]:
    tree = item.arguments[EXPRESSION].meta.serialize(format="json")
    yield ""
    yield f"    @rule(name={quoted(item.rule.name)})"
    yield f"    def rule_{number}(cls) -> pl.Expr:"
    # How an expression was written is not kept, so it is given as polars reads it.
    yield f'        return pl.Expr.deserialize(io.StringIO({tree!r}), format="json")'


def _literal(value: Any) -> str:
    """A value as source that evaluates to it."""
    match value:
        case str():
            return quoted(value)
        case float() if value in (float("inf"), float("-inf")) or value != value:
            return f'float("{value}")'
        case datetime() | date() | time() | timedelta() | Decimal() | None | bool() | int() | float():
            return repr(value)
        case dict():
            return "{" + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return f"[{', '.join(map(_literal, value))}]"
        case re.Pattern():
            return _literal(value.pattern)
        case _:
            raise AssayError(f"a value of type {type(value).__name__} cannot be written as source; use a simpler one")
