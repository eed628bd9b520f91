"""A prediction that cannot be traced, since its own commit or file is gone or damaged: what is known of it all the same.

Its id has its time. The log, the seals and the lineage store know which commits wrote predictions of that day, by which run, from
what; who removed files is recorded in the lake. What is missing or was changed is named, as a verification names it.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from assay.errors import AssayError
from assay.features.retention.removals import Removal, removals
from assay.features.storage.delta_log import commit_path
from assay.features.storage.log_entry import Entry
from assay.features.storage.seals import FOLDER, Seal, read_seal
from assay.features.tables.kinds import Kind
from assay.features.tables.lake import Lake
from assay.features.tables.log_replay import LogReplay, replay_log
from assay.lineage.outline import Outline, Span, leaf, line
from assay.lineage.predictions.find_prediction import NoPrediction, Prediction, file_problem, find_prediction
from assay.lineage.predictions.uuid7 import uuid7_time
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.store.writes import Wrote, writes_below
from assay.lineage.verification.commits import check_log
from assay.lineage.verification.files import UNRECORDED
from assay.lineage.verification.finding import STYLES, Finding, Verdict, marked, verdict_of
from assay.lineage.verification.stored_row import adder, is_ours, maker


@dataclass(frozen=True, slots=True)
class PossibleCommit:
    """A commit that may have written the prediction: one of its day. It `reads` tables@versions; `by` says who still knows it."""

    table: str
    version: int
    partition: str = ""
    rows: int | None = None
    run_id: str = ""
    job: str = ""
    reads: tuple[str, ...] = ()
    by: tuple[str, ...] = ()

    def __str__(self) -> str:
        facts = [f"{self.table}@{self.version}", self.partition, f"run {self.run_id}" if self.run_id else "", self.job]
        facts += [f"{self.rows} rows" if self.rows is not None else ""]
        facts += [f"read {', '.join(self.reads)}" if self.reads else "", f"known to {', '.join(self.by)}"]
        return " · ".join(fact for fact in facts if fact)


@dataclass(frozen=True)
class LostPrediction:
    """What is known of a prediction that cannot be traced.

    Attributes:
        prediction_id: as it was asked for.
        event_time: as the id says.
        why: it cannot be traced, as the error says.
        findings: what is missing or was changed.
        commits: those of its day, one of which may have written it.
        removals: what was deleted of these tables, as the lake recorded it.
    """

    prediction_id: str
    event_time: datetime
    why: str
    findings: tuple[Finding, ...]
    commits: tuple[PossibleCommit, ...]
    removals: tuple[Removal, ...]

    @property
    def outcome(self) -> Verdict:
        return verdict_of(self.findings)

    def to_dict(self) -> dict[str, Any]:
        return {
            "prediction_id": self.prediction_id,
            "traced": False,
            "why": self.why,
            "event_time": self.event_time.isoformat(),
            "outcome": self.outcome,
            "findings": [item.to_dict() for item in self.findings],
            "commits": [asdict(item) for item in self.commits],
            "removals": [item.to_dict() for item in self.removals],
        }

    def outline(self) -> Outline:
        title = line(
            Span(self.outcome, STYLES[self.outcome]),
            f" · prediction {self.prediction_id} of {self.event_time:%Y-%m-%d %H:%M} UTC cannot be traced",
        )
        possible = tuple(leaf(str(item)) for item in self.commits)
        below = [Outline((line(Span("it may be of", "dim")),), possible)] if possible else []
        below += [leaf(Span(f"{item.table}: {item}", "dim")) for item in self.removals]
        return Outline((title, line(Span(self.why, "dim"))), (*marked(self.findings), *below))

    def __str__(self) -> str:
        return str(self.outline())


def lost_prediction(lake: Lake, prediction_id: str, why: str, store: LineageStore | None) -> LostPrediction | None:
    """What is known of a prediction that cannot be traced for a reason (`why`); None where nothing is missing and nothing was
    changed that may have held it: there is no such prediction. Raises AssayError for what is no id."""
    wanted = prediction_id.strip().lower()
    moment = uuid7_time(wanted)
    day = f"{moment:%Y-%m-%d}"
    stored = _stored(store, day)
    try:  # it may be there, and only the way from it is not
        row = find_prediction(lake, wanted)
    except NoPrediction:
        row, tables = None, {item.table for item in stored if not _stands(lake, item)}
    except AssayError:
        row, tables = None, _all_tables(lake, stored)
    else:
        tables = {row.table}
    findings: list[Finding] = []
    commits: dict[tuple[str, int], PossibleCommit] = {}
    for table in sorted(tables):
        log, seals = replay_log(lake, table), _seals(lake, table)
        known = [
            item for item in stored if item.table == table and (log is None or log.table_id in ("", item.table_id))
        ]
        if log is None:
            last = f"; its last seal is that of version {seals[-1].version}" if seals else ""
            findings.append(Finding(table, None, f"the table is gone: nobody recorded its removal{last}"))
            own, on_way = [], {item.version for item in known}
        else:
            seals = [item for item in seals if log.table_id in ("", item.table_id)]
            own = _of_day(log, day)
            on_way = {entry.version for entry in own} | {item.version for item in known}
            on_way |= {item.version for item in seals if log.entry(item.version) is None}
            findings += check_log(lake, log, on_way, [(item.version, item.sha256) for item in known])
            findings += _files(lake, log, own)
            findings += _writer(log, row)
        for seal in (seal for seal in seals if seal.version in on_way):
            _note(commits, PossibleCommit(table, seal.version, rows=seal.rows), "its seal")
        for item in known:
            _note(commits, _as_stored(store, item), "the lineage store")
        for entry in (entry for entry in own if is_ours(entry)):
            _note(commits, _as_committed(table, entry), "its commit")
    wrong = tuple(dict.fromkeys(item for item in findings if item.ok is not True))
    if not any(item.required for item in wrong):
        return None
    removed = tuple(item for table in sorted(tables) for item in removals(lake.storage, table))
    found = tuple(commits[key] for key in sorted(commits))
    return LostPrediction(wanted, moment, why, wrong, found, removed)


def _stands(lake: Lake, item: Wrote) -> bool:
    """Whether a commit is as it was recorded."""
    try:
        return hashlib.sha256(lake.storage.get(commit_path(item.table, item.version))).hexdigest() == item.sha256
    except AssayError:
        return False


# -- who knows which commits -------------------------------------------------------------------------------------------


def _stored(store: LineageStore | None, day: str) -> list[Wrote]:
    """The versions of tables of predictions that the lineage store has of a day; none where it cannot be read."""
    try:
        return writes_below(store, Kind.PREDICTIONS.folder, day) if store else []
    except (SQLAlchemyError, sqlite3.Error):
        return []


def _all_tables(lake: Lake, stored: Iterable[Wrote]) -> set[str]:
    """The tables of predictions, also those that are gone and of which there are seals, or which the lineage store knows."""
    folder = Kind.PREDICTIONS.folder
    sealed = {path.removeprefix(f"{FOLDER}/").rsplit("/", 2)[0] for path in lake.storage.walk(f"{FOLDER}/{folder}")}
    return {*lake.tables(folder), *sealed, *(item.table for item in stored)}


def _seals(lake: Lake, table: str) -> list[Seal]:
    """The seals of a table and of those that had its name before, by version. One that is damaged is a finding about the log."""
    found: list[Seal] = []
    for path in lake.storage.walk(f"{FOLDER}/{table}"):
        _, table_id, name = path.rsplit("/", 2)
        try:
            seal = read_seal(lake.storage, table, table_id, int(name.removesuffix(".json")))
        except (AssayError, ValueError):
            continue
        found += [seal] if seal is not None else []
    return sorted(found, key=lambda seal: seal.version)


def _of_day(log: LogReplay, day: str) -> list[Entry]:
    """The commits that wrote rows of a day, or of a table without partitions."""
    return [entry for entry in log.entries if any((file.partition or day).startswith(day) for file in entry.added)]


def _note(commits: dict[tuple[str, int], PossibleCommit], new: PossibleCommit, by: str) -> None:
    """Take up what somebody knows of a commit; who is asked later knows better."""
    before = commits.get((new.table, new.version), PossibleCommit(new.table, new.version))
    values: dict[str, Any] = {
        name: value for name, value in asdict(new).items() if value not in (None, "", ()) and name != "by"
    }
    commits[new.table, new.version] = replace(before, **values, by=(*before.by, by))


def _as_stored(store: LineageStore | None, item: Wrote) -> PossibleCommit:
    run = store.run(item.run_id) if store else None
    uses = store.uses(item.run_id) if store else []
    reads = tuple(f"{use.table or use.name}@{use.version}" for use in uses if use.role == "input")
    return PossibleCommit(item.table, item.version, item.partition, None, item.run_id, run.job if run else "", reads)


def _as_committed(table: str, entry: Entry) -> PossibleCommit:
    commit = entry.commit
    assert commit is not None  # it names files
    reads = tuple(f"{item.snapshot.table}@{item.snapshot.version}" for item in commit.inputs if not item.lookup)
    run = commit.run_id or ""
    return PossibleCommit(table, entry.version, commit.partition or "", commit.rows, run, commit.asset or "", reads)


# -- what is wrong -----------------------------------------------------------------------------------------------------


def _files(lake: Lake, log: LogReplay, entries: Iterable[Entry]) -> Iterator[Finding]:
    """The data files of commits that are gone or damaged."""
    known = {path: str(item) for item in removals(lake.storage, log.table) for path in item.paths}
    for file in (file for entry in entries for file in entry.added):
        problem = file_problem(lake.storage, f"{log.table}/{file.path}")
        if problem == "gone":
            yield Finding(f"{log.table}/{file.path}", None, known.get(file.path, UNRECORDED))
        elif problem:
            yield Finding(f"{log.table}/{file.path}", False, problem)


def _writer(log: LogReplay, row: Prediction | None) -> Iterator[Finding]:
    """Who wrote the row that is there, if no run of Assay did."""
    if row is None or row.table != log.table:
        return
    entry = adder(log, row.file)
    if entry is not None and not is_ours(entry):
        detail = f"{maker(entry)} wrote the row, which names a run that no commit of the table is of"
        yield Finding(f"{log.table}@{entry.version}", False, detail)
