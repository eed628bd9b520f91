"""Impact: everything that was made from some rows. The reverse of a trace, computed from the logs of all tables.

Downstream of a version are the commits that read rows it wrote, at this or any later version, then the readers of those
commits, and so on. A lookup takes no data: commits that only looked something up in affected rows are counted, not followed
(`lookups=True` follows them as well), unless a column is declared to come from there.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from heapq import heappop, heappush
from typing import Any

from assay.errors import AssayError, plural
from assay.features.storage.table_index import Write
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake
from assay.lineage.columns.graph import ColumnGraph, ColumnNode
from assay.lineage.commits.graph import CommitGraph, Version
from assay.lineage.outline import Outline, Span, leaf, line, listed, shorten

DIRECT, INDIRECT, UNKNOWN = range(3)  # how certain it is that a column is affected
Columns = Mapping[str, int]  # by column: the most certain of all paths to it


@dataclass(frozen=True, slots=True)
class Affected:
    """The versions of a table that were made from the origin. `live` of them still hold rows of its latest version.
    `rows` counts the rows that the versions wrote; `rewritten` of them a later one of these versions wrote again.

    `columns` are those that came from the origin's column (None: no column was asked for, so all). Of them, `indirect` ones
    have only been chosen, grouped or ordered by it; `unknown` ones have no declared sources.
    """

    table: str
    versions: tuple[int, ...]
    partitions: tuple[str, ...] | None
    runs: tuple[str, ...]
    rows: int
    live: int
    columns: tuple[str, ...] | None
    indirect: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    rewritten: int = 0

    def to_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def outline(self) -> Outline:
        """Table, partitions, rows and columns, in one line."""
        again = f" in {plural(len(self.versions), 'version')}, which wrote {self.rows:,}" if self.rewritten else ""
        live = "" if self.live == len(self.versions) else f", {self.live} of {len(self.versions)} versions still in use"
        return leaf(
            Span(self.table, "strong"),
            f"  {shorten(self.partitions)}  {plural(self.rows - self.rewritten, 'row')}{again}",
            Span(self._columns_text() + live, "dim"),
        )

    def _columns_text(self) -> str:
        """The columns certainly affected first, then those affected indirectly, then those that may be."""
        if self.columns is None:
            return ""
        if self.columns == self.unknown:
            return ", any column"
        sure = [name for name in self.columns if name not in self.indirect and name not in self.unknown]
        groups = (("columns", sure), ("indirectly", self.indirect), ("perhaps", self.unknown))
        return "".join(f", {kind} {listed(names)}" for kind, names in groups if names)


@dataclass(frozen=True)
class Impact:
    """Everything downstream of an origin. If it is not `complete`, `reasons` name what could not be followed. `notes` name
    tables where more may be listed than is affected. `looked_up_by`: by table, how many further versions only looked something
    up in affected rows. `models` are named as `router@2`. `left_out`: how many older versions of the origin were not followed,
    because only the newest were. `others`: jobs of other producers that read affected tables (`OtherReader`), as far as whoever
    asked added them: what these make is not in the lake."""

    origin: Mapping[str, Any]
    affected: tuple[Affected, ...]
    looked_up_by: Mapping[str, int]
    training_sets: tuple[str, ...]
    models: tuple[str, ...]
    predictions: int
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: int = 0
    others: tuple[Any, ...] = ()
    list_lookups: Callable[[], tuple[Affected, ...]] = field(default=tuple, repr=False, compare=False)

    @cached_property
    def lookups(self) -> tuple[Affected, ...]:
        """The versions that `looked_up_by` counts, one by one. Reads the commit of each: nearly every later day looks
        something up in the days before it."""
        return self.list_lookups()

    @property
    def complete(self) -> bool:
        return not self.reasons

    @property
    def origin_text(self) -> str:
        version, partition, column = (self.origin[name] for name in ("version", "partition", "column"))
        text = self.origin["table"] + (f"@{version}" if version is not None else "")
        return text + (f" {partition}" if partition else "") + (f" column {column}" if column else "")

    @property
    def about(self) -> str:
        """Which rows that means, in words."""
        column = f"column {self.origin['column']} of " if self.origin["column"] else ""
        return column + rows_asked(self.origin["table"], self.origin["version"], self.origin["partition"])

    def to_dict(self) -> dict[str, Any]:
        return {
            "origin": dict(self.origin),
            "about": self.about,
            "complete": self.complete,
            "truncated": list(self.reasons),
            "notes": list(self.notes),
            "affected": [item.to_dict() for item in self.affected],
            "lookups": [{"table": table, "versions": count} for table, count in self.looked_up_by.items()],
            "training_sets": list(self.training_sets),
            "models": list(self.models),
            "predictions": self.predictions,
            "other_readers": [item.to_dict() for item in self.others],
        }

    @property
    def tables(self) -> set[str]:
        """The origin's table, and those that were made from it."""
        return {self.origin["table"], *(item.table for item in self.affected)}

    def outline(self) -> Outline:
        """What is downstream in words, one line per table."""
        verdict = "complete" if self.complete else f"truncated: {'; '.join(self.reasons)}"
        lists = (("training sets", self.training_sets), ("models", self.models))
        below = [
            *(item.outline() for item in self.affected),
            *(
                leaf(Span("looked up by: ", "dim"), f"{table}  {count:,} version{'s' if count > 1 else ''}")
                for table, count in self.looked_up_by.items()
            ),
            *(leaf(f"{kind}: {', '.join(names)}") for kind, names in lists if names),
            *(leaf(Span(note, "dim")) for note in self.notes),
            *(leaf(Span(f"outside, not followed: {item}", "warning")) for item in self.others),
            *([] if self.affected else [leaf("Nothing was made from these rows yet.")]),
            leaf(Span(plural(self.predictions, "prediction"), "strong")),
        ]
        head = line(Span(f"impact of {self.origin_text}", "strong"), f" ({verdict})")
        return Outline((head, line(Span(f"asked about: {self.about}", "dim"))), tuple(below))

    def __str__(self) -> str:
        return str(self.outline())


