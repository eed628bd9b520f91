"""From some rows to everything that was made from them: the trace read the other way, over the logs of all tables.

Downstream of a version is whoever read rows that this version wrote, at whatever later version they read them, and so on.
Looking something up (`reference`) is not taking data from it: who only looked up in affected rows is listed, not followed
(`references=True` follows them as well).
"""

import io
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from assay.errors import AssayError
from assay.features.commits import Commit
from assay.features.lake import Lake, TableMissing
from assay.features.snapshot import Slice
from assay.lineage.log import TableLog, read_log
from assay.lineage.predictions import UNREADABLE

if TYPE_CHECKING:
    from rich.tree import Tree

Version = tuple[str, int]  # a table's name and the version that wrote some of its rows
Columns = frozenset[str] | None  # affected columns; None: all


@dataclass(frozen=True, slots=True)
class Affected:
    """The versions of a table that were made from the origin. `live` of them still hold rows of its latest version.

    `columns` are the affected ones (None: all). `rows` counts the rows that the versions wrote.
    """

    table: str
    versions: tuple[int, ...]
    partitions: tuple[str, ...] | None
    runs: tuple[str, ...]
    rows: int
    live: int
    columns: tuple[str, ...] | None

    def to_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Impact:
    """Everything downstream of an origin. Not `complete`: `reasons` say what could not be followed. `notes` say where more
    may be listed than is affected."""

    origin: Mapping[str, Any]
    affected: tuple[Affected, ...]
    lookups: tuple[Affected, ...]
    training_sets: tuple[str, ...]
    models: tuple[str, ...]
    predictions: int
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return not self.reasons

    @property
    def origin_text(self) -> str:
        version, partition, column = (self.origin[name] for name in ("version", "partition", "column"))
        text = self.origin["table"] + (f"@{version}" if version is not None else "")
        return text + (f" {partition}" if partition else "") + (f" column {column}" if column else "")

    def to_dict(self) -> dict[str, Any]:
        return {
            "origin": dict(self.origin),
            "complete": self.complete,
            "truncated": list(self.reasons),
            "notes": list(self.notes),
            "affected": [item.to_dict() for item in self.affected],
            "lookups": [item.to_dict() for item in self.lookups],
            "training_sets": list(self.training_sets),
            "models": list(self.models),
            "predictions": self.predictions,
        }

    def render(self) -> "Tree":
        """A tree for the terminal."""
        from assay.lineage.render import impact_tree

        return impact_tree(self)

    def __str__(self) -> str:
        from assay.lineage.render import to_text

        return to_text(self.render())


def impact(
    lake: Lake,
    table: str,
    version: int | None = None,
    *,
    partition: str | None = None,
    column: str | None = None,
    references: bool = False,
) -> Impact:
    """Everything made from a table's rows: of all its versions, or only from the rows that `version` wrote, or that a
    `partition` held (ever, or at `version`), or only from one `column`.

    Columns are followed as far as commits say which columns came from which; where one does not, all of its columns count
    as affected and `notes` names the table. Raises AssayError for a table, version, partition or column that is not there.
    """
    graph = _Graph(lake)
    log = graph.logs.get(table)
    if log is None:
        raise TableMissing(f"There is no table {table} in {lake.storage.root}.")
    if version is not None and log.entry(version) is None:
        raise AssayError(f"{table} has no version {version} (see: assay tables {table}).")
    if column is not None and column not in lake.table(table).at(version).schema:
        raise AssayError(f"{table} has no column {column!r}.")
    if partition is None:
        origin = [commit for commit in log.commits if version in (None, commit.version)]
    elif version is None:
        origin = [commit for commit in log.commits if commit.partition == partition]
    else:
        origin = log.writers(version, [partition])
    if partition is not None and not origin:
        raise AssayError(f"{table} has no partition {partition!r}" + (f" at version {version}." if version else "."))
    named = {"table": table, "version": version, "partition": partition, "column": column}
    columns = frozenset([column]) if column is not None else None
    return graph.impact(named, [(table, commit.version) for commit in origin], columns, references)


