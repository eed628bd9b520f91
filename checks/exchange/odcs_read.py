"""An ODCS 3 document (to 3.2) as a contract. What constrains the data and cannot be read is an error, never left out silently."""

import io
import json
import keyword
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Optional

import polars as pl
import yaml

from assay.checks.contract.contract import Contract
from assay.checks.contract.field import TEXT_RULES, Block, Field, QuarantineLimits, RowCount, rule
from assay.checks.contract.written_form import FOR_ALL
from assay.checks.exchange.odcs_prose import DOCUMENT, FUNDAMENTALS, OURS, PROPERTY, TABLE, metadata_of
from assay.checks.exchange.odcs_types import CATEGORIES, node_type, type_node
from assay.checks.exchange.odcs_write import BOUNDS, ENGINE, WHOLE, holds_python, own_id
from assay.checks.exchange.yaml_text import load_yaml
from assay.errors import AssayError

Node = Mapping[str, Any]
_SLOTS = {slot: check for check, slot in BOUNDS.items()}
_SHORT = {"greater_than_or_equal_to": "ge", "greater_than": "gt", "less_than_or_equal_to": "le", "less_than": "lt"} | {
    "equal_to": "eq",
    "not_equal_to": "ne",
}
#: What says the size of an array or a vector, and what a vector is for.
_SIZE = (
    *("minItems", "maxItems", "dimensions", "elementType", "distanceMetric", "embeddingModel", "embeddingModelVersion"),
    "normalized",
)
_TYPE_OPTIONS = ("format", "timezone", "defaultTimezone")
_READ = (
    *("name", "description", "businessName", "logicalType", "physicalType", "logicalTypeOptions", "primaryKey"),
    *("primaryKeyPosition", "required", "unique", "enum", "items", "properties", "map", "relationships", "quality"),
    "customProperties",
)
_SEVERITIES = {"info": "info", "warning": "warn", "warn": "warn", "error": "quarantine", "quarantine": "quarantine"}
_FRESH = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "w": "weeks"} | {
    f"{word}{plural}": f"{word}s" for word in ("day", "hour", "minute", "second", "week") for plural in ("", "s")
}
_SIMPLER = "look for odd dates, very long numbers and very deep nesting"
_DECODE: dict[str, Callable[[Any], Any]] = {
    "float": float,
    "timestamp": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "microseconds": lambda count: timedelta(microseconds=count),
    "decimal": Decimal,
}


def from_odcs(text: str, table: str | None = None) -> type[Contract]:
    """The contract that an ODCS 3 document describes.

    Team name, version, freshness, types, keys, required, unique, bounds, patterns, enumerations, valid values and foreign keys
    are read, and everything that `to_odcs` writes. What else the document says (descriptions, tags, synonyms, `deprecated`,
    `semanticType`, `context`, prices, roles, servers, …) decides nothing; it becomes metadata, and `to_odcs` writes it again.

    Args:
        text: The document, as YAML or JSON.
        table: Which of its tables, if it describes several.

    Returns:
        A class like one written by hand.

    Raises:
        AssayError: This is not such a document, or a constraint in it cannot be evaluated.
    """
    try:
        document = load_yaml(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise AssayError(f"the ODCS document is not YAML{where}; correct it") from None
    except (
        ValueError,
        RecursionError,
    ) as error:  # a date that no calendar has, a number of thousands of digits, deep nesting
        raise AssayError(f"the ODCS document cannot be read ({type(error).__name__}); {_SIMPLER}") from None
    if not isinstance(document, dict) or document.get("kind") != "DataContract":
        raise AssayError("this is not an ODCS document: it has no `kind: DataContract`")
    if not str(document.get("apiVersion", "")).startswith("v3."):
        raise AssayError(f"ODCS {document.get('apiVersion')} cannot be read; convert the document to v3.2.0")
    try:
        return _contract(document, _table(document, table))
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError, OverflowError, ArithmeticError) as error:
        # The message may quote the document, so it is not repeated.
        raise AssayError(f"the ODCS document does not follow the standard ({type(error).__name__}); check it") from None


