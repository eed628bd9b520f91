"""How a table is served: what a reader must know, without the code that made the table. Travels in commit metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from assay.errors import AssayError, nearest, refuse_case_twins
from assay.features.tables.kinds import Kind, kind_of

ServingKind = Literal["as_of", "lookup", "on_demand", "label"]
_KINDS = ("as_of", "lookup", "on_demand", "label")


@dataclass(frozen=True, slots=True)
class Serving:
    """How rows of a table become features: `tx.write(table, rows, extra={"serving": serving.to_dict()})`.

    Args:
        entity: What the rows describe (its name).
        keys: The columns by which the table is joined to a spine. None: one stream of rows for all (such as an exchange rate),
            joined by time alone; for `as_of`.
        event_time: The column with the time from which a row holds; for `as_of`.
        known_time: The column with the time at which a row became known; None: not recorded.
        max_age_us: How long a row may be served, in µs, inclusive; None: for ever.
        kind: `as_of`: the latest row of the keys at or before the spine's time, at most `max_age_us` old. `lookup`: the row
            of the keys, whatever the time; of several the first one, by partition.
        states: The rows of one time are the whole state: a key that the newest ones lack has no value (`as_of` only).
        horizon_us: Of a label: how long after a moment its outcome counts, in µs; None: the moment itself.

    `on_demand` tables hold a definition: nothing of their rows is served. A `label` is joined as of the end of its horizon, as
    the target of a training set, and is served to nobody else.

    Raises:
        AssayError: For what cannot be served: an unknown kind, a column named twice, a lookup without keys or with times, an
            age that is not longer than zero.
    """

    entity: str
    keys: tuple[str, ...]
    event_time: str = ""
    known_time: str | None = None
    max_age_us: int | None = None
    kind: ServingKind = "as_of"
    states: bool = False
    horizon_us: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise AssayError(
                f"serving: kind must be 'as_of' or 'lookup', not {self.kind!r}.{nearest(str(self.kind), _KINDS)}"
            )
        if isinstance(self.keys, str) or not all(isinstance(key, str) and key for key in self.keys):
            raise AssayError("serving: give the key columns as a list of names, e.g. ['country_code']")
        object.__setattr__(self, "keys", tuple(self.keys))
        if self.kind == "on_demand":
            return
        if self.kind == "lookup":
            self._check_lookup()
        elif not isinstance(self.event_time, str) or not self.event_time:
            raise AssayError("serving: event_time must name the column with the time from which a row holds")
        if self.known_time is not None and (not isinstance(self.known_time, str) or not self.known_time):
            raise AssayError("serving: known_time must name a column; leave it out (None) where none is recorded")
        columns = self.columns()
        repeated = sorted({name for name in columns if columns.count(name) > 1})
        if repeated:
            raise AssayError(f"serving: column {repeated[0]!r} is named twice among keys, event_time and known_time")
        refuse_case_twins(columns, "serving")
        if self.kind == "label" and self.horizon_us is None and self.known_time is None:
            raise AssayError("serving: a label needs known_time or horizon_us: one of them says when it became known")
        if self.max_age_us is not None:
            if not isinstance(self.max_age_us, int) or isinstance(self.max_age_us, bool):
                raise AssayError(
                    f"serving: max_age_us must be whole microseconds, not {type(self.max_age_us).__name__}"
                )
            if self.max_age_us <= 0:
                raise AssayError("serving: max_age_us must be longer than zero; leave it out (None) for no limit")

    def _check_lookup(self) -> None:
        if not self.keys:
            raise AssayError("serving: a lookup needs the key columns, e.g. ['country_code']")
        if self.event_time or self.known_time or self.max_age_us is not None or self.states:
            raise AssayError("serving: a lookup has keys only: no times, no max_age, no states")

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
        return cls(entity, _listed(keys), event_time, known_time, max_age_us)

    @classmethod
    def lookup(cls, keys: Sequence[str], *, entity: str = "") -> Serving:
        """Looked up by `keys`, whatever the time: `Serving.lookup(["country_code"])`."""
        return cls(entity, _listed(keys), kind="lookup")

    @classmethod
    def on_demand(cls, keys: Sequence[str]) -> Serving:
        """Computed when it is read, of what is joined by `keys`: the table holds the definition."""
        return cls("", _listed(keys), kind="on_demand")

    def columns(self) -> tuple[str, ...]:
        """The columns that are not features: keys and times."""
        if self.kind == "on_demand":
            return ()
        return (*self.keys, *(name for name in (self.event_time, self.known_time) if name))

    def to_dict(self) -> dict[str, Any]:
        """As JSON. An as-of table needs no `kind`: its description is older than the other kinds."""
        if self.kind == "lookup":
            return {"kind": self.kind, "keys": list(self.keys)} | ({"entity": self.entity} if self.entity else {})
        if self.kind == "on_demand":
            return {"kind": self.kind, "keys": list(self.keys)}
        label = {"kind": self.kind, "horizon_us": self.horizon_us} if self.kind == "label" else {}
        return (
            label
            | {
                "entity": self.entity,
                "keys": list(self.keys),
                "event_time": self.event_time,
                "known_time": self.known_time,
                "max_age_us": self.max_age_us,
            }
            | ({"states": True} if self.states else {})
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Serving:
        """Reads what `to_dict` gives, and `{"keys": …}` alone, which manifests of the first format hold for lookups.

        Raises:
            AssayError: If something is missing, or the kind is not known to this version.
        """
        kind = data.get("kind", "lookup" if set(data) == {"keys"} else "as_of")
        if kind not in _KINDS:
            raise AssayError(
                f"a table is served as {kind!r}, which this version of assay does not know; upgrade assay to read it"
            )
        if kind == "lookup":
            return cls.lookup(data["keys"], entity=data.get("entity", ""))
        if kind == "on_demand":
            return cls.on_demand(data["keys"])
        missing = [name for name in ("keys", "event_time") if name not in data]
        if missing:
            raise AssayError(
                f"serving description without {missing[0]!r}: the table was not written as a feature view by this version of "
                "assay; materialise the view again"
            )
        return cls(
            entity=data.get("entity") or "",
            keys=_listed(data["keys"]),
            event_time=data["event_time"],
            known_time=data.get("known_time"),
            max_age_us=data.get("max_age_us"),
            states=bool(data.get("states", False)),
            kind=kind,
            horizon_us=data.get("horizon_us"),
        )


def check_served(table: str, schema: Mapping[str, pl.DataType], described: Mapping[str, Any] | None) -> None:
    """Raises AssayError unless rows with these columns can be served as they are described: each key is there, and times are
    instants. Of other tables than features and embeddings nothing is asked."""
    if described is None or kind_of(table) not in (Kind.FEATURES, Kind.LABELS, Kind.EMBEDDINGS):
        return
    serving = Serving.from_dict(described)
    for name in serving.columns():
        if name not in schema:
            raise AssayError(f"{table} is to be served by column {name!r}, which its rows lack.{nearest(name, schema)}")
    for name in filter(None, (serving.event_time, serving.known_time)):
        dtype = schema[name]
        if not isinstance(dtype, pl.Datetime) or dtype.time_zone is None:
            raise AssayError(
                f"{table} is to be served by the time {name!r}, which is {dtype}: it must be a time with a zone"
            )


def _listed(keys: Sequence[str]) -> tuple[str, ...]:
    """Keys as a tuple; a text, which is a sequence too, is left for the check to refuse."""
    return keys if isinstance(keys, str) else tuple(keys)  # pyright: ignore[reportReturnType]
