"""What a look at the deliveries of a source showed, compared with an earlier one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a look at the deliveries of a source showed, compared with an earlier one.

    Attributes:
        seen: to be given to the next look; text or packed numbers, as the reader likes it.
        changed: the partitions with deliveries of which any came, went or changed since, or is unsettled.
        unsettled: those of them whose deliveries may still change without a trace.
    """

    seen: bytes
    changed: frozenset[str]
    unsettled: frozenset[str] = frozenset()


def by_marks(marks: Mapping[str, str], before: bytes) -> Delivered:
    """The same from texts that change with the deliveries of each partition ("": they may change without a trace)."""
    known = marks_in(before)
    changed = frozenset(key for key, mark in marks.items() if not mark or known.get(key) != mark)
    return Delivered(json.dumps(dict(marks)).encode(), changed, frozenset(key for key in changed if not marks[key]))


def marks_in(seen: bytes) -> dict[str, str]:
    """The texts of such a look; none where it cannot be read."""
    try:
        known = json.loads(seen or "{}")
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}
