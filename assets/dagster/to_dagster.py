"""Steps to Dagster: one multi-asset per step, one asset check per rule. The adapter for everything Dagster-shaped."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import polars as pl

from assay.assets.dagster.dagster_metadata import (
    asset_key,
    check_name,
    check_result,
    output_metadata,
    partition_check_event,
    shown_metadata,
)
from assay.assets.dagster.partitions import dagster_key, definition_of, our_key
from assay.assets.steps.step import CheckSpec, NotReady, Resources, Result, Step, execute
from assay.errors import AssayError
from assay.features.tables.delta_commit import Conflict
from assay.features.tables.kinds import Kind
from assay.features.tables.partitioning import Partitioning, shared
from assay.features.tables.run_record import CheckResult, Run, TableWrite
from assay.features.tables.transaction import AuditFailed
from assay.lineage.delivery.recorder import run_id

DATA_VERSION = "dagster/data_version"  # the tag that Dagster keeps it in
FORCE_TAG = "assay/force"  # on a run: compute even what is up to date
RETRIES = dg.RetryPolicy(max_retries=2, delay=1, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


def environment() -> Resources:
    """What steps use in this process: settings from the environment, the lake, the recorder."""
    from assay.store import open_store

    return open_store().env()


def build_asset(
    step: Step, partitionings: Mapping[str, Partitioning], resources: Callable[[], Resources] = environment
) -> dg.AssetsDefinition:
    """The Dagster asset(s) of a step. `known` are all tables of the pipeline, with their partitions: others are not
    dependencies. `resources` are asked for in each run."""
    partitions = definition_of(step.partitioning)
    upstream = [table for table in dict.fromkeys((*step.reads, *step.references)) if table in partitionings]
    specs = [
        dg.AssetSpec(
            asset_key(table),
            deps=[_dependency(step, table, partitionings[table]) for table in upstream if table not in step.outputs],
            description=step.descriptions.get(table, step.description),
            group_name=step.group,
            code_version=step.code_version,
            owners=[f"team:{step.owner}"] if step.owner else [],
            kinds={"deltalake", *step.kinds},
            partitions_def=partitions,
            freshness_policy=dg.FreshnessPolicy.time_window(fail_window=step.freshness) if step.freshness else None,
        )
        for table in step.outputs
    ]
    checks = [_check_spec(check, partitions) for check in step.checks]

    @dg.multi_asset(
        name=step.name,
        specs=specs,
        check_specs=checks,
        partitions_def=partitions,
        # One run per partition: of a run over several, Dagster itself would keep one verdict for all of them.
        backfill_policy=dg.BackfillPolicy.multi_run(1) if partitions else None,
        pool=step.pool,
        retry_policy=RETRIES,
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[Any]:
        yield from _run(context, step, resources())

    return asset


def _check_spec(check: CheckSpec, partitions: dg.PartitionsDefinition | None) -> dg.AssetCheckSpec:
    with warnings.catch_warnings():
        # Checks per partition are a preview in Dagster; this is the one place that knows.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            check_name(check.name),
            asset=asset_key(check.table),
            description=check.description,
            partitions_def=partitions,
            blocking=check.blocking,
        )


def _dependency(step: Step, table: str, upstream: Partitioning) -> dg.AssetDep:
    ours = step.partitioning
    if ours.is_partitioned and upstream.is_partitioned and shared([ours, upstream]) is None:
        return dg.AssetDep(asset_key(table), partition_mapping=dg.AllPartitionMapping())  # only looked up
    if step.lookback and table in step.reads:
        window = dg.TimeWindowPartitionMapping(start_offset=-step.lookback, end_offset=0)
        return dg.AssetDep(asset_key(table), partition_mapping=window)
    return dg.AssetDep(asset_key(table))


def _run(context: dg.AssetExecutionContext, step: Step, env: Resources) -> Iterator[Any]:
    declared = {check.name: check.blocking for check in step.checks}
    results: list[Result] = []
    force = FORCE_TAG in context.run.tags
    several = step.partitioning.is_partitioned and len(context.partition_keys) > 1
    partition: str | None = None
    try:
        for partition in _partitions(context, step, env):
            results.append(execute(step, env, partition, run_of(context, step, partition), force=force))
            context.log.info("%s: %s", step.name, ", ".join(str(item.snapshot) for item in results[-1].done.writes))
    except AuditFailed as refused:
        if several:
            yield from _each(context, step, results, declared)
        for check in refused.checks:
            if check.name in declared:
                verdict = check_result(check, declared)
                if several and partition:
                    key = dagster_key(step.partitioning, partition)
                    yield partition_check_event(verdict, key, declared[check.name], context.instance)
                else:
                    yield verdict
        raise dg.Failure(f"{str(refused).rstrip('.')}. Nothing was published.", allow_retries=False) from None
    except NotReady as waiting:
        if not step.batches:
            raise dg.Failure(str(waiting), allow_retries=False) from None
        context.log.info("%s", waiting)
    except Conflict:
        raise  # other writers won every time: Dagster tries again later
    except AssayError as problem:
        raise dg.Failure(str(problem), allow_retries=False) from problem
    if several:
        yield from _common(step)
        yield from _each(context, step, results, declared)
    elif results:
        yield from _materializations(step, results, declared)
    else:
        yield from _unchanged(step, env, declared)


def _partitions(context: dg.AssetExecutionContext, step: Step, env: Resources) -> Sequence[str | None]:
    if step.partitioning.is_partitioned:
        return sorted(our_key(step.partitioning, key) for key in context.partition_keys)
    return step.batches(env) if step.batches else [None]


def run_of(context: dg.AssetExecutionContext, step: Step, partition: str | None) -> Run:
    """The run's identity: the same for the same Dagster run, step and partition; another for a retry of the step."""
    record = context.instance.get_run_record_by_id(context.run.run_id)
    started = datetime.fromtimestamp(record.start_time, UTC) if record and record.start_time else datetime.now(UTC)
    identity = run_id(context.run.run_id, step.name, partition, started, context.op_execution_context.retry_number)
    return Run(identity, started, context.run.run_id, context.run.job_name)


