"""The graph of what Assay did, restored from the lake alone: the store is only an index of it.

Most runs are described by the commits that they made. What no commit describes (runs that failed,
were refused, changed nothing or were killed) is kept beside the tables, see `assay.lineage.delivery.run_records`.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from assay.features.storage.log_entry import Entry
from assay.features.storage.snapshot import Snapshot
from assay.features.tables.lake import Lake, column_types, schema_of
from assay.features.tables.log_replay import replay_log
from assay.lineage.delivery.run_records import RunRecord, read_records
from assay.lineage.events import events
from assay.lineage.events.events import Event, Published
from assay.lineage.events.places import without_places
from assay.lineage.events.serialize import encoded, fields_of, to_bytes
from assay.lineage.store.lineage_store import LineageStore, RunInfo
from assay.lineage.store.parse_event import EventFacts, read_event
from assay.lineage.store.uncollected import uncollected

BATCH = 200  # runs in a transaction
# A run that was given up has not ended for good: should it have published something after all, then that is what happened.
ENDED = ("COMPLETE", "FAIL")


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Something of which the lake and the store know different bytes: `what` is `table@version`, or `run <id>`. `lake` and
    `store` are the SHA-256 that each has of its commit, or of its terminal event without addresses; `lake` is empty where it
    is gone there.
    """

    what: str
    lake: str
    store: str


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was read, and how many runs were added. `damaged` are the commits (`table@version`) and records (paths in the lake)
    that could not be read. `contradictions` are evidence that one of the two was changed: a run that rests on one was not
    added."""

    commits: int
    records: int
    runs: int
    damaged: tuple[str, ...]
    contradictions: tuple[Contradiction, ...]

    @property
    def ok(self) -> bool:
        return not self.damaged and not self.contradictions

    def to_dict(self) -> dict[str, Any]:
        counts = {"commits": self.commits, "records": self.records, "runs": self.runs}
        return counts | {
            "damaged": list(self.damaged),
            "contradictions": [asdict(item) for item in self.contradictions],
        }


@dataclass(frozen=True, slots=True)
class FromLogs:
    """What the tables' logs hold: by run id, all that a run published; by table id, its name and the digest of each commit.
    `damaged` commits (`table@version`) could not be read."""

    runs: Mapping[str, Sequence[Published]]
    digests: Mapping[str, tuple[str, Mapping[int, str]]]
    damaged: tuple[str, ...]


def rebuild(store: LineageStore, lake: Lake, deployment: str = "assay") -> Rebuilt:
    """Store the events of every run that the lake knows the end of, unless its start and end are stored already.

    Restored is all that Assay's runs reported: what they read and wrote at which version, checks, times, parents, errors. Not in
    the lake are events of other tools, runs of tables that were deleted, and runs that have not ended. Raises what reading the
    lake and the store raises.

    Args:
        store: Where events are kept.
        lake: Whose commits and records are read.
        deployment: The name under which jobs stand.
    """
    known = {run.id: run for run in store.runs()}
    with uncollected():
        found, kept = published(lake, lake.tables()), read_records(lake.storage)
        contradictions = [*_contradictions(store, found, kept.records, known, deployment)] if known else []
        doubted = {item.what for item in contradictions}
        added = 0
        missing = _missing(found.runs, kept.records, known, deployment, lake)
        while batch := list(islice(missing, BATCH)):
            sound = [run for run in batch if not doubted or not _is_doubted(run, doubted)]
            facts_of_all = [facts for run in sound for facts in run]
            store.put_facts([facts for facts in facts_of_all if facts.kind != "ABORT"], once=True)
            store.put_facts(
                [facts for facts in facts_of_all if facts.kind == "ABORT"]
            )  # what a run itself reports has room beside it
            added += len(sound)
    damaged = (*found.damaged, *kept.damaged)
    return Rebuilt(sum(map(len, found.runs.values())), len(kept.records), added, damaged, tuple(contradictions))


# -- runs --------------------------------------------------------------------------------------------------------------


def _missing(
    runs: Mapping[str, Sequence[Published]],
    records: Mapping[str, RunRecord],
    known: Mapping[str, RunInfo],
    deployment: str,
    lake: Lake,
) -> Iterator[list[EventFacts]]:
    """The events of each run that the store lacks, earliest first."""
    starts = {run_id: record.started_at for run_id, record in records.items()}
    starts |= {run_id: started_at(outputs) for run_id, outputs in runs.items() if run_id not in starts}
    for run_id in sorted(starts, key=lambda run_id: (starts[run_id], run_id)):
        record, outputs = records.get(run_id), runs.get(run_id)
        if record is not None and record.presumed and outputs:
            record = None  # it went on after all
        info = known.get(run_id)
        ends = ENDED if record is None or not record.presumed else (*ENDED, "ABORT")
        if info is not None and info.state in ends and info.started_at is not None:
            continue
        if record is not None:
            yield [read_event(body) for body in record.events(lake.storage)]
        elif outputs:
            fields = map(fields_of, _events_of(outputs, deployment))
            yield [read_event(encoded(item), item) for item in fields]


def started_at(outputs: Sequence[Published]) -> datetime:
    """When the run that made these commits began."""
    return datetime.fromisoformat(outputs[0].commit.run["started_at"])


def events_of(outputs: Sequence[Published], deployment: str, *, recovered: bool = False) -> tuple[bytes, bytes]:
    """START and COMPLETE of a run, from its commits. `recovered`: it was killed before it could report them."""
    start, end = _events_of(outputs, deployment, recovered)
    return to_bytes(start), to_bytes(end)


def _events_of(outputs: Sequence[Published], deployment: str, recovered: bool = False) -> tuple[Event, Event]:
    done = events.done_from_commits(outputs)
    return events.started(done.work, deployment), events.finished(done, deployment, recovered=recovered)


# -- logs --------------------------------------------------------------------------------------------------------------


def published(lake: Lake, tables: Iterable[str]) -> FromLogs:
    """Every version of these tables that a transaction wrote. Each log is read once, file by file: opening a table at
    every version would take a hundred times as long."""
    runs: dict[str, list[Published]] = defaultdict(list)
    digests: dict[str, tuple[str, dict[int, str]]] = {}
    damaged: list[str] = []
    for table in tables:
        log = replay_log(lake, table)
        entries = log.entries if log else ()
        damaged += (f"{table}@{entry.version}" for entry in entries if entry.commit is None)
        for output in _outputs(table, lake.table(table).uri, entries):
            runs[str(output.commit.run_id)].append(output)
        if log is not None:
            digests[log.table_id] = (table, {entry.version: entry.sha256 for entry in entries})
    return FromLogs(runs, digests, tuple(damaged))


def _outputs(table: str, uri: str, entries: Iterable[Entry]) -> Iterator[Published]:
    table_id, columns, live = "", {}, _LiveSizes()
    for entry in entries:
        if entry.metadata is not None:
            table_id = entry.metadata["id"]
            columns = column_types(schema_of(entry.metadata["schemaString"]))
        commit = entry.commit
        live.follow(entry)
        if commit is not None and commit.run_id is not None and commit.rows is not None:
            replaced = commit.mode == "replace"
            size = live.of(commit.partition) if replaced else sum(file.size for file in entry.added)
            yield Published(Snapshot(table, table_id, entry.version, entry.sha256, uri), commit, columns, size)


class _LiveSizes:
    """The bytes of a table's live files, by partition, as its log is gone through."""

    def __init__(self) -> None:
        self._sizes: dict[str | None, dict[str, int]] = defaultdict(dict)
        self._partitions: dict[str, str | None] = {}  # by path

    def follow(self, entry: Entry) -> None:
        for path in entry.removed:
            self._sizes[self._partitions.get(path)].pop(path, None)
        for file in entry.added:
            self._sizes[file.partition][file.path] = file.size
            self._partitions[file.path] = file.partition

    def of(self, partition: str | None) -> int:
        return sum(self._sizes[partition].values())


