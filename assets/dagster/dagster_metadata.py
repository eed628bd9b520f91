"""What a person sees of a result in the Dagster UI: counts, versions, schema, column lineage, masked previews."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from unicodedata import combining, normalize
from urllib.parse import quote

import dagster as dg
import polars as pl
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.definitions.metadata import normalize_metadata

from assay.assets.steps.column_notes import ColumnNote
from assay.assets.steps.step import Result
from assay.checks.validation.masking import defect_columns, readable
from assay.features.storage.verdict import found_something, was_handled
from assay.features.tables.kinds import Kind
from assay.features.tables.run_record import CheckResult, TableWrite
from assay.own_columns import is_link
from assay.settings import Settings

PREVIEW_CELL = 60
CONSOLE = "/console"  # before a path of the console, in the addresses of the Dagster UI that `assay up` serves


def asset_key(table: str) -> dg.AssetKey:
    return dg.AssetKey(table.split("/"))


def check_name(rule: str) -> str:
    """Dagster allows letters of English, digits and underscores: `text.not_null` is shown as `text__not_null`. Where more than
    that is lost, as of `Größe.gt`, a digest of the rule's name follows: two rules never have one name."""
    column, dot, what = rule.rpartition(".")
    joined = f"{column}__{what}" if dot else rule
    plain = "".join(mark for mark in normalize("NFKD", joined.replace("ß", "ss")) if not combining(mark))
    name = re.sub(r"[^A-Za-z0-9_]", "_", plain)
    unlike = name != joined or "__" in what or what.startswith("_")
    return f"{name}_{hashlib.sha256(rule.encode()).hexdigest()[:6]}" if unlike else name


def in_console(settings: Settings, written: TableWrite) -> str:
    """The address of a version in the governance console. Without a setting it is one of the Dagster UI itself, whose server
    knows at each click where the console is: what is written today is read for years."""
    focus = quote(f"dataset:assay:{written.table}@{written.snapshot.version}")
    return f"{_console(settings)}/graph?focus={focus}"


def refused_in_console(settings: Settings, table: str) -> str:
    """The address of the batches that a table refused, with the reasons and what to do."""
    return f"{_console(settings)}/versions/{quote(table)}#refused"


def _console(settings: Settings) -> str:
    return settings.console_url.rstrip("/") or CONSOLE


def table_schema(columns: Mapping[str, str], notes: Mapping[str, ColumnNote]) -> dg.TableSchema:
    """Columns by name and type, with what their declarations say of them."""
    return dg.TableSchema(columns=[_column(name, dtype, notes.get(name, _NO_NOTE)) for name, dtype in columns.items()])


_NO_NOTE = ColumnNote()


def _column(name: str, dtype: str, note: ColumnNote) -> dg.TableColumn:
    unique = f"{name}.unique" in note.rules
    constraints = dg.TableColumnConstraints(nullable=note.nullable, unique=unique, other=list(note.rules))
    return dg.TableColumn(name, dtype, note.description or None, constraints, note.tags)


def output_metadata(written: TableWrite, result: Result, rows: int, settings: Settings) -> dict[str, Any]:
    """Metadata of one written (or unchanged) table, which has `rows` in all of its partitions."""
    metadata: dict[str, Any] = {
        "dagster/row_count": rows,
        "dagster/uri": written.snapshot.uri,
        "dagster/column_schema": table_schema(written.schema, result.step.columns.get(written.table, {})),
        "console": dg.MetadataValue.url(in_console(settings, written)),
        "delta_version": written.snapshot.version,
        "commit_sha256": written.snapshot.commit_sha256,
        "new_version": written.changed,
        "assay_run_id": result.done.work.run.id,
    }
    if written.partition is not None:
        metadata["dagster/partition_row_count"] = written.rows
    lineage = _column_lineage(written.column_lineage)
    if lineage is not None:
        metadata["dagster/column_lineage"] = lineage
    return metadata