def _materializations(
    step: Step, results: Sequence[Result], declared: dict[str, bool]
) -> Iterator[dg.MaterializeResult]:
    result = results[-1]
    checks = {(check.table, check.name): check for item in results for check in item.done.checks}
    examples = {name: rows for item in results for name, rows in item.shown.get("examples", {}).items()}
    quarantine = _quarantine(result)
    for table in step.outputs:
        written = next(item for item in result.done.writes if item.table == table)
        yield dg.MaterializeResult(
            asset_key=asset_key(table),
            metadata=output_metadata(written, result) | shown_metadata(result, table),
            data_version=dg.DataVersion(written.snapshot.digest),
            check_results=_verdicts(step, table, checks, declared, quarantine, examples),
            tags={"assay/delta_version": str(written.snapshot.version)},
        )


def _common(step: Step) -> Iterator[Any]:
    """Events that Dagster needs once in a run over several partitions: it copies a materialization to each of them, but drops
    check results."""
    for table in step.outputs:
        yield dg.MaterializeResult(asset_key=asset_key(table))
    for check in step.checks:
        yield dg.Output(None, _check_spec(check, None).get_python_identifier())


def _each(
    context: dg.AssetExecutionContext, step: Step, results: Sequence[Result], declared: dict[str, bool]
) -> Iterator[Any]:
    """Each partition's version and check results in a run over several, as events of their own: the latest that Dagster has
    of it."""
    for result in results:
        checks = {(check.table, check.name): check for check in result.done.checks}
        for table in step.outputs:
            written = next(item for item in result.done.writes if item.table == table)
            yield dg.AssetMaterialization(
                asset_key(table),
                metadata=output_metadata(written, result) | shown_metadata(result, table),
                partition=_key(result),
                tags={DATA_VERSION: written.snapshot.digest, "assay/delta_version": str(written.snapshot.version)},
            )
            verdicts = _verdicts(step, table, checks, declared, _quarantine(result), result.shown.get("examples"))
            blocking = [check.blocking for check in step.checks if check.table == table]
            for verdict, blocks in zip(verdicts, blocking, strict=True):
                yield partition_check_event(verdict, _key(result), blocks, context.instance)


def _key(result: Result) -> str | None:
    return result.partition and dagster_key(result.step.partitioning, result.partition)


def _quarantine(result: Result) -> TableWrite | None:
    """The quarantine that the step wrote, if it has one."""
    return next((item for item in result.done.writes if Kind.QUARANTINE.holds(item.table)), None)


def _verdicts(
    step: Step,
    table: str,
    checks: Mapping[tuple[str, str], CheckResult],
    declared: dict[str, bool],
    quarantine: TableWrite | None = None,
    examples: Mapping[str, pl.DataFrame] | None = None,
) -> list[dg.AssetCheckResult]:
    """A result for every declared check; one that found nothing to report on has passed over no rows."""
    results = [
        checks.get((table, c.name), CheckResult(c.name, table, passed=True)) for c in step.checks if c.table == table
    ]
    return [
        check_result(check, declared, quarantine=quarantine, examples=(examples or {}).get(check.name))
        for check in results
    ]


def _unchanged(step: Step, env: Resources, declared: dict[str, bool]) -> Iterator[dg.MaterializeResult]:
    """Nothing new to read: the tables stay at the version they have, with the checks of that time."""
    for table in step.outputs:
        state = env.lake.table(table).at()
        commit = state.writers(None)[-1]
        snapshot = state.table_snapshot(commit.version)
        checks = {(item["table"], item["name"]): CheckResult(**item) for item in commit.checks}
        yield dg.MaterializeResult(
            asset_key=asset_key(table),
            metadata={"delta_version": snapshot.version, "new_version": False, "dagster/row_count": state.rows()},
            data_version=dg.DataVersion(snapshot.digest),
            check_results=_verdicts(step, table, checks, declared),
        )
