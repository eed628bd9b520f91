"""Evidence bundles: the provenance of a prediction in one zip file that is verified without Assay.

A bundle has the commits in question of every table in the trace, byte for byte, the contracts that they name, and readable
documents made from them: the trace, the runs with code and check results, the OpenLineage events. `verify.py` in it
(`assay.lineage.evidence.script`) recomputes the whole chain. The same prediction gives the same bytes.

Personal data stays in the lake. Of the prediction's row a bundle shows the columns that make its id, the model's outputs
(texts only as long as a label is), the version of its prompt, and numbers. The rest of the row (such as an explanation, or
the hits of a retrieval), and every row behind it, appears only as a salted digest:

    salt    HMAC-SHA256(key b"assay.evidence/1", the prediction's data file · the delivered files behind the rows by digest)
    digest  HMAC-SHA256(key salt, the row's digest in the form assay.row/1 as 64 hex characters), in hex

Only readers who have those files can test a value against a digest; once the files are erased, nobody can.
"""

import hashlib
import importlib.metadata
import io
import json
import sqlite3
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from assay.errors import AssayError
from assay.features.storage.log_entry import Entry as LogEntry
from assay.features.storage.seals import seal_path
from assay.features.storage.snapshot import Slice, Snapshot
from assay.features.tables.kinds import is_sealed
from assay.features.tables.lake import Lake
from assay.features.tables.log_replay import LogReplay
from assay.lineage.evidence.missing import Missing
from assay.lineage.evidence.prediction_document import answer_proof, data_file_of, prediction_document
from assay.lineage.evidence.rows_behind import digests_of_rows, rows_behind, salt_of
from assay.lineage.evidence.script import NAME, script
from assay.lineage.evidence.verifier.commits import parse_commit
from assay.lineage.evidence.verifier.container import SUMS
from assay.lineage.evidence.verifier.documents import FORMAT
from assay.lineage.evidence.verifier.findings import UNREADABLE, instant, sha256
from assay.lineage.predictions.prediction_log import EVENT_TIME
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.tracing.trace import Trace
from assay.lineage.verification.commits import Logs, check_gaps, versions_on_way
from assay.lineage.verification.compared import Compared
from assay.lineage.verification.files import contract_path
from assay.lineage.verification.log_walk import LogWalk
from assay.lineage.verification.logs_read import read_logs
from assay.lineage.verification.stored_row import check_stored_row
from assay.lineage.verification.witness import StoreWitness

_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest that zip files know


