"""Tables of a store: listed, read, and written in transactions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from assay.features.storage.snapshot import Snapshot
from assay.features.tables.guard import Denied
from assay.features.tables.kinds import Kind, kind_of, own_name
from assay.features.tables.lake import Table
from assay.features.tables.run_record import Run, Work, new_run
from assay.features.tables.transaction import Transaction, transaction
from assay.store_methods.base import StoreBase

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from assay.checks.contract.contract import Contract
    from assay.checks.suggesting.suggest import Suggestions

_OF_SOURCES = (Kind.RAW, Kind.CLEAN, Kind.QUARANTINE)


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table as it is now."""

    name: str
    version: int
    rows: int
    partitions: int
    updated_at: datetime
    uri: str

    def to_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {"updated_at": self.updated_at.isoformat()}


class TableMethods(StoreBase):
    """Tables, their snapshots, and transactions."""

    def tables(self) -> list[TableInfo]:
        """Every table that the actor may read, as it is now."""
        infos = []
        for name in self.lake.tables():
            try:
                state = self.lake.table(name).at()
            except Denied:
                continue
            updated = state.last_commit.timestamp
            partitions = state.count_partitions()
            infos.append(TableInfo(name, state.version, state.rows(), partitions, updated, state.table.uri))
        return infos

    def table(self, name: str) -> Table:
        return self.lake.table(name)

    def snapshot(self, name: str, version: int | None = None) -> Snapshot:
        """The identity of a table's version (None: the latest now)."""
        return self.lake.table(name).at(version).snapshot

    def suggest(
        self, table: str, *, columns: Sequence[str] = (), limit: int | None = None, unmask: bool = False
    ) -> "Suggestions":
        """Cells of a table that look wrong beside the rest of it, without any rule, surest first.

        Args:
            table: The table, for example `raw/tickets`. Of a declared source the contract says which columns are personal.
            columns: Only cells of these columns; empty: of all.
            limit: So many cells at most; None: all.
            unmask: Show personal values.

        Returns:
            The doubted cells with reason and confidence; see `assay.checks.suggest`. Nothing is changed.

        Raises:
            AssayError: There is no such table or column.
        """
        from assay.checks.suggesting.suggest import suggest

        rows, contract = self.lake.table(table).scan(), self.contract_of(table)
        return suggest(rows, contract, columns=columns, limit=limit, unmask=unmask)

    def contract_of(self, table: str) -> "type[Contract] | None":
        """The contract of the declared source that a raw, clean or quarantine table belongs to; None for other tables."""
        from assay.assets.declarations import sources

        declared = sources().get(own_name(table)) if kind_of(table) in _OF_SOURCES else None
        return declared.contract if declared is not None else None

    def transaction(
        self,
        asset: str,
        partition: str | None = None,
        *,
        code_version: str = "",
        run: Run | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> "AbstractContextManager[Transaction]":
        """One unit of work outside Dagster: pins what it reads, audits, commits, and is recorded.

        Args:
            asset: What is made, usually the name of the table that is written.
            partition: The partition that is made, where the table has partitions.
            code_version: Identifies the code that decides the result.
            run: The run that this is part of; None: a run of its own.
            params: Further inputs that are not tables, such as a cut-off date. They decide whether a result is current.

        >>> with store.transaction("reports/weekly") as tx:                                      # doctest: +SKIP
        ...     rows = tx.read("clean/tickets").group_by("channel").len().collect()
        ...     tx.write("reports/weekly", rows.cast({"len": pl.Int64}))
        """
        work = Work(asset, partition, code_version, run or new_run(), params or {})
        return transaction(self.lake, self.recorder, work)
