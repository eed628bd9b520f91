"""Who wrote and who read which versions of a dataset, and which writes a read could see. Loaded dataset by dataset."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from assay.lineage.tables import edges, runs, versions

Partitions = frozenset[str] | None  # None: all
BATCH = 500  # parameters of one query


@dataclass(frozen=True, slots=True)
class Write:
    """Rows that a run wrote, as the version that first held them. Runs that found them there already produced them too."""

    version_id: int
    version: int
    partition: str | None
    replaces: bool
    runs: tuple[tuple[str, str], ...]  # (run id, output or unchanged)


@dataclass(frozen=True, slots=True)
class Read:
    run_id: str
    version_id: int
    version: int
    partitions: Partitions


@lru_cache(4096)
def partitions_of(text: str | None) -> Partitions:
    return None if text is None else frozenset(map(str, json.loads(text)))


def batches(items: Iterable[Any]) -> Iterator[Sequence[Any]]:
    listed = list(items)
    for start in range(0, len(listed), BATCH):
        yield listed[start : start + BATCH]


class Tables:
    """Reads the index for one walk. A table with an id (a Delta table) has numbered versions that hold what earlier ones
    wrote; of any other dataset nothing is known but which versions were named."""

    def __init__(self, connection: sa.Connection, present: sa.ColumnElement[bool]) -> None:
        self._connection, self._present = connection, present
        self._table: dict[int, tuple[str, int]] = {}  # version row -> (table id, or its own key; version)
        self._writes: dict[str, dict[int, list[Write]]] = {}  # table -> version row -> writes
        self._reads: dict[str, list[Read]] = {}

    def has_run(self, run_id: str) -> bool:
        query = sa.select(runs.c.run_id).where(runs.c.run_id == run_id, self._present)
        return self._connection.scalar(query) is not None

    def uses(self, run_ids: Iterable[str], roles: Sequence[str]) -> Iterator[Any]:
        """(run_id, version_id, role, partitions) of these runs."""
        columns = (edges.c.run_id, edges.c.version_id, edges.c.role, edges.c.partitions)
        query = sa.select(*columns).join(runs, runs.c.run_id == edges.c.run_id).where(self._present)
        for ids in batches(run_ids):
            yield from self._connection.execute(query.where(edges.c.run_id.in_(ids), edges.c.role.in_(roles)))

    def load(self, version_ids: Iterable[int], *, readers: bool = False) -> None:
        """Fetch what is known of the tables of these versions, unless that was done already."""
        for ids in batches({key for key in version_ids if key not in self._table}):
            columns = (versions.c.id, versions.c.table_id, versions.c.version)
            for key, table_id, version in self._connection.execute(sa.select(*columns).where(versions.c.id.in_(ids))):
                number = int(version) if table_id and version.isdecimal() else -1
                self._table[key] = (f"t{table_id}" if number >= 0 else f"v{key}", number)
        named = {self._table[key][0] for key in version_ids}
        self._load(named - self._writes.keys(), self._load_writes)
        if readers:
            self._load(named - self._reads.keys(), self._load_reads)

    def _load(self, tables: Iterable[str], load: Any) -> None:
        """Delta tables by their table id, others by their one version row."""
        wanted = list(tables)
        for column, prefix, cast in ((versions.c.table_id, "t", str), (versions.c.id, "v", int)):
            for names in batches(name for name in wanted if name[0] == prefix):
                load(names, column.in_([cast(name[1:]) for name in names]))

    def _load_writes(self, tables: Sequence[str], where: sa.ColumnElement[bool]) -> None:
        self._writes |= {table: {} for table in tables}
        found: dict[tuple[str, int, int, Partitions], tuple[bool, list[tuple[str, str]]]] = {}
        for row in self._edges(where, ("output", "unchanged"), edges.c.mode):
            table, number = self._known(row)
            key = (table, number, row.id, partitions_of(row.partitions))
            replaces, makers = found.get(key, (False, []))
            found[key] = (replaces or row.mode == "replace", [*makers, (row.run_id, row.role)])
        for (table, number, key, partitions), (replaces, makers) in sorted(
            found.items(), key=lambda item: item[0][1:3]
        ):
            partition = min(partitions) if partitions else None
            self._writes[table].setdefault(key, []).append(Write(key, number, partition, replaces, tuple(makers)))

    def _load_reads(self, tables: Sequence[str], where: sa.ColumnElement[bool]) -> None:
        self._reads |= {table: [] for table in tables}
        for row in self._edges(where, ("input",)):
            table, number = self._known(row)
            self._reads[table].append(Read(row.run_id, row.id, number, partitions_of(row.partitions)))

    def _edges(self, where: sa.ColumnElement[bool], roles: Sequence[str], *more: sa.Column[Any]) -> Iterator[Any]:
        columns = (
            versions.c.id,
            versions.c.table_id,
            versions.c.version,
            edges.c.run_id,
            edges.c.role,
            edges.c.partitions,
        )
        query = sa.select(*columns, *more).join(edges, edges.c.version_id == versions.c.id)
        query = query.join(runs, runs.c.run_id == edges.c.run_id).where(self._present, where, edges.c.role.in_(roles))
        yield from self._connection.execute(query.order_by(edges.c.run_id))

    def _known(self, row: Any) -> tuple[str, int]:
        number = int(row.version) if row.table_id and row.version.isdecimal() else -1
        self._table[row.id] = (f"t{row.table_id}" if number >= 0 else f"v{row.id}", number)
        return self._table[row.id]

    # -- loaded ----------------------------------------------------------------------------------------------------

    def writes_of(self, version_id: int) -> list[Write]:
        return self._writes[self._table[version_id][0]].get(version_id, [])

    def held(self, version_id: int, partitions: Partitions) -> list[Write]:
        """The writes whose rows these partitions of a version hold: per partition the last replacement at or before it,
        and what was added after that."""
        table, version = self._table[version_id]
        live: dict[str | None, list[Write]] = defaultdict(list)
        for writes in self._writes[table].values():  # in the order of their versions
            for write in writes:
                if write.version > version or (partitions is not None and write.partition not in partitions):
                    continue
                if write.replaces:
                    live[write.partition].clear()
                live[write.partition].append(write)
        return [write for group in live.values() for write in group]

    def reads_of(self, version_id: int) -> list[Read]:
        return [read for read in self._reads[self._table[version_id][0]] if read.version_id == version_id]

    def sees(self, read: Read, written_id: int) -> bool:
        """Whether a read could see rows that a version wrote."""
        return any(write.version_id == written_id for write in self.held(read.version_id, read.partitions))

    def carriers(self, written_id: int) -> list[int]:
        """The later versions at which somebody read rows that this version wrote."""
        table, version = self._table[written_id]
        later = dict.fromkeys(
            read.version_id for read in self._reads[table] if read.version > version and self.sees(read, written_id)
        )
        return list(later)
