"""What leaves the service: JSON without secrets.

The bytes of an event are stored as they came, since they are evidence and their digest is the event's identity. They are
never served: everything that is served goes through `presentable`.
"""

import json
import math
import re
from functools import lru_cache
from typing import Any

from starlette.responses import JSONResponse

from assay.lineage.events.redaction import MASK, redact, redact_text

_PRIVATE = ("private_key", "passphrase")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class NodeId(str):
    """A node's id, put together from names without credentials. It is not searched for them again: in
    `dataset:s3://shop:raw/orders@1` a bucket, a table and a version would pass for a user, a password and a host."""

    __slots__ = ()


def presentable(value: Any, key: str = "") -> Any:
    """Any value of an event without credentials, and such that JSON can hold it.

    Beyond `redact`: keys in camel case (`dbPassword`), whatever is not text under such a key, and the pairs of name and
    value that environment variables, parameters and tags are written as.
    """
    if isinstance(value, NodeId):
        return value
    if isinstance(value, str):
        return MASK if value and _names_a_secret(key) else redact(value)
    if isinstance(value, dict):
        pair = "value" in value and any(_names_a_secret(value.get(name)) for name in ("name", "key"))
        named = {str(name): presentable(item, str(name)) for name, item in value.items()}
        return named | {"value": MASK} if pair else named
    if isinstance(value, list | tuple):
        return [presentable(item, key) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and _names_a_secret(key):
        return MASK
    return value


def _names_a_secret(key: Any) -> bool:
    return isinstance(key, str) and _secret_name(key)


@lru_cache(4096)
def _secret_name(key: str) -> bool:
    name = _HUMP.sub("_", key).lower()
    return name.endswith(_PRIVATE) or any(redact("x", text) == MASK for text in (name, name.removesuffix("_key")))


class Answer(JSONResponse):
    """JSON in ASCII: halves of surrogate pairs, which some producers cut texts into, survive as escapes. Nothing but
    `presentable` values is written."""

    def render(self, content: Any) -> bytes:
        return json.dumps(presentable(content), default=str, allow_nan=False).encode()


def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> Answer:
    return Answer({"error": redact_text(message)}, status, headers)