def impact(
    lake: Lake,
    table: str,
    version: int | None = None,
    *,
    partition: str | None = None,
    column: str | None = None,
    lookups: bool = False,
    newest: int | None = None,
) -> Impact:
    """Everything made from a table's rows: of all its versions, or only from the rows that `version` wrote, or that a
    `partition` held (ever, or at `version`), or only from one `column`. `newest`: of the versions that wrote these rows at most
    so many are looked at; the result says how many older ones were left out.

    Columns are followed through the sources that commits declare; columns without a declaration count as affected, and `notes`
    name them. Raises AssayError for a table, version, partition or column that is not there.
    """
    commits = CommitGraph(lake)
    if newest is not None and version is None and partition is None:
        log = commits.origin(table, None, column)
        written, count = log.index.newest_written(log.latest, newest), log.index.count_written(log.latest)
    else:
        written = origin_versions(commits, table, version, partition, column)
        written, count = (written if newest is None else written[-newest:]), len(written)
    left_out = count - len(written)
    origin = [(table, number) for number in written]
    if column is None:
        reached, notes = reached_by_rows(commits, origin, lookups), list[str]()
    else:
        reached, notes = reached_by_column(ColumnGraph(commits), origin, column, lookups)
    visited = dict.fromkeys((*origin, *reached))
    affected = tuple(_affected(commits, reached))
    return Impact(
        origin={"table": table, "version": version, "partition": partition, "column": column},
        affected=affected,
        looked_up_by=commits.count_lookups(visited),
        training_sets=tuple(f"{own_name(t)}@{v}" for t, v in sorted(reached) if Kind.TRAINING.holds(t)),
        models=named_models(commits, (version for version in sorted(reached) if Kind.MODELS.holds(version[0]))),
        predictions=sum(item.rows - item.rewritten for item in affected if Kind.PREDICTIONS.holds(item.table)),
        reasons=tuple(commits.reasons),
        notes=tuple(notes),
        left_out=left_out,
        list_lookups=lambda: tuple(_affected(commits, _lookups(commits, visited))),
    )


def origin_versions(
    commits: CommitGraph, table: str, version: int | None, partition: str | None, column: str | None
) -> list[int]:
    """The versions that wrote the rows that are asked about. Raises AssayError for a table, version, partition or column that is
    not there."""
    log = commits.origin(table, version, column)
    if partition is None:
        return log.written() if version is None else log.index.wrote(version)
    written = log.written(partition) if version is None else log.writer_versions(version, [partition])
    if not written:
        raise AssayError(f"{table} has no partition {partition!r}" + (f" at version {version}." if version else "."))
    return written


def named_models(commits: CommitGraph, versions: Iterable[Version]) -> tuple[str, ...]:
    """The model versions in some versions of tables of models, as `router@2`."""
    return tuple(f"{own_name(item[0])}@{name}" for item in versions for name in commits.models(item))


