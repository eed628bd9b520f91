"""How a table is served: what a reader must know, without the code that made the table. Travels in commit metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from assay.errors import AssayError

ServingKind = Literal["as_of", "lookup"]


@dataclass(frozen=True, slots=True)
class Serving:
    """How rows of a table become features: `tx.write(table, rows, extra={"serving": serving.to_dict()})`.

    Args:
        entity: What the rows describe (its name).
        keys: The columns by which the table is joined to a spine.
        event_time: The column with the time from which a row holds; for `as_of`.
        known_time: The column with the time at which a row became known; None: not recorded.
        max_age_us: How long a row may be served, in µs, inclusive; None: for ever.
        kind: `as_of`: the latest row of the keys at or before the spine's time, at most `max_age_us` old. `lookup`: the row
            of the keys, whatever the time; of several the first one, by partition.
        states: The rows of one time are the whole state: a key that the newest ones lack has no value (`as_of` only).
    """

    entity: str
    keys: tuple[str, ...]
    event_time: str = ""
    known_time: str | None = None
    max_age_us: int | None = None
    kind: ServingKind = "as_of"
    states: bool = False

    @classmethod
    def as_of(
        cls,
        keys: Sequence[str],
        event_time: str,
        *,
        entity: str = "",
        known_time: str | None = None,
        max_age_us: int | None = None,
    ) -> Serving:
        """Joined as of the spine's time. See the class for the arguments."""
        return cls(entity, tuple(keys), event_time, known_time, max_age_us)

    @classmethod
    def lookup(cls, keys: Sequence[str], *, entity: str = "") -> Serving:
        """Looked up by `keys`, whatever the time: `Serving.lookup(["country_code"])`."""
        if isinstance(keys, str) or not keys:
            raise AssayError("Serving.lookup: give the key columns as a list, e.g. ['country_code']")
        return cls(entity, tuple(keys), kind="lookup")

    def columns(self) -> tuple[str, ...]:
        """The columns that are not features: keys and times."""
        return (*self.keys, *(name for name in (self.event_time, self.known_time) if name))

    def to_dict(self) -> dict[str, Any]:
        """As JSON. An as-of table needs no `kind`: its description is older than the other kinds."""
        if self.kind == "lookup":
            return {"kind": self.kind, "keys": list(self.keys)} | ({"entity": self.entity} if self.entity else {})
        return {
            "entity": self.entity,
            "keys": list(self.keys),
            "event_time": self.event_time,
            "known_time": self.known_time,
            "max_age_us": self.max_age_us,
        } | ({"states": True} if self.states else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Serving:
        """Reads what `to_dict` gives, and `{"keys": …}` alone, which manifests of the first format hold for lookups.

        Raises:
            AssayError: If something is missing, or the kind is not known to this version.
        """
        kind = data.get("kind", "lookup" if set(data) == {"keys"} else "as_of")
        if kind not in ("as_of", "lookup"):
            raise AssayError(
                f"a table is served as {kind!r}, which this version of assay does not know; upgrade assay to read it"
            )
        try:
            if kind == "lookup":
                return cls.lookup(data["keys"], entity=data.get("entity", ""))
            return cls(
                entity=data["entity"],
                keys=tuple(data["keys"]),
                event_time=data["event_time"],
                known_time=data["known_time"],
                max_age_us=data["max_age_us"],
                states=bool(data.get("states", False)),
            )
        except KeyError as missing:
            raise AssayError(
                f"serving description without {missing}: the table was not written as a feature view by this version of "
                "assay; materialise the view again"
            ) from None
