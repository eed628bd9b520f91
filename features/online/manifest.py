"""What a generation of a feature set is: which tables at which versions, in which streams of rows, joined how. Kept as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, TypeVar

from assay.errors import AssayError
from assay.features.serving.join_options import KnownAt

FORMAT = "assay.online/1"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TableVersion:
    """A table at the version that was read."""

    table: str
    version: int
    table_id: str
    commit_sha256: str


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows of a view, one per entity (and those that hold from later).

    Args:
        id: Of the stream, in its generation.
        view: Whose rows.
        table: Where they come from.
        keys: The key columns, as the table calls them.
        features: What is kept of the rows.
        event_time: The column with the time from which a row holds; empty: a lookup.
        known_time: The column with the time at which a row became known.
        known_at: Whether a row holds only from when it was known.
        not_null: A feature: rows in which it is null are left out (unless they delete their key).
        states: The moments of whole states (see `Serving.states`): the last one before the generation's, and later ones.
        parts: In how many parts the rows are, by their keys.
        rows: How many.
        newest: When the last of them becomes available, µs since 1970.
    """

    id: str
    view: str
    table: str
    keys: tuple[str, ...]
    features: tuple[str, ...]
    event_time: str = ""
    known_time: str | None = None
    known_at: KnownAt = "event"
    not_null: str | None = None
    states: tuple[int, ...] | None = None
    parts: int = 1
    rows: int = 0
    newest: int = 0

    @property
    def is_lookup(self) -> bool:
        return not self.event_time

    @property
    def key_columns(self) -> list[str]:
        """The keys' columns in the stream's rows: their own names could be those of features."""
        return [f"_key{number}" for number in range(len(self.keys))]


@dataclass(frozen=True, slots=True)
class Joined:
    """A view in one role, as `store.online` reads it.

    Args:
        name: Of the role.
        view: The view.
        table: Its table.
        stream: Where its rows are.
        keys: A key of the view → the column that is asked for it, where that has another name.
        outputs: Feature → column of the answer.
        max_age_us: How old a row may be, in µs; None: any age.
        streams: Feature → a stream of its own, where each feature is joined by itself (`skip_nulls`).
    """

    name: str
    view: str
    table: str
    stream: str
    keys: Mapping[str, str]
    outputs: Mapping[str, str]
    max_age_us: int | None = None
    streams: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One generation.

    Args:
        set: Name and version, such as `router@2`.
        sha256: Of what is joined and how (`FeatureSet.digest`).
        references: The features as texts.
        at: The moment from which on it answers. Before, only where nothing older is needed.
        built_at: When it was made.
        number: Of the generation, from 1.
        tables: What was read.
        streams: Rows by stream.
        joined: The views, in the order of the answer's columns.
        polars: The version that cut the streams into parts.
        bytes: Size of the files.
    """

    set: str
    sha256: str
    references: tuple[str, ...]
    at: datetime
    built_at: datetime
    number: int
    tables: tuple[TableVersion, ...]
    streams: tuple[Stream, ...]
    joined: tuple[Joined, ...]
    polars: str
    bytes: int = 0

    def table(self, name: str) -> TableVersion:
        return next(one for one in self.tables if one.table == name)

    @property
    def versions(self) -> dict[str, int]:
        """Table → version."""
        return {one.table: one.version for one in self.tables}

    @property
    def rows(self) -> int:
        """How many packed rows there are in all streams."""
        return sum(stream.rows for stream in self.streams)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        data = asdict(self)
        return {"format": FORMAT, **data, "at": self.at.isoformat(), "built_at": self.built_at.isoformat()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Manifest":
        """Raises AssayError for a format that this version does not know."""
        if data.get("format") != FORMAT:
            raise AssayError(
                f"The online store has the format {data.get('format')!r}, this version of assay reads {FORMAT!r}. Next: assay "
                "online materialize, with one version of assay."
            )
        values = dict(data)
        del values["format"]
        values["at"], values["built_at"] = (datetime.fromisoformat(values[name]) for name in ("at", "built_at"))
        values["tables"] = tuple(TableVersion(**one) for one in values["tables"])
        values["streams"] = tuple(_tupled(Stream, one) for one in values["streams"])
        values["joined"] = tuple(Joined(**one) for one in values["joined"])
        values["references"] = tuple(values["references"])
        return cls(**values)


def _tupled(kind: type[T], data: Mapping[str, Any]) -> T:
    """A dataclass of which lists in JSON are tuples."""
    known = {item.name for item in fields(kind)}  # pyright: ignore[reportArgumentType]  (only ours are given)
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in known})
