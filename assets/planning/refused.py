"""What is refused now: batches that were refused, and would be again, since neither they nor what judges them has changed.

They are not to be done: they wait for another delivery, or for another declaration. What failed is to be done again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assay.assets.planning.grouped import counted, grouped
from assay.assets.planning.plan import Chosen, stages
from assay.assets.steps.step import Look, Resources, Step, look
from assay.features.tables.refusals import Refusal, forget_refusal, refusals

AGAIN = "another delivery, another declaration, or other rows in a table that it refers to"


@dataclass(frozen=True, slots=True)
class Refused:
    """A batch that stays refused, or whose work failed, and the tables of its partition that cannot be made without it."""

    refusal: Refusal
    waiting: tuple[str, ...]

    @property
    def table(self) -> str:
        return self.refusal.table

    @property
    def partition(self) -> str | None:
        return self.refusal.partition

    @property
    def place(self) -> str:
        return f"{self.partition}: {self.table}" if self.partition else self.table

    def to_dict(self) -> dict[str, Any]:
        return self.refusal.to_dict() | {"waiting": list(self.waiting)}

    @property
    def waits(self) -> str:
        return f" ({', '.join(self.waiting)} wait{'' if self.waiting[1:] else 's'} for it)" if self.waiting else ""

    def __str__(self) -> str:
        return f"{self.place} since {self.refusal.at:%Y-%m-%d %H:%M} UTC{self.waits}: {self.refusal.problem}"


def refused_lines(refused: Sequence[Refused]) -> list[str]:
    """A line for each, or one for those that have the same problem in several partitions."""
    by_place = {(one.partition, one.table): one for one in refused}
    lines = []
    for group in grouped(
        (one.partition, f"{one.table}\0{', '.join(one.waiting)}", one.refusal.problem) for one in refused
    ):
        table = group.what.partition("\0")[0]
        same = [by_place[partition, table] for partition in group.partitions]
        if len(same) == 1:
            lines.append(str(same[0]))
            continue
        since = min(one.refusal.at for one in same)
        lines.append(
            f"{table}{counted(group.partitions)} since {since:%Y-%m-%d %H:%M} UTC{same[0].waits}: {group.example}"
        )
    return lines


def staying_refused(steps: Sequence[Step], env: Resources, chosen: Chosen | None = None) -> list[Refused]:
    """Every batch of these steps that is refused now, by partition and stage.

    Args:
        steps: Some or all of the pipeline.
        env: What steps use.
        chosen: Partitions to look at. Default: all.
    """
    return _standing(steps, env, lambda kept, seen: seen.refused is not None, chosen)


def to_judge_again(steps: Sequence[Step], env: Resources, chosen: Chosen | None = None) -> list[Refused]:
    """Every batch of these steps that was refused and may be taken now, since it or what judges it has changed."""
    return _standing(steps, env, lambda kept, seen: not kept.failed and seen.stale and seen.refused is None, chosen)


def still_failing(steps: Sequence[Step], env: Resources) -> list[Refused]:
    """Every batch of these steps whose work failed when it was last tried, and that is still to be made."""
    return _standing(steps, env, lambda kept, seen: kept.failed and seen.stale and seen.refused is None)


def _standing(
    steps: Sequence[Step], env: Resources, stands: Callable[[Refusal, Look], bool], chosen: Chosen | None = None
) -> list[Refused]:
    env = replace(env, lake=env.lake.remembering())
    by_table = {step.outputs[0]: (step, stage) for stage in stages(steps) for step in stage}
    found: list[Refused] = []
    for kept in refusals(env.lake):
        if kept.table not in by_table:
            continue
        step, stage = by_table[kept.table]
        wanted = chosen is None or not step.partitioning.is_partitioned or kept.partition in chosen(step.partitioning)
        if wanted and stands(kept, look(step, env, kept.partition)):
            found.append(Refused(kept, _waiting_for(step, stage, env, kept.partition)))
    order = list(by_table)
    return sorted(found, key=lambda one: (one.partition or "", order.index(one.table)))


def forget_withdrawn(steps: Sequence[Step], env: Resources) -> None:
    """Forget refusals of batches that are not delivered any more, or that somebody wrote at the same moment."""
    makers = {step.outputs[0]: step for step in steps}
    for refusal in refusals(env.lake):
        step = makers.get(refusal.table)
        if step is not None and not look(step, env, refusal.partition).stale:
            forget_refusal(env.lake, refusal.table, refusal.partition)


def _waiting_for(step: Step, stage: Sequence[Step], env: Resources, partition: str | None) -> tuple[str, ...]:
    """The tables of the same partition that have something to do, or nothing to do it from, and need what is refused."""
    if step.batches:
        return ()
    missing, waiting = set(step.outputs), list[str]()
    for other in stage[stage.index(step) + 1 :]:
        if not missing & {*other.reads, *other.references}:
            continue
        missing |= set(other.outputs)
        seen = look(other, env, partition)
        if (seen.stale and seen.refused is None) or seen.waits_for is not None:
            waiting.append(other.outputs[0])
    return tuple(waiting)
