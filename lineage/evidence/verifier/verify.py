"""Everything that can be checked of a bundle."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from assay.lineage.evidence.verifier.commits import list_files, read_logs
from assay.lineage.evidence.verifier.container import SUMS, check_sums
from assay.lineage.evidence.verifier.documents import (
    check_contracts,
    check_manifest,
    check_rows,
    check_script,
    check_seen,
)
from assay.lineage.evidence.verifier.events import check_events
from assay.lineage.evidence.verifier.findings import UNREADABLE, Files, Finding, guarded
from assay.lineage.evidence.verifier.prediction import check_answer, check_prediction
from assay.lineage.evidence.verifier.real_files import check_lake, check_landing
from assay.lineage.evidence.verifier.steps import check_trace
from assay.lineage.evidence.verifier.vouching import check_stored, check_vouching
from assay.lineage.evidence.verifier.way import (
    check_runs,
    check_slices,
    deciding,
    follow,
    only_looked_up,
    shown_commits,
)

DOCUMENTS = (
    "manifest.json",
    "prediction.json",
    "runs.json",
    "rows.json",
    "trace.json",
    "slices.json",
    "lake.json",
    "lineage.json",
)
# Commits, seals, contracts and events.
_EVIDENCE_OF = re.compile(
    r"lake/.+/_delta_log/[0-9]{20}\.json|lake/_seals/.+/[0-9]{20}\.json|lake/_contracts/[0-9a-f]{64}\.json|events/[^/]+\.ndjson"
)


def verify(
    files: Files, lake: Path | None = None, landing: Path | None = None, running: bytes | None = None
) -> list[Finding]:
    """Everything that can be checked of a bundle's files; `running` is the script that does it."""
    findings = guarded(SUMS, lambda: check_sums(files))
    findings += check_script(files, running)
    strange = [
        name for name in files if name not in (*DOCUMENTS, SUMS, "verify.py") and not _EVIDENCE_OF.fullmatch(name)
    ]
    findings += [Finding(name, False, "is in the bundle, and is nothing that bundles have") for name in strange]
    documents: dict[str, Any] = {}
    for name in DOCUMENTS:
        try:
            documents[name] = json.loads(files[name])
        except UNREADABLE:
            findings.append(Finding(name, False, "is missing or not JSON"))
    logs, damaged = read_logs(files)
    findings += damaged
    if len(documents) < len(DOCUMENTS):
        return findings
    manifest, row, claims = documents["manifest.json"], documents["prediction.json"], documents["runs.json"]
    stored, trace = documents["lineage.json"], documents["trace.json"]
    findings += guarded("slices.json", lambda: list_files(logs, documents["slices.json"], trace))
    findings += guarded("manifest.json", lambda: check_manifest(manifest, row, logs, files, trace))
    try:
        start = logs[row["table"]].commits[row["version"]]
        claimed = {(claim["table"], claim["version"]) for claim in claims}
        way = follow(logs, start, claimed - only_looked_up(trace))
        decides = deciding(logs, way, trace)
        shown = shown_commits(trace)
    except UNREADABLE:
        return [*findings, Finding("prediction.json", False, "the commit that it names cannot be followed")]
    runs = {str(commit.ours.get("run_id")) for commit in way}
    steps: list[tuple[str, Callable[[], Iterable[Finding]]]] = [
        ("lineage.json", lambda: check_stored(stored, logs)),
        ("commits", lambda: check_vouching(files, logs, way, stored, decides)),
        ("commits", lambda: check_slices(logs, way, shown, {item["what"] for item in documents["lake.json"]})),
        ("runs.json", lambda: check_runs(claims, logs, way)),
        ("contracts", lambda: check_contracts(files, claims, logs)),
        ("prediction.json", lambda: check_prediction(row, start, logs[start.table].columns(start.version))),
        ("prediction.json", lambda: check_answer(row, start)),
        ("lake.json", lambda: check_seen(documents["lake.json"])),
        ("trace.json", lambda: check_trace(trace, logs, way, row)),
        ("rows.json", lambda: check_rows(documents["rows.json"], logs)),
        ("events", lambda: check_events(files, logs, runs | {str(claim["run_id"]) for claim in claims})),
    ]
    if lake is not None:
        steps.append(("lake", lambda: check_lake(lake, logs, way)))
    if landing is not None:
        steps.append(("landing", lambda: check_landing(landing, way)))
    for name, step in steps:
        findings += guarded(name, step)
    return findings
