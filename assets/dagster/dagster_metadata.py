"""What a person sees of a result in the Dagster UI: counts, versions, schema, column lineage, masked previews."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)

from assay.assets.steps.step import Result
from assay.features.tables.run_record import CheckResult, TableWrite

PREVIEW_CELL = 60


def asset_key(table: str) -> dg.AssetKey:
    return dg.AssetKey(table.split("/"))


def check_name(rule: str) -> str:
    """Dagster allows letters, digits and underscores: `text.not_null` is shown as `text__not_null`."""
    return re.sub(r"[^A-Za-z0-9_]", "_", rule.replace(".", "__"))


def output_metadata(written: TableWrite, result: Result) -> dict[str, Any]:
    """Metadata of one written (or unchanged) table."""
    metadata: dict[str, Any] = {
        "dagster/row_count": written.rows,
        "dagster/uri": written.snapshot.uri,
        "dagster/column_schema": dg.TableSchema(
            columns=[dg.TableColumn(name, dtype) for name, dtype in written.schema.items()]
        ),
        "delta_version": written.snapshot.version,
        "commit_sha256": written.snapshot.commit_sha256,
        "new_version": written.changed,
        "assay_run_id": result.done.work.run.id,
    }
    lineage = _column_lineage(written.column_lineage)
    if lineage is not None:
        metadata["dagster/column_lineage"] = lineage
    return metadata


def shown_metadata(result: Result, table: str) -> dict[str, Any]:
    """What the step chose to show: previews belong to the first output, quarantined rows to the second."""
    preview = dict(result.shown)
    main = table == result.step.outputs[0]
    frames = {"preview": preview.pop("preview", None), "quarantined": preview.pop("quarantined", None)}
    report = preview.pop("report", None)
    preview.pop("examples", None)  # each belongs to its rule's check
    chosen = frames["preview"] if main else frames["quarantined"]
    metadata: dict[str, Any] = {}
    if isinstance(chosen, pl.DataFrame):
        metadata["preview"] = dg.MetadataValue.md(markdown(chosen))
    if main and report is not None:
        metadata["rows_in"] = report.rows_in
        metadata["rows_quarantined"] = report.rows_quarantined
    if main:
        metadata |= {key: value for key, value in preview.items() if isinstance(value, str | int | float | list | dict)}
        broken = [check for check in result.done.checks if not check.passed]
        if broken:
            metadata["broken_rules"] = dg.MetadataValue.md(_checks_table(broken))
        metadata["read"] = [str(item.snapshot) for item in result.done.reads]
    return metadata


def check_result(
    check: CheckResult,
    declared: Mapping[str, bool],
    *,
    quarantine: TableWrite | None = None,
    examples: pl.DataFrame | None = None,
) -> dg.AssetCheckResult:
    """One rule's verdict, with the version that keeps the rows which broke it and a few of them, masked by the caller.

    `declared` says which checks block. What blocks is an error; a blocking rule that is broken within its threshold lets
    the batch pass, so it warns, as all others do.
    """
    error = declared.get(check.name, False) and (check.passed or check.severity == "block")
    share = check.invalid / check.evaluated if check.evaluated else 0.0
    metadata: dict[str, Any] = {
        "rows_evaluated": check.evaluated,
        "rows_invalid": check.invalid,
        "rows_unknown": check.unknown,
        "share_invalid": share,
        "severity": check.severity,
    }
    if quarantine is not None:
        metadata["quarantine"] = dg.MetadataValue.asset(asset_key(quarantine.table))
        metadata["quarantine_snapshot"] = str(quarantine.snapshot)
        metadata["quarantine_uri"] = dg.MetadataValue.path(quarantine.snapshot.uri)
    if examples is not None:
        metadata["examples"] = dg.MetadataValue.md(markdown(examples))
    return dg.AssetCheckResult(
        passed=check.passed,
        asset_key=asset_key(check.table),
        check_name=check_name(check.name),
        severity=dg.AssetCheckSeverity.ERROR if error else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
        description=check.message or None,
    )


def partition_check_event(
    result: dg.AssetCheckResult, partition: str | None, blocking: bool, instance: dg.DagsterInstance
) -> Any:
    """A verdict as the event of one partition, about what that partition was last materialised to."""
    assert result.asset_key is not None and result.check_name is not None
    wanted = dg.AssetRecordsFilter(asset_key=result.asset_key, asset_partitions=[partition] if partition else None)
    records = instance.fetch_materializations(wanted, limit=1).records
    target = None
    if records:
        target = AssetCheckEvaluationTargetMaterializationData(
            storage_id=records[0].storage_id, run_id=records[0].run_id, timestamp=records[0].timestamp
        )
    return dg.AssetCheckEvaluation(
        asset_key=result.asset_key,
        check_name=result.check_name,
        passed=result.passed,
        metadata=result.metadata,
        target_materialization_data=target,
        severity=result.severity,
        description=result.description,
        blocking=blocking,
        partition=partition,
    )


def markdown(frame: pl.DataFrame) -> str:
    """A small frame as a Markdown table. Long cells are cut; the caller has masked what is personal."""

    def cell(value: Any) -> str:
        text = "" if value is None else str(value)
        text = text if len(text) <= PREVIEW_CELL else text[: PREVIEW_CELL - 1] + "…"
        return text.replace("|", "\\|").replace("\n", " ")

    head = [name for name in frame.columns if not name.startswith("_") or name == "_rules"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cell(value) for value in row)} |" for row in frame.select(head).iter_rows()]
    return "\n".join(lines)


def _checks_table(checks: Sequence[CheckResult]) -> str:
    lines = ["| rule | invalid | unknown | severity |", "|---|---|---|---|"]
    lines += [f"| {check.name} | {check.invalid} | {check.unknown} | {check.severity} |" for check in checks]
    return "\n".join(lines)


def _column_lineage(lineage: Mapping[str, Any] | None) -> dg.TableColumnLineage | None:
    if not lineage:
        return None
    declared = {name: edges for name, edges in lineage.items() if isinstance(edges, Mapping)}
    return dg.TableColumnLineage(
        {
            name: [
                dg.TableColumnDep(asset_key=asset_key(table), column_name=column) for table, column in edges["direct"]
            ]
            for name, edges in declared.items()
        }
    )
