"""What a verification found, and the verdict that follows from it."""

from __future__ import annotations

import hashlib
import json
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

UNREADABLE = (
    *(ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError),
    *(MemoryError, OSError, struct.error),
)
Files = dict[str, bytes]  # of a bundle, by name


class Finding(NamedTuple):
    """The result of one check. `ok` is None where it could not be made; only `required` ones decide the verdict."""

    what: str
    ok: bool | None
    detail: str
    required: bool = True


Findings = Iterator[Finding]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def summed(what: str, count: int, problems: list[Finding]) -> Findings:
    """The problems one by one, or one finding that counts what was checked."""
    yield from problems
    if not problems:
        yield Finding(what, True, f"{count} checked")


def outcome(findings: list[Finding]) -> str:
    """`verified`; `incomplete` (nothing contradicts, something could not be checked); or `broken`."""
    required = [item.ok for item in findings if item.required]
    return "broken" if False in required else "incomplete" if None in required else "verified"


def guarded(name: str, step: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """The findings of a step; a file that it cannot parse is a finding too."""
    try:
        return list(step())
    except UNREADABLE as problem:
        return [Finding(name, False, f"cannot be understood ({type(problem).__name__})")]


def exactly(one: Any, other: Any) -> bool:
    """Whether two values are the same in JSON, where 0 is not false, and 1.0 not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def instant(microseconds: int) -> str:
    """RFC 3339 in UTC from µs since 1970."""
    whole, rest = divmod(microseconds, 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{rest:06d}Z"
