"""The prediction's row is the one that its run wrote: in a file of its run's commit, or the same in another one."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
from deltalake.exceptions import DeltaError

from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.log_entry import Entry
from assay.features.tables.lake import Lake
from assay.features.tables.log_replay import LogReplay, replay_log
from assay.lineage.predictions import attachments, merkle
from assay.lineage.predictions.answers import answer_leaves
from assay.lineage.predictions.find_prediction import ID, UNREADABLE, copies_of, file_problem, is_copy
from assay.lineage.predictions.prediction_log import prediction_ids
from assay.lineage.tracing.trace import Trace
from assay.lineage.verification.finding import Finding
from assay.lineage.verification.log_walk import LogWalk

ROW = "prediction row"


def check_stored_row(lake: Lake, trace: Trace, log: LogReplay | LogWalk | None) -> Iterator[Finding]:
    """The row is there, once, as the commit of its run wrote it; its id follows from its content, and it names the inputs that
    its commit read."""
    yield from _where(lake, trace, log)
    yield from _columns_now(trace, log)
    yield from _copies(lake, trace)
    yield from _content(trace)


def _where(lake: Lake, trace: Trace, log: LogReplay | LogWalk | None) -> Iterator[Finding]:
    prediction = trace.prediction
    if log is None:
        return
    if prediction.removed_at is not None:
        entry = log.entry(prediction.removed_at)
        yield Finding(
            f"{log.table}@{prediction.removed_at}",
            None if entry is not None and is_ours(entry) else False,
            f"removed the prediction: {maker(entry)} took its row away",
        )
    own = [commit for commit in trace.root.commits if commit.run_id == prediction.row["run_id"]]
    files = [file for commit in own for file in _added(log, commit.version)]
    if not own:
        yield Finding(ROW, False, "names a run that did not write it")
    elif prediction.file in files:
        yield Finding(ROW, True, "lies in a file that its run's commit added")
        yield from _again(lake, trace, log, own[-1])
    else:
        yield _moved(lake, trace, log, own, files)


def _again(lake: Lake, trace: Trace, log: LogReplay | LogWalk, own: Commit) -> Iterator[Finding]:
    """What a later commit that names the file again says of it: another partition, or that rows of it are deleted."""
    prediction = trace.prediction
    if isinstance(log, LogWalk):
        number = log.index.adders(log.latest, [prediction.file]).get(prediction.file)
        entry = log.entry(number) if number is not None else None
    else:
        entry = adder(log, prediction.file)
    if entry is None or entry.version == own.version:
        return
    name, by = f"{log.table}@{entry.version}", maker(entry)
    if own.partition is not None and prediction.partition != own.partition:
        yield Finding(name, False, f"moved the prediction to partition {prediction.partition}: {by} put its file there")
    if prediction.file not in entry.hidden:
        return
    try:
        opened = lake.table(log.table).opened()
        left = pl.scan_delta(opened).filter(pl.col(ID) == trace.prediction_id).collect().height
    except (AssayError, DeltaError, *UNREADABLE):
        yield Finding(name, None, f"may have removed the prediction: {by} put a deletion vector on its file")
        return
    if left:
        yield Finding(name, None, f"{by} took other rows of its file away by a deletion vector", required=False)
    else:
        yield Finding(name, False, f"removed the prediction: {by} took its row away by a deletion vector")


def _columns_now(trace: Trace, log: LogReplay | LogWalk | None) -> Iterator[Finding]:
    """Readers of the latest version still see every column that the run wrote, and as it wrote it."""
    version = trace.root.commits[-1].version
    if log is None or log.missing or log.damaged or version > log.latest:
        return
    written = _columns(log.metadata(version))
    if not _lost(written, log.metadata(log.latest)):
        return
    for entry in log.replayed().entries:
        lost = _lost(written, entry.metadata) if entry.version > version and entry.metadata else []
        if lost:
            what = f"{maker(entry)} took columns away or made them others ({', '.join(lost)})"
            yield Finding(f"{log.table}@{entry.version}", False, f"changed what readers see of the prediction: {what}")
            return


def _columns(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """By name what a `metaData` says of each column: its type, and under which name files have it."""
    fields = json.loads(metadata["schemaString"])["fields"] if metadata else ()
    mapped = ((metadata or {}).get("configuration") or {}).get("delta.columnMapping.mode", "none")
    return {
        field["name"]: [field["type"], mapped, field.get("metadata") if mapped != "none" else None] for field in fields
    }


def _lost(written: Mapping[str, Any], metadata: Mapping[str, Any] | None) -> list[str]:
    now = _columns(metadata)
    return [name for name, column in written.items() if now.get(name) != column]


def _moved(lake: Lake, trace: Trace, log: LogReplay | LogWalk, own: Sequence[Commit], files: Sequence[str]) -> Finding:
    """The row lies in a file that somebody else wrote. It may be the same row: tables are compacted, and rewritten where a
    neighbour changes."""
    prediction = trace.prediction
    entry = adder(log.replayed(), prediction.file)
    name, by = f"{log.table}@{entry.version}" if entry else log.table, maker(entry)
    original = _original(lake, log.table, files, trace.prediction_id)
    if original is not None:
        if original.is_empty():
            return Finding(
                name, False, f"made the prediction up: {by} wrote its row, and the run that it names did not"
            )
        changed = _differing(original, prediction.frame)
        if changed:
            return Finding(name, False, f"changed the prediction: {by} rewrote its row ({', '.join(changed)})")
        return Finding(ROW, True, f"was moved to another file by {by} ({name}), unchanged")
    described = own[-1].predictions
    if described is None or not described.answers:
        return Finding(ROW, None, f"was rewritten by {by} ({name}), and the file that its run wrote is gone")
    ours = lake.table(log.table).at().scan([prediction.partition]).filter(pl.col("run_id") == own[-1].run_id)
    leaves = answer_leaves(ours.select(described.answered).collect(), described.answered)
    if merkle.root(leaves).hex() != described.answers:
        return Finding(name, False, f"changed the answers: {by} rewrote rows of run {own[-1].run_id}")
    return Finding(ROW, True, f"was moved to another file by {by} ({name}), with the answer that its commit carries")


def _original(lake: Lake, table: str, files: Sequence[str], prediction_id: str) -> pl.DataFrame | None:
    """The row as its run wrote it; no row where that run did not write it; None where its files are gone or damaged."""
    found: list[pl.DataFrame] = []
    for path in files:
        if file_problem(lake.storage, f"{table}/{path}"):
            return None
        try:
            rows = pl.read_parquet(io.BytesIO(lake.storage.get(f"{table}/{path}")))
        except (AssayError, *UNREADABLE):
            return None
        found.append(rows.filter(pl.col(ID) == prediction_id))
    held = [rows for rows in found if rows.height]
    return held[0] if held else pl.DataFrame(schema={ID: pl.String})


def _differing(original: pl.DataFrame, now: pl.DataFrame) -> list[str]:
    """The columns whose value is another one now."""
    names = dict.fromkeys([*original.columns, *now.columns])
    return [name for name in names if _value(original, name) != _value(now, name)]


def _value(rows: pl.DataFrame, name: str) -> object:
    if name not in rows.columns:  # a column that came later, or went
        return None
    value = rows[name][0]
    return value.to_list() if isinstance(value, pl.Series) else value


def _copies(lake: Lake, trace: Trace) -> Iterator[Finding]:
    """No other row has the prediction's id."""
    found = copies_of(lake, trace.prediction_id)
    if len(found) < 2:
        return
    copies = set[str]()
    for table, file in dict.fromkeys(found):
        entry = adder(replay_log(lake, table), file)
        if entry is not None and is_copy(table, entry.commit):
            copies.add(table)
            yield Finding(
                table, False, f"is a copy of predictions of another model: {maker(entry)} did not write there"
            )
            continue
        if entry is None or not is_ours(entry):
            where = f"{table}@{entry.version}" if entry else table
            yield Finding(where, False, f"wrote the prediction again: {maker(entry)} added a row with its id")
    where = ", ".join(sorted({f"{table}/{file}" for table, file in found if table in copies or not copies}))
    yield Finding("prediction id", False, f"{len(found)} rows have it, in {where}")


