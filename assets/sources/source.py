"""A source, declared: where it is read, what must hold of it, and how it is cut into batches."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import polars as pl

from assay.assets.sources.file_names import has_suffix
from assay.assets.sources.files import Files
from assay.assets.sources.landing.leftovers import ALL, FEW, described
from assay.assets.sources.landing.places import places_of
from assay.assets.sources.reader import SourceReader
from assay.checks import Contract
from assay.checks.contract.contract import compiled
from assay.errors import AssayError
from assay.features.storage.parquet_files import stored_type
from assay.features.tables.kinds import Kind
from assay.features.tables.partitioning import UNPARTITIONED, Partitioning
from assay.settings import Settings

__all__ = ["Files", "Source"]


@dataclass(frozen=True, slots=True)
class Source:
    """An upstream system. Everything else follows: `raw/<name>`, `clean/<name>`, `quarantine/<name>`, one check per rule.

    `key` identifies a row (used for incremental reading and row-level lineage). `partitioning` cuts it into batches, by the
    time of delivery: `Partitioning.daily(date(2026, 9, 1))`; a database table has none. `expected_ratio` marks a batch
    whose number of rows is that many times more, or less, than usual.
    """

    name: str
    reader: SourceReader
    contract: type[Contract]
    key: tuple[str, ...]
    event_time: str
    expected_ratio: float = 5.0
    description: str = ""
    partitioning: Partitioning = UNPARTITIONED

    def __post_init__(self) -> None:
        if isinstance(self.reader, Files) and self.reader.first_day is not None:
            warnings.warn(
                f"Source {self.name!r}: Files(first_day=…) is deprecated; declare "
                f"Source(…, partitioning=Partitioning.daily({self.reader.first_day!r})).",
                DeprecationWarning,
                stacklevel=3,
            )
            object.__setattr__(self, "partitioning", Partitioning.daily(self.reader.first_day))
        if " at 0x" in repr(self.reader):
            raise AssayError(
                f"Source {self.name!r}: make its reader {type(self.reader).__name__} a frozen dataclass: its text decides "
                "what is stale, and so must be the same in every process."
            )
        if isinstance(self.reader, Files) and not self.partitioning.is_partitioned:
            raise AssayError(
                f"Source {self.name!r} does not say how its files are cut into batches: declare its partitioning, "
                "e.g. Partitioning.daily(date(2026, 9, 1))."
            )
        if self.partitioning.is_partitioned and self.reader.numbered:
            raise AssayError(
                f"Source {self.name!r}: {type(self.reader).__name__} does not read by partition: what is new since the last "
                f"batch is the next one. Leave out the partitioning ({self.partitioning})."
            )
        if isinstance(self.reader, Files):
            try:
                places_of(self.reader.pattern, self.partitioning)
            except AssayError as problem:
                raise AssayError(f"Source {self.name!r}: {problem}") from None
        if not (self.name.isidentifier() and self.name.isascii()):
            raise AssayError(
                f"Source name {self.name!r}: use letters from a to z, digits and underscores; it names tables."
            )
        if not self.key:
            raise AssayError(f"Source {self.name!r} needs a key: the columns that identify a row.")
        for column in compiled(self.contract).columns:
            if stored_type(column.dtype) is None:
                raise AssayError(
                    f"Source {self.name!r}: column {column.name!r} of the contract {self.contract.__name__} is {column.dtype}, "
                    f"which a table cannot hold. {_instead(column.dtype)}"
                )
        if self.reader.states and not self.partitioning.is_timed:
            raise AssayError(
                f"Source {self.name!r}: a state holds from the end of its partition on, so its partitions must be spans of time, "
                "e.g. Partitioning.daily(date(2026, 9, 1))."
            )
        declared = {column.name for column in compiled(self.contract).columns}
        if (self.reader.compares or self.reader.states) and (
            lacking := [name for name in self.key if name not in declared]
        ):
            raise AssayError(
                f"Source {self.name!r}: its rows are compared by {lacking[0]!r}, which the contract {self.contract.__name__} "
                "does not have; declare it there."
            )
        timed = next((column for column in compiled(self.contract).columns if column.name == self.event_time), None)
        if timed is not None and not isinstance(timed.dtype, (pl.Date, pl.Datetime)):
            raise AssayError(
                f"Source {self.name!r}: its event time {self.event_time!r} is {timed.dtype} in the contract "
                f"{self.contract.__name__}, and would be in the order of its texts or numbers. Declare it as Timestamp or date."
            )
        if (since := compiled(self.contract).info.since) is not None and not self.partitioning.is_timed:
            raise AssayError(
                f"Source {self.name!r}: its contract {self.contract.__name__} holds since {since}, but its partitions have no "
                "time. Remove Config.since, or cut the source by time."
            )
        if patterns := [column.name for column in compiled(self.contract).columns if column.pattern is not None]:
            raise AssayError(
                f"Source {self.name!r}: its tables and checks need known columns, but {patterns[0]!r} of the contract "
                f"{self.contract.__name__} is a pattern; declare each column by its name."
            )

    def to_dict(self) -> dict[str, Any]:
        """What is declared, as JSON."""
        info = compiled(self.contract).info
        return {
            "name": self.name,
            "reader": type(self.reader).__name__,
            "contract": {"name": info.name, "version": info.version},
            "key": list(self.key),
            "event_time": self.event_time,
            "partitioning": str(self.partitioning),
            "tables": [self.raw, self.clean, self.quarantine],
            "description": self.description,
        }

    def __str__(self) -> str:
        return f"{self.name}: {self.description or type(self.reader).__name__} ({self.partitioning})"

    @property
    def raw(self) -> str:
        return Kind.RAW.table(self.name)

    @property
    def clean(self) -> str:
        return Kind.CLEAN.table(self.name)

    @property
    def quarantine(self) -> str:
        return Kind.QUARANTINE.table(self.name)

    @property
    def releases(self) -> str:
        """Decisions about quarantined rows."""
        return Kind.RELEASES.table(self.name)


def _instead(dtype: pl.DataType) -> str:
    """What to declare in place of a type that tables do not have."""
    if isinstance(dtype, pl.Duration):
        return "Declare a whole number and name the unit, such as elapsed_ms: int."
    if isinstance(dtype, pl.Datetime):
        return "Declare a Timestamp (microseconds, UTC), or a text where nanoseconds count."
    if dtype.is_nested():
        return "Declare what is inside of it in types that tables have: numbers, texts, days and Timestamps."
    return "Declare a number, a text, a day or a Timestamp."


def unread(
    source: Source, settings: Settings, seen: bytes = b"", others: Sequence[Source] = (), *, complete: bool = False
) -> list[str]:
    """What lies where a source looks and is not read: where it is, why, and what to do.

    Args:
        source: The source.
        settings: where things are.
        seen: what the planner's last look at the deliveries showed, if there was one.
        others: What these read is not mentioned: sources may share a folder.
        complete: Whether to name all of it, as for a program, and not only the first few of each kind.

    Raises:
        NotConnected: Nobody can look now, such as while a store does not answer.
    """
    others = [other for other in others if other is not source]
    return list(_unread(source, settings, seen, others, most=ALL if complete else FEW))


def _unread(source: Source, settings: Settings, seen: bytes, others: Sequence[Source], *, most: int) -> Iterator[str]:
    root = _root(source, settings)
    for place in source.reader.unplaced(settings, source.partitioning):
        why = source.reader.why_unplaced(place, source.partitioning)
        if why and not any(_looks_into(other, source, place) for other in others):
            yield f"The files in {root}{place}/ are not read: {why} Rename the folder."
    if source.partitioning.is_partitioned:
        left = source.reader.leftovers(settings, source.partitioning, seen=seen)
        left = [one for one in left if not any(_takes(other, source, one.path) for other in others)]
        if left:
            yield f"{source.name}: {described(left, most)}"


def _looks_into(other: Source, source: Source, folder: str) -> bool:
    reader = other.reader
    return _same_place(reader, source.reader) and places_of(reader.pattern, other.partitioning).may_hold(folder)


def _same_place(reader: SourceReader, other: SourceReader) -> TypeGuard[Files]:
    """Whether both read files, and their paths begin at the same place."""
    return (
        isinstance(reader, Files) and isinstance(other, Files) and reader.connection.lower() == other.connection.lower()
    )


def _takes(other: Source, source: Source, path: str) -> bool:
    """Whether another source reads a file, or names it: because it says one of its partitions, and none of this one's."""
    reader = other.reader
    if not _same_place(reader, source.reader) or places_of(reader.pattern, other.partitioning).file_key(path) is None:
        return False
    own = (
        places_of(source.reader.pattern, source.partitioning).file_key(path) if isinstance(source.reader, Files) else ""
    )
    return own is None or has_suffix(path, reader.suffixes)


