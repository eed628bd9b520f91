"""Whether a source's data is as new as its contract promises, as a check of its clean table.

Dagster's own freshness policies look at the last run, so that computing an old day again makes a dead source look alive. Here
the data decides. Each run that makes the table evaluates the check, since Dagster shows no verdict about an earlier one; a sensor
does so when time has made it another one; and a person can, too.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from assay.assets.dagster.dagster_metadata import asset_key
from assay.assets.dagster.failures import in_one_sentence
from assay.assets.dagster.jobs import named
from assay.assets.dagster.run_events import target_of
from assay.assets.freshness import freshness_of
from assay.assets.steps.step import Resources, Step
from assay.features.tables.freshness import Freshness

NAME = "data_freshness"
SECONDS = 60  # between two looks, each of which reads statistics only
SHOWN = timedelta(hours=6)  # an age in words is not left to stand for longer


def freshness_checks(steps: Sequence[Step], resources: Callable[[], Resources]) -> list[dg.AssetChecksDefinition]:
    """One check for each source with a promise."""
    return [_check(step, resources) for step in steps if step.freshness is not None]


def _check(step: Step, resources: Callable[[], Resources]) -> dg.AssetChecksDefinition:
    table = step.outputs[0]

    @dg.asset_check(
        asset=asset_key(table),
        name=NAME,
        description=f"The newest event of {table} is not older than the contract promises, whenever it was computed.",
    )
    def check() -> dg.AssetCheckResult:
        with in_one_sentence():
            found = freshness_of(step, resources())
        assert found is not None
        return dg.AssetCheckResult(
            passed=found.fresh,
            severity=dg.AssetCheckSeverity.WARN,
            description=found.message,
            metadata=_metadata(found),
        )

    return check


def freshness_events(instance: dg.DagsterInstance, step: Step, env: Resources) -> Iterator[dg.AssetCheckEvaluation]:
    """The verdict about what a run has just made, if anything is promised of it."""
    found = freshness_of(step, env)
    if found is not None:
        yield _evaluation(instance, step, found)


def freshness_sensor(
    steps: Sequence[Step], resources: Callable[[], Resources], *, project: str = ""
) -> list[dg.SensorDefinition]:
    """The sensor that looks at the promises now and then, in a list; none where nothing is promised."""
    if all(step.freshness is None for step in steps):
        return []

    @dg.sensor(
        name=named("freshness", project),
        asset_selection=dg.AssetSelection.checks(*(check.check_key for check in freshness_checks(steps, resources))),
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Says of each source with a promise when its newest data becomes too old, and when it is fresh again.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        changed = changed_freshness(steps, resources(), context.instance)
        return dg.SensorResult(asset_events=changed) if changed else dg.SkipReason("Nothing has changed.")

    return [sensor]


def changed_freshness(
    steps: Sequence[Step], env: Resources, instance: dg.DagsterInstance
) -> list[dg.AssetCheckEvaluation]:
    """The verdicts that are not what Dagster shows now: another one, one of an earlier version, one of hours ago, or none."""
    promised = {_key(step): step for step in steps if step.freshness is not None}
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(promised)) if promised else {}
    changed = []
    for key, step in promised.items():
        found = freshness_of(step, env)
        assert found is not None
        evaluation, record = _evaluation(instance, step, found), records.get(key)
        shown = record.evaluation if record is not None else None
        if isinstance(shown, dg.AssetCheckEvaluation) and record is not None:
            old = env.now().timestamp() - record.create_timestamp > SHOWN.total_seconds()
            same = (
                shown.passed == found.fresh
                and shown.target_materialization_data == evaluation.target_materialization_data
            )
            if same and not old:
                continue
        changed.append(evaluation)
    return changed


def _key(step: Step) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(asset_key(step.outputs[0]), NAME)


def _evaluation(instance: dg.DagsterInstance, step: Step, found: Freshness) -> dg.AssetCheckEvaluation:
    key = _key(step)
    return dg.AssetCheckEvaluation(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=found.fresh,
        severity=dg.AssetCheckSeverity.WARN,
        description=found.message,
        metadata=_metadata(found),
        target_materialization_data=target_of(instance, step.outputs[0], None),
    )


def _metadata(found: Freshness) -> dict[str, dg.MetadataValue[Any]]:
    return {} if found.newest is None else {"newest_data": dg.MetadataValue.timestamp(found.newest)}