@dataclass
class _Graph:
    """All tables' commits, and who read which of them."""

    lake: Lake
    logs: dict[str, TableLog] = field(default_factory=dict)
    readers: dict[Version, list[tuple[Commit, bool]]] = field(default_factory=lambda: defaultdict(list))
    reasons: dict[str, None] = field(default_factory=dict)  # ordered, without repetition, as are
    notes: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.lake.tables():
            log = read_log(self.lake, name)
            if log is not None:
                self.logs[name] = log
                self.reasons |= {f"the log of {name} is damaged at version {e.version}": None for e in log.damaged}
        self.predictors = {name: self._models(log) for name, log in self.logs.items() if name.startswith("models/")}
        for commit in (commit for log in self.logs.values() for commit in log.commits):
            for item in commit.inputs:
                for source in self._sources(commit, item):
                    self.readers[item.snapshot.table, source].append((commit, item.reference))

    def impact(self, named: Mapping[str, Any], origin: list[Version], columns: Columns, references: bool) -> Impact:
        reached: dict[Version, Columns] = {}
        lookups: dict[Version, Columns] = {}
        queue = deque((node, columns) for node in origin)
        while queue:
            node, changed = queue.popleft()
            for commit, reference in self.readers.get(node, ()):
                result = self._changed(commit, node[0], changed, reference)
                if result is not None and not result:
                    continue
                target = (commit.table, commit.version)
                if reference and not references:
                    lookups[target] = None
                    continue
                before = reached.get(target, frozenset())
                after = None if before is None or result is None else before | result
                if target not in reached or after != before:
                    reached[target] = after
                    queue.append((target, after))
        only = {node: found for node, found in lookups.items() if node not in reached and node not in origin}
        models = [self.predictors[t][v] for t, v in sorted(reached) if t.startswith("models/")]
        return Impact(
            origin=named,
            affected=self._affected(reached),
            lookups=self._affected(only),
            training_sets=tuple(f"{t.partition('/')[2]}@{v}" for t, v in sorted(reached) if t.startswith("training/")),
            models=tuple(name for names in models for name in names),
            predictions=sum(self._commit(node).rows or 0 for node in reached if node[0].startswith("predictions/")),
            reasons=tuple(self.reasons),
            notes=tuple(self.notes),
        )

    def _sources(self, commit: Commit, read: Slice) -> list[int]:
        """The versions that wrote the rows of a slice. A prediction takes from a table of models only its own model."""
        name = read.snapshot.table
        log = self.logs.get(name)
        if log is None or log.table_id != read.snapshot.table_id:
            self.reasons[f"{name} was deleted or made anew: what had been made from it before is not followed"] = None
            return []
        versions = [source.version for source in log.writers(read.snapshot.version, read.partitions)]
        model = commit.extra.get("model", {}).get("version") if commit.table.startswith("predictions/") else None
        if model is not None and name in self.predictors:
            own = [version for version in versions if model in self.predictors[name][version]]
            return own or versions
        return versions

    def _models(self, log: TableLog) -> dict[int, tuple[str, ...]]:
        """Per version of a table of models, the model versions in the rows that it wrote."""
        found = {}
        for commit in log.commits:
            entry = log.entry(commit.version)
            paths = [f"{log.table}/{file.path}" for file in (entry.added if entry else ())]
            found[commit.version] = tuple(name for path in paths for name in self._model_versions(path))
        return found

    def _model_versions(self, path: str) -> Iterable[str]:
        try:
            return pl.read_parquet(io.BytesIO(self.lake.storage.get(path)), columns=["model_version"]).to_series()
        except (AssayError, *UNREADABLE):
            self.reasons[f"{path} is gone or damaged: which models it held is not known"] = None
            return []

    def _changed(self, commit: Commit, table: str, changed: Columns, reference: bool) -> Columns:
        """The columns of a commit that came from changed columns of a table it read."""
        if changed is None:
            return None
        lineage: Mapping[str, Any] = commit.extra.get("column_lineage") or {}
        edges = {name: [*e["direct"], *e["indirect"]] for name, e in lineage.items() if e != "unknown"}
        if reference or not any(source == table for found in edges.values() for source, _ in found):
            if not reference:
                self._unknown(commit.table)
            return None
        unknown = {name for name, found in lineage.items() if found == "unknown"}
        if unknown:
            self._unknown(commit.table)
        hit = {name for name, found in edges.items() if any(s == table and c in changed for s, c in found)}
        return frozenset(hit | unknown)

    def _unknown(self, table: str) -> None:
        self.notes[f"{table} does not say which of its columns came from which: all count as affected"] = None

    def _commit(self, node: Version) -> Commit:
        entry = self.logs[node[0]].entry(node[1])
        assert entry is not None and entry.commit is not None  # nodes come from commits
        return entry.commit

    def _affected(self, nodes: Mapping[Version, Columns]) -> tuple[Affected, ...]:
        tables: dict[str, list[int]] = defaultdict(list)
        for table, version in sorted(nodes):
            tables[table].append(version)
        return tuple(self._table(table, versions, nodes) for table, versions in tables.items())

    def _table(self, table: str, versions: list[int], nodes: Mapping[Version, Columns]) -> Affected:
        log = self.logs[table]
        commits = [self._commit((table, version)) for version in versions]
        live = {commit.version for commit in log.writers(log.latest, None)}
        partitions = sorted({commit.partition for commit in commits if commit.partition is not None})
        columns: set[str] | None = set()
        for version in versions:
            found = nodes[table, version]
            columns = None if columns is None or found is None else columns | found
        return Affected(
            table=table,
            versions=tuple(versions),
            partitions=tuple(partitions) if partitions else None,
            runs=tuple(dict.fromkeys(commit.run_id or "" for commit in commits)),
            rows=sum(commit.rows or 0 for commit in commits),
            live=sum(version in live for version in versions),
            columns=tuple(sorted(columns)) if columns is not None else None,
        )
