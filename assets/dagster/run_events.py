"""What a run tells Dagster: each partition's versions and verdicts.

Verdicts are events of our own, not check results that Dagster turns into events: those lose their partition in a run over a
range, which every backfill from the UI makes, and each asks the database for what it is about.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData as Target,
)

from assay.assets.dagster.dagster_metadata import asset_key, output_metadata, shown_metadata, verdict
from assay.assets.dagster.partitions import dagster_key
from assay.assets.steps.step import Resources, Result, Step
from assay.features.definitions.mixed import held
from assay.features.tables.kinds import Kind, has_definitions, own_name
from assay.features.tables.lake import TableMissing, TableState
from assay.features.tables.run_record import CheckResult, TableWrite

DATA_VERSION = "dagster/data_version"  # the tag that Dagster keeps it in

Checks = Mapping[tuple[str, str], CheckResult]


def result_events(
    context: dg.AssetExecutionContext, step: Step, results: Sequence[Result], env: Resources, *, complete: bool
) -> Iterator[Any]:
    """The versions of each result, then its verdicts. Of batches without partitions, the last one's versions and all
    verdicts. `complete`: every partition of the run has a result, so that what needs them can go on."""
    reported = results if step.partitioning.is_partitioned else results[-1:]
    several = len(reported) > 1 or not complete
    if several and complete:  # Dagster copies this to each partition of the run, so each one's own comes after it
        for table in step.outputs:
            if asset_key(table) in context.selected_asset_keys:
                yield dg.MaterializeResult(asset_key=asset_key(table))
    for result in reported:
        key = partition_of(step, result.partition)
        for table in step.outputs:
            yield _version(context, result, table, key, env, own=several)
        of = [result] if step.partitioning.is_partitioned else results
        checks = {(check.table, check.name): check for item in of for check in item.done.checks}
        examples = {rule: rows for item in of for rule, rows in item.shown.get("examples", {}).items()}
        yield from _verdicts(context, step, key, checks, _quarantine(result), examples, env)


def refused_events(
    context: dg.AssetExecutionContext, step: Step, partition: str | None, checks: Sequence[CheckResult], env: Resources
) -> Iterator[dg.AssetCheckEvaluation]:
    """The verdicts about a batch of which nothing was published: those that were reached, and no others."""
    declared = {check.name for check in step.checks}
    key = partition_of(step, partition)
    for check in checks:
        if check.name in declared and check.judged:
            yield verdict(check, key, published=False, settings=env.settings)


def unchanged_events(context: dg.AssetExecutionContext, step: Step, env: Resources) -> Iterator[Any]:
    """Nothing new to read: the tables stay at the version they have, with the verdicts of that time."""
    for table in step.outputs:
        try:
            state = env.lake.table(table).at()
        except TableMissing:
            continue
        newest = state.index.last_written(state.version)
        assert newest is not None  # nothing is unchanged that was never written
        commit = state.index.commit(newest)
        snapshot = state.table_snapshot(commit.version)
        digest = _data_version(state, commit.version)
        if asset_key(table) in context.selected_asset_keys:
            yield dg.MaterializeResult(
                asset_key=asset_key(table),
                metadata={"delta_version": snapshot.version, "new_version": False, "dagster/row_count": state.rows()},
                data_version=dg.DataVersion(digest),
            )
        checks = {(item["table"], item["name"]): CheckResult(**item) for item in commit.checks}
        target = target_of(context.instance, table, None)
        for check in _of(step, table, checks):
            yield verdict(check, None, target=target, settings=env.settings)


def partition_of(step: Step, partition: str | None) -> str | None:
    """The partition as Dagster calls it; batches of a table without partitions have none."""
    return dagster_key(step.partitioning, partition) if partition and step.partitioning.is_partitioned else None


def _version(
    context: dg.AssetExecutionContext, result: Result, table: str, key: str | None, env: Resources, *, own: bool
) -> dg.MaterializeResult | dg.AssetMaterialization:
    """One table's new (or kept) version. What was not asked for, but is written together with what was, is an event of its
    own, as every partition's is in a run over several."""
    written = next(item for item in result.done.writes if item.table == table)
    state = env.lake.table(table).at(written.snapshot.version)
    rows = state.rows()
    metadata = output_metadata(written, result, rows, env.settings) | shown_metadata(result, table) | _defined(state)
    tags = {"assay/delta_version": str(written.snapshot.version)}
    digest = _data_version(state, written.snapshot.version)
    if own or asset_key(table) not in context.selected_asset_keys:
        return dg.AssetMaterialization(
            asset_key(table), metadata=metadata, partition=key, tags={DATA_VERSION: digest, **tags}
        )
    return dg.MaterializeResult(
        asset_key=asset_key(table), metadata=metadata, data_version=dg.DataVersion(digest), tags=tags
    )


def _defined(state: TableState) -> dict[str, Any]:
    """Which of its definitions computed the rows of a view that were written last, and what it has left to compute: until then
    another one is served."""
    known = state.defined.known
    if not (has_definitions(state.table.name) and known):
        return {}
    number = known.index(state.last_definition) + 1
    if state.is_whole:
        return {"definition": number}
    by_number = state.partitions_by_definition()
    left = sum(len(keys) for other, keys in by_number.items() if other not in (0, number))
    return {
        "definition": number,
        "definition_served": known.index(state.defined.definition) + 1,
        "partitions_to_backfill": left,
        "backfill": f"{held(by_number)}. `assay features backfill {own_name(state.table.name)}` computes the rest.",
    }


def _data_version(state: TableState, version: int) -> str:
    """What is downstream is as new as the rows that it was made of: a version that only says something else about the same rows
    makes nothing stale."""
    confirmed = state.index.commit(version).confirms
    return state.table_snapshot(version if confirmed is None else confirmed).digest


def _verdicts(
    context: dg.AssetExecutionContext,
    step: Step,
    key: str | None,
    checks: Checks,
    quarantine: TableWrite | None,
    examples: Mapping[str, pl.DataFrame],
    env: Resources,
) -> Iterator[dg.AssetCheckEvaluation]:
    for table in step.outputs:
        declared = _of(step, table, checks)
        target = target_of(context.instance, table, key) if declared else None
        for check in declared:
            yield verdict(
                check,
                key,
                target=target,
                quarantine=quarantine,
                examples=examples.get(check.name),
                settings=env.settings,
            )


def _of(step: Step, table: str, checks: Checks) -> list[CheckResult]:
    """A verdict for every declared check of a table that was judged; one that found nothing to report on has passed over no
    rows."""
    names = [check.name for check in step.checks if check.table == table]
    verdicts = (checks.get((table, name), CheckResult(name, table, passed=True)) for name in names)
    return [
        check for check in verdicts if check.judged
    ]  # Dagster knows passed and failed: without a verdict it is given none


def _quarantine(result: Result) -> TableWrite | None:
    """The quarantine that the step wrote, if it has one."""
    return next((item for item in result.done.writes if Kind.QUARANTINE.holds(item.table)), None)


def target_of(instance: dg.DagsterInstance, table: str, key: str | None) -> Target | None:
    """What was last materialised, which is what the verdicts are about."""
    wanted = dg.AssetRecordsFilter(asset_key=asset_key(table), asset_partitions=[key] if key else None)
    records = instance.fetch_materializations(wanted, limit=1).records
    if not records:
        return None
    (record,) = records
    return Target(storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp)