def _table(document: Node, wanted: str | None) -> Node:
    items = document.get("schema") or ()
    tables = {item["name"]: item for item in items}
    if len(tables) < len(items):
        raise AssayError("two tables of the ODCS document have one name; rename one")
    if not tables:
        raise AssayError("the ODCS document has no `schema`; add one object with properties")
    if wanted is None and len(tables) > 1:
        raise AssayError(f"the ODCS document describes several tables; name one of {', '.join(tables)}")
    if wanted is not None and wanted not in tables:
        raise AssayError(f"the ODCS document has no table {wanted!r}; there are {', '.join(tables)}")
    return tables[wanted] if wanted is not None else next(iter(tables.values()))


def _contract(document: Node, table: Node) -> type[Contract]:
    name = re.sub(r"\W", "_", str(table["name"]))
    name = name if name.isidentifier() and not keyword.iskeyword(name) else f"Table_{name}"
    custom = _custom(table)
    severity = {rule: _severity(value) for rule, value in custom.pop("severity", {}).items()}
    body: dict[str, Any] = {}
    annotations: dict[str, Any] = {}
    columns: set[str] = set()
    for node in table.get("properties") or ():
        if node.get("semanticType") == "measure":
            _require_no_column(node, name)
            continue
        column = str(node.get("physicalName", node["name"]))
        if column in columns:
            raise AssayError(f"{name}: two properties are the column {column}; keep one")
        columns.add(column)
        # The attribute's name is neutral: a column may be called like a method of the class.
        attribute = f"column_{len(annotations)}"
        annotations[attribute], body[attribute] = _column(node, column, f"{name}.{column}", severity)
    for index, item in enumerate(table.get("quality") or ()):
        if item.get("type") != "text":
            body[f"_rule_{index}"] = _row_rule(item, name)
    if table.get("relationships"):
        raise AssayError(f"{name}: relationships of several columns cannot be read; give them at the property")
    config = {"severity": severity, **_options(document, custom, name), **_prose(document, table)}
    declared = type("Config", (Contract.Config,), config)
    return type(name, (Contract,), {"__annotations__": annotations, "__module__": __name__, "Config": declared, **body})


def _require_no_column(node: Node, where: str) -> None:
    """A measure is computed by whoever asks, so it is in no delivery, and no rule about it can be evaluated."""
    if node.get("required") or node.get("primaryKey") or node.get("unique") or node.get("enum") or node.get("quality"):
        raise AssayError(f"{where}.{node['name']}: a measure is no column, so no rule can be checked; remove the rule")


def _prose(document: Node, table: Node) -> dict[str, Any]:
    """What a document says of a table beside its rules, as options that decide nothing."""
    kept = metadata_of(table, TABLE)
    if table.get("physicalType", "table") != "table":
        kept["physicalType"] = table["physicalType"]
    if measures := [node for node in table.get("properties") or () if node.get("semanticType") == "measure"]:
        kept["properties"] = measures
    ours = {"id": own_id(str(table["name"])), "name": str(table["name"]), "status": "active"}
    ours |= {"team": {"name": document["team"].get("name")}} if isinstance(document.get("team"), dict) else {}
    whole = {word: document[word] for word in FUNDAMENTALS if word in document and document[word] != ours.get(word)}
    agreements = document.get("slaProperties") or ()
    if any(item["property"] != "freshness" or item.keys() != {"property", "value", "unit"} for item in agreements):
        whole["slaProperties"] = agreements
    kept |= {DOCUMENT: whole} if whole else {}
    options = {"title": table.get("businessName"), "description": table.get("description"), "metadata": kept}
    return {name: value for name, value in options.items() if value}


def _options(document: Node, custom: dict[str, Any], where: str) -> dict[str, Any]:
    plain = ("strict", "ordered", "unique", "duplicates", "since", *FOR_ALL)
    options = {option: custom.pop(option) for option in plain if option in custom}
    if "row_count" in custom:
        options["row_count"] = RowCount(**custom.pop("row_count"))
    if "quarantine" in custom:
        options["quarantine"] = QuarantineLimits(**custom.pop("quarantine"))
    version = str(document.get("version", "0"))
    if version != "0":  # which is that of a contract without one
        options["version"] = version
    if custom:
        raise AssayError(f"{where}: assay.{', assay.'.join(custom)} is not known; was a newer version at work?")
    team = document.get("team")
    if isinstance(team, dict) and team.get("name") is not None:
        options["owner"] = str(team["name"])
    for item in document.get("slaProperties") or ():
        if item.get("property") == "freshness":
            written, value = str(item.get("unit", "d")), item["value"]
            if written not in _FRESH or not isinstance(value, (int, float)):
                raise AssayError(f"{where}: the freshness has no number of d, h, m or s; correct slaProperties")
            short = isinstance(value, int) and value > 0 and written in tuple("mhdw")
            options["freshness"] = f"{value}{written}" if short else timedelta(**{_FRESH[written]: value})
    return options


