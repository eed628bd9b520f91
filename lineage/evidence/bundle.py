"""Evidence bundles: the provenance of a prediction in one zip file that is verified without Assay.

A bundle has the commits of every table in the trace, byte for byte, and readable documents made from them: the trace, the
runs with code, contracts and check results, the OpenLineage events. `verify.py` in it (`assay.lineage.evidence.verify`)
recomputes the whole chain. The same prediction gives the same bytes.

Personal data stays in the lake. Of the prediction's row a bundle shows the columns that make its id, the model's outputs
(texts only as long as a label is), the version of its prompt, and numbers. The rest of the row (such as an explanation, or
the hits of a retrieval), and every row behind it, appears only as a salted digest:

    salt    HMAC-SHA256(key b"assay.evidence/1", the prediction's data file · the delivered files behind the rows by digest)
    digest  HMAC-SHA256(key salt, the row's digest in the form assay.row/1 as 64 hex characters), in hex

Only readers who have those files can test a value against a digest; once the files are erased, nobody can.
"""

import hashlib
import hmac
import importlib.metadata
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from assay.errors import AssayError
from assay.features.storage.sections import Predictions
from assay.features.storage.snapshot import Slice
from assay.features.tables.digest import row_digests
from assay.features.tables.lake import Lake
from assay.features.tables.log_replay import LogReplay, replay_log
from assay.lineage.evidence import verify as evidence_verify
from assay.lineage.predictions.attachments import PROMPT
from assay.lineage.predictions.find_prediction import ID, UNREADABLE
from assay.lineage.predictions.outputs import labels_of, outputs_of
from assay.lineage.predictions.prediction_log import DIGEST, EVENT_TIME
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.tracing.row_provenance import LINKS, SourceRow, source_rows
from assay.lineage.tracing.trace import Trace

_LABEL = 64  # characters: longer texts among the outputs are answers in prose, and appear as digests
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest that zip files know


@dataclass(frozen=True, slots=True)
class Missing:
    """A part that could not be exported, and why. Without a `required` part the bundle cannot be verified completely."""

    what: str
    why: str
    required: bool = True

    def to_dict(self) -> dict[str, Any]:
        return {"what": self.what, "why": self.why, "required": self.required}


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
        sums = hashlib.sha256(self.files[evidence_verify.SUMS]).hexdigest()
        missing = [item.to_dict() for item in self.missing]
        return {"path": str(path), "sha256": sums, "files": len(self.files), "missing": missing}


