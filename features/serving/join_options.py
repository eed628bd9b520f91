"""How features are joined to a spine: by which of its columns in time, by event or known time, and whether nulls are values.

Refused here, wherever they are given: a word that is unknown would otherwise mean "event", and let later knowledge leak.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from assay.errors import AssayError, nearest

KnownAt = Literal["event", "known"]
EVENT_TIME = "event_time"
_KNOWN_AT = ("event", "known")


@dataclass(frozen=True, slots=True)
class JoinOptions:
    """How all features of one join are taken.

    Args:
        known_at: `event`, or `known`: a value must also have been known at the spine's time. A mapping says so for some views
            (by name), and others are joined by `event`.
        skip_nulls: Whether the latest value that is not null is served; a mapping says so for some views.
        event_time: The spine's column with the time.

    Raises:
        AssayError: For an unknown word, a flag that is no truth value, or a column without a name.
    """

    known_at: KnownAt | Mapping[str, KnownAt] = "event"
    skip_nulls: bool | Mapping[str, bool] = False
    event_time: str = EVENT_TIME

    def __post_init__(self) -> None:
        if isinstance(self.known_at, Mapping):
            chosen = {name: checked_known_at(word, f"known_at of {name!r}") for name, word in self.known_at.items()}
            object.__setattr__(self, "known_at", chosen)
        else:
            checked_known_at(self.known_at)
        flags = self.skip_nulls.values() if isinstance(self.skip_nulls, Mapping) else [self.skip_nulls]
        for flag in flags:
            checked_skip_nulls(flag)
        if not isinstance(self.event_time, str) or not self.event_time:
            raise AssayError("event_time must name the spine's column with the time.")

    @classmethod
    def of_given(
        cls, known_at: KnownAt | Mapping[str, KnownAt] | None, skip_nulls: bool | Mapping[str, bool] | None
    ) -> "JoinOptions":
        """With the defaults in place of what is None."""
        return cls("event" if known_at is None else known_at, False if skip_nulls is None else skip_nulls)

    def of(self, name: str, view: str = "") -> tuple[KnownAt, bool]:
        """How features of a view are taken in the role of this name: `known_at` and `skip_nulls`."""
        known, skip = self.known_at, self.skip_nulls
        if isinstance(known, Mapping):
            known = known.get(name, known.get(view, "event"))
        if isinstance(skip, Mapping):
            skip = skip.get(name, skip.get(view, False))
        return known, skip

    def to_dict(self) -> dict[str, Any]:
        """As JSON, for the record. The time's usual name is left out: older records do not have it either."""
        known = dict(self.known_at) if isinstance(self.known_at, Mapping) else self.known_at
        skip = dict(self.skip_nulls) if isinstance(self.skip_nulls, Mapping) else self.skip_nulls
        own = {} if self.event_time == EVENT_TIME else {"event_time": self.event_time}
        return {"known_at": known, "skip_nulls": skip, **own}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "JoinOptions":
        """What a record says. Releases that did not check the words joined by event time whatever another one said."""
        known = data.get("known_at", "event")
        if not isinstance(known, Mapping):
            known = "known" if known == "known" else "event"
        skip = data.get("skip_nulls", False)
        skip = skip if isinstance(skip, Mapping) else bool(skip)
        return cls(known, skip, data.get("event_time") or EVENT_TIME)


def checked_known_at(word: Any, what: str = "known_at") -> KnownAt:
    """The word. Raises AssayError unless it is `event` or `known`."""
    if not isinstance(word, str):
        raise AssayError(f"{what} must be 'event' or 'known', not {type(word).__name__}.")
    if word not in _KNOWN_AT:
        raise AssayError(f"{what} must be 'event' or 'known', not {word!r}.{nearest(word, _KNOWN_AT)}")
    return cast(KnownAt, word)


def checked_skip_nulls(flag: Any) -> bool:
    """The flag. Raises AssayError unless it is True or False."""
    if not isinstance(flag, bool):
        raise AssayError(f"skip_nulls must be True or False, not {type(flag).__name__}.")
    return flag