def rows_asked(table: str, version: int | None, partition: str | None) -> str:
    """Which rows a table, a version and a partition of it mean, in words."""
    if version is None:
        return f"all rows that {table} ever held" + (f" in {partition}" if partition is not None else "")
    if partition is None:
        return f"the rows that version {version} of {table} wrote, not those that it took over from earlier versions"
    return f"the rows of {partition} that {table} shows at version {version}"


def _lookups(commits: CommitGraph, visited: Mapping[Version, None]) -> dict[Version, None]:
    """The versions that only looked something up in what was visited."""
    found = commits.readers_of(visited, lookups=True)
    return {reader: None for reader, looked_up in found.items() if looked_up and reader not in visited}


def reached_by_rows(commits: CommitGraph, origin: list[Version], lookups: bool) -> dict[Version, None]:
    """The versions made from the rows of the origin."""
    reached: dict[Version, None] = {}
    following = origin
    while following:
        following = [reader for reader in commits.readers_of(following, lookups=lookups) if reader not in reached]
        reached |= dict.fromkeys(following)
    return reached


def reached_by_column(
    graph: ColumnGraph, origin: list[Version], column: str, lookups: bool
) -> tuple[dict[Version, Columns], list[str]]:
    """The same for a column. The most certain paths are walked first, so each column is reached by its best one."""
    reached: dict[ColumnNode, int] = {}
    undeclared: dict[str, set[str]] = defaultdict(set)
    heap = [(DIRECT, ColumnNode(*node, column)) for node in origin]
    done: set[ColumnNode] = set()
    while heap:
        how, node = heappop(heap)
        if node in done:
            continue
        done.add(node)
        edges, silent = graph.targets(node)
        onward = [(edge.target, DIRECT if edge.direct else INDIRECT) for edge in edges]
        onward += [(target, UNKNOWN) for target in silent]
        for target in silent:
            undeclared[target.table].add(target.column)
        for commit, looked_up in graph.readers(node[:2], lookups=True) if lookups else ():
            if looked_up:
                reader = (commit.table, commit.version)
                onward += [(ColumnNode(*reader, name), UNKNOWN) for name in graph.commits.columns(reader)]
        for target, step in onward:
            way = max(how, step)
            if way < reached.get(target, UNKNOWN + 1):
                reached[target] = way
                heappush(heap, (way, target))
    columns: dict[Version, dict[str, int]] = defaultdict(dict)
    for node, how in reached.items():
        columns[node[:2]][node.column] = how
    return dict(columns), [_note(graph.commits, table, names) for table, names in sorted(undeclared.items())]


def _note(commits: CommitGraph, table: str, undeclared: set[str]) -> str:
    log = commits.log(table)
    if log is not None and undeclared >= commits.columns((table, log.latest)):
        return f"{table} does not declare the sources of its columns: all count as affected"
    return f"{table} does not declare the sources of {', '.join(sorted(undeclared))}: counted as affected"


def _affected(commits: CommitGraph, nodes: Mapping[Version, Columns | None]) -> Iterator[Affected]:
    tables: dict[str, dict[int, Columns | None]] = defaultdict(dict)
    for (table, version), columns in sorted(nodes.items(), key=lambda item: item[0]):
        tables[table][version] = columns
    for table, versions in tables.items():
        made = dict(zip(versions, commits.writes(table, list(versions)), strict=True))
        writes = made.values()
        partitions = sorted({write.partition for write in writes if write.partition is not None})
        ways = _surest(versions.values())
        yield Affected(
            table=table,
            versions=tuple(versions),
            partitions=tuple(partitions) if partitions else None,
            runs=tuple(dict.fromkeys(write.run_id or "" for write in writes)),
            rows=sum(write.rows or 0 for write in writes),
            live=sum(write.until is None for write in writes),
            columns=tuple(sorted(ways)) if ways is not None else None,
            indirect=tuple(sorted(name for name, how in (ways or {}).items() if how == INDIRECT)),
            unknown=tuple(sorted(name for name, how in (ways or {}).items() if how == UNKNOWN)),
            rewritten=sum(made[version].rows or 0 for version in replaced(made)),
        )


def replaced(writes: Mapping[int, Write]) -> set[int]:
    """Of some versions of a table those whose rows another one of them wrote again."""
    last = {writes[version].partition: version for version in sorted(writes)}
    return {
        version for version, write in writes.items() if write.until is not None and write.until <= last[write.partition]
    }


def _surest(versions: Iterable[Columns | None]) -> Columns | None:
    """Columns over several versions, each by its most certain path; None where no column was asked for."""
    certainty: dict[str, int] = {}
    for columns in versions:
        if columns is None:
            return None
        certainty |= {name: min(how, certainty.get(name, how)) for name, how in columns.items()}
    return certainty