def _severity(value: Any) -> Any:
    return Block(**value) if isinstance(value, dict) else value


def _custom(node: Node) -> dict[str, Any]:
    """Our own custom properties; those of others are not for us."""
    items = {item["property"]: item["value"] for item in node.get("customProperties") or ()}
    return {
        name.removeprefix(OURS): value for name, value in items.items() if name.startswith(OURS) and name != CATEGORIES
    }


def _column(node: Node, column: str, where: str, severity: dict[str, Any]) -> tuple[Any, Any]:
    unknown = [key for key in node if key not in (*PROPERTY, *_READ)]
    if unknown:
        raise AssayError(f"{where}: {', '.join(unknown)} is no key of ODCS 3.2; correct it")
    dtype: Any = node_type(node, where)
    custom = _custom(node)
    annotation: Any = Optional[dtype] if custom.pop("optional", False) else dtype  # noqa: UP045 - a type made at run time
    kwargs: dict[str, Any] = {"nullable": not node.get("required", False)}
    if node.get("primaryKey"):
        kwargs |= {"key": True, "nullable": False}
    if node.get("unique"):
        kwargs["unique"] = True
    related = node.get("relationships") or ()
    if len(related) > 1:
        raise AssayError(f"{where}: the column has several relationships, and one can be checked; keep that")
    if related:
        kwargs["exists_in"] = related[0]["to"]
    kwargs |= {name: _decoded(value) for name, value in custom.items()}
    if "required_if" in kwargs:
        kwargs["required_if"] = dict(kwargs["required_if"])
    checks = [("isin", [entry["value"] for entry in node["enum"]])] if node.get("enum") else []
    checks += [*_type_checks(node.get("logicalTypeOptions") or {}, dtype, where)]
    checks += [check for item in node.get("quality") or () for check in _quality(item, column, where, severity)]
    for name, value in checks:
        if name in kwargs and kwargs[name] != value and name != "nullable":
            raise AssayError(f"{where}: {name} is given twice; keep one")
        kwargs[name] = value
    if isinstance(dtype, pl.Datetime) and (node.get("logicalTypeOptions") or {}).get("timezone") is False:
        kwargs["naive_utc"] = True
    words = {"title": node.get("businessName"), "description": node.get("description")}
    ours = ("classification",) if "pii" in kwargs and node.get("classification") == "personal" else ()
    spoken = (word for word in PROPERTY if word not in ours)
    words["metadata"] = {**metadata_of(node, spoken), **_spelling(node, column, dtype, where)}
    words = {name: value for name, value in words.items() if value}
    return annotation, Field(alias=column, **words, **kwargs)


def _spelling(node: Node, column: str, dtype: pl.DataType, where: str) -> dict[str, Any]:
    """How the document says what we would say otherwise: another name, a database's own type, labels of values."""
    ours = type_node(dtype, where)
    kept = {"name": node["name"]} if str(node["name"]) != column else {}
    if node.get("physicalType", ours.get("physicalType")) != ours.get("physicalType"):
        kept["physicalType"] = node["physicalType"]
    if dtype.is_nested():
        options = {name: value for name, value in (node.get("logicalTypeOptions") or {}).items() if name not in _SLOTS}
        nested = {word: node[word] for word in ("logicalType", "items", "properties", "map") if word in node}
        nested |= {"logicalTypeOptions": options} if options else {}
        kept |= nested if any(ours.get(word) != value for word, value in nested.items()) else {}
    elif dtype.is_temporal() and "format" in (node.get("logicalTypeOptions") or {}):
        kept["logicalTypeOptions"] = {"format": node["logicalTypeOptions"]["format"]}
    if any(entry.keys() != {"value"} for entry in node.get("enum") or ()):
        kept["enum"] = node["enum"]
    if any(item.keys() != {"to"} for item in node.get("relationships") or ()):
        kept["relationships"] = node["relationships"]
    return kept