@dataclass(frozen=True)
class Bundle:
    """A bundle's files by name, SHA256SUMS among them, and what could not be put into it."""

    prediction_id: str
    files: Mapping[str, bytes]
    missing: tuple[Missing, ...]

    def to_bytes(self) -> bytes:
        """The zip file: always the same for the same files."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name in sorted(self.files):
                entry = zipfile.ZipInfo(name, _LONG_AGO)
                entry.create_system, entry.external_attr = 3, 0o644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, self.files[name])
        return buffer.getvalue()

    def write(self, path: str | Path) -> dict[str, Any]:
        """Write the zip file; what was written, with the digest that stands for all of it. Raises AssayError."""
        try:
            Path(path).write_bytes(self.to_bytes())
        except OSError as problem:
            raise AssayError(f"{path} cannot be written ({problem.strerror}): choose another place.") from None
        sums = hashlib.sha256(self.files[SUMS]).hexdigest()
        missing = [item.to_dict() for item in self.missing]
        return {"path": str(path), "sha256": sums, "files": len(self.files), "missing": missing}


def export(
    lake: Lake,
    trace: Trace,
    store: LineageStore | None = None,
    *,
    withhold: Sequence[str] = (),
    whole_logs: bool = False,
    compared: Compared | None = None,
) -> Bundle:
    """Export the evidence for a trace. Events come from `store`.

    Of each table it has the commits that the prediction rests on, and the few that vouch for them (see
    `assay.lineage.verification.way_back`); with `whole_logs`, and where the few do not prove it, all of them up to the newest
    version that was read. `compared`: which checkpoints were compared before.

    `withhold` names columns that are personal (an e-mail address, say): they appear as salted digests too. Where one is a
    key, nobody can check with the bundle alone that the prediction's id follows from its row.

    Raises AssayError when the prediction's own data file is gone, or for a column that the prediction does not have.
    """
    trace = trace.with_lookups
    unknown = sorted(set(withhold) - set(trace.prediction.frame.columns))
    if unknown:
        raise AssayError(
            f"The prediction has no columns {unknown} to withhold: see `assay trace {trace.prediction_id}`."
        )
    read = read_logs(lake, trace, StoreWitness(store) if store else None, compared or Compared(), whole_logs=whole_logs)
    logs = read.logs
    commits, missing = _commits(lake, trace, logs)
    files = {entry.name: entry.content for entry in commits}
    rows, gone = rows_behind(lake, trace)
    missing += gone
    data_file, content = data_file_of(lake, trace, logs)
    salt, gone = salt_of(lake, trace, content, rows)
    missing += gone
    digests, gone = digests_of_rows(lake, trace, logs, rows, salt)
    missing += gone
    claims = _claims(trace, commits)
    contracts, gone = _contracts(lake, trace)
    missing += gone
    # A commit that was changed since it was traced may name no run any more.
    events, silent = _events(store, sorted({claim["run_id"] for claim in claims if claim["run_id"]}))
    missing += silent
    recorded, silent = _recorded(store, logs, commits)
    missing += silent
    log = logs[trace.root.table]
    answer = answer_proof(lake, trace, log, withhold)
    seen = [*check_stored_row(lake, trace, log), *read.readers]
    documents = {
        "manifest.json": _manifest(trace, logs, commits, missing),
        "prediction.json": prediction_document(trace, log, data_file, salt, withhold, answer),
        "trace.json": _trace(trace, commits),
        "slices.json": _slices(trace, logs),
        "runs.json": claims,
        "rows.json": [row.to_dict() | {"digests": digests.get(row, {})} for row in rows] if salt else [],
        # What only the lake can show: nothing else of the bundle is about rows, or about what readers of the tables see.
        "lake.json": [finding.to_dict() for finding in seen],
        "lineage.json": recorded,
    }
    files |= (
        contracts
        | events
        | _seals(lake, trace, logs, commits)
        | {name: _json(value) for name, value in documents.items()}
    )
    files[NAME] = script()
    sums = "".join(f"{sha256(files[name])}  {name}\n" for name in sorted(files))
    return Bundle(trace.prediction_id, files | {SUMS: sums.encode()}, tuple(missing))


def _json(value: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """A line an entry, so that people can read and compare it. With `indent`, Python would not take its quick encoder."""
    encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode
    if isinstance(value, Mapping):
        lines = [f"{encode(name)}: {encode(entry)}" for name, entry in sorted(value.items())]
        return "\n".join(["{", ",\n".join(lines), "}", ""]).encode()
    return "\n".join(["[", ",\n".join(map(encode, value)), "]", ""]).encode()


# -- commits -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    table: str
    version: int
    content: bytes

    @property
    def name(self) -> str:
        return f"lake/{self.table}/_delta_log/{self.version:020d}.json"


def _commits(lake: Lake, trace: Trace, logs: Logs) -> tuple[list[_Entry], list[Missing]]:
    """Of each table the commits in question, and those on a way to them from the newest version that was read, for which its
    readers vouch; all up to that version where the whole log was read. What came later is not needed: the same evidence has the
    same bytes."""
    entries: list[_Entry] = []
    missing: dict[Missing, None] = {}
    for table, log in logs.items():
        nodes = [node for node in trace.nodes if node.table == table]
        read = {item.snapshot for node in nodes for item in node.slices}
        same = {item for item in read if log is not None and _is_that(log, item)}
        for item in sorted(read - same, key=lambda item: item.version):
            missing[Missing(str(item), "erased: the table was deleted or made anew")] = None
        if log is None or not same:
            continue
        newest = max(item.version for item in same)
        on_way = versions_on_way(log, nodes)
        if isinstance(log, LogWalk):
            versions = log.way(newest, on_way)
        else:
            missing |= {Missing(finding.what, finding.detail): None for finding in check_gaps(log, on_way)}
            versions = [entry.version for entry in log.entries if entry.version <= newest]
        kept = [entry for version in sorted(versions) if (entry := log.entry(version)) is not None]
        kept += _vouching(lake, trace, log) if table == trace.root.table else []
        entries += [_Entry(table, entry.version, lake.storage.get(entry.path)) for entry in kept]
    return entries, list(missing)


def _is_that(log: LogReplay | LogWalk, read: Snapshot) -> bool:
    """Whether a log is that of the table that was read, as far as anybody knows: the commit that named it may be gone."""
    return "" in (log.table_id, read.table_id) or log.table_id == read.table_id


def _vouching(lake: Lake, trace: Trace, log: LogReplay | LogWalk) -> list[LogEntry]:
    """The first later commits of the table of predictions, up to one that vouches for the prediction's own; none where that has a
    seal, so that the same evidence has the same bytes as long as everything is there."""
    newest = max(commit.version for commit in trace.root.commits)
    if lake.storage.size(seal_path(log.table, log.table_id, newest)) is not None:
        return []
    found: list[LogEntry] = []
    later = (log.entry(version) for version in range(newest + 1, log.latest + 1))
    for entry in (entry for entry in later if entry is not None):
        found.append(entry)
        if entry.commit is not None and str(newest) in entry.commit.previous:
            return found
    return []


def _seals(lake: Lake, trace: Trace, logs: Logs, entries: Sequence[_Entry]) -> dict[str, bytes]:
    """The seals of the commits in the trace, and of what the bundle has of the table of predictions, byte for byte."""
    wanted = {(node.table, version) for node in trace.nodes for version in node.versions_read}
    wanted |= {(commit.table, commit.version) for node in trace.nodes for commit in node.commits}
    wanted |= {(entry.table, entry.version) for entry in entries if entry.table == trace.root.table}
    found: dict[str, bytes] = {}
    for table, version in sorted(wanted):
        log = logs[table]
        if log is not None and is_sealed(table):
            path = seal_path(table, log.table_id, version)
            if lake.storage.size(path) is not None:
                found[f"lake/{path}"] = lake.storage.get(path)
    return found


def _contracts(lake: Lake, trace: Trace) -> tuple[dict[str, bytes], list[Missing]]:
    """The contracts by which rows on the way were judged, as the lake keeps them: which rules these were. Commits from before
    their format had a number are older than the keeping."""
    found: dict[str, bytes] = {}
    missing: dict[str, Missing] = {}
    for commit in (commit for node in trace.nodes for commit in node.commits if (commit.contract or {}).get("digest")):
        path = contract_path(str((commit.contract or {})["digest"]))
        if lake.storage.size(path) is not None:
            found[f"lake/{path}"] = lake.storage.get(path)
        elif commit.format or path not in missing:
            text = "the contract that commits name is not kept: nobody recorded its removal"
            missing[path] = Missing(path, text, required=commit.format > 0)
    return found, list(missing.values())


def _recorded(
    store: LineageStore | None, logs: Logs, entries: Sequence[_Entry]
) -> tuple[list[dict[str, Any]], list[Missing]]:
    """What the index of the lineage store has of every commit in the bundle: its SHA-256, or None."""
    ids = {table: log.table_id for table, log in logs.items() if log is not None}
    wanted: dict[str, list[int]] = {}
    for entry in entries:
        wanted.setdefault(ids[entry.table], []).append(entry.version)
    known: dict[tuple[str, int], str] = {}
    missing: list[Missing] = []
    try:
        known = {(table_id, version): sha256 for table_id, version, sha256 in store.commits_of(wanted)} if store else {}
    except (SQLAlchemyError, sqlite3.Error) as problem:
        why = f"the lineage store cannot be read ({type(problem).__name__})"
        missing = [Missing("lineage.json", why, required=False)]
    places = sorted((entry.table, entry.version) for entry in entries)
    rows = [{"table": t, "version": v, "sha256": known.get((ids[t], v))} for t, v in places]
    return rows, missing


def _claims(trace: Trace, entries: Iterable[_Entry]) -> list[dict[str, Any]]:
    """Run, code, contract and check results of every commit in the trace that can (still) be read."""
    traced = {(commit.table, commit.version) for node in trace.nodes for commit in node.commits}
    claims: list[dict[str, Any]] = []
    for entry in (entry for entry in entries if (entry.table, entry.version) in traced):
        with suppress(*UNREADABLE):
            claims.append(parse_commit(entry.table, entry.version, entry.content).claim())
    return claims


def _events(store: LineageStore | None, runs: Sequence[str]) -> tuple[dict[str, bytes], list[Missing]]:
    """Each run's events, one a line."""
    files: dict[str, bytes] = {}
    for run in runs:
        try:
            stored = store.events(run) if store else []
        except (SQLAlchemyError, sqlite3.Error) as problem:
            return {}, [
                Missing("events", f"the lineage store cannot be read ({type(problem).__name__})", required=False)
            ]
        # Line breaks in JSON can only be white space between its parts.
        events = [item.body.replace(b"\r", b" ").replace(b"\n", b" ") for item in stored]
        if events:
            files[f"events/{run}.ndjson"] = b"".join(event + b"\n" for event in events)
    silent = [run for run in runs if f"events/{run}.ndjson" not in files]
    if not silent:
        return files, []
    why = f"the lineage store has none for {len(silent)} of {len(runs)} runs: {', '.join(silent)}"
    return files, [Missing("events", why, required=False)]