def export(lake: Lake, trace: Trace, store: LineageStore | None = None, *, withhold: Sequence[str] = ()) -> Bundle:
    """Export the evidence for a trace. Events come from `store`.

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
    logs = {table: replay_log(lake, table) for table in sorted({node.table for node in trace.nodes})}
    commits, missing = _commits(lake, trace, logs)
    files = {entry.name: entry.content for entry in commits}
    rows, gone = _rows(lake, trace)
    missing += gone
    data_file, content = _data_file(lake, trace, logs)
    salt, gone = _salt(lake, trace, content, rows)
    missing += gone
    digests, gone = _row_digests(lake, trace, logs, rows, salt)
    missing += gone
    claims = _claims(trace, commits)
    events, silent = _events(store, sorted({claim["run_id"] for claim in claims}))
    missing += silent
    documents = {
        "manifest.json": _manifest(trace, logs, commits, missing),
        "prediction.json": _prediction(trace, data_file, salt, withhold),
        "trace.json": _trace(trace, commits),
        "runs.json": claims,
        "rows.json": [row.to_dict() | {"digests": digests.get(row, {})} for row in rows] if salt else [],
    }
    files |= events | {name: _json(value) for name, value in documents.items()}
    files["verify.py"] = Path(evidence_verify.__file__).read_bytes()
    sums = "".join(f"{evidence_verify.sha256(files[name])}  {name}\n" for name in sorted(files))
    return Bundle(trace.prediction_id, files | {evidence_verify.SUMS: sums.encode()}, tuple(missing))


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"


def _why(problem: BaseException) -> str:
    """The problem without text of Polars, which may quote cells."""
    return str(problem) if isinstance(problem, AssayError) else f"cannot be read ({type(problem).__name__})"


# -- commits -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    table: str
    version: int
    content: bytes

    @property
    def name(self) -> str:
        return f"lake/{self.table}/_delta_log/{self.version:020d}.json"


def _commits(lake: Lake, trace: Trace, logs: Mapping[str, LogReplay | None]) -> tuple[list[_Entry], list[Missing]]:
    """The log of every table up to the newest version that was read: the files of a version follow only from the whole log.

    Of the log of predictions, which grows with every batch, the prediction's own commits and those they vouch for suffice:
    predictions are read only to find out whether an id is there already.
    """
    entries: list[_Entry] = []
    missing: dict[Missing, None] = {}
    for table, log in logs.items():
        nodes = [node for node in trace.nodes if node.table == table]
        read = {item.snapshot for node in nodes for item in node.slices}
        same = {item for item in read if log is not None and item.table_id == log.table_id}
        for item in sorted(read - same, key=lambda item: item.version):
            missing[Missing(str(item), "erased: the table was deleted or made anew")] = None
        if log is None or not same:
            continue
        if log.entries[0].version > 0:
            missing[Missing(table, f"its log begins at version {log.entries[0].version}")] = None
        newest = max(item.version for item in same)
        kept = [entry for entry in log.entries if entry.version <= newest]
        if all(node is trace.root or (node.lookup and table == trace.root.table) for node in nodes):
            own = {number for c in trace.root.commits for number in (c.version, *map(int, c.previous))}
            kept = [entry for entry in kept if entry.version in own or entry.table_id]
        entries += [_Entry(table, entry.version, lake.storage.get(entry.path)) for entry in kept]
    return entries, list(missing)


def _claims(trace: Trace, entries: Iterable[_Entry]) -> list[dict[str, Any]]:
    """Run, code, contract and check results of every commit in the trace."""
    traced = {(commit.table, commit.version) for node in trace.nodes for commit in node.commits}
    parsed = evidence_verify.parse_commit
    return [parsed(e.table, e.version, e.content).claim() for e in entries if (e.table, e.version) in traced]


def _events(store: LineageStore | None, runs: Sequence[str]) -> tuple[dict[str, bytes], list[Missing]]:
    """Each run's events, one a line."""
    files: dict[str, bytes] = {}
    for run in runs:
        # Line breaks in JSON can only be white space between its parts.
        events = [item.body.replace(b"\r", b" ").replace(b"\n", b" ") for item in store.events(run)] if store else []
        if events:
            files[f"events/{run}.ndjson"] = b"".join(event + b"\n" for event in events)
    silent = [run for run in runs if f"events/{run}.ndjson" not in files]
    if not silent:
        return files, []
    why = f"the lineage store has none for {len(silent)} of {len(runs)} runs: {', '.join(silent)}"
    return files, [Missing("events", why, required=False)]


# -- the prediction ----------------------------------------------------------------------------------------------------


def _data_file(lake: Lake, trace: Trace, logs: Mapping[str, LogReplay | None]) -> tuple[str, bytes]:
    """The data file that holds the prediction, and its bytes."""
    log, root = logs[trace.root.table], trace.root
    files = log.files(root.snapshot.version, root.partitions) if log else []
    for file in sorted(files, key=lambda file: file.path != trace.prediction.file):  # another only if it was rewritten
        try:
            content = lake.storage.get(f"{root.table}/{file.path}")
            ids = pl.read_parquet(io.BytesIO(content), columns=[ID])[ID]
        except (AssayError, *UNREADABLE):
            continue
        if trace.prediction_id in ids:
            return file.path, content
    raise AssayError(
        f"The data file of {root.table} that holds the prediction is gone: there is nothing to prove it by."
    )