def _root(source: Source, settings: Settings) -> str:
    """What the addresses of its files begin with; empty of those in the landing folder."""
    return source.reader.landing(settings).root if isinstance(source.reader, Files) else ""


def lacking(source: Source, settings: Settings) -> str:
    """What the settings lack for the source to be read, in sentences; empty where nothing is missing."""
    lack = source.reader.lacks(settings)
    return f"{source.name} cannot be read. {lack}" if lack else ""


def outside(source: Source, settings: Settings) -> str:
    """One sentence on what was delivered for a time before or after the source's partitions; empty where nothing was. Raises
    NotConnected where nobody can look now."""
    places = source.reader.outside(settings, source.partitioning)
    if not places:
        return ""
    reader = source.reader
    by_file = isinstance(reader, Files) and places_of(reader.pattern, source.partitioning).by_file
    root = _root(source, settings)
    first, last = (f"{root}{place}{'' if by_file else '/'}" for place in (places[0], places[-1]))
    what = "files" if by_file else "folders"
    where = first if len(places) == 1 else f"{len(places):,} {what}, {first} to {last},"
    until = f" to {source.partitioning.end}" if source.partitioning.end else ""
    return (
        f"{source.name}: what lies in {where} is not read: its partitions go from {source.partitioning.start}{until}."
    )
