"""Reading several tables as one picture: every table at one version, and what was read of it noted down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from assay.errors import AssayError
from assay.features.definitions.mixed import mixed
from assay.features.storage.snapshot import Slice
from assay.features.tables.kinds import has_definitions, own_name
from assay.features.tables.lake import Lake, TableMissing, TableState


@dataclass(frozen=True, slots=True)
class _OpenRead:
    state: TableState
    slices: dict[tuple[tuple[str, ...] | None, bool, tuple[str, ...]], Slice] = field(default_factory=dict)


class Reader:
    """Resolves each table to one version, once, and collects the slices that are read. Writes nothing."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._open: dict[str, _OpenRead] = {}
        self._absent: set[str] = set()

    def state(self, name: str, version: int | None = None) -> TableState:
        """The table at its version: asked twice, it is the same one.

        Args:
            name: The table's name.
            version: The version to read; None is the one that is open already, or else the latest now: of features the latest
                whose rows have one definition (`Table.served`).

        Raises:
            TableMissing: There is no such table (yet).
            AssayError: It is already read at another version, or does not have this one.
        """
        known = self._open.get(name)
        if known is None:
            try:
                table = self.lake.table(name)
                served = version is None and has_definitions(name)
                known = self._open[name] = _OpenRead(table.served() if served else table.at(version))
            except TableMissing:
                self._absent.add(name)  # "there is nothing yet" was read too: what is decided on it must still hold
                raise
        elif version is not None and version != known.state.version:
            raise AssayError(f"{name} is already read at version {known.state.version} here, not at {version}.")
        return known.state

    def read(
        self,
        name: str,
        partitions: Sequence[str] | None = None,
        *,
        version: int | None = None,
        lookup: bool = False,
        excluded: Sequence[str] = (),
    ) -> pl.LazyFrame:
        """A lazy frame over a table at one version, which is noted as read.

        Args:
            As of `note`.

        Raises:
            MixedDefinitions: Features, of a version that is named, were computed by several definitions of their view.
            AssayError: As `note`.
        """
        if has_definitions(name) and not self.state(name, version).is_whole:
            refuse_mixed(self.state(name, version), partitions)
        state = self.note(name, partitions, version=version, lookup=lookup, excluded=excluded)
        return state.scan(partitions, tuple(sorted(set(excluded))))

    def note(
        self,
        name: str,
        partitions: Sequence[str] | None = None,
        *,
        version: int | None = None,
        lookup: bool = False,
        excluded: Sequence[str] = (),
    ) -> TableState:
        """Note a table as read at one version, without a frame: for someone who opens only the files that are needed.

        Args:
            name: The table's name.
            partitions: Only these; None: all there are.
            version: The version to read; None is the one that is open already, or else the latest now.
            lookup: Noted too, but a change in it makes nothing stale.
            excluded: All partitions but these, as one read, however many there are.

        Raises:
            TableMissing: There is no such table (yet).
            AssayError: Both partitions and excluded ones are named, or the version cannot be read.
        """
        if partitions is not None and excluded:
            raise AssayError(f"{name}: name the partitions to read, or those to leave out, not both.")
        state = self.state(name, version)
        left_out = tuple(sorted(set(excluded)))
        key = (tuple(sorted(partitions)) if partitions is not None else None, lookup, left_out)
        slices = self._open[name].slices
        if key not in slices:
            slices[key] = state.slice(partitions, lookup=lookup, excluded=left_out)
        return state

    @property
    def reads(self) -> tuple[Slice, ...]:
        """What was read so far."""
        return tuple(item for opened in self._open.values() for item in opened.slices.values())

    @property
    def versions(self) -> Mapping[str, int]:
        """The version of every table that is open."""
        return {name: opened.state.version for name, opened in self._open.items()}

    @property
    def absent(self) -> frozenset[str]:
        """Tables that were asked for and not there."""
        return frozenset(self._absent)


def refuse_mixed(state: TableState, partitions: Sequence[str] | None) -> None:
    """Raise MixedDefinitions if rows of these partitions (None: of all) were computed by several definitions. Who has no
    recorded definition differs from nobody."""
    by_number = state.partitions_by_definition(partitions)
    if len(by_number.keys() - {0}) > 1:
        view = own_name(state.table.name)
        raise mixed(view, f"{state.table.name}@{state.version}", by_number, state.defined.whole)