def _type_checks(options: Node, dtype: pl.DataType, where: str) -> Iterator[tuple[str, Any]]:
    form = str(options.get("format", ""))
    readable = not dtype.is_temporal() or re.match("(yyyy-MM-dd|HH:mm:ss|$)", form)
    if (dtype == pl.String and form) or not readable:
        raise AssayError(f"{where}: logicalTypeOptions.format {form!r} cannot be checked; remove it, or give a pattern")
    options = {name: value for name, value in options.items() if name not in _TYPE_OPTIONS}
    if isinstance(dtype, pl.Array):
        options = {name: value for name, value in options.items() if name not in _SIZE}
    lengths = {
        "min_value": options.pop("minLength", None),
        "max_value": options.pop("maxLength", None),
    }
    if any(value is not None for value in lengths.values()):
        yield "str_length", {name: value for name, value in lengths.items() if value is not None}
    if "pattern" in options:
        yield _pattern(str(options.pop("pattern")))
    for slot, value in options.items():
        if slot not in _SLOTS:
            raise AssayError(f"{where}: logicalTypeOptions.{slot} cannot be checked; remove it, or say it as a @rule")
        yield _SHORT[_SLOTS[slot]], _moment(value, dtype)


def _pattern(pattern: str) -> tuple[str, str]:
    """A pattern is found anywhere; one that is anchored as a whole is what pandera calls a match."""
    whole = WHOLE.fullmatch(pattern)
    if whole is not None:
        try:
            re.compile(whole[1])
        except re.error:
            return "str_contains", pattern
        return "str_matches", whole[1]
    return "str_contains", pattern


def _moment(value: Any, dtype: pl.DataType) -> Any:
    if not isinstance(value, str):
        return value
    if isinstance(dtype, pl.Datetime):
        return datetime.fromisoformat(value)
    return date.fromisoformat(value) if dtype == pl.Date else time.fromisoformat(value)


def _quality(item: Node, column: str, where: str, severity: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    if item.get("type") == "text":
        return
    label = item.get("name", "without a name")
    metric, arguments = item.get("metric"), dict(item.get("arguments") or {})
    if item.get("engine") == ENGINE:
        implementation = item["implementation"]
        name: str = implementation["check"]
        values: Any = {n: _decoded(v) for n, v in implementation["arguments"].items()}
        yield (name, True) if name in TEXT_RULES else (_SHORT.get(name, name), values)
        return
    rules: list[tuple[str, Any, str]] = []
    if item.get("mustBe") == 0 and item.get("type", "library") == "library":
        if metric == "nullValues" and not arguments:
            rules.append(("nullable", False, "not_null"))
        if metric == "duplicateValues" and not arguments:
            rules.append(("unique", True, "unique"))
        if metric == "invalidValues" and arguments.keys() <= {"validValues", "pattern"}:
            if "validValues" in arguments:
                rules.append(("isin", arguments["validValues"], "isin"))
            if "pattern" in arguments:
                name, value = _pattern(str(arguments["pattern"]))
                rules.append((name, value, "matches" if name == "str_matches" else "contains"))
    if not rules:
        what = metric or item.get("engine") or item.get("type")
        raise AssayError(f"{where}: the quality rule {label} ({what}) cannot be read; remove it, or say it as a @rule")
    for name, value, rule_name in rules:
        yield name, value
        if "severity" in item:
            if item["severity"] not in _SEVERITIES:
                raise AssayError(f"{where}: the severity of {label} is none of {', '.join(_SEVERITIES)}; correct it")
            severity.setdefault(f"{column}.{rule_name}", _SEVERITIES[item["severity"]])


def _row_rule(item: Node, where: str) -> Any:
    label = item.get("name", "without a name")
    implementation = item.get("implementation")
    if item.get("engine") != ENGINE or not isinstance(implementation, dict) or implementation["check"] != "expression":
        what = item.get("metric") or item.get("engine") or item.get("type")
        raise AssayError(f"{where}: the quality rule {label} ({what}) cannot be read; remove it, or say it as a @rule")
    tree = implementation["arguments"]["expression"]
    if holds_python(tree):
        raise AssayError(
            f"{where}: the rule {label} brings Python code in its expression, which is never run; remove it"
        )
    try:
        expr = pl.Expr.deserialize(io.StringIO(json.dumps(tree)), format="json")
    except (pl.exceptions.PolarsError, ValueError):
        raise AssayError(
            f"{where}: the expression of {label} cannot be read by polars {pl.__version__}; write the rule anew"
        ) from None
    return rule(name=label)(lambda cls: expr)


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if isinstance(value, dict) and len(value) == 1:
        (kind, written), *_ = value.items()
        return _DECODE[kind](written) if kind in _DECODE else value
    return value
