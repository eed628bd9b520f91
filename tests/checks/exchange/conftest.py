"""The schema that the standard itself publishes."""

from typing import Any

import jsonschema_rs
import pyodcs
import pytest


def with_3_2(schema: dict[str, Any]) -> dict[str, Any]:
    """The standard's 3.1 schema with what 3.2 added to the elements that we write."""
    schema["properties"]["apiVersion"]["enum"].append("v3.2.0")
    parts, any_list = schema["$defs"], {"type": "array", "items": {"type": "object"}}
    entry = {"type": "object", "required": ["value"], "properties": {"value": {"$ref": "#/$defs/AnyNonCollectionType"}}}
    parts["SchemaElement"]["properties"] |= {"deprecated": {"type": "boolean"}, "synonyms": any_list}
    parts["SchemaObject"]["properties"]["context"] = schema["properties"]["context"] = {"type": ["string", "object"]}
    words = parts["SchemaBaseProperty"]["properties"]
    words["logicalType"]["enum"] += ["map", "vector"]
    words["semanticType"] = {"enum": ["column", "measure", "dimension"]}
    words["enum"] = {"type": "array", "minItems": 1, "uniqueItems": True, "items": entry}
    parts_of_map = {name: {"$ref": "#/$defs/SchemaItemProperty"} for name in ("key", "value")}
    words["map"] = {"type": "object", "required": ["key", "value"], "properties": parts_of_map}
    parts["ServiceLevelAgreementProperty"]["properties"]["customProperties"] = {"$ref": "#/$defs/CustomProperties"}
    parts["CustomProperty"]["properties"]["vendor"] = {"type": "string"}
    parts["RelationshipBase"]["properties"]["id"] = {"type": "string"}
    return schema


@pytest.fixture(scope="module")
def official() -> jsonschema_rs.Validator:
    """The standard's own JSON schema, as pyodcs ships it. (Its other checks want a name for the elements of a list, which the
    schema does not.)"""
    schema = pyodcs.pinned_schema()
    return jsonschema_rs.validator_for(
        schema if "v3.2.0" in str(schema["properties"]["apiVersion"]) else with_3_2(schema)
    )
