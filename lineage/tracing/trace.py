"""Trace: the rows, versions, runs, code, contracts and files behind a prediction.

A trace needs the lake alone: every commit records what it read, so a trace follows commits from read to read.

A node is a table as its consumer read it (versions and partitions). Its commits wrote the rows there; its inputs are the
reads of those commits, one node per table. A table that something was only looked up in (known customers, for instance) is one
node: its version, how much it held, and its newest commit. "Is this id new?" would otherwise lead from every day through all
days before it. Asked for `lookups`, a trace also follows them to their own sources; lookups of a lookup, and of a table in its
own earlier rows, are shown with their commits and end there.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import polars as pl

from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit, SourceFile
from assay.features.storage.snapshot import Slice
from assay.features.tables.digest import digest_of, writers_digest
from assay.features.tables.kinds import label_of, order_of
from assay.features.tables.lake import Lake
from assay.features.tables.table_log import TableLog
from assay.lineage.commits.graph import CommitGraph, model_of, takes_one_model
from assay.lineage.outline import LISTED, Line, Outline, Span, line
from assay.lineage.predictions.attachments import in_words
from assay.lineage.predictions.find_prediction import UNREADABLE, Prediction, find_prediction
from assay.lineage.predictions.outputs import answer_of, outputs_of
from assay.lineage.tracing.rows_read import RowsRead
from assay.lineage.tracing.trace_node import Held, Node, Status, unique_files

_LONGEST = 400  # characters shown of an explanation
EXPANDED = 2_000  # nodes that `to_dict` writes with every repeated sub-tree in full


@dataclass(frozen=True, eq=False)
class Trace:
    """The provenance of a prediction as a tree (equal reads of a table are one and the same node). `lookups`: whether tables that
    something was only looked up in are followed to their sources. `rows_read`: where questions about it keep the rows that
    they have looked at (None: nowhere)."""

    prediction: Prediction
    root: Node
    lake: Lake | None = field(default=None, repr=False)
    lookups: bool = False
    rows_read: RowsRead | None = field(default=None, repr=False)

    @cached_property
    def with_lookups(self) -> "Trace":
        """The same trace with its lookups followed, in the lake as it is now. Costs as much as the tables hold that were looked
        up in."""
        if self.lookups or self.lake is None:
            return self
        return replace(self, root=_Tracer(self.lake, lookups=True).expanded(self.root), lookups=True)

    @property
    def prediction_id(self) -> str:
        return self.root.name

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every node once, each before its inputs are first met."""
        return tuple(_walk(self.root, set()))

    def files(self, *, lookups: bool = False) -> tuple[SourceFile, ...]:
        """The delivered files that the data came from; with `lookups` also those behind lookups."""
        if lookups:
            return unique_files(item for node in self.with_lookups.nodes for item in node.files)
        nodes = _walk(self.root, set(), follow=lambda node: not node.lookup)
        return unique_files(item for node in nodes for item in node.files)

    def to_dict(self) -> dict[str, Any]:
        """The tree as plain data. A node met again is written again in full, unless that would pass 2,000 nodes: then it is
        written without `inputs` and `files`, and `see` has the id of where they are."""
        full = _size(self.root, {}) <= EXPANDED
        return {
            "prediction_id": self.prediction_id,
            "root": _to_dict(self.root, None if full else set()),
            "files": [item.to_dict() for item in self.files()],
        }

    def outline(self) -> Outline:
        """The tree in words. A node that was shown before is only named; long lists of files are shortened."""
        row, root = self.prediction.row, self.root
        answer = answer_of(row, root.details["outputs"])
        outputs = [f"{name} {_in_words(value)}" for name, value in answer.items()]
        title = line(
            Span(f"prediction {root.name}", "strong"),
            f" of {self.prediction.model} {row['model_version']}",
            f": {', '.join(outputs)}" if outputs else "",
        )
        attached = (line(Span(name, "dim"), f" {_one_line(text)}") for name, text in in_words(row))
        return Outline((title, *attached, root.title, root.facts), tuple(_branches(root, {id(root)})))

    def __str__(self) -> str:
        return str(self.outline())


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _branches(node: Node, seen: set[int]) -> Iterator[Outline]:
    for item in node.inputs:
        if id(item) in seen:
            yield Outline((line(*item.title, Span(" (shown above)", "dim")),))
            continue
        seen.add(id(item))
        below = [*_branches(item, seen), *(Outline((file,)) for file in _file_lines(item.files))]
        yield Outline((item.title, item.facts), tuple(below))


