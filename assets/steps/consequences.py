"""What follows from what is planned: which tables become stale, in which partitions, without running anything."""

from collections.abc import Mapping, Sequence

from assay.assets.steps.plan import PlannedRun, partitions_of, stages
from assay.assets.steps.step import Resources, Step
from assay.features.tables.partitioning import shared


def consequences(planned: Sequence[PlannedRun], steps: Sequence[Step], env: Resources) -> list[str]:
    """Lines for people: what the planned runs make stale beyond themselves. An upper bound, since a result that is equal to
    the one before makes nothing stale.

    Args:
        planned: The runs, as `planned_runs` gives them.
        steps: The whole pipeline, upstream first.
        env: What steps use.
    """
    begun: dict[str, set[str | None]] = {}
    for unit in planned:
        for step in unit.steps:
            begun.setdefault(step.name, set()).add(unit.partition)
    touched: dict[str, set[str | None]] = {}
    then: list[str] = []
    for stage in stages(steps):
        known = partitions_of(stage, env) if stage[0].partitioning.is_partitioned else []
        for step in stage:
            keys = _reached(step, known, touched, steps) | begun.get(step.name, set())
            if not keys:
                continue
            touched |= dict.fromkeys(step.outputs, keys)
            if more := keys - begun.get(step.name, set()):
                then.append(f"{step.outputs[0]}{_counted(more)}")
    return [f"Then, at most: {', '.join(then)}."] if then else []


def _reached(
    step: Step, known: Sequence[str], touched: Mapping[str, set[str | None]], steps: Sequence[Step]
) -> set[str | None]:
    """Partitions of a step that read something which is touched. References make nothing stale."""
    hit = [table for table in step.reads if table in touched]
    if not hit:
        return set()
    if not step.partitioning.is_partitioned:
        return {None}
    writers = {table: writer for writer in steps for table in writer.outputs}
    found: set[str | None] = set()
    for table in hit:
        keys = touched[table]
        if None in keys or shared([step.partitioning, writers[table].partitioning]) is None:
            return set(known)
        later = [set(known[at : at + step.lookback + 1]) for at, key in enumerate(known) if key in keys]
        found = found.union(*later)
    return found


def _counted(keys: set[str | None]) -> str:
    named = sorted(key for key in keys if key is not None)
    if not named:
        return ""
    return f" {named[0]}" if len(named) == 1 else f" in {len(named)} partitions ({named[0]} to {named[-1]})"
