"""A contract as an ODCS 3.1 document. What the standard cannot say goes into custom properties and custom quality rules."""

import json
import math
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import yaml

from assay.checks.contract.contract import Contract
from assay.checks.contract.field import TEXT_RULES, FieldOptions, QuarantineLimits
from assay.checks.contract.rules import Column, Rule
from assay.checks.exchange.declared import CODE, EXPRESSION, Declaration, DeclaredRule, declaration
from assay.checks.exchange.odcs_types import Node, type_node
from assay.errors import AssayError

ENGINE = "assay"
#: pandera's check -> the key of `logicalTypeOptions` that says the same.
BOUNDS = {
    "greater_than_or_equal_to": "minimum",
    "greater_than": "exclusiveMinimum",
    "less_than_or_equal_to": "maximum",
    "less_than": "exclusiveMaximum",
}
_BOUND = {"minimum": "min_value", "exclusiveMinimum": "min_value", "maximum": "max_value"} | {
    "exclusiveMaximum": "max_value"
}
_UNITS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)), ("s", timedelta(seconds=1)))
#: Python functions inside a serialised expression: reading one would run code that the file brings.
PYTHON_NODES = ("Python", "Anonymous")


def document(contract: type[Contract]) -> Node:
    """The contract as an ODCS document (JSON-ready). Raises AssayError for what only Python can say."""
    declared = declaration(contract)
    info = declared.plan.info
    _require_no_code(declared)
    table = {
        "name": info.name,
        "logicalType": "object",
        "physicalType": "table",
        "properties": [_property(declared, column) for column in declared.plan.columns],
        "quality": [_quality(item) for item in declared.written.values() if item.check == EXPRESSION],
        "customProperties": [
            *_custom(_table_options(contract, declared)),
            *_forms(declared.plan.written.declared()),
        ],
    }
    written = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"assay:{info.name}")),
        "name": info.name,
        "version": info.version,
        "status": "active",
        "team": {"name": info.owner} if info.owner is not None else None,
        "slaProperties": [_freshness(info.freshness, info.name)] if info.freshness is not None else None,
        "schema": [{name: value for name, value in table.items() if value != []}],
    }
    return {name: value for name, value in written.items() if value is not None}


def to_odcs(contract: type[Contract]) -> str:
    """The contract as ODCS 3.1 YAML; `from_odcs` reads the same contract back.

    Raises AssayError for checks that are Python code and types that no file can say.
    """
    return yaml.safe_dump(document(contract), sort_keys=False, allow_unicode=True, width=120)


def _require_no_code(declared: Declaration) -> None:
    for rule in declared.plan.rules:
        written = declared.written.get(rule.name)
        if rule.kind == "pandera" or (written is not None and written.check == CODE):
            raise AssayError(
                f"{declared.plan.info.name}: the rule {rule.name} is Python code, which no ODCS file can hold; write it "
                "as a @rule that returns a polars expression"
            )


def _table_options(contract: type[Contract], declared: Declaration) -> dict[str, Any]:
    schema, limits = contract.to_schema(), declared.plan.info.quarantine
    return {
        "strict": schema.strict,
        "ordered": bool(schema.ordered),
        "unique": list(declared.unique),
        "severity": dict(_severities(declared)),
        "quarantine": asdict(limits) if limits != QuarantineLimits() else None,
        **{rule.name: _count(rule) for rule in declared.plan.rules if rule.kind == "count"},
    }


def _count(rule: Rule) -> dict[str, Any]:
    own = {field.name for field in fields(rule)} - {field.name for field in fields(Rule)}
    return {name: getattr(rule, name) for name in sorted(own)}


def _severities(declared: Declaration) -> Iterator[tuple[str, Any]]:
    for rule in declared.plan.rules:
        if rule.block is not None and (rule.block.share is not None or rule.block.rows is not None):
            yield rule.name, {name: value for name, value in asdict(rule.block).items() if value is not None}
        elif rule.severity != ("block" if rule.kind in ("table", "count") else "quarantine"):
            yield rule.name, str(rule.severity)


