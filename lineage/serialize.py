"""An event as JSON: what the client's own serializer makes of it, without secrets, and several times as fast.

The client makes dicts of the objects, copies them without nulls, and they are copied again without secrets. A transaction
waits for that, so here it is one walk, and what is known of a class or of a text is not found out twice.
"""

import json
from collections.abc import Iterable
from enum import Enum
from functools import cache
from operator import index  # of numpy's integers, which JSON does not know
from typing import Any

import attr
from openlineage.client.event_v2 import RunEvent

from assay.lineage.redaction import MASK, is_secret, redact_text


def to_bytes(event: RunEvent) -> bytes:
    """The event as it is stored and sent. Secrets are removed here, so that no event can go around it."""
    return json.dumps(_fields_of(event), sort_keys=True, default=index).encode()


class Plain(dict[str, Any]):
    """JSON already, and without secrets: it is taken as it is."""


def plain(value: Any) -> Plain:
    """A part of an event, such as a facet, that will be in many of them."""
    return Plain(_fields_of(value))


def _fields_of(value: Any) -> dict[str, Any]:
    return _object((name, getattr(value, name)) for name in _names(type(value)))


def _object(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. What is None is left out, as the client does."""
    return {key: _value(item, key) for key, item in items if item is not None}


def _value(value: Any, key: str) -> Any:
    if isinstance(value, str):
        return MASK if value and is_secret(key) else redact_text(value)
    if isinstance(value, dict):
        if type(value) is Plain:
            return value
        return _object(value.items())
    if isinstance(value, list):
        made = [_value(item, key) for item in value if item is not None]
        return [item for item in made if item != {}]
    if isinstance(value, Enum):
        return _value(value.value, key)
    return _fields_of(value) if _names(type(value)) else value


@cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    """The fields of one of the client's classes; none for other values (numbers, booleans)."""
    return tuple(field.name for field in attr.fields(kind)) if attr.has(kind) else ()
