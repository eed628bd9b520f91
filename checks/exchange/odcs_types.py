"""Column types in ODCS: a logical type, its options, and the polars type as the physical type, so that nothing is lost."""

import re
from collections.abc import Mapping
from typing import Any

import polars as pl

from assay.errors import AssayError

_BITS = {f"{sign}{bits}": f"{name}{bits}" for sign, name in (("i", "Int"), ("u", "UInt")) for bits in (8, 16, 32, 64)}
_INTEGERS = {name: form for form, name in _BITS.items()}
_FLOATS = {"Float32": "f32", "Float64": "f64"}
_PLAIN = {
    "String": "string",
    "Categorical": "string",
    "Binary": None,
    "Boolean": "boolean",
    "Date": "date",
    "Time": "time",
    **dict.fromkeys(_INTEGERS, "integer"),
    **dict.fromkeys(_FLOATS, "number"),
}
_ELEMENTS = {
    "float32": pl.Float32(),
    "float64": pl.Float64(),
    "int8": pl.Int8(),
    "uint8": pl.UInt8(),
}
_DECIMAL = re.compile(r"Decimal\(([0-9]+), ([0-9]+)\)")
_DATETIME = re.compile(r"Datetime\((ms|us|ns), ([\w/+\-]+)\)")
_DURATION = re.compile(r"Duration\((ms|us|ns)\)")
_DEFAULTS = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "time": pl.Time(),
}

Node = dict[str, Any]
CATEGORIES = "assay.categories"


def type_node(dtype: pl.DataType, where: str) -> Node:
    """The keys of an ODCS property that say its type. Raises AssayError for a type that no file can say."""
    name = str(dtype).partition("(")[0]
    if isinstance(dtype, pl.Enum):
        categories = {"property": CATEGORIES, "value": dtype.categories.to_list()}
        return {"logicalType": "string", "physicalType": "Enum", "customProperties": [categories]}
    if isinstance(dtype, pl.Decimal):
        return {"logicalType": "number", "physicalType": f"Decimal({dtype.precision}, {dtype.scale})"}
    if isinstance(dtype, pl.Datetime):
        options = {"timezone": True, "defaultTimezone": dtype.time_zone}
        physical = f"Datetime({dtype.time_unit}, {dtype.time_zone})"
        return {"logicalType": "timestamp", "physicalType": physical, "logicalTypeOptions": options}
    if isinstance(dtype, pl.Duration):
        return {"physicalType": f"Duration({dtype.time_unit})"}
    if isinstance(dtype, pl.Array):
        options = {"minItems": dtype.size, "maxItems": dtype.size}
        items = type_node(_instance(dtype.inner), where)
        return {"logicalType": "array", "physicalType": "Array", "logicalTypeOptions": options, "items": items}
    if isinstance(dtype, pl.List):
        return {"logicalType": "array", "physicalType": "List", "items": type_node(_instance(dtype.inner), where)}
    if isinstance(dtype, pl.Struct):
        fields = [{"name": field.name, **type_node(_instance(field.dtype), where)} for field in dtype.fields]
        return {"logicalType": "object", "physicalType": "Struct", "properties": fields}
    if name not in _PLAIN:
        raise AssayError(f"{where}: the type {dtype} cannot be written as ODCS; give the column another type")
    form = _INTEGERS.get(name) or _FLOATS.get(name)
    logical = {} if _PLAIN[name] is None else {"logicalType": _PLAIN[name]}
    return logical | {"physicalType": name} | ({"logicalTypeOptions": {"format": form}} if form else {})