def shown_metadata(result: Result, table: str) -> dict[str, Any]:
    """What the step chose to show: previews belong to the first output, quarantined rows to their table."""
    preview = dict(result.shown)
    main = table == result.step.outputs[0]
    frames = {"preview": preview.pop("preview", None), "quarantined": preview.pop("quarantined", None)}
    report = preview.pop("report", None)
    null_shares = preview.pop("null_shares", {})
    preview.pop("examples", None)  # each belongs to its rule's check
    chosen = frames["preview"] if main else frames["quarantined"] if Kind.QUARANTINE.holds(table) else None
    metadata: dict[str, Any] = {}
    if isinstance(chosen, pl.DataFrame):
        metadata["preview"] = dg.MetadataValue.md(markdown(chosen))
    if main and report is not None:
        metadata["rows_in"] = report.rows_in
        metadata["rows_quarantined"] = report.rows_quarantined
        metadata["share_quarantined"] = round(report.rows_quarantined / report.rows_in, 6) if report.rows_in else 0.0
        metadata |= {f"share_null_{name}": share for name, share in null_shares.items()}  # numbers become plots
    if main:
        metadata |= {key: value for key, value in preview.items() if isinstance(value, str | int | float | list | dict)}
        broken = [check for check in result.done.checks if not check.passed]
        if broken:
            metadata["broken_rules"] = dg.MetadataValue.md(_checks_table(broken))
        metadata["read"] = [str(item.snapshot) for item in result.done.reads]
    return metadata


def verdict(
    check: CheckResult,
    partition: str | None,
    *,
    published: bool = True,
    target: AssetCheckEvaluationTargetMaterializationData | None = None,
    quarantine: TableWrite | None = None,
    examples: pl.DataFrame | None = None,
    settings: Settings | None = None,
) -> dg.AssetCheckEvaluation:
    """One rule's verdict about one partition, with the version that keeps the rows which broke it and a few of them, masked
    by the caller.

    A rule whose broken rows went to quarantine did what was agreed: it passes, with their count, as does one that only
    counts. What stopped the batch is an error; everything else that did not hold warns. `published` is False for a batch
    that was stopped.
    """
    recorded = check.to_dict()
    stopped = not check.passed and check.severity == "block"
    share = check.invalid / check.evaluated if check.evaluated else 0.0
    of = "files" if Kind.RAW.holds(check.table) else "rows"
    metadata: dict[str, Any] = {
        "rule": check.name,
        f"{of}_evaluated": check.evaluated,
        f"{of}_invalid": check.invalid,
        f"{of}_unknown": check.unknown,
        "share_invalid": share,
        "severity": check.severity,
    }
    if quarantine is not None and check.invalid:
        metadata["quarantine"] = dg.MetadataValue.asset(asset_key(quarantine.table))
        metadata["quarantine_snapshot"] = str(quarantine.snapshot)
        metadata["quarantine_uri"] = dg.MetadataValue.path(quarantine.snapshot.uri)
        if settings is not None:
            metadata["quarantine_in_console"] = dg.MetadataValue.url(in_console(settings, quarantine))
    if stopped and not published and settings is not None:
        metadata["refused_in_console"] = dg.MetadataValue.url(refused_in_console(settings, check.table))
    if examples is not None:
        metadata["examples"] = dg.MetadataValue.md(markdown(examples))
    text = check.message if published or check.passed else f"{check.message.rstrip('.')}. Nothing was published."
    return dg.AssetCheckEvaluation(
        asset_key=asset_key(check.table),
        check_name=check_name(check.name),
        passed=not found_something(recorded) or (published and was_handled(recorded)),
        metadata=normalize_metadata(metadata),
        target_materialization_data=target,
        severity=dg.AssetCheckSeverity.ERROR if stopped else dg.AssetCheckSeverity.WARN,
        description=text or None,
        # Nothing bad was published that the run had to be stopped for: the transaction has seen to that.
        blocking=False,
        partition=partition,
    )


def markdown(frame: pl.DataFrame) -> str:
    """A small frame as a Markdown table. Long cells are cut; the caller has masked what is personal."""

    def cell(value: Any) -> str:
        text = "" if value is None else str(value)
        text = text if len(text) <= PREVIEW_CELL else text[: PREVIEW_CELL - 1] + "…"
        return text.replace("|", "\\|").replace("\n", " ")

    shown = ("_rules", *defect_columns(frame))
    head = [name for name in frame.columns if not is_link(name) or name in shown]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cell(value) for value in row)} |" for row in readable(frame.select(head)).iter_rows()]
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
