"""How new the data of a source is, against what its contract promises."""

from collections.abc import Sequence

from assay.assets.steps.step import Resources, Step
from assay.features.tables.freshness import Freshness, Promise, freshness
from assay.features.tables.lake import TableMissing


def promise_of(step: Step) -> Promise | None:
    """What a step's declaration promises of its first table."""
    if step.freshness is None:
        return None
    return Promise(step.freshness.total_seconds(), step.event_time, step.partitioning.end)


def freshness_of(step: Step, env: Resources) -> Freshness | None:
    """Whether the newest data of a step is as new as promised; None where nothing is promised."""
    promise, table = promise_of(step), step.outputs[0]
    if promise is None:
        return None
    try:
        state = env.lake.table(table).at()
    except TableMissing:
        state = None
    end_of = step.partitioning.end_of if step.partitioning.is_timed else None
    return freshness(state, table, promise, env.now(), end_of)


def freshness_by_table(steps: Sequence[Step], env: Resources) -> dict[str, Freshness]:
    """The same of every step of which anything is promised, by its first table."""
    found = {step.outputs[0]: freshness_of(step, env) for step in steps}
    return {table: one for table, one in found.items() if one is not None}
