"""The OpenAPI document of the service."""

from typing import Any

from assay.serving.answers import ARROW, JSON
from assay.version import __version__

_TEXT, _WHOLE = {"type": "string"}, {"type": "integer"}
_STATE = {"type": "string", "enum": ["present", "missing", "expired"]}
_MOMENT = {"type": "string", "format": "date-time"}


def _list_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **optional},
        "additionalProperties": False,
    }


def _map_of(values: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values}


_REFUSALS = {
    "400": "the body is no JSON, or the host name is unknown",
    "401": "the token is missing, or another one",
    "404": "there is no such feature set",
    "406": "neither JSON nor Arrow is accepted",
    "408": "the body did not arrive in time",
    "413": "the body, or the number of keys, is too large",
    "415": "the body is not JSON",
    "422": "the body does not say what is asked for, keys do not fit, or the moment is before the generation's",
    "429": "this client sends more than it may: see Retry-After",
    "503": "too much is asked for at once: see Retry-After",
}


def openapi(limit: int) -> dict[str, Any]:
    """The document. `limit`: how many keys a request may have."""
    view = _object(
        {"table": _TEXT, "version": _WHOLE, "state": _list_of(_STATE)},
        event_time=_list_of({"type": ["string", "null"], "format": "date-time"}),
        age_seconds=_list_of({"type": ["number", "null"]}),
    )
    answered = _object(
        {"generation": _WHOLE, "built_at": _MOMENT, "features": _map_of(_list_of({})), "views": _map_of(view)}
    )
    key = {"type": ["string", "number", "boolean", "null"]}  # a fraction only as an input of the request
    wanted = _object(
        {
            "sets": {"oneOf": [_TEXT, {**_list_of(_TEXT), "minItems": 1, "uniqueItems": True}]},
            "keys": {**_map_of({"oneOf": [key, {**_list_of(key), "maxItems": limit}]}), "minProperties": 1},
        },
        at={**_MOMENT, "type": ["string", "null"]},
    )
    tables = _map_of(_WHOLE)
    listed = _object(
        {
            "set": _TEXT,
            "generation": _WHOLE,
            "at": _MOMENT,
            "built_at": _MOMENT,
            "rows": _WHOLE,
            "keys": _map_of(_TEXT),
            "features": _list_of(_TEXT),
            "tables": tables,
        }
    )
    schemas = {
        "Question": wanted,
        "Answer": _object({"at": _MOMENT, "rows": _WHOLE, "sets": _map_of(answered)}),
        "Sets": _object({"sets": _list_of(listed)}),
        "Health": _object({"status": _TEXT, "sets": _WHOLE}),
        "Error": _object({"error": _TEXT}),
    }
    refusals = {
        status: {"description": why, "content": {JSON: {"schema": _ref("Error")}}} for status, why in _REFUSALS.items()
    }
    ask = {
        "operationId": "features",
        "summary": "Values of feature sets for keys, with states, versions and ages",
        "requestBody": {"required": True, "content": {JSON: {"schema": _ref("Question")}}},
        "responses": {
            "200": {
                "description": "one value per key and feature, in the order of the keys",
                "content": {
                    JSON: {"schema": _ref("Answer")},
                    ARROW: {"schema": {"type": "string", "format": "binary"}},
                },
            },
            **refusals,
        },
        "security": [{}, {"token": []}],
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Assay: features online", "version": __version__},
        "paths": {
            "/features": {"get": _get("sets", "The feature sets that are served", "Sets"), "post": ask},
            "/health": {"get": _get("health", "Whether the service answers", "Health")},
            "/metrics": {"get": _plain_text("metrics", "Counts in the text format of Prometheus")},
            "/openapi.json": {"get": _get("openapi", "This document", None)},
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _get(operation: str, summary: str, schema: str | None) -> dict[str, Any]:
    content = {JSON: {"schema": _ref(schema) if schema else {"type": "object"}}}
    return {
        "operationId": operation,
        "summary": summary,
        "responses": {"200": {"description": summary, "content": content}},
    }


def _plain_text(operation: str, summary: str) -> dict[str, Any]:
    content = {"text/plain": {"schema": _TEXT}}
    return {
        "operationId": operation,
        "summary": summary,
        "responses": {"200": {"description": summary, "content": content}},
    }
