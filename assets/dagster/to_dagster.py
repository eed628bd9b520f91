"""Steps to Dagster: one multi-asset per step, one asset check per rule. The adapter for everything Dagster-shaped."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.storage.tags import KIND_PREFIX

from assay.assets.dagster.dagster_metadata import asset_key, check_name
from assay.assets.dagster.failures import in_one_sentence
from assay.assets.dagster.freshness import freshness_events
from assay.assets.dagster.partitions import definition_of, our_key
from assay.assets.dagster.run_events import refused_events, result_events, unchanged_events
from assay.assets.dagster.run_recovery import beating
from assay.assets.steps.step import CheckSpec, NotReady, Resources, Result, Step, execute
from assay.assets.stopping import REQUESTED
from assay.features.tables.kinds import Kind, kind_of
from assay.features.tables.partitioning import Partitioning, shared
from assay.features.tables.run_record import Run
from assay.features.tables.transaction import AuditFailed
from assay.lineage.delivery.recorder import run_id

FORCE_TAG = "assay/force"  # on a run: compute even what is up to date
AGAIN_TAG = "assay/judge_again"  # on a run: judge again of what a changed contract may take more rows
REFUSED_TAG = "assay/refused"  # on a run, by itself: the tables whose batches were refused
WAITED_TAG = "assay/waited"  # on a run, by itself: a table, and what it waits for
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
            group_name=group_of(step, table),
            # Dagster calls stale whatever other code made; of these results only the lake can say whether it is.
            code_version=None if step.earlier is not None else step.code_version,
            owners=[f"team:{step.owner}"] if step.owner else [],
            kinds=set(step.kinds),
            tags=labels_of(table),
            partitions_def=partitions,
            metadata={"dagster/table_name": table},
        )
        for table in step.outputs
    ]
    checks = [_check_spec(check, partitions) for check in step.checks]

    @dg.multi_asset(
        name=step.name,
        specs=specs,
        check_specs=checks,
        partitions_def=partitions,
        can_subset=True,  # a refused batch has no outputs; and nobody is asked to choose the tables that are written together
        # One run per partition: of a run over several, Dagster itself would keep one verdict for all of them.
        backfill_policy=dg.BackfillPolicy.multi_run(1) if partitions else None,
        pool=step.pool,
        retry_policy=RETRIES,
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[Any]:
        last = context.op_execution_context.retry_number >= RETRIES.max_retries
        with in_one_sentence(last=last), beating(context.instance, context.run.run_id):
            yield from _run(context, step, resources())

    return asset


# What flows together stands together in the asset graph; what a declaration groups by another name, by that.
_GROUPS = {
    Kind.RAW: "raw",
    Kind.CLEAN: "clean",
    Kind.QUARANTINE: "quarantine",
    Kind.PROFILES: "profiles",
    Kind.PARTIALS: "features",
    Kind.FEATURES: "features",
    Kind.LABELS: "features",
    Kind.EMBEDDINGS: "features",
    Kind.TRAINING: "training",
    Kind.MODELS: "model",
    Kind.PREDICTIONS: "predictions",
}


def group_of(step: Step, table: str) -> str:
    """The group of assets that Dagster shows a table in."""
    kind = kind_of(table)
    return step.group or (_GROUPS.get(kind, "other") if kind else "other")


def labels_of(table: str) -> dict[str, str]:
    """What stands below a node before its kinds. Dagster's name of a node is the last part of its key; so the first part is a
    label, and the three nodes named `router` differ by `training`, `models` and `predictions`."""
    return {f"{KIND_PREFIX}{table.partition('/')[0]}": "", "dagster/storage_kind": "deltalake"}


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
    """Run the step for each partition. What is refused or not ready publishes nothing, and so what needs it is skipped; the
    run itself succeeds, since it did what was agreed: only the check that refused is red."""
    if AGAIN_TAG in context.run.tags:
        env = replace(env, judge_again=True)
    results: list[Result] = []
    stopped: dict[str, str] = {}
    stopping = REQUESTED.is_set()  # somebody wants the command to stop: what has not begun is left
    for partition in [] if stopping else _partitions(context, step, env):
        run, force = run_of(context, step, partition), FORCE_TAG in context.run.tags
        try:
            results.append(execute(step, env, partition, run, force=force))
            context.log.info("%s: %s", step.name, ", ".join(str(item.snapshot) for item in results[-1].done.writes))
        except AuditFailed as refused:
            context.log.error("%s. Nothing was published.", str(refused).rstrip("."))
            stopped[REFUSED_TAG] = _with_others(context, step.outputs[0])
            yield from refused_events(context, step, partition, refused.checks, env)
        except NotReady as waiting:
            context.log.warning("%s", waiting)
            if not step.batches:
                stopped.setdefault(WAITED_TAG, f"{step.outputs[0]}: {waiting}")
    if stopped:
        context.instance.add_run_tags(context.run.run_id, stopped)
    if results:
        complete = not stopped or not step.partitioning.is_partitioned
        yield from result_events(context, step, results, env, complete=complete)
    elif not stopped and not stopping:
        yield from unchanged_events(context, step, env)
    if asset_key(step.outputs[0]) in context.selected_asset_keys and (results or not (stopped or stopping)):
        yield from freshness_events(context.instance, step, env)
    for check in step.checks:  # what is downstream waits for an output of each check that blocks, whatever it says
        spec = _check_spec(check, None)
        if check.blocking and spec.key in context.selected_asset_check_keys:
            yield dg.Output(None, spec.get_python_identifier())


def _with_others(context: dg.AssetExecutionContext, table: str) -> str:
    """The tables that the run has refused so far, with one more: its steps share the tag."""
    run = context.instance.get_run_by_id(context.run.run_id)
    others = run.tags.get(REFUSED_TAG, "").split(", ") if run else []
    return ", ".join(dict.fromkeys([*filter(None, others), table]))


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