def node_type(node: Mapping[str, Any], where: str) -> pl.DataType:
    """The type that an ODCS property says. A polars physical type wins, if the logical type does not contradict it.

    Without one: integers are Int64 and numbers Float64 unless `format` says otherwise, timestamps are microseconds in the
    default zone (UTC). Raises AssayError for a type that it cannot read.
    """
    logical, options = node.get("logicalType"), node.get("logicalTypeOptions") or {}
    physical = str(node.get("physicalType", ""))
    if logical == "array":
        return _array(node, options, physical, where)
    if logical == "object":
        return _object(node, where)
    if logical == "map":
        return _map(node, where)
    if logical == "vector":
        return _vector(options, where)
    exact = _exact(physical, node)
    if exact is not None and logical in (None, type_node(exact, where).get("logicalType")):
        return exact
    if logical == "timestamp":
        return pl.Datetime("us", options.get("defaultTimezone", "UTC").replace("Etc/UTC", "UTC"))
    form = options.get("format")
    if logical == "integer" and form is not None:
        if form not in _BITS:
            raise AssayError(f"{where}: integers of format {form!r} cannot be read; known: {', '.join(_BITS)}")
        return _named(_BITS[form])
    if logical == "number" and form == "f32":
        return pl.Float32()
    if logical not in _DEFAULTS:
        names = ", ".join([*_DEFAULTS, "timestamp", "array", "object", "map", "vector"])
        raise AssayError(f"{where}: no type that can be read (logicalType {logical!r}); give one of {names}")
    return _DEFAULTS[logical]


def _exact(physical: str, node: Mapping[str, Any]) -> pl.DataType | None:
    if physical in _PLAIN:
        return _named(physical)
    if physical == "Enum":
        properties = {item["property"]: item["value"] for item in node.get("customProperties") or ()}
        return pl.Enum(properties[CATEGORIES]) if CATEGORIES in properties else None
    if match := _DECIMAL.fullmatch(physical):
        return pl.Decimal(int(match[1]), int(match[2]))
    if match := _DATETIME.fullmatch(physical):
        return pl.Datetime(match[1], match[2])  # pyright: ignore[reportArgumentType] - the pattern knows the units
    if match := _DURATION.fullmatch(physical):
        return pl.Duration(match[1])  # pyright: ignore[reportArgumentType] - the pattern knows the units
    return None


def _array(node: Mapping[str, Any], options: Mapping[str, Any], physical: str, where: str) -> pl.DataType:
    if "items" not in node:
        raise AssayError(f"{where}: an array needs `items` that say the type of its elements")
    _require_no_rules(node["items"], f"{where}[]")
    inner = node_type(node["items"], f"{where}[]")
    if physical == "Array" and options.get("minItems") == options.get("maxItems") is not None:
        return pl.Array(inner, options["maxItems"])
    return pl.List(inner)


def _require_no_rules(node: Mapping[str, Any], where: str) -> None:
    """Raise AssayError for a constraint within a nested value, where no rule looks."""
    for word in ("enum", "quality"):
        if any(not isinstance(item, Mapping) or item.get("type") != "text" for item in node.get(word) or ()):
            raise AssayError(
                f"{where}: {word} within a nested value cannot be checked; remove it, or say it as a @rule"
            )


def _object(node: Mapping[str, Any], where: str) -> pl.DataType:
    fields = node.get("properties") or ()
    if not fields:
        raise AssayError(f"{where}: an object needs `properties` that say its fields")
    for field in fields:
        _require_no_rules(field, f"{where}.{field['name']}")
    return pl.Struct({field["name"]: node_type(field, f"{where}.{field['name']}") for field in fields})


def _map(node: Mapping[str, Any], where: str) -> pl.DataType:
    """A list of entries, which is how Arrow, Parquet and Delta hold a map."""
    entry = node.get("map") or {}
    if not {"key", "value"} <= entry.keys():
        raise AssayError(f"{where}: a map needs `map` that says the type of its `key` and of its `value`")
    for part in ("key", "value"):
        _require_no_rules(entry[part], f"{where}.{part}")
    return pl.List(pl.Struct({part: node_type(entry[part], f"{where}.{part}") for part in ("key", "value")}))


def _vector(options: Mapping[str, Any], where: str) -> pl.DataType:
    element = options.get("elementType", "float32")
    if element not in _ELEMENTS or not isinstance(options.get("dimensions"), int):
        raise AssayError(
            f"{where}: a vector needs logicalTypeOptions.dimensions, and elementType as one of {', '.join(_ELEMENTS)}"
        )
    return pl.Array(_ELEMENTS[element], options["dimensions"])


def _named(name: str) -> pl.DataType:
    return getattr(pl, name)()


def _instance(dtype: Any) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype
