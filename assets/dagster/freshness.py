"""Whether a source's data is as new as its contract promises.

Dagster's own freshness policies look at the last run, so that computing an old day again makes a dead source look alive. Here
the data decides. The verdict is a check of the clean table, renewed by the sensor when it changes and by whoever executes it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import dagster as dg

from assay.assets.dagster.dagster_metadata import asset_key
from assay.assets.steps.freshness import Freshness, freshness_of
from assay.assets.steps.step import Resources, Step

NAME = "data_freshness"


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
        env = resources()
        found = freshness_of(step, env)
        return dg.AssetCheckResult(
            passed=found.fresh, severity=dg.AssetCheckSeverity.WARN, description=found.message, metadata=_metadata(found)
        )

    return check


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
                metadata={name: dg.MetadataValue.timestamp(value) for name, value in _metadata(verdict).items()},
            )
        )
    return found


def _metadata(found: Freshness) -> dict[str, datetime]:
    return {} if found.newest is None else {"newest_data": found.newest}
