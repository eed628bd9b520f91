"""The report of a published batch, put together again from what its commit, its quarantine and its profile say."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from assay.assets.sources.source import Source
from assay.assets.steps.batch_checks import VOLUME
from assay.assets.steps.profiles import profile_of
from assay.checks import Report, RuleResult, Severity, contract_info, contract_rules, mask
from assay.checks.profiles.report_page import BatchReport
from assay.checks.validation.masking import defect_columns
from assay.errors import AssayError, plural
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.sections import Report as ReportSection
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake, TableMissing
from assay.features.tables.refusals import Refusal, find_refusal, refusals

EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class SetAside:
    """How many rows of some batches of a clean table went to quarantine, `of` all that were judged. `versions`: of the batches
    of which any did."""

    table: str
    rows: int
    of: int
    versions: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        return {"table": self.table, "rows": self.rows, "of": self.of, "versions": list(self.versions)}

    def __str__(self) -> str:
        batches = "" if len(self.versions) == 1 else f" in {len(self.versions):,} batches"
        shown = f"`assay quarantine show {own_name(self.table)}`"
        return f"{self.table}: {self.rows:,} of {plural(self.of, 'row')} went to quarantine{batches} ({shown})"


def set_aside(lake: Lake, written: Iterable[str]) -> list[SetAside]:
    """What was set aside of the batches that were judged.

    Args:
        lake: Where they are.
        written: Versions of any tables, as `clean/orders@12`.

    Returns:
        One for each clean table of which any row went to quarantine, by name.
    """
    found: dict[str, list[tuple[int, ReportSection]]] = {}
    for name in written:
        table, _, version = name.rpartition("@")
        if Kind.CLEAN.holds(table):
            report = lake.table(table).at(int(version)).last_commit.report
            if report is not None:
                found.setdefault(table, []).append((int(version), report))
    return [
        SetAside(
            table,
            sum(report.rows_quarantined for _, report in batches),
            sum(report.rows_in for _, report in batches),
            tuple(version for version, report in batches if report.rows_quarantined),
        )
        for table, batches in sorted(found.items())
        if any(report.rows_quarantined for _, report in batches)
    ]


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
