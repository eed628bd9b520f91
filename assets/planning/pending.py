"""What waits, and for what; and what follows from what is planned.

Waiting is not failing: an upstream that has not arrived makes no run. A step waits where something that it reads is there for
a partition and something else is not. Where nothing is there at all, as on a day without deliveries, nothing waits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assay.assets.planning.grouped import counted, grouped
from assay.assets.planning.held import Staying, learns_from, stays_of
from assay.assets.planning.plan import Chosen, PlannedRun, partitions_of, stages
from assay.assets.steps.plan_store import Latest
from assay.assets.steps.step import Resources, Step, look, not_ready
from assay.errors import panics_as_errors
from assay.features.storage.missing_settings import keep_missing_settings
from assay.features.tables.lake import Lake, TableMissing
from assay.features.tables.partitioning import shared


@dataclass(frozen=True, slots=True)
class Waiting:
    """One table that waits in one partition (None: it has none).

    Attributes:
        waits_for: the table that is missing; empty where it is no table.
        because: why that one is missing.
        delivered: whether what is missing has been delivered, and was refused, failed or not been run yet.
    """

    table: str
    partition: str | None
    waits_for: str
    because: str
    delivered: bool

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def __str__(self) -> str:
        what = f"{self.table} {self.partition}" if self.partition else self.table
        return f"{what} waits for {self.waits_for or 'its upstream'}: {self.because.rstrip('.')}"


def waiting_steps(
    steps: Sequence[Step], env: Resources, chosen: Chosen | None = None, *, latest: int | None = None
) -> list[Waiting]:
    """What waits now, in the order of the steps' stages and partitions.

    Args:
        steps: Some or all of the pipeline.
        env: What steps use.
        chosen: Partitions to look at. Default: all with deliveries or data.
        latest: Of these only the last ones, and those that waited at the last plan. After a plan that was kept, they are not
            listed, and what it has just looked at is not looked at again unless it waits.
    """
    env = replace(env, lake=env.lake.remembering())
    writers = {table: step for step in steps for table in step.outputs}
    seen = env.plans.latest([step.name for step in steps], latest) if latest and not chosen else {}
    found: list[Waiting] = []
    for stage in stages(steps):
        keys: Sequence[str | None] = [None]
        if stage[0].partitioning.is_partitioned:
            keys = _latest(stage, env, seen, latest) if latest and not chosen else partitions_of(stage, env, chosen)
        for key in keys:
            to_see = [step for step in stage if step.name not in seen or (key or "") not in seen[step.name].done]
            found += [one for step in to_see if (one := _waiting(step, key, env, writers)) is not None]
    return found


def _latest(stage: Sequence[Step], env: Resources, seen: Mapping[str, Latest], count: int) -> list[str]:
    """The last partitions of a stage, as the planner has just seen them, and those that waited; where it remembers nothing, as
    they are."""
    partitioning = stage[0].partitioning
    if partitioning.is_timed and all(step.name in seen for step in stage):
        keys = partitioning.known(sorted(frozenset().union(*(seen[step.name].partitions for step in stage))))
    else:
        keys = partitions_of(stage, env)
    waited = set[str]().union(*(env.plans.waits(step.name) for step in stage))
    return partitioning.known(sorted({*keys[-count:], *waited}))


def _waiting(step: Step, key: str | None, env: Resources, writers: Mapping[str, Step]) -> Waiting | None:
    if step.batches or not any(_is_there(env.lake, table, key) for table in step.reads):
        return None
    reason = not_ready(step, env, key)
    if reason is None or (key is None and env.lake.table(step.outputs[0]).exists()):
        return None
    delivered, because = _cause(reason.table, key, env, writers) or (False, str(reason))
    return Waiting(step.outputs[0], key, reason.table, because, delivered)


def _cause(table: str, key: str | None, env: Resources, writers: Mapping[str, Step]) -> tuple[bool, str] | None:
    """Why a table is not there: whether it could be made now, and what is missing furthest upstream."""
    writer = writers.get(table)
    if writer is None or writer.partitioning.is_partitioned != (key is not None):
        return None
    reason = not_ready(writer, env, key)
    if reason is not None:
        return _cause(reason.table, key, env, writers) or (False, str(reason))
    if lack := _lack(writer, env):
        return True, lack
    seen = look(writer, env, key)
    if seen.refused is not None:
        return True, f"{writer.outputs[0]} was refused"
    return (True, f"{writer.outputs[0]} has not been run yet, or failed") if seen.stale else None


def lacking_steps(steps: Sequence[Step], env: Resources) -> dict[str, str]:
    """What the settings lack for steps to run, by the first table of each: a run of them fails, whatever there is to do."""
    return {step.outputs[0]: lack for step in steps if (lack := _lack(step, env))}


def note_lacking(steps: Sequence[Step], env: Resources) -> dict[str, str]:
    """The same of a whole project, kept in the lake for the console, which cannot look itself."""
    lacks = lacking_steps(steps, env)
    keep_missing_settings(env.lake.storage, lacks, [step.outputs[0] for step in steps], env.now())
    return lacks


def _lack(step: Step, env: Resources) -> str:
    try:
        with panics_as_errors(step.outputs[0]):
            return step.lacks(env) if step.lacks else ""
    except Exception:  # running it says what is wrong
        return ""


def _is_there(lake: Lake, table: str, key: str | None) -> bool:
    try:
        state = lake.table(table).at()
    except TableMissing:
        return False
    return key is None or bool(state.partitions([key])) or not state.count_partitions()


def summarised(waiting: Sequence[Waiting], most: int = 5) -> list[str]:
    """A line for each cause, the latest ones: the tables that wait for one thing stand in one, and the partitions in which they
    do."""
    tables: dict[tuple[str | None, str, str], list[str]] = {}
    for one in waiting:
        tables.setdefault((one.partition, one.waits_for, one.because), []).append(one.table)
    lines = grouped(
        (partition, f"{', '.join(names)}\0{waits_for}", because)
        for (partition, waits_for, because), names in tables.items()
    )
    texts = []
    for one in lines:
        names, _, waits_for = one.what.partition("\0")
        verb = "wait" if "," in names or len(one.partitions) > 1 else "waits"
        texts.append(
            f"{names}{counted(one.partitions)} {verb} for {waits_for or 'its upstream'} ({one.example.rstrip('.')})"
        )
    left = len(texts) - most
    more = [f"and {left:,} more {'waits' if left == 1 else 'wait'}"] if left > 0 else []
    return [*texts[-most:], *more]


def consequences(
    planned: Sequence[PlannedRun], steps: Sequence[Step], env: Resources
) -> tuple[list[str], list[Staying]]:
    """Lines for people: what the planned runs make stale beyond themselves, and what stays all the same. An upper bound, since
    a result that is equal to the one before makes nothing stale.

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
    stay: list[Staying] = []
    for stage in stages(steps):
        known = partitions_of(stage, env) if stage[0].partitioning.is_partitioned else []
        for step in stage:
            reached = {None} if learns_from(step, stay) else _reached(step, known, touched, steps)
            if kept := stays_of(step, env, reached - begun.get(step.name, set())):
                stay += kept
                reached -= set(kept[0].partitions) or {None}
            keys = reached | begun.get(step.name, set())
            if not keys:
                continue
            touched |= dict.fromkeys(step.outputs, keys)
            if more := keys - begun.get(step.name, set()):
                then.append(f"{step.outputs[0]}{counted(more)}")
    return [f"Then, at most: {', '.join(then)}."] if then else [], stay


def judged_again(planned: Sequence[PlannedRun], left: Sequence[tuple[str, str | None]], steps: Sequence[Step]) -> str:
    """A line for people: what is refused or waits now, and may be judged within the same call, since planned runs write a table
    that it is looked up in; empty where there is nothing. Whether it finds other values there is known only then.

    Args:
        planned: The runs, as `planned_runs` gives them.
        left: Table and partition of what is refused or waits.
        steps: The whole pipeline.
    """
    writes = {table for unit in planned for table in unit.tables}
    looked_up = {step.outputs[0]: writes.intersection(step.references) for step in steps}
    found: dict[str, set[str | None]] = {}
    for table, partition in left:
        if looked_up.get(table):
            found.setdefault(table, set()).add(partition)
    if not found:
        return ""
    causes = ", ".join(sorted(set[str]().union(*(looked_up[table] for table in found))))
    what = ", ".join(f"{table}{counted(keys)}" for table, keys in found.items())
    return f"After that, if {causes} then {'have' if ',' in causes else 'has'} what was missing: {what}."


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