def adder(log: LogReplay | None, path: str) -> Entry | None:
    """The last commit that added a data file."""
    entries = reversed(log.entries) if log else ()
    return next((entry for entry in entries if any(file.path == path for file in entry.added)), None)


def _content(trace: Trace) -> Iterator[Finding]:
    frame, commit = trace.prediction.frame, trace.root.commits[-1]
    described = commit.predictions
    if described is None:
        yield Finding(
            "prediction id", None, "its commit does not record which columns it was made from", required=False
        )
        return
    made = prediction_ids(described.model, described.version, frame, described.keys)[0]
    same = made == frame[ID][0] and described.version == frame["model_version"][0]
    yield Finding("prediction id", same, "follows from the row" if same else "does not follow from the row's content")
    read = {(i.snapshot.table, i.snapshot.version, i.snapshot.commit_sha256) for i in commit.inputs if not i.lookup}
    named = {(item["table"], item["version"], item["commit_sha256"]) for item in frame["inputs"][0]}
    named |= {(item.table, item.version, item.commit_sha256) for item in attachments.searched(frame)}
    same = named == read
    yield Finding("prediction inputs", same, "are what its run read" if same else "are not what its run read")


def _added(log: LogReplay | LogWalk, version: int) -> list[str]:
    entry = log.entry(version)
    return [file.path for file in entry.added] if entry else []


def is_ours(entry: Entry) -> bool:
    return entry.commit is not None and entry.commit.run_id is not None


def maker(entry: Entry | None) -> str:
    """Who made a commit, in words."""
    if entry is None or entry.commit is None:
        return "an unknown commit"
    if entry.commit.run_id:
        return f"run {entry.commit.run_id}"
    return f"{entry.commit.operation or 'a commit'} by another tool, no run of Assay,"