# -- contradictions ----------------------------------------------------------------------------------------------------


def _contradictions(
    store: LineageStore,
    found: FromLogs,
    records: Mapping[str, RunRecord],
    known: Mapping[str, RunInfo],
    deployment: str,
) -> Iterator[Contradiction]:
    newest = store.newest_versions(found.digests)
    wanted: dict[str, Collection[int]] = {}
    for table_id, (_, commits) in found.digests.items():
        wanted[table_id] = range(
            min(commits), max(*commits, newest.get(table_id, -1)) + 1
        )  # the oldest may be cleaned up
    named = set(store.commits_of(wanted))
    yield from _of_commits(found, named)
    yield from _of_runs(store, found, {(table_id, version) for table_id, version, _ in named}, known, deployment)
    yield from _of_records(store, records, known)


def _of_commits(found: FromLogs, named: Collection[tuple[str, int, str]]) -> Iterator[Contradiction]:
    """Commits that are not those that the store knows, and versions that the tables do not have any more."""
    for table_id, version, sha256 in sorted(named):
        table, commits = found.digests[table_id]
        if commits.get(version, "") != sha256:
            yield Contradiction(f"{table}@{version}", commits.get(version, ""), sha256)


def _of_runs(
    store: LineageStore,
    found: FromLogs,
    named: Set[tuple[str, int]],
    known: Mapping[str, RunInfo],
    deployment: str,
) -> Iterator[Contradiction]:
    """Runs that have ended in the store without a commit that they made: somebody else has reported their end, as anybody can
    while the store is empty."""
    for run_id, outputs in found.runs.items():
        made = {(output.snapshot.table_id, output.snapshot.version) for output in outputs}
        if run_id in known and known[run_id].state in ENDED and not made <= named:
            ends = [event.body for event in store.events_of([run_id]) if event.kind in ENDED]
            lake, there = (_sha256(without_places(body)) for body in (events_of(outputs, deployment)[1], ends[-1]))
            yield Contradiction(f"run {run_id}", lake, there)


def _of_records(
    store: LineageStore, records: Mapping[str, RunRecord], known: Mapping[str, RunInfo]
) -> Iterator[Contradiction]:
    """Runs that ended otherwise in the lake than in the store, wherever the lake lay then."""
    both = [run_id for run_id in records if run_id in known and not records[run_id].presumed]
    for event in store.events_of(both):
        if event.kind in ENDED:
            lake, there = (_sha256(body) for body in (records[str(event.run_id)].end, without_places(event.body)))
            if lake != there:
                yield Contradiction(f"run {event.run_id}", lake, there)


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _is_doubted(run: Sequence[EventFacts], doubted: Collection[str]) -> bool:
    """Whether the run is doubted itself, or rests on what is."""
    if any(f"run {facts.run_id}" in doubted for facts in run):
        return True
    uses = (use for facts in run for use in facts.datasets if use.table)
    return any(f"{use.table}@{use.version}" in doubted for use in uses)