# -- what people read --------------------------------------------------------------------------------------------------


def _trace(trace: Trace, entries: Sequence[_Entry]) -> dict[str, Any]:
    """The trace, each node once, its inputs by id, its commits by version (runs.json has what they say). The prediction's
    row is in prediction.json."""
    there = {(entry.table, entry.version) for entry in entries}
    nodes: dict[str, dict[str, Any]] = {}
    for node in trace.nodes:
        inputs = [item.id for item in node.inputs]
        if node.id in nodes:  # the same reading, met once below a lookup and once not
            inputs = list(dict.fromkeys([*nodes[node.id]["inputs"], *inputs]))
        nodes[node.id] = {
            "id": node.id,
            "kind": node.kind,
            "name": node.name,
            "table": node.table,
            "reference": node.lookup,
            "status": node.status,
            "slices": [_slice(item, files=node is not trace.root) for item in node.slices],
            "commits": [commit.version for commit in node.commits if (node.table, commit.version) in there],
            "inputs": inputs,
            "details": {} if node.kind == "prediction" else dict(node.details),
        }
    files = [item.to_dict() for item in trace.files()]
    return {"prediction_id": trace.prediction_id, "root": trace.root.id, "nodes": list(nodes.values()), "files": files}


def _slices(trace: Trace, logs: Logs) -> dict[str, Any]:
    """Which commits the bundle has. Where these are those in question only, the files of every read in the trace: that they are
    these, their digest shows, which the reader's commit carries."""
    files: dict[str, dict[str, Any]] = {}
    for node in (node for node in trace.nodes if node is not trace.root):
        log = logs[node.table]
        for item in node.slices if isinstance(log, LogWalk) else ():
            if item.names_its_files and log is not None and log.table_id == item.snapshot.table_id:
                about = _slice(item, files=False)
                named = {name: about[name] for name in ("table", "version", "partitions", "except") if name in about}
                held = log.files(item.snapshot.version, item.partitions, item.excluded)
                files[json.dumps(named)] = named | {"paths": [file.path for file in held]}
    few = any(isinstance(log, LogWalk) for log in logs.values())
    return {"commits": "in question" if few else "all", "files": [files[key] for key in sorted(files)]}


