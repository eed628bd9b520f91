"""From affected rows onward, commit by commit, each after those that it read, to predictions, training sets and models."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

import polars as pl

from assay.features.storage.commit_metadata import Commit
from assay.features.storage.snapshot import Slice
from assay.features.tables.kinds import Kind, kind_of
from assay.lineage.affected.hits import Hits, Tests
from assay.lineage.affected.hops import Taken, follow
from assay.lineage.affected.selection import Gone, Rows, Selection
from assay.lineage.affected.taking import tests_of
from assay.lineage.columns.graph import ColumnGraph
from assay.lineage.commits.graph import CommitGraph, Version
from assay.lineage.commits.spine import Spine, spine_of_predictions, spine_of_training
from assay.lineage.events.columns import column_lineage
from assay.lineage.predictions import attachments
from assay.lineage.predictions.find_prediction import ID, UNREADABLE
from assay.lineage.predictions.outputs import outputs_of
from assay.lineage.tracing.impact import reached_by_column, reached_by_rows

AT_ONCE = 200_000  # rows of predictions that are looked at together
# What is followed for itself: what a person asks for, and where the rows are although nothing was predicted from them.
_ENDS = (Kind.PREDICTIONS, Kind.TRAINING, Kind.MODELS, Kind.FEATURES, Kind.EMBEDDINGS, Kind.CLEAN, Kind.QUARANTINE)
_UNSHOWN = {"inputs", "run_id", *attachments.COLUMNS}


@dataclass
class Walk:
    """The affected rows of every version on the way from the origin to tables of rows, predictions, training sets and models.

    Args:
        commits: The commits of the lake.
        origin: Where it begins.
        column: Only what came from this column of the origin.
        lookups: Also follow those who only looked something up.
    """

    commits: CommitGraph
    origin: Mapping[Version, Selection]
    column: str | None = None
    lookups: bool = False
    rows: Rows = field(init=False)
    selections: dict[Version, Selection] = field(init=False)
    notes: dict[str, None] = field(init=False, default_factory=dict)
    _columns: dict[Version, frozenset[str]] | None = field(init=False, default=None)
    _taken: dict[Version, list[Taken]] = field(init=False, default_factory=dict)
    _tests: dict[Version, Tests] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.rows = Rows(self.commits)
        self.selections = {version: item for version, item in self.origin.items() if not item.is_empty}

    def run(self) -> None:
        """Follow everything but predictions that nothing was made from: `predictions` gives the rows of one commit."""
        reads = self._reached()
        onward = {version for read in reads.values() for _, version in read}
        order = TopologicalSorter({version: [w for _, w in read] for version, read in reads.items()}).static_order()
        for version in order:
            if version not in reads:
                continue
            taken = [Taken(item, self.selections[w]) for item, w in reads[version] if w in self.selections]
            self._taken[version] = taken
            if not taken or (Kind.PREDICTIONS.holds(version[0]) and version not in onward):
                continue
            selection = self._follow(version, taken)
            if not selection.is_empty:
                self.selections[version] = selection

    @property
    def predicted(self) -> list[Version]:
        """The commits of predictions that read an affected row, oldest first in each table."""
        return sorted(v for v, taken in self._taken.items() if taken and Kind.PREDICTIONS.holds(v[0]))

    def of(self, kind: Kind) -> list[Version]:
        """The affected versions of a kind of table."""
        return sorted(version for version in self.selections if kind.holds(version[0]) and version not in self.origin)

    def through_model(self, version: Version) -> bool:
        """Whether the model that made these predictions is affected."""
        return any(Kind.MODELS.holds(item.read.snapshot.table) for item in self._taken[version])

    def tests(self, version: Version) -> Tests:
        """What says of the rows of a commit of predictions whether they took affected rows."""
        if version not in self._tests:
            commit = self._commit(version)
            spine = spine_of_predictions(self.commits, commit)
            self._tests = {version: self._tests_of(commit, spine, self._taken[version])}  # one commit after the other
        return self._tests[version]

    def predictions(self, version: Version) -> Iterator[pl.DataFrame]:
        """The rows of a commit of predictions, some at a time, without long texts. Raises Gone."""
        state = self.rows.state(version)
        outputs = outputs_of(self._commit(version), state.schema)
        columns = [name for name in state.schema if name not in _UNSHOWN or name in outputs]
        for file in self.rows.added(version):  # who confirms predictions made none
            frame = state.scan_files([file]).select(columns)
            for offset in range(0, max(file.rows, 1), AT_ONCE):
                try:
                    yield frame.slice(offset, AT_ONCE).collect()
                except UNREADABLE as problem:
                    raise Gone(f"{version[0]}/{file.path} cannot be read ({type(problem).__name__})") from None

    # -- the way there ---------------------------------------------------------------------------------------------

    def _reached(self) -> dict[Version, list[tuple[Slice, Version]]]:
        """By version that holds rows for somebody, or may lead to one, what it read of versions that are reached."""
        origin = list(self.selections)
        if self.column is None:
            reached = set(reached_by_rows(self.commits, origin, self.lookups))
        else:
            found, notes = reached_by_column(ColumnGraph(self.commits), origin, self.column, self.lookups)
            own = {version: frozenset([self.column]) for version in origin}
            self._columns = {version: frozenset(names) for version, names in found.items()} | own
            reached = set(found)
            self.notes |= dict.fromkeys(notes)
        among = reached | set(origin)
        reads = {version: self._reads(version, among) for version in reached - set(origin)}
        wanted: set[Version] = set()
        todo = [version for version in reads if kind_of(version[0]) in _ENDS]
        while todo:
            version = todo.pop()
            if version not in wanted:
                wanted.add(version)
                todo += [read for _, read in reads.get(version, ())]
        return {version: read for version, read in reads.items() if version in wanted}

    def _reads(self, version: Version, among: set[Version]) -> list[tuple[Slice, Version]]:
        commit = self.commits.commit(version)
        found: list[tuple[Slice, Version]] = []
        for item in commit.inputs if commit else ():
            table = item.snapshot.table
            if commit is None or (item.lookup and not self._follows(commit, table)):
                continue
            writers = ((table, number) for number in self.commits.writers(commit, item))
            found += [(item, writer) for writer in writers if writer in among]
        return found

    def _follows(self, commit: Commit, table: str) -> bool:
        """Whether a lookup in a table is followed. What a commit looks up in its own table is whether it is there already."""
        if table == commit.table:
            return False
        read = {item.snapshot.table for item in commit.inputs}
        declared = self.column is not None and table in column_lineage(commit.column_lineage or {}, read).tables
        return self.lookups or declared

    # -- one commit ------------------------------------------------------------------------------------------------

    def _commit(self, version: Version) -> Commit:
        commit = self.commits.commit(version)
        if commit is None:
            raise Gone(f"the commit of {version[0]}@{version[1]} is gone or damaged")
        return commit

    def _follow(self, version: Version, taken: Sequence[Taken]) -> Selection:
        commit = self._commit(version)
        if Kind.PREDICTIONS.holds(version[0]):
            return self._of_predictions(version)
        if Kind.TRAINING.holds(version[0]):
            return self._of_training(commit, taken)
        return follow(self.rows, commit, taken)

    def _of_predictions(self, version: Version) -> Selection:
        """Predictions that something was made from."""
        notes = frozenset[str]().union(*(item.selection.notes for item in self._taken[version]))
        try:
            if self.through_model(version):
                return Selection(version, None, notes)
            tests, ids = self.tests(version), []
            for rows in self.predictions(version):
                hits = tests(rows)
                ids.append(rows.filter(hit(hits, rows))[ID])
                notes = notes.union(*(tests.reasons(table, answer) for table, answer in hits.items()))
        except Gone:
            return Selection(version, None, notes)
        return Selection(version, pl.DataFrame({ID: pl.concat(ids) if ids else []}, schema={ID: pl.String}), notes)

    def _of_training(self, commit: Commit, taken: Sequence[Taken]) -> Selection:
        """All of a training set if any of its rows took an affected row: a model is made from all of them."""
        version = (commit.table, commit.version)
        notes = frozenset[str]().union(*(item.selection.notes for item in taken))
        served = all(kind_of(item.read.snapshot.table) is Kind.FEATURES for item in taken)
        spine = spine_of_training(commit) if served else None
        if spine is not None:
            try:
                tests = self._tests_of(commit, spine, taken)
                if not any(hit(tests(rows), rows).any() for rows in self.predictions(version)):
                    return Selection(version, pl.DataFrame(schema={ID: pl.String}))
            except Gone:
                pass
        return Selection(version, None, notes)

    def _tests_of(self, commit: Commit, spine: Spine, taken: Sequence[Taken]) -> Tests:
        return tests_of(self.rows, commit, spine, taken, lambda v: self._taken.get(v, ()), self.columns)

    def columns(self, version: Version) -> frozenset[str] | None:
        """The columns of a version that came from the one that was asked for; None where all count."""
        return None if self._columns is None else self._columns.get(version, frozenset())


def hit(tests: Mapping[str, Hits], rows: pl.DataFrame) -> pl.Series:
    """Whether any of the tests says yes, by row."""
    found = pl.repeat(False, rows.height, eager=True)
    for answer in tests.values():
        found = found | answer.taken
    return found