def _freshness(value: timedelta, where: str) -> Node:
    for unit, one in _UNITS:
        if value % one == timedelta(0):
            return {"property": "freshness", "value": value // one, "unit": unit}
    raise AssayError(f"{where}: the freshness {value} has parts of a second; round it")


def _custom(options: Mapping[str, Any]) -> list[Node]:
    """Options that are set, as custom properties under our name."""
    return [{"property": f"assay.{name}", "value": value} for name, value in options.items() if value]


def _forms(options: Mapping[str, Any]) -> list[Node]:
    """How texts are written. An empty text or list is declared, too: it takes back what the contract says of all columns."""
    return [{"property": f"assay.{name}", "value": _encoded(value)} for name, value in options.items()]


def _property(declared: Declaration, column: Column) -> Node:
    where = f"{declared.plan.info.name}.{column.name}"
    node: Node = {"name": column.name, **type_node(column.dtype, where)}
    key = declared.plan.info.key
    if column.name in key:
        node |= {"primaryKey": True, "primaryKeyPosition": key.index(column.name) + 1}
    node["required"] = not column.nullable
    names = {rule.name for rule in declared.plan.rules}
    if f"{column.name}.unique" in names and key != (column.name,) and declared.unique != (column.name,):
        node["unique"] = True
    if column.options.pii is not None:
        node["classification"] = "personal"
    options = node.setdefault("logicalTypeOptions", {})
    if column.options.naive_utc:
        options["timezone"] = False
    mine = [item for item in declared.written.values() if item.rule.column == column.name and item.check != EXPRESSION]
    elsewhere = (item for item in mine if not _said_by_options(item, column))
    quality = [_quality(item) for item in elsewhere if not _in_slot(item, options, column.dtype)]
    own = {
        "optional": not column.required,
        "coerce": column.coerce,
        "regex": column.pattern is not None,
        **_column_options(column.options),
    }
    forms = _forms(column.options.written.beyond(declared.plan.written))
    node["customProperties"] = [*node.get("customProperties", ()), *_custom(own), *forms]
    node["quality"] = quality
    return {name: value for name, value in node.items() if value not in ([], {})}


def _column_options(options: FieldOptions) -> dict[str, Any]:
    """Every option of a field that is not its default; the standard has its own place for the key."""
    return {
        field.name: _encoded(getattr(options, field.name))
        for field in fields(options)
        if field.name not in ("key", "naive_utc", "written") and getattr(options, field.name) != field.default
    }


def _said_by_options(item: DeclaredRule, column: Column) -> bool:
    return item.check in {field.name for field in fields(column.options)}


def _in_slot(item: DeclaredRule, options: Node, dtype: pl.DataType) -> bool:
    """Put a check where the standard has a place for exactly this; False if there is none or it is taken."""
    written: Node = {}
    if item.check in BOUNDS:
        slot = BOUNDS[item.check]
        value = _bound(item.arguments[_BOUND[slot]], dtype)
        written = {} if value is None else {slot: value}
    elif item.check == "str_matches":
        written = {"pattern": f"^(?:{_pattern(item.arguments['pattern'])})"}
    elif item.check == "str_length" and item.arguments.get("exact_value") is None:
        low, high = item.arguments.get("min_value"), item.arguments.get("max_value")
        written = ({} if low is None else {"minLength": low}) | ({} if high is None else {"maxLength": high})
    if not written or any(name in options for name in written):
        return False
    options |= written
    return True


def _bound(value: Any, dtype: pl.DataType) -> Any:
    if dtype.is_temporal():
        return value.isoformat() if isinstance(value, (date, time)) and dtype != pl.Duration else None
    plain = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return value if plain and dtype.is_numeric() and not isinstance(value, bool) else None


def _pattern(pattern: Any) -> str:
    return getattr(pattern, "pattern", pattern)


def _quality(item: DeclaredRule) -> Node:
    values = item.arguments.get("allowed_values")
    if item.check == "isin" and all(isinstance(value, (str, int, float, bool)) for value in values or ()):
        arguments = {"validValues": list(values or ())}
        return {"name": item.rule.name, "metric": "invalidValues", "arguments": arguments, "mustBe": 0}
    if item.check == EXPRESSION:
        arguments = {EXPRESSION: _expression(item.arguments[EXPRESSION], item.rule.name)}
    else:
        arguments = {} if item.check in TEXT_RULES else {n: _encoded(v) for n, v in item.arguments.items()}
    implementation = {"check": item.check, "arguments": arguments}
    return {"name": item.rule.name, "type": "custom", "engine": ENGINE, "implementation": implementation}


def _expression(expr: pl.Expr, rule: str) -> Any:
    tree = json.loads(expr.meta.serialize(format="json"))
    if holds_python(tree):
        raise AssayError(
            f"{rule}: the expression calls a Python function, which no ODCS file can hold; use polars expressions only"
        )
    return tree


def holds_python(tree: Any) -> bool:
    """Whether a serialised expression has a Python function in it."""
    if isinstance(tree, dict):
        return any(name.startswith(PYTHON_NODES) or holds_python(value) for name, value in tree.items())
    return isinstance(tree, list) and any(map(holds_python, tree))


def _encoded(value: Any) -> Any:
    """A value as YAML that `decoded` reads back as the same type."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {"float": str(value)}
        case datetime():
            return {"timestamp": value.isoformat()}
        case date():
            return {"date": value.isoformat()}
        case time():
            return {"time": value.isoformat()}
        case timedelta():
            return {"microseconds": value // timedelta(microseconds=1)}
        case Decimal():
            return {"decimal": str(value)}
        case list() | tuple():
            return [_encoded(item) for item in value]
        case _ if hasattr(value, "pattern"):
            return value.pattern
        case _:
            raise AssayError(f"a value of type {type(value).__name__} cannot be written as ODCS; use a simpler one")