def _slice(item: Slice, *, files: bool) -> dict[str, Any]:
    """Without the digest of its `files` where the bundle does not have the commits from which they follow."""
    left_out = {"uri"} if files else {"uri", "digest", "writers", "set_digest"}
    return {name: value for name, value in item.to_dict().items() if name not in left_out}


def _manifest(trace: Trace, logs: Logs, entries: Sequence[_Entry], missing: Sequence[Missing]) -> dict[str, Any]:
    """What the bundle is about. It has no date of its own, so that the same evidence has the same bytes."""
    frame, commit = trace.prediction.frame, trace.root.commits[-1]
    described = commit.predictions
    tables: dict[str, dict[str, Any]] = {}
    for entry in entries:
        log = logs[entry.table]
        about = tables.setdefault(entry.table, {"table_id": log.table_id if log else "", "versions": []})
        about["versions"].append(entry.version)
    delivered = [{"path": f.path, "sha256": f.sha256, "rows": f.rows} for f in trace.files(lookups=True)]
    return {
        "format": FORMAT,
        "prediction_id": trace.prediction_id,
        "model": described.model if described else trace.prediction.model,
        "model_version": described.version if described else "",
        "event_time": instant(frame[EVENT_TIME].to_physical()[0]),
        "predicted_at": instant(round(commit.timestamp.timestamp() * 1000) * 1000),
        "run_id": commit.run_id,
        "assay": importlib.metadata.version("assay"),
        "tables": tables,
        "delivered": delivered,
        "missing": [item.to_dict() for item in missing],
    }
