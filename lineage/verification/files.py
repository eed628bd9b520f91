"""The files that a trace rests on have the bytes that were recorded: data files, delivered files as kept, contracts."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from assay.errors import AssayError
from assay.features.retention.removals import removals
from assay.features.storage.commit_metadata import SourceFile
from assay.features.storage.log_entry import Entry
from assay.features.storage.parquet_files import file_sha256
from assay.features.tables.lake import Lake
from assay.features.tables.log_replay import LogReplay
from assay.lineage.predictions.find_prediction import file_problem
from assay.lineage.tracing.trace import Trace
from assay.lineage.verification.commits import holds
from assay.lineage.verification.finding import Finding, summed
from assay.lineage.verification.log_walk import LogWalk
from assay.lineage.verification.reader_view import files_of_slice

Progress = Callable[[str, int, int], None]  # (what, done, total)
UNRECORDED = "missing: nobody recorded its removal"


def check_data_files(
    lake: Lake, trace: Trace, logs: Mapping[str, LogReplay | LogWalk | None], progress: Progress
) -> Iterator[Finding]:
    """Every data file that was read has the bytes that its name promises."""
    wanted = {table: data_files(lake, trace, table, log) for table, log in logs.items()}
    total, done = sum(map(len, wanted.values())), 0
    for table, paths in wanted.items():
        problems, removed, log = [], None, logs[table]
        # What another tool put into files of ours is looked at by `check_moved_rows`, row by row.
        unnamed = [path for path in paths if file_sha256(path) is None] if log is None or not log.commits else []
        if unnamed:
            detail = f"{len(unnamed)} whose names promise no digest: whether they are what was read is not known"
            problems.append(Finding(f"{table}: data files", None, detail))
        for path in paths:
            progress("hashing data files", done, total)
            done += 1
            problem = file_problem(lake.storage, f"{table}/{path}")
            if problem == "gone":
                removed = removed if removed is not None else _removed(lake, table, log.replayed() if log else None)
                problems.append(Finding(f"{table}/{path}", None, removed.get(path, UNRECORDED)))
            elif problem:
                problems.append(Finding(f"{table}/{path}", False, problem))
        named = sum(file_sha256(path) is not None for path in paths)
        yield from summed(f"{table}: data files", named, problems)
    progress("hashing data files", total, total)


def data_files(lake: Lake, trace: Trace, table: str, log: LogReplay | LogWalk | None) -> list[str]:
    """The data files of a table that were read for a trace, relative to the table."""
    found: dict[str, None] = {}
    for item in (item for node in trace.nodes if node.table == table for item in node.slices):
        if log is None or log.table_id != item.snapshot.table_id:
            continue
        if log.is_whole(item.snapshot.version) or holds(log, item):
            files = log.files(item.snapshot.version, item.partitions, item.excluded)
            found |= {file.path: None for file in files}
        else:
            try:
                found |= dict.fromkeys(files_of_slice(lake, item))
            except AssayError:  # a finding about the commits
                continue
    return list(found)


def _removed(lake: Lake, table: str, log: LogReplay | None) -> dict[str, str]:
    """By path, what is recorded of the removal of a table's files: by our own vacuum, or in the log by that of another tool."""
    known = {path: str(item) for item in removals(lake.storage, table) for path in item.paths}
    vacuums = [entry for entry in (log.entries if log else ()) if _is_vacuum(entry)]
    for life in log.lives() if log and vacuums else ():
        later = next((entry for entry in vacuums if life.end is not None and entry.version >= life.end), None)
        if later is not None and later.commit is not None:
            text = f"vacuumed by another tool, as {table}@{later.version} of {later.commit.timestamp:%Y-%m-%d} says"
            known.setdefault(life.file.path, text)
    return known


def _is_vacuum(entry: Entry) -> bool:
    return entry.commit is not None and entry.commit.operation == "VACUUM END"


def check_kept_files(lake: Lake, trace: Trace, progress: Progress) -> Iterator[Finding]:
    """The lake's copies of the delivered files have the digests that their rows carry."""
    files = trace.files(lookups=True)
    problems = []
    for number, item in enumerate(files):
        progress("hashing kept files", number, len(files))
        if not item.kept:
            problems.append(Finding(item.path, None, "its bytes were not kept", required=False))
            continue
        try:
            found = hashlib.sha256(lake.storage.get(item.kept)).hexdigest()
        except AssayError:
            problems.append(Finding(item.path, None, f"{item.kept} is {UNRECORDED}"))
            continue
        if found != item.sha256:
            problems.append(Finding(item.path, False, f"{item.kept} is damaged: SHA-256 {found}"))
    progress("hashing kept files", len(files), len(files))
    yield from summed("delivered files, as kept", len(files), problems)


def contract_path(digest: str) -> str:
    """Where the lake keeps the declaration of a contract."""
    return f"_contracts/{digest}.json"


def check_contracts(lake: Lake, trace: Trace) -> Iterator[Finding]:
    """The declarations of the contracts that judged the rows are those that the commits name. Where one is gone, nobody can say
    any more by which rules they were judged. Commits from before their format had a number are older than the keeping."""
    named: dict[str, bool] = {}  # digest: whether it was kept when the commit was made
    for commit in (commit for node in trace.nodes for commit in node.commits if (commit.contract or {}).get("digest")):
        digest = str((commit.contract or {})["digest"])
        named[digest] = named.get(digest, False) or commit.format > 0
    problems, count = [], 0
    for digest, kept in sorted(named.items()):
        path = contract_path(digest)
        if lake.storage.size(path) is None:
            problems += [Finding(path, None, f"the contract that commits name is {UNRECORDED}")] if kept else []
            continue
        count += 1
        if hashlib.sha256(lake.storage.get(path)).hexdigest() != digest:
            problems.append(Finding(path, False, "was changed: it is not the contract that the commits name"))
    if named:
        yield from summed("contracts, as kept", count, problems)


def check_delivered(trace: Trace, landing: Path) -> Iterator[Finding]:
    """Files that were changed where they were delivered decide nothing: the lake keeps what was read."""
    counts = {"same": 0, "changed": 0, "gone": 0, "in an object store": 0}
    for item in trace.files(lookups=True):
        state = as_delivered(landing, item)
        counts[state] += 1
        if state == "changed":
            yield Finding(
                item.path, None, "was changed where it was delivered; the lake has the original", required=False
            )
    detail = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    yield Finding("delivered files, in the landing folder", None, detail or "none", required=False)


def as_delivered(landing: Path, item: SourceFile) -> Literal["same", "changed", "gone", "in an object store"]:
    """What became of a file where it was delivered."""
    path = landing / item.path.removeprefix("file://")
    if "://" in str(item.path) and not item.path.startswith("file://"):
        return "in an object store"
    if not path.is_file():
        return "gone"
    return "same" if hashlib.sha256(path.read_bytes()).hexdigest() == item.sha256 else "changed"
