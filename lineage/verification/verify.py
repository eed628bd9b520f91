"""Verification of a trace: hash the files it names again, ask who vouches for its commits, compute again what it claims.

The files a trace depends on are checked byte by byte: the commits that were read, the data files they held, the delivered
files that the lake kept, the contracts. The commits are compared with what others recorded of them, and with what a reader of
the tables sees: first those that are in question, and the few that lead from the newest one to them; all commits of the tables
where these do not prove it. Then the prediction's own row is looked at: whether it is the one that its run wrote, its id, the
digest of its features (joined again at the versions that were read), its model's digest and, if an engine and the model's code
are given, the vector of its text and its answer.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from assay.errors import AssayError
from assay.features.tables.lake import Lake
from assay.lineage.predictions.find_prediction import UNREADABLE
from assay.lineage.tracing.trace import Trace
from assay.lineage.verification.compared import Compared
from assay.lineage.verification.computed_again import (
    Embed,
    Predict,
    check_answer,
    check_features,
    check_model,
    check_vector,
)
from assay.lineage.verification.files import (
    Progress,
    check_contracts,
    check_data_files,
    check_delivered,
    check_kept_files,
)
from assay.lineage.verification.finding import ANSWER, Finding, Verification, verdict_of
from assay.lineage.verification.logs_read import read_logs
from assay.lineage.verification.stored_row import check_stored_row
from assay.lineage.verification.witness import Witness

Verifier = Callable[[Trace], Verification]


def verify(
    lake: Lake,
    trace: Trace,
    *,
    embed: Embed | None = None,
    predict: Predict | None = None,
    landing: str | Path | None = None,
    witness: Witness | None = None,
    whole_logs: bool = False,
    compared: Compared | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Verification:
    """Check everything that a trace depends on.

    Args:
        lake: Where the tables are.
        trace: Of a prediction.
        embed: Texts to an array of vectors. Also computes the prediction's own vector again, which must agree within a cosine
            of 0.9999.
        predict: Runs the stored model again; the answer must agree (see `computed_again`). Without it, the answer is not
            checked, as the verdict then says.
        landing: The folder that files were delivered to: whether they are still there, unchanged, is reported but decides
            nothing, since the lake keeps their bytes.
        witness: Who recorded the commits outside of the lake, such as the lineage store.
        whole_logs: Read every commit of the tables that the trace goes through, also those that nothing in question depends on.
        compared: Which checkpoints were compared before. Whole logs are read without it.
        progress: Called with (what, done, total).
    """
    trace = trace.with_lookups
    read = read_logs(lake, trace, witness, compared or Compared(), whole_logs=whole_logs)
    logs = read.logs
    findings = [
        *read.commits,
        *read.readers,
        read.looked_at,
        *check_data_files(lake, trace, logs, progress),
        *check_kept_files(lake, trace, progress),
        *check_contracts(lake, trace),
        *(check_delivered(trace, Path(landing)) if landing is not None else ()),
    ]
    outcome = verdict_of(findings)
    findings += check_stored_row(lake, trace, logs[trace.root.table])
    steps: list[tuple[str, Callable[[], Iterable[Finding]]]] = [
        ("model", lambda: check_model(lake, trace)),
        ("feature row", lambda: check_features(lake, trace)),
        ("vector", lambda: check_vector(lake, trace, embed)),
        (ANSWER, lambda: check_answer(trace, predict)),
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