def _file_lines(files: Sequence[SourceFile]) -> Iterator[Line]:
    few = len(files) <= LISTED
    yield from (_file_line(item) for item in (files if few else files[: LISTED // 2]))
    if not few:
        yield line(Span(f"… {len(files) - LISTED} more files (--json lists them)", "dim"))
        yield from (_file_line(item) for item in files[-(LISTED // 2) :])


def _file_line(item: SourceFile) -> Line:
    state = "".join(f", {what} {text}" for what, text in (("etag", item.etag), ("version", item.version_id)) if text)
    return line(f"{item.path}  ", Span(f"sha256 {item.sha256}", "code"), Span(f"  {item.rows} rows{state}", "dim"))


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]} …"


def _walk(node: Node, seen: set[int], follow: Callable[[Node], bool] = lambda node: True) -> Iterator[Node]:
    if id(node) in seen or not follow(node):
        return
    seen.add(id(node))
    yield node
    for item in node.inputs:
        yield from _walk(item, seen, follow)


def _size(node: Node, known: dict[int, int]) -> int:
    if id(node) not in known:
        known[id(node)] = 1 + sum(_size(item, known) for item in node.inputs)
    return known[id(node)]


def _to_dict(node: Node, seen: set[int] | None) -> dict[str, Any]:
    if seen is not None:
        if id(node) in seen:
            return node.to_dict([]) | {"files": [], "see": node.id}
        seen.add(id(node))
    return node.to_dict([_to_dict(item, seen) for item in node.inputs])


def trace(lake: Lake, prediction_id: str, *, lookups: bool = False) -> Trace:
    """Trace a prediction to its source files; with `lookups` also what was only looked up in. Raises AssayError if there is no
    such prediction."""
    now = lake.at_one_moment()
    return replace(_Tracer(now, lookups=lookups).trace(find_prediction(now, prediction_id)), lake=lake)


class _Tracer:
    """Builds the nodes of one trace, each once."""

    def __init__(self, lake: Lake, *, lookups: bool) -> None:
        self.lake, self.lookups = lake, lookups
        self.commits = CommitGraph(lake)
        self.nodes: dict[Any, Node] = {}
        self.begun: set[Any] = set()

    def trace(self, prediction: Prediction) -> Trace:
        table, row = prediction.table, prediction.row
        log = self.commits.log(table)
        writers = log.writers(prediction.version, [prediction.partition]) if log else []
        # An append is its own commit, so the row's run says which; a partition rewritten by others has all its writers.
        commits = [commit for commit in writers if commit.run_id == row["run_id"]] or (
            [commit for commit in log.commits if commit.run_id == row["run_id"]] if log else []
        )
        if log is None or not commits:
            raise AssayError(
                f"{table}: no commit of its log is of the run that the prediction names. The row was not written by a run of "
                "Assay, or the commit is missing: it cannot be traced."
            )
        version, partition = commits[-1].version, commits[-1].partition or prediction.partition
        files = (file.path for file in log.files(version, [partition]))
        writers = writers_digest(log.index.writer_digests(version, [partition]))
        slices = (Slice(log.snapshot(version), (partition,), digest_of(files), writers=writers),)
        root = Node("prediction", row["prediction_id"], table, slices, self.status(log, slices), tuple(commits))
        # The commit says which model answered; one with answers of several leaves it to the row, which may have been changed.
        inputs = self.inputs(commits, follow=True, model=model_of(commits[-1]) or row["model_version"])
        shown = {name: _plain(value) for name, value in row.items() if name not in ("prediction_id", "inputs")}
        described = commits[-1].predictions
        details = {
            **shown,
            "model": prediction.model,
            "features": list(described.features if described else ()),
            "outputs": list(outputs_of(commits[-1], row)),
        }
        return Trace(prediction, replace(root, inputs=_ordered(inputs), details=details), lookups=self.lookups)

    def inputs(self, commits: Sequence[Commit], *, follow: bool, model: str | None = None) -> list[Node]:
        """What the commits read, one node per table and role. Of a table of models a prediction takes only its own (`model`;
        by default the one that its commit names)."""
        read: dict[tuple[str, str, bool, str | None], dict[Slice, None]] = {}
        for commit in commits:
            for item in commit.inputs:
                own = (model or model_of(commit)) if takes_one_model(commit, item) else None
                read.setdefault((item.snapshot.table, item.snapshot.table_id, item.lookup, own), {})[item] = None
        written = {commit.table for commit in commits}
        return [
            self.node(table, tuple(slices), lookup, follow and not (lookup and table in written), own)
            for (table, _, lookup, own), slices in read.items()
        ]

    def node(self, table: str, slices: tuple[Slice, ...], lookup: bool, follow: bool, model: str | None) -> Node:
        slices = tuple(sorted(slices, key=lambda item: (item.snapshot.version, item.partitions or (), item.excluded)))
        key = (table, slices, lookup, follow, model)
        if lookup and not self.lookups:
            if key not in self.nodes:
                self.nodes[key] = self.looked_up(table, slices)
            return self.nodes[key]
        if key not in self.nodes and key in self.begun:  # a version that was made from itself: its log was changed
            return Node(label_of(table), table, table, slices, "damaged", lookup=lookup)
        if key not in self.nodes:
            self.begun.add(key)
            log = self.commits.log(table)
            name, details = table, {}
            own = self.model(log, slices, model) if log is not None and model is not None else None
            if own is not None:
                name, status, commits, details = own
            else:
                status = self.status(log, slices)
                commits = self.writers(log, slices) if log and status != "erased" else ()
                details = {} if model is None or log is None else {"model_version": model, "row": "gone"}
            # Below a lookup only data reads are followed; the trace stops at lookups of a lookup.
            inputs = [] if lookup and not follow else self.inputs(commits, follow=follow and not lookup)
            kind = label_of(table)
            over = self.passed_over(log, slices) if log and status == "readable" and not commits else None
            self.nodes[key] = Node(
                kind, name, table, slices, status, commits, _ordered(inputs), lookup, details, passed_over=over
            )
        return self.nodes[key]

    def expanded(self, node: Node) -> Node:
        """A node with the lookups below it followed; what it claims itself stays."""
        key = id(node)
        if key not in self.nodes:
            written = {commit.table for commit in node.commits}
            inputs = (
                self.node(item.table, item.slices, True, item.table not in written, None)
                if item.held is not None
                else self.expanded(item)
                for item in node.inputs
            )
            self.nodes[key] = replace(node, inputs=_ordered(inputs))
        return self.nodes[key]

    def looked_up(self, table: str, slices: tuple[Slice, ...]) -> Node:
        """The node of a lookup that is not followed: whatever the table held, its commits are counted and not read. Its newest
        commit is that of the newest version that was looked at."""
        log, newest = self.commits.log(table), slices[-1]
        status = self.recorded(log, slices)
        commits, held = (), Held(0, 0)
        if log is not None and status == "readable":
            commit = self.commits.commit((table, newest.snapshot.version))
            commits = (commit,) if commit is not None and commit.run_id and commit.rows is not None else ()
            held = Held(*log.index.held(newest.snapshot.version, newest.partitions, newest.excluded))
        return Node(label_of(table), table, table, slices, status, commits, lookup=True, held=held)

    def passed_over(self, log: TableLog, slices: Sequence[Slice]) -> Held | None:
        """What the newest version held that was looked at, where nothing of it was taken."""
        held = Held(*log.index.held(slices[-1].snapshot.version, None, ()))
        return held if held.commits else None

    def writers(self, log: TableLog, slices: Iterable[Slice]) -> tuple[Commit, ...]:
        commits = {
            c.version: c for item in slices for c in log.writers(item.snapshot.version, item.partitions, item.excluded)
        }
        return tuple(commits[version] for version in sorted(commits))

    def status(self, log: TableLog | None, slices: Sequence[Slice]) -> Status:
        recorded = self.recorded(log, slices)
        if log is None or recorded != "readable":
            return recorded
        paths = {
            file.path for item in slices for file in log.files(item.snapshot.version, item.partitions, item.excluded)
        }
        gone = any(self.lake.storage.size(f"{log.table}/{path}") is None for path in paths)
        return "vacuumed" if gone else "readable"

    def recorded(self, log: TableLog | None, slices: Sequence[Slice]) -> Status:
        """The status as far as the log knows it: whether the data files are there is not looked at."""
        if log is None:
            return "erased"
        if log.damaged or not log.table_id:  # it does not even say which table it is of
            return "damaged"
        if any(log.table_id != item.snapshot.table_id for item in slices):
            return "erased"
        if not all(log.has(item.snapshot) for item in slices):
            return "damaged" if all(log.entry(item.snapshot.version) for item in slices) else "vacuumed"
        return "readable"

    def model(
        self, log: TableLog, slices: Sequence[Slice], version: str
    ) -> tuple[str, Status, tuple[Commit, ...], dict[str, Any]] | None:
        """The model in a table that made the prediction: its name, status, the commit that wrote it, and its row; None
        where no file that is there holds it. What became of other models does not matter to it."""
        if self.recorded(log, slices) != "readable":
            return None
        numbers = {
            number
            for item in slices
            for number in log.writer_versions(item.snapshot.version, item.partitions, item.excluded)
        }
        for number in sorted(numbers, reverse=True):
            entry = log.entry(number)
            for file in entry.added if entry else ():
                row = _model_row(self.lake, f"{log.table}/{file.path}", version)
                commit = self.commits.commit((log.table, number)) if row is not None else None
                if row is not None and commit is not None:
                    return f"{log.table} {version}", "readable", (commit,), row
        return None


def _model_row(lake: Lake, path: str, version: str) -> dict[str, Any] | None:
    try:
        rows = pl.read_parquet(io.BytesIO(lake.storage.get(path))).filter(pl.col("model_version") == version)
    except (AssayError, *UNREADABLE):
        return None
    if rows.is_empty():
        return None
    row = {name: _plain(value) for name, value in rows.row(0, named=True).items() if name != "artifact"}
    return row | {name: _parsed(row[name]) for name in ("metrics", "params") if isinstance(row.get(name), str)}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _ordered(nodes: Iterable[Node]) -> tuple[Node, ...]:
    def place(node: Node) -> tuple[bool, int, str]:
        return node.lookup, -order_of(node.kind), node.name

    return tuple(sorted(nodes, key=place))


def _plain(value: Any) -> Any:
    """JSON's types only."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
