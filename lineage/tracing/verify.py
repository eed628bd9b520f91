"""Verification of a trace: hash the files it names again, recompute the values it claims.

The files a trace depends on are checked byte by byte: the commits that were read, the data files they held, the delivered
files that the lake kept. Then the prediction's own row is recomputed: its id, the digest of its features (joined again at the
versions that were read), its model's digest, and, if an embedding model is given, the vector of its text.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from assay.errors import AssayError
from assay.features.embeddings.keys import TEXT_KEY
from assay.features.serving.as_of_join import as_of_join
from assay.features.serving.feature_refs import spine_columns
from assay.features.storage.commit_metadata import SourceFile
from assay.features.tables.digest import row_digests
from assay.features.tables.lake import Lake
from assay.features.tables.log_replay import LogReplay, replay_log
from assay.lineage.outline import Outline, Span, Style, leaf, line
from assay.lineage.predictions import attachments
from assay.lineage.predictions.find_prediction import ID, UNREADABLE, file_problem
from assay.lineage.predictions.prediction_log import DIGEST, EVENT_TIME, prediction_ids
from assay.lineage.tracing.row_provenance import own_rows
from assay.lineage.tracing.trace import Trace
from assay.lineage.tracing.trace_node import Node

Progress = Callable[[str, int, int], None]  # (what, done, total)
Embed = Callable[[Sequence[str]], Any]
_STYLES: dict[str, Style] = {"verified": "good", "incomplete": "warning", "broken": "bad"}
COSINE = 0.9999  # a vector computed again on other hardware or in other batches differs in its last bits


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `ok` is None where it could not be made: vacuumed, not recorded, no model given.

    Only `required` findings decide the verdict.
    """

    what: str
    ok: bool | None
    detail: str
    required: bool = True

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Verification:
    """`verified`: everything required holds. `incomplete`: nothing contradicts the trace, some of it is gone. `broken`."""

    checks: tuple[Finding, ...]

    @property
    def outcome(self) -> Literal["verified", "incomplete", "broken"]:
        required = [check.ok for check in self.checks if check.required]
        if False in required:
            return "broken"
        return "incomplete" if None in required else "verified"

    @property
    def ok(self) -> bool:
        return self.outcome == "verified"

    def to_dict(self) -> dict[str, Any]:
        return {"ok": self.ok, "outcome": self.outcome, "checks": [check.to_dict() for check in self.checks]}

    def outline(self) -> Outline:
        """The verdict, then what contradicts the trace, what could not be checked, and what holds."""
        style = _STYLES[self.outcome]
        marks = ((False, Span("✗", "bad")), (None, Span("–", "warning")), (True, Span("✓", "good")))
        below = (
            leaf(mark, f" {item.what}", Span(f"  {item.detail}", "dim"))
            for ok, mark in marks
            for item in self.checks
            if item.ok is ok
        )
        return Outline((line(Span(self.outcome, style)),), tuple(below))

    def __str__(self) -> str:
        return str(self.outline())