def _prediction(trace: Trace, data_file: str, salt: bytes | None, withhold: Sequence[str]) -> dict[str, Any]:
    frame, commit = trace.prediction.frame, trace.root.commits[-1]
    described = commit.predictions or Predictions(model=trace.prediction.model)
    keys = {f"key:{key}": _typed(frame[key]) for key in described.keys if key not in withhold}
    identity = {
        "model": ("string", described.model),
        "model_version": ("string", described.version),
        EVENT_TIME: _typed(frame[EVENT_TIME]),
        DIGEST: ("string", frame[DIGEST][0] if DIGEST in frame.columns else None),
        **{name: value for name, value in keys.items() if value is not None},
    }
    own = {ID, EVENT_TIME, DIGEST, "model_version", "inputs", "run_id"} | {
        name[4:] for name in identity if "key:" in name
    }
    rest = [name for name in frame.columns if name not in own]
    outputs, labels = outputs_of(commit, frame.columns), labels_of(commit, frame.schema)
    values = {
        name: _typed(frame[name]) for name in rest if name not in withhold and _is_shown(frame[name], name in labels)
    }
    return {
        "prediction_id": trace.prediction_id,
        "table": trace.root.table,
        "version": trace.root.snapshot.version,
        "partition": trace.prediction.partition,
        "data_file": data_file,
        "run_id": frame["run_id"][0],
        "identity": [[name, *value] for name, value in sorted(identity.items()) if value is not None],
        "withheld_keys": [key for key in described.keys if key not in own],
        "inputs": trace.prediction.row["inputs"],
        "features": list(described.features),
        "outputs": list(outputs),
        "shown": {name: value[1] for name, value in values.items() if value is not None},
        "withheld": {
            name: _salted(salt, row_digests(frame, [name])[0]) if salt else None
            for name in rest
            if values.get(name) is None
        },
    }


def _is_shown(column: pl.Series, is_label: bool) -> bool:
    """Numbers, times and truth values; of texts the prompt's version, and declared outputs that are short."""
    if column.dtype == pl.String:
        return column.name == PROMPT or (is_label and len(column[0] or "") <= _LABEL)
    return column.dtype.is_numeric() or column.dtype.is_temporal() or column.dtype == pl.Boolean


def _typed(column: pl.Series) -> tuple[str, Any] | None:
    """The type's name in a row digest, and a value that JSON knows; None for types that JSON does not know."""
    dtype = column.dtype
    if isinstance(dtype, pl.Date | pl.Datetime):
        return ("date" if isinstance(dtype, pl.Date) else "timestamp"), column.to_physical()[0]
    if isinstance(dtype, pl.Decimal):
        return "decimal", None if column[0] is None else format(column[0], "f")
    if dtype.is_float():
        return "float", column[0]
    if dtype.is_integer():
        return "int", column[0]
    names = {pl.Boolean: "bool", pl.String: "string"}
    return next(((name, column[0]) for kind, name in names.items() if dtype == kind), None)


# -- the rows behind it ------------------------------------------------------------------------------------------------


def _rows(lake: Lake, trace: Trace) -> tuple[list[SourceRow], list[Missing]]:
    try:
        return list(source_rows(lake, trace)), []
    except (AssayError, *UNREADABLE) as problem:
        return [], [Missing("rows.json", _why(problem), required=False)]


def _salt(lake: Lake, trace: Trace, data_file: bytes, rows: Iterable[SourceRow]) -> tuple[bytes | None, list[Missing]]:
    kept = {item.sha256: item.kept for item in trace.files(lookups=True) if item.kept}
    state = hmac.new(b"assay.evidence/1", data_file, hashlib.sha256)
    for sha256 in sorted({row.sha256 for row in rows}):
        try:
            state.update(lake.storage.get(kept[sha256]))
        except (KeyError, AssayError):
            why = f"the lake does not keep the delivered file {sha256[:12]}…, without which there are no salted digests"
            return None, [Missing("rows.json", why, required=False)]
    return state.digest(), []


