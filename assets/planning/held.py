"""What stays as it is although its inputs have changed, because its declaration wants it, and why, so that nobody wonders."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assay.assets.planning.grouped import counted
from assay.assets.planning.plan import Chosen, partitions_of
from assay.assets.steps.hold import Held
from assay.assets.steps.step import Resources, Step, held_at, look


@dataclass(frozen=True, slots=True)
class Staying:
    """A table, and its partitions (none where it has none), whose results stay for now."""

    table: str
    partitions: tuple[str, ...]
    held: Held

    def to_dict(self) -> dict[str, Any]:
        due = self.held.until.isoformat() if self.held.until is not None else None
        return {"table": self.table, "partitions": list(self.partitions), "retrain": self.held.rule, "due": due}

    def __str__(self) -> str:
        what = "fitted" if self.table.startswith("models/") else "made"
        return f"{self.table} would be {what} again{counted(self.partitions)}: {self.held}"


def staying(
    steps: Sequence[Step], env: Resources, chosen: Chosen | None = None, *, latest: int | None = None
) -> list[Staying]:
    """What would be made again now, if its declaration did not hold it.

    Args:
        steps: Some or all of the pipeline.
        env: What steps use.
        chosen: Partitions to look at. Default: all with data.
        latest: Of these only the last ones.
    """
    env = replace(env, lake=env.lake.remembering())
    found: list[Staying] = []
    for step in steps:
        if step.hold is None:
            continue
        if learns_from(step, found):
            found += stays_of(step, env, [None])
            continue
        keys: Sequence[str | None] = [None]
        if step.partitioning.is_partitioned:
            keys = partitions_of([step], env, chosen)[-latest if latest else None :]
        elif step.batches:
            keys = step.batches(env)
        held = {key: one for key in keys if (one := look(step, env, key).held) is not None}
        found += _of(step, held)
    return found


def stays_of(step: Step, env: Resources, keys: Collection[str | None]) -> list[Staying]:
    """Which of these partitions would stay, if the inputs of all of them changed now."""
    if step.hold is None:
        return []
    return _of(step, {key: held for key in keys if (held := held_at(step, env, key)) is not None})


def learns_from(step: Step, stay: Sequence[Staying]) -> bool:
    """Whether a step only has nothing to do because what it learns from stays: a model, which is then reported."""
    return step.hold is not None and not step.hold.for_good and any(one.table in step.reads for one in stay)


def _of(step: Step, held: dict[str | None, Held]) -> list[Staying]:
    if not held:
        return []
    return [Staying(step.outputs[0], tuple(sorted(key for key in held if key is not None)), next(iter(held.values())))]


def with_what_they_hold(chosen: Sequence[Step], steps: Sequence[Step]) -> tuple[Step, ...]:
    """Chosen steps, to be forced, with the upstreams that the same declaration holds: a model that is fitted again learns from
    what is there now."""
    names = {step.name for step in chosen}
    learned_from = {table for step in chosen if step.hold and not step.hold.for_good for table in step.reads}
    names |= {step.name for step in steps if step.hold and learned_from & set(step.outputs)}
    return tuple(step for step in steps if step.name in names)