def verify(
    lake: Lake,
    trace: Trace,
    *,
    embed: Embed | None = None,
    landing: str | Path | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Verification:
    """Check everything that a trace depends on.

    `embed` (texts to an array of vectors) also computes the prediction's own vector again, which must agree within a cosine
    of 0.9999. `landing` is the folder that files were delivered to: whether they are still there, unchanged, is reported
    but decides nothing, since the lake keeps their bytes.
    """
    trace = trace.with_lookups
    logs = {table: replay_log(lake, table) for table in sorted({node.table for node in trace.nodes})}
    findings = [
        *_commits(trace, logs),
        *_data_files(lake, trace, logs, progress),
        *_kept_files(lake, trace, progress),
        *(_delivered(trace, Path(landing)) if landing is not None else ()),
    ]
    outcome = Verification(tuple(findings)).outcome
    findings += _prediction(trace)
    steps: list[tuple[str, Callable[[], Iterable[Finding]]]] = [
        ("model", lambda: _model(lake, trace)),
        ("feature row", lambda: _features(lake, trace)),
        ("vector", lambda: _vector(lake, trace, embed)),
    ]
    for number, (what, step) in enumerate(steps):
        progress("computing again", number, len(steps))
        if outcome == "broken":  # results computed from damaged bytes prove nothing
            findings.append(
                Finding(what, None, "not computed again: the files that it depends on are damaged", required=False)
            )
            continue
        try:
            findings += step()
        except (AssayError, *UNREADABLE) as problem:
            # That it cannot be computed contradicts the trace, unless something is known to be gone. Polars' own texts may
            # quote cells.
            detail = str(problem) if isinstance(problem, AssayError) else type(problem).__name__
            ok = None if outcome == "incomplete" else False
            findings.append(Finding(what, ok, f"could not be computed again: {detail}"))
    progress("computing again", len(steps), len(steps))
    return Verification(tuple(findings))


def _summary(what: str, count: int, problems: list[Finding]) -> Iterator[Finding]:
    """The problems one by one, or one finding that counts what was checked."""
    yield from problems
    if not problems:
        yield Finding(what, True, f"{count} checked")


def _commits(trace: Trace, logs: dict[str, LogReplay | None]) -> Iterator[Finding]:
    """Every version that was read is still the commit that was read, and holds the files that were read; and so are the
    commits before it, for which each commit vouches."""
    for table, log in logs.items():
        slices = {item for node in trace.nodes if node.table == table for item in node.slices}
        damaged = log.damaged if log else ()
        problems = [Finding(entry.path, False, "damaged: it is not a Delta commit any more") for entry in damaged]
        problems += (
            []
            if log is None
            else [
                Finding(before.path, False, f"was changed: version {entry.version} vouches for other bytes")
                for entry in log.entries
                for at, sha256 in (entry.commit.previous.items() if entry.commit else ())
                if (before := log.entry(int(at))) is not None and before.sha256 != sha256
            ]
        )
        for node in (node for node in trace.nodes if node.table == table and log is not None):
            problems += _unnamed(node, log)
        for item in sorted(slices, key=lambda item: item.snapshot.version):
            what = f"{item.snapshot} commit"
            entry = log.entry(item.snapshot.version) if log else None
            if log is None or log.table_id != item.snapshot.table_id:
                problems.append(Finding(what, None, "erased: the table was deleted or made anew"))
            elif entry is None:
                problems.append(Finding(what, None, "vacuumed: the version is no longer in the log"))
            elif entry.sha256 != item.snapshot.commit_sha256:
                problems.append(Finding(what, False, f"{entry.path} was changed: SHA-256 {entry.sha256}"))
            elif item.digest and log.digest(item) != item.digest:
                problems.append(Finding(what, False, "its files are not the ones that were read"))
        yield from _summary(f"{table}: commits and their files", len(slices), list(dict.fromkeys(problems)))


def _unnamed(node: Node, log: LogReplay | None) -> Iterator[Finding]:
    """The trace may come from an index: the commits that it names as writers are those that the log itself names."""
    ours = [item for item in node.slices if log is not None and log.table_id == item.snapshot.table_id]
    if log is None or len(ours) < len(node.slices):
        return
    named = {c.version for item in ours for c in log.writers(item.snapshot.version, item.partitions, item.excluded)}
    told = {commit.version for commit in node.commits}
    for version in sorted(told - named):
        yield Finding(f"{node.table}@{version}", False, "the log does not name it as a writer of these rows")
    if node.lookup or node.kind in ("prediction", "model"):  # they show the one that is meant
        return
    for version in sorted(named - told):
        yield Finding(f"{node.table}@{version}", False, "wrote some of these rows, and is not in the trace")


def _data_files(lake: Lake, trace: Trace, logs: dict[str, LogReplay | None], progress: Progress) -> Iterator[Finding]:
    """Every data file that was read has the bytes that its name promises."""
    wanted: dict[str, list[str]] = {table: [] for table in logs}
    for table, log in logs.items():
        for item in (item for node in trace.nodes if node.table == table for item in node.slices):
            if log is not None and log.table_id == item.snapshot.table_id:
                wanted[table] += [f.path for f in log.files(item.snapshot.version, item.partitions, item.excluded)]
        wanted[table] = list(dict.fromkeys(wanted[table]))
    total, done = sum(map(len, wanted.values())), 0
    for table, paths in wanted.items():
        problems = []
        for path in paths:
            progress("hashing data files", done, total)
            done += 1
            problem = file_problem(lake.storage, f"{table}/{path}")
            if problem:
                ok, detail = (None, "vacuumed: the file is gone") if problem == "gone" else (False, problem)
                problems.append(Finding(f"{table}/{path}", ok, detail))
        yield from _summary(f"{table}: data files", len(paths), problems)
    progress("hashing data files", total, total)


def _kept_files(lake: Lake, trace: Trace, progress: Progress) -> Iterator[Finding]:
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
            problems.append(Finding(item.path, None, f"vacuumed: {item.kept} is gone"))
            continue
        if found != item.sha256:
            problems.append(Finding(item.path, False, f"{item.kept} is damaged: SHA-256 {found}"))
    progress("hashing kept files", len(files), len(files))
    yield from _summary("delivered files, as kept", len(files), problems)


def _delivered(trace: Trace, landing: Path) -> Iterator[Finding]:
    counts = {"same": 0, "changed": 0, "gone": 0, "in an object store": 0}
    for item in trace.files(lookups=True):
        state = _as_delivered(landing, item)
        counts[state] += 1
        if state == "changed":
            yield Finding(
                item.path, None, "was changed where it was delivered; the lake has the original", required=False
            )
    detail = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    yield Finding("delivered files, in the landing folder", None, detail or "none", required=False)


def _as_delivered(landing: Path, item: SourceFile) -> Literal["same", "changed", "gone", "in an object store"]:
    path = landing / item.path.removeprefix("file://")
    if "://" in str(item.path) and not item.path.startswith("file://"):
        return "in an object store"
    if not path.is_file():
        return "gone"
    return "same" if hashlib.sha256(path.read_bytes()).hexdigest() == item.sha256 else "changed"


def _prediction(trace: Trace) -> Iterator[Finding]:
    """The stored row has the id that follows from its content, and names the inputs that its commit read."""
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


def _model(lake: Lake, trace: Trace) -> Iterator[Finding]:
    """The stored model has the digest in its row."""
    for node in trace.root.inputs:
        if node.kind == "model" and not node.lookup and "sha256" in node.details:
            state = lake.table(node.table).at(node.snapshot.version)
            rows = state.scan().filter(pl.col("model_version") == node.details["model_version"])
            digests = {hashlib.sha256(item).hexdigest() for item in rows.select("artifact").collect().to_series()}
            same = digests == {node.details["sha256"]}
            yield Finding(f"{node.name} artifact", same, "has its SHA-256" if same else "has another SHA-256")


def _features(lake: Lake, trace: Trace) -> Iterator[Finding]:
    """Joining the features again at the versions that were read gives the digest in the prediction's row."""
    commit, frame = trace.root.commits[-1], trace.prediction.frame
    described = commit.predictions
    stored = frame[DIGEST][0] if DIGEST in frame.columns else None
    if described is None or not described.features or stored is None:
        yield Finding(
            "feature row", None, "no feature references or digest were logged with the prediction", required=False
        )
        return
    versions = {item.snapshot.table: item.snapshot.version for item in commit.inputs if not item.lookup}
    needed = {*described.keys, EVENT_TIME, *spine_columns(lake, described.features, versions)}
    spine = frame.select(name for name in frame.columns if name in needed)
    joined = as_of_join(spine, described.features, lake=lake, versions=versions)
    same = row_digests(joined, described.feature_columns)[0] == stored
    detail = f"{len(described.feature_columns)} features joined again at the versions read"
    differ = f"{detail} differ from those that were logged (log them as they are joined, before nulls are filled)"
    yield Finding("feature row", same, detail if same else differ)


def _vector(lake: Lake, trace: Trace, embed: Embed | None) -> Iterator[Finding]:
    """Embedding the prediction's text again gives the stored vector."""
    key = trace.prediction.row.get(TEXT_KEY)
    for node in (node for node in trace.root.inputs if node.kind == "embeddings" and key is not None):
        what = f"{node.name} vector"
        state = lake.table(node.table).at(node.snapshot.version)
        stored = state.scan().filter(pl.col(TEXT_KEY) == key).select("vector").head(1).collect()
        text = _text(lake, trace, node)
        if embed is None or text is None or stored.is_empty():
            reason = "no model was given" if embed is None else "its text or vector was not found"
            yield Finding(what, None, f"not computed again: {reason}", required=False)
            continue
        old, new = np.array(stored["vector"][0]), np.asarray(embed([text]))[0]
        cosine = float(old @ new / (np.linalg.norm(old) * np.linalg.norm(new)))
        yield Finding(what, cosine >= COSINE, f"cosine {cosine:.6f} to the one computed again (at least {COSINE})")


def _text(lake: Lake, trace: Trace, node: Node) -> str | None:
    """The text of the prediction's own row, in the table and column that the vectors were computed from."""
    for commit in reversed(node.commits):
        lineage = (commit.column_lineage or {}).get("vector", {})
        for table, column in lineage.get("direct", []) if lineage != "unknown" else []:
            for item in (item for item in commit.inputs if item.snapshot.table == table and not item.lookup):
                own = own_rows(lake, trace, item)
                texts = own.select(column).collect().to_series().to_list() if own is not None else []
                if texts:
                    return texts[0]
    return None
