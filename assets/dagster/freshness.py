"""Whether a source's data is as new as its contract promises.

Dagster's own freshness policies look at the last run, so that computing an old day again makes a dead source look alive. Here
the data decides. The verdict is a check of the clean table, renewed by the sensor when it changes and by whoever executes it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from assay.assets.dagster.dagster_metadata import asset_key
from assay.assets.dagster.failures import in_one_sentence
from assay.assets.dagster.jobs import named
from assay.assets.steps.freshness import Freshness, freshness_of
from assay.assets.steps.step import Resources, Step

NAME = "data_freshness"
SECONDS = 600  # between two looks


def freshness_checks(steps: Sequence[Step], resources: Callable[[], Resources]) -> list[dg.AssetChecksDefinition]:
    """One check for each source with a promise."""
    return [_check(step, resources) for step in steps if step.freshness is not None]


def _check(step: Step, resources: Callable[[], Resources]) -> dg.AssetChecksDefinition:
    table = step.outputs[0]

    @dg.asset_check(
        asset=asset_key(table),
        name=NAME,
        description=f"The newest data of {table} is not older than the contract promises, whenever it was computed.",
    )
    def check() -> dg.AssetCheckResult:
        with in_one_sentence():
            found = freshness_of(step, resources())
        return dg.AssetCheckResult(
            passed=found.fresh,
            severity=dg.AssetCheckSeverity.WARN,
            description=found.message,
            metadata=_metadata(found),
        )

    return check


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
    """The verdicts that are not what Dagster shows now: reported once, when a source falls behind or comes back."""
    verdicts = {
        dg.AssetCheckKey(asset_key(step.outputs[0]), NAME): freshness_of(step, env)
        for step in steps
        if step.freshness is not None
    }
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(verdicts)) if verdicts else {}
    found = []
    for key, verdict in verdicts.items():
        evaluation = records[key].evaluation if key in records else None
        if isinstance(evaluation, dg.AssetCheckEvaluation) and evaluation.passed == verdict.fresh:
            continue
        if verdict.newest is None:
            continue  # nothing has ever come: there is nothing to be old
        found.append(
            dg.AssetCheckEvaluation(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=verdict.fresh,
                severity=dg.AssetCheckSeverity.WARN,
                description=verdict.message,
                metadata=_metadata(verdict),
            )
        )
    return found


def _metadata(found: Freshness) -> dict[str, dg.MetadataValue[Any]]:
    return {} if found.newest is None else {"newest_data": dg.MetadataValue.timestamp(found.newest)}
