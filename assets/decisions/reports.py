"""The report of a published batch, put together again from what its commit, its quarantine and its profile say."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from assay.assets.sources.source import Source
from assay.assets.steps.batch_checks import VOLUME
from assay.assets.steps.profiles import profile_of
from assay.checks import Report, RuleResult, Severity, contract_info, contract_rules, mask
from assay.checks.profiles.report_page import BatchReport
from assay.checks.validation.masking import defect_columns
from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.sections import Report as ReportSection
from assay.features.tables.lake import Lake, TableMissing
from assay.features.tables.refusals import Refusal, find_refusal, refusals

EXAMPLES = 10


def batch_report(lake: Lake, source: Source, partition: str | None = None) -> BatchReport:
    """The report of the partition (None: the latest) as it is published now. Examples are masked by the contract.

    Raises AssayError when nothing of it is published: a batch that was stopped says why in its run.
    """
    state = lake.table(source.clean).at()
    chosen = partition or state.last_partition()
    commit = state.writer_of(chosen) if chosen and state.partitions([chosen]) else None
    refusal = next((one for table in (source.clean, source.raw) if (one := find_refusal(lake, table, chosen))), None)
    if (commit is None or chosen is None) and refusal is not None:
        raise AssayError(f"{source.clean} has no published batch {chosen}: it was refused. {refusal.problem}")
    if commit is None or chosen is None:
        raise AssayError(
            f"{source.clean} has no published batch {chosen or ''}".rstrip()
            + ". A batch that was stopped says why in its "
            "run; the published ones are listed by: assay tables " + source.clean
        )
    try:
        profile = profile_of(lake, source.clean, state.version, [chosen])
    except AssayError:
        profile = None  # written before there were profiles
    return BatchReport(
        table=source.clean,
        partition=chosen,
        version=commit.version,
        written_at=f"{commit.timestamp:%Y-%m-%d %H:%M} UTC",
        report=_report(commit, source),
        profile=profile,
        examples=_examples(lake, source, chosen),
    )


def refused_after(lake: Lake, source: Source, partition: str) -> list[Refusal]:
    """Later batches that were refused or failed, the newest first: what is published is not the latest then."""
    found = (refusal for table in (source.raw, source.clean) for refusal in refusals(lake, table))
    later = {str(refusal.partition): refusal for refusal in found if str(refusal.partition or "") > partition}
    return [later[key] for key in sorted(later, reverse=True)]


def _report(commit: Commit, source: Source) -> Report:
    severities = {rule.name: rule.severity for rule in contract_rules(source.contract)}
    counts, contract = commit.report or ReportSection(), commit.contract or {}
    return Report(
        contract=contract.get("name", ""),
        version=contract.get("version", ""),
        digest=contract.get("digest", ""),
        rows_in=counts.rows_in,
        rows_clean=counts.rows_clean,
        rows_quarantined=counts.rows_quarantined,
        rules=tuple(_rule(check, severities) for check in commit.checks),
    )


def _rule(check: Mapping[str, Any], severities: Mapping[str, Severity]) -> RuleResult:
    severity = severities.get(check["name"], Severity(check["severity"]))
    evaluated, invalid, unknown = (check[name] for name in ("evaluated", "invalid", "unknown"))
    if check["name"] == VOLUME:  # its check counts the rows; the verdict is one about all of them
        evaluated, invalid = int(not unknown), int(not check["passed"])
    total = evaluated + unknown
    status = "passed" if check["passed"] else "failed" if severity.removes_row else "warned"
    return RuleResult(
        name=check["name"],
        column=check["column"],
        severity=severity,
        evaluated=evaluated,
        invalid=invalid,
        unknown=unknown,
        share=invalid / total if total else 0.0,
        status="unknown" if unknown and not evaluated else status,
        engine="",
        note=check["message"] if unknown or not check["passed"] else "",
    )


def _examples(lake: Lake, source: Source, partition: str) -> pl.DataFrame:
    try:
        rows = lake.table(source.quarantine).at().scan([partition]).head(EXAMPLES).collect()
    except TableMissing:
        return pl.DataFrame()
    columns = [column.name for column in contract_info(source.contract).columns]
    names = ["_rules", "_source_file", "_row_number", *defect_columns(rows), *columns]
    return mask(rows, source.contract).select(name for name in names if name in rows.columns)