def _salted(salt: bytes, digest: str) -> str:
    return hmac.new(salt, digest.encode(), hashlib.sha256).hexdigest()


def _row_digests(
    lake: Lake, trace: Trace, logs: Mapping[str, LogReplay | None], rows: Sequence[SourceRow], salt: bytes | None
) -> tuple[dict[SourceRow, dict[str, str]], list[Missing]]:
    """Per row the data files that hold it, of those read on the way to the prediction, with its salted digest."""
    by_row: dict[SourceRow, dict[str, str]] = {row: {} for row in rows}
    missing: list[Missing] = []
    for path in sorted(set(_data_files_behind(trace, logs, {row.table for row in rows}))) if salt else ():
        wanted = [row for row in rows if path.startswith(f"{row.table}/")]
        links = pl.DataFrame([(row.file, row.sha256, row.row_number) for row in wanted], schema=LINKS, orient="row")
        try:
            frame = pl.read_parquet(io.BytesIO(lake.storage.get(path)))
            frame = frame.join(links.cast({name: frame.schema[name] for name in LINKS}), on=LINKS, how="semi")
        except (AssayError, *UNREADABLE) as problem:
            missing.append(Missing(path, _why(problem), required=False))
            continue
        digests = dict(zip(frame.select(LINKS).rows(), row_digests(frame), strict=True))
        for row in wanted:
            if (digest := digests.get((row.file, row.sha256, row.row_number))) is not None and salt:
                by_row[row][path] = _salted(salt, digest)
    return by_row, missing


def _data_files_behind(trace: Trace, logs: Mapping[str, LogReplay | None], tables: set[str]) -> Iterator[str]:
    """Data files of the tables, as they were read for the prediction itself, not for its model."""
    waiting, seen = [trace.root], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen or node.kind == "model":
            continue
        seen.add(id(node))
        waiting += node.inputs
        log = logs[node.table]
        if node.table in tables and log is not None:
            for item in (item for item in node.slices if item.snapshot.table_id == log.table_id):
                yield from (
                    f"{node.table}/{f.path}" for f in log.files(item.snapshot.version, item.partitions, item.excluded)
                )


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
            "slices": [_slice(item) for item in node.slices],
            "commits": [commit.version for commit in node.commits if (node.table, commit.version) in there],
            "inputs": inputs,
            "details": {} if node.kind == "prediction" else dict(node.details),
        }
    files = [item.to_dict() for item in trace.files()]
    return {"prediction_id": trace.prediction_id, "root": trace.root.id, "nodes": list(nodes.values()), "files": files}


def _slice(item: Slice) -> dict[str, Any]:
    return {name: value for name, value in item.to_dict().items() if name != "uri"}


def _manifest(
    trace: Trace, logs: Mapping[str, LogReplay | None], entries: Sequence[_Entry], missing: Sequence[Missing]
) -> dict[str, Any]:
    """What the bundle is about. It has no date of its own, so that the same evidence has the same bytes."""
    frame, commit = trace.prediction.frame, trace.root.commits[-1]
    tables: dict[str, dict[str, Any]] = {}
    for entry in entries:
        log = logs[entry.table]
        about = tables.setdefault(entry.table, {"table_id": log.table_id if log else "", "versions": []})
        about["versions"].append(entry.version)
    delivered = [{"path": f.path, "sha256": f.sha256, "rows": f.rows} for f in trace.files(lookups=True)]
    return {
        "format": evidence_verify.FORMAT,
        "prediction_id": trace.prediction_id,
        "model": trace.prediction.model,
        "model_version": frame["model_version"][0],
        "event_time": evidence_verify.instant(frame[EVENT_TIME].to_physical()[0]),
        "predicted_at": evidence_verify.instant(round(commit.timestamp.timestamp() * 1000) * 1000),
        "run_id": commit.run_id,
        "assay": importlib.metadata.version("assay"),
        "tables": tables,
        "delivered": delivered,
        "missing": [item.to_dict() for item in missing],
    }
