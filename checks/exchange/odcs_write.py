"""A contract as an ODCS 3.2 document. What the standard cannot say goes into custom properties and custom quality rules."""

import copy
import json
import math
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pandera.polars as pa
import polars as pl
import yaml

from assay.checks.contract.contract import Contract
from assay.checks.contract.field import METADATA_KEY, TEXT_RULES, FieldOptions, QuarantineLimits
from assay.checks.contract.rules import Column, Rule, not_first
from assay.checks.exchange.declared import CODE, EXPRESSION, Declaration, DeclaredRule, declaration, metadata_of_table
from assay.checks.exchange.odcs_prose import DOCUMENT, FUNDAMENTALS, PROPERTY, TABLE, split_metadata
from assay.checks.exchange.odcs_types import Node, node_type, type_node
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
_UNITS = tuple((unit, timedelta(**{unit: 1})) for unit in ("days", "hours", "minutes", "seconds"))
#: How the standard names a column of a table, as in `customers.id`.
_SHORTHAND = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*(\.[A-Za-z_][A-Za-z0-9_\-]*)+")
#: A pattern that is anchored as a whole: what pandera calls a match. Another is found anywhere.
WHOLE = re.compile(r"\^\(\?:(.*)\)", re.DOTALL)
_TYPE_WORDS = ("physicalType", "logicalType", "logicalTypeOptions", "items", "properties", "map")
#: Python functions inside a serialised expression: reading one would run code that the file brings.
PYTHON_NODES = ("Python", "Anonymous")


def document(contract: type[Contract]) -> Node:
    """The contract as an ODCS document (JSON-ready). Raises AssayError for what only Python can say."""
    declared, schema = declaration(contract), contract.to_schema()
    info, where = declared.plan.info, declared.plan.info.name
    _require_no_code(declared)
    metadata = metadata_of_table(contract)
    words, others = split_metadata(metadata, TABLE, where)
    columns = zip(declared.plan.columns, schema.columns.values(), strict=True)
    properties = [_property(declared, column, written) for column, written in columns]
    table = {
        "name": info.name,
        "logicalType": "object",
        "physicalType": metadata.get("physicalType", "table"),
        "businessName": schema.title or None,
        "description": schema.description or None,
        **words,
        "properties": [*properties, *(_word(metadata, "properties", where) or ())],
        "quality": [
            *words.get("quality", ()),
            *(_quality(item) for item in declared.written.values() if item.check == EXPRESSION),
        ],
        "customProperties": [
            *others,
            *_custom(_table_options(contract, declared)),
            *_forms(declared.plan.written.declared()),
        ],
    }
    whole = _word(metadata, DOCUMENT, where) or {}
    fundamentals = {"id": own_id(info.name), "name": info.name, "status": "active"}
    fundamentals |= {word: value for word, value in whole.items() if word in FUNDAMENTALS and word != "team"}
    written = {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": fundamentals.pop("id"),
        "name": fundamentals.pop("name"),
        "version": info.version,
        **fundamentals,
        "team": _team(info.owner, whole.get("team")),
        "slaProperties": _agreements(contract, info.freshness, whole.get("slaProperties")),
        "schema": [{name: value for name, value in table.items() if value not in ([], None)}],
    }
    return {name: value for name, value in written.items() if value not in ([], None)}


def own_id(name: str) -> str:
    """The id of a contract that has none of its own."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"assay:{name}"))


def to_odcs(contract: type[Contract]) -> str:
    """The contract as ODCS 3.2 YAML; `from_odcs` reads the same contract back.

    Descriptions and metadata of the fields and of the `Config` are written, too: the standard's words (`tags`, `synonyms`,
    `deprecated`, …) as such, others as custom properties.

    Raises AssayError for checks that are Python code, and for types and metadata that no file can say.
    """
    return yaml.dump(document(contract), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Dumper(yaml.SafeDumper):
    """YAML takes some characters for ends of lines, and reads others back as blanks, unless they are escaped."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if _BREAKS.search(text) else None)


_BREAKS = re.compile("[\r\x85\u2028\u2029\ufeff]")
_Dumper.add_representer(str, _text)


def _require_no_code(declared: Declaration) -> None:
    for rule in declared.plan.rules:
        written = declared.written.get(rule.name)
        if rule.kind == "pandera" or (written is not None and written.check == CODE):
            raise AssayError(
                f"{declared.plan.info.name}: the rule {rule.name} is Python code, which no ODCS file can hold; write it "
                "as a @rule that returns a polars expression"
            )


