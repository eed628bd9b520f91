"""An event as JSON: what the client's own serializer makes of it, without secrets, and several times as fast.

The client makes dicts of the objects, copies them without nulls, and they are copied again without secrets. A transaction
waits for that, so here it is one walk, and what is known of a class or of a text is not found out twice.
"""

import json
from collections.abc import Mapping
from enum import Enum
from functools import cache, lru_cache
from operator import index  # of numpy's integers, which JSON does not know
from typing import Any

import attr

from assay.lineage.events.redaction import MASK, is_secret, redact_text


def to_bytes(event: Any) -> bytes:
    """The event, as JSON or as the client's class, as it is stored and sent. Secrets are removed here, so that no event can go
    around it."""
    return encoded(fields_of(event))


def encoded(fields: Mapping[str, Any]) -> bytes:
    """What `fields_of` made, as bytes: the same as the client's transports make of it, so that what is forwarded is what is
    stored, byte by byte."""
    return _json(fields).encode()


class Plain(dict[str, Any]):
    """JSON already, and without secrets: it is taken as it is, and never changed. Its text is made once: facets of columns are
    most of an event, and the same in thousands of them."""

    __slots__ = ("_text",)

    def __hash__(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """By identity, so that what is found out about one that many events share can be remembered."""
        return object.__hash__(self)

    @property
    def text(self) -> str:
        try:
            return self._text
        except AttributeError:
            self._text = _encode(self)
            return self._text


_encode = json.JSONEncoder(sort_keys=True, default=index, check_circular=False).encode


def _json(value: Any) -> str:
    kind = type(value)
    if kind is Plain:
        return value.text
    if kind is dict:
        return "{" + ", ".join([f"{_key(name)}: {_json(value[name])}" for name in sorted(value)]) + "}"
    if kind is list:
        return "[" + ", ".join(map(_json, value)) + "]"
    return _encode(value)


_key = lru_cache(4096)(_encode)


def plain(value: Any) -> Plain:
    """A part of an event, such as a facet, that will be in many of them."""
    return Plain(fields_of(value))


def fields_of(value: Any) -> dict[str, Any]:
    """An event, or one of the client's objects, as JSON without secrets."""
    if isinstance(value, dict):
        return _value(value, "")
    return {name: _value(item, name) for name in _names(type(value)) if (item := getattr(value, name)) is not None}


def _value(value: Any, key: str) -> Any:
    """What is None is left out of objects and lists, as the client does."""
    kind = type(value)
    if kind is Plain or kind is int or kind is bool:
        return value
    if kind is str:
        return _text(value, key) if len(value) <= 64 else _clean(value, key)
    if kind is list or kind is tuple:
        made = [_value(item, key) for item in value if item is not None]
        return [item for item in made if item != {}]
    if kind is dict:
        return {name: _value(item, name) for name, item in value.items() if item is not None}
    if _names(kind):
        return fields_of(value)
    if isinstance(value, Enum):
        return _value(value.value, key)
    # Classes derived from those above.
    if isinstance(value, str):
        return _value(str(value), key)
    if isinstance(value, dict):
        return _value(dict(value), key)
    if isinstance(value, list):
        return _value(list(value), key)
    return value


def _clean(text: str, key: str) -> str:
    return MASK if text and is_secret(key) else redact_text(text)


_text = lru_cache(8192)(_clean)  # one event says the same names many times


@cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    """The fields of one of the client's classes; none for other values (numbers, booleans)."""
    return tuple(field.name for field in attr.fields(kind)) if attr.has(kind) else ()
