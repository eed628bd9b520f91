"""What only the runs of this lake may say: how its tables and its own runs came about.

Anybody who reaches the service can send events, without a login, and the store is a witness when predictions are verified. So an
event from outside may read tables of the lake; it may not write, describe or rename them, nor name their commits, nor speak for a
run or a job of this deployment. The runs of the lake do not come this way: they write to the store themselves.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from assay.errors import AssayError
from assay.features.storage.index_store import index_store
from assay.features.storage.table_index import open_index
from assay.features.tables.lake import Lake
from assay.lineage.events.naming import LOGICAL, DatasetName, dataset_name
from assay.lineage.store import bulk
from assay.lineage.store.facet_index import READ
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.store.parse_event import DatasetUse, EventFacts

_RUNS = """SELECT r.run_id, d.table_id FROM $rows CROSS JOIN runs r JOIN edges e ON e.run_key = r.id
 JOIN dataset_versions v ON v.id = e.version_id JOIN datasets d ON d.id = v.dataset_id
 WHERE r.run_id = $0 AND d.table_id <> ''"""
_JOBS = """SELECT j.namespace, j.name, (SELECT d.table_id FROM runs r JOIN edges e ON e.run_key = r.id
  JOIN dataset_versions v ON v.id = e.version_id JOIN datasets d ON d.id = v.dataset_id
  WHERE r.job_id = j.id AND d.table_id <> '' LIMIT 1) AS table_id
 FROM $rows CROSS JOIN jobs j WHERE j.namespace = $0 AND j.name = $1"""
_OWN_RUN = "The event is about a run or a job of this lake, which records its own events."
_STORED = "SELECT e.sha256 FROM $rows CROSS JOIN events e WHERE e.sha256 = $0"


@dataclass(frozen=True)
class OwnRecords:
    """The tables of a lake, and its runs and jobs as a store has them."""

    lake: Lake
    store: LineageStore

    def refusals(self, events: Sequence[EventFacts]) -> dict[int, AssayError]:
        """By position, why an event is not taken. One that is stored already is: sending it again changes nothing."""
        ids = self._own_ids({use.table_id for facts in events for use in facts.datasets if use.table_id})
        runs = self._own(_RUNS, {(facts.run_id,) for facts in events if facts.run_id})
        jobs = self._own(_JOBS, {(facts.namespace, facts.job) for facts in events if facts.job})
        found: dict[int, AssayError] = {}
        for place, facts in enumerate(events):
            own = (facts.run_id,) in runs or (facts.namespace, facts.job) in jobs
            why = _OWN_RUN if own else self._why(facts, ids)
            if why is not None:
                found[place] = AssayError(why)
        stored = self._stored([events[place].sha256 for place in found])
        return {place: error for place, error in found.items() if events[place].sha256 not in stored}

    def _why(self, facts: EventFacts, ids: Collection[str]) -> str | None:
        for use, mentions in zip(facts.datasets, facts.mentions, strict=True):
            name = DatasetName(use.namespace, use.name)
            table = self._table(name)
            if use.table_id in ids:
                return (
                    f"The event names a commit of {use.table or use.name}, a table of this lake: only its own runs can."
                )
            if use.role not in READ and table:
                return f"The event writes or describes {table}, a table of this lake: only its own runs can."
            if use.role in READ and table and self._is_ahead(table, use):
                return f"The event reads a version of {table} that this lake does not have."
            if not table and any(self._table(other) for other in mentions.symlinks or ()):
                return "The event gives a table of this lake another name."
        return None

    def _table(self, name: DatasetName) -> str:
        """The table of the lake that has a name, by its own or by its address; empty for anything else."""
        root = self._root
        if name.namespace == LOGICAL:
            own = name.name
        else:
            inside = name.namespace == root.namespace and name.name.startswith(root.name)
            own = name.name.removeprefix(root.name) if inside else ""
        try:
            return own if own and self.lake.table(own).exists() else ""
        except AssayError:  # no name of a table
            return ""

    @cached_property
    def _root(self) -> DatasetName:
        root = dataset_name(self.lake.storage.root)
        return DatasetName(root.namespace, f"{root.name.rstrip('/')}/")

    def _is_ahead(self, table: str, use: DatasetUse) -> bool:
        if not (use.version.isascii() and use.version.isdecimal()):
            return False
        return len(use.version) > 18 or int(use.version) > self.lake.table(table).at().version

    def _own_ids(self, ids: Iterable[str]) -> set[str]:
        """Those of some ids of tables that are tables of the lake. The index is a cache: a table that it does not know, since it
        was deleted or is another machine's, is the lake's all the same."""
        asked = sorted(ids)
        known = self._indexed(asked)
        if len(known) < len(asked):
            for table in self.lake.tables():
                open_index(self.lake.storage, table)
            known = self._indexed(asked)
        return known

    def _indexed(self, asked: Sequence[str]) -> set[str]:
        if not asked:
            return set()
        marks = ", ".join("?" * len(asked))
        sql = f"SELECT table_id FROM tables WHERE table_id IN ({marks})"
        return {
            row[0] for row in index_store(self.lake.storage).read(lambda index: index.execute(sql, asked).fetchall())
        }

    def _own(self, query: str, keys: Collection[tuple[str, ...]]) -> set[tuple[str, ...]]:
        """Those of some runs or jobs that read or wrote tables of the lake, as it recorded them."""
        if not keys:
            return set()
        with self.store.reading() as connection:
            bulk.by_index(connection)
            rows = bulk.execute(connection, query, sorted(keys)).all()
        ids = self._own_ids({row[-1] for row in rows if row[-1]})
        return {tuple(row[:-1]) for row in rows if row[-1] in ids}

    def _stored(self, digests: Sequence[str]) -> set[str]:
        if not digests:
            return set()
        with self.store.reading() as connection:
            return {row[0] for row in bulk.execute(connection, _STORED, [[digest] for digest in digests])}