def _table_options(contract: type[Contract], declared: Declaration) -> dict[str, Any]:
    schema, limits, since = contract.to_schema(), declared.plan.info.quarantine, declared.plan.info.since
    return {
        "strict": schema.strict,
        "ordered": bool(schema.ordered),
        "unique": list(declared.unique),
        "severity": dict(_severities(declared)),
        "duplicates": not_first(declared.plan.rules),
        "since": since and since.isoformat(),
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


def _team(owner: str | None, kept: Any) -> Node | None:
    """The owner is the team's name. Up to 3.0 a team was a list of its members."""
    if owner is None:
        return kept
    return {**(kept if isinstance(kept, dict) else {"members": kept} if kept else {}), "name": owner}


def _agreements(contract: type[Contract], freshness: timedelta | None, kept: Any) -> list[Node]:
    if freshness is None:
        return [item for item in kept or () if item.get("property") != "freshness"]
    # A text and a duration are two ways to declare the same; the spelling of the unit keeps which one it was.
    written = contract.__options__["freshness"]
    agreed = {"value": int(written[:-1]), "unit": written[-1]} if isinstance(written, str) else _duration(freshness)
    agreements: list[Node] = list(kept or ())
    if all(item.get("property") != "freshness" for item in agreements):
        agreements.append({"property": "freshness"})
    return [item | agreed if item.get("property") == "freshness" else item for item in agreements]


def _duration(value: timedelta) -> Node:
    for unit, one in _UNITS:
        if value % one == timedelta(0):
            return {"value": value // one, "unit": unit}
    raise AssayError(f"the freshness {value} has parts of a second, which no ODCS file can hold; round it")


def _custom(options: Mapping[str, Any]) -> list[Node]:
    """Options that are set, as custom properties under our name."""
    return [{"property": f"assay.{name}", "value": value} for name, value in options.items() if value]


def _forms(options: Mapping[str, Any]) -> list[Node]:
    """How texts are written. An empty text or list is declared, too: it takes back what the contract says of all columns."""
    return [{"property": f"assay.{name}", "value": _encoded(value)} for name, value in options.items()]


def _property(declared: Declaration, column: Column, written: pa.Column) -> Node:
    where = f"{declared.plan.info.name}.{column.name}"
    metadata = {name: value for name, value in (written.metadata or {}).items() if name != METADATA_KEY}
    words, others = split_metadata(metadata, PROPERTY, where)
    node: Node = {
        "name": column.name,
        "businessName": written.title or None,
        "description": written.description or None,
    }
    if "name" in metadata:
        node |= {"name": metadata["name"], "physicalName": column.name}
    node |= words | _type(column.dtype, metadata, where)
    key = declared.plan.info.key
    if column.name in key:
        node |= {"primaryKey": True, "primaryKeyPosition": key.index(column.name) + 1}
    node["required"] = not column.nullable
    names = {rule.name for rule in declared.plan.rules}
    if f"{column.name}.unique" in names and key != (column.name,) and declared.unique != (column.name,):
        node["unique"] = True
    if column.options.pii is not None:
        node.setdefault("classification", "personal")
    options = node.setdefault("logicalTypeOptions", {})
    if column.options.naive_utc:
        options["timezone"] = False
    to = column.options.exists_in
    if to is not None and _SHORTHAND.fullmatch(to):
        kept = _word(metadata, "relationships", where)
        node["relationships"] = kept if kept and kept[0].get("to") == to else [{"to": to}]
    mine = [item for item in declared.written.values() if item.rule.column == column.name and item.check != EXPRESSION]
    elsewhere = [item for item in mine if not _said_by_options(item, column)]
    for item in elsewhere:
        if "enum" not in node and (values := _enumerable(item)) is not None:
            labelled = {entry["value"]: entry for entry in _word(metadata, "enum", where) or ()}
            node["enum"] = [labelled.get(value, {"value": value}) for value in values]
    quality = [
        _quality(item) for item in elsewhere if _enumerable(item) is None and not _in_slot(item, options, column.dtype)
    ]
    own = {
        "optional": not column.required,
        "coerce": column.coerce,
        "regex": column.pattern is not None,
        **_column_options(column.options),
    }
    if "relationships" in node:
        own.pop("exists_in")
    forms = _forms(column.options.written.beyond(declared.plan.written))
    node["customProperties"] = [*node.get("customProperties", ()), *others, *_custom(own), *forms]
    node["quality"] = [*words.get("quality", ()), *quality]
    return {name: value for name, value in node.items() if value not in ([], {}, None)}


def _type(dtype: pl.DataType, metadata: Mapping[str, Any], where: str) -> Node:
    """The keys that say the type, as the document spelt them that the contract came from, while they still say it."""
    ours = type_node(dtype, where)
    kept = {word: copy.deepcopy(metadata[word]) for word in _TYPE_WORDS if word in metadata}
    if "logicalTypeOptions" in kept:
        kept["logicalTypeOptions"] = {**ours.get("logicalTypeOptions", {}), **kept["logicalTypeOptions"]}
    if "logicalType" in kept:  # a nested type, with its own properties
        ours = {"physicalType": ours["physicalType"]} if "physicalType" in kept else {}
    elif "physicalType" in kept and "logicalType" not in ours:
        return ours
    try:
        same = bool(kept) and node_type(ours | kept, where) == dtype
    except AssayError:
        same = False
    return ours | kept if same else type_node(dtype, where)


def _word(metadata: Mapping[str, Any], word: str, where: str) -> Any:
    """One word of the metadata, as JSON has it."""
    return split_metadata({"tags": metadata[word]}, ("tags",), where)[0]["tags"] if word in metadata else None


def _enumerable(item: DeclaredRule) -> list[Any] | None:
    """The values of a rule that the standard's `enum` says, whose entries are plain and differ from each other."""
    if item.check != "isin":
        return None
    values = list(item.arguments["allowed_values"])
    plain = all(isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)) for value in values)
    return values if values and plain and len(set(values)) == len(values) else None


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
    elif item.check == "str_contains" and not WHOLE.fullmatch(_pattern(item.arguments["pattern"])):
        written = {"pattern": _pattern(item.arguments["pattern"])}
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
