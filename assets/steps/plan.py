"""What is to be done now: the same answer for `assay materialize`, for the sensor and for a curious person.

Steps with the same partitions that follow each other form a wave: a Dagster run has one kind of partition. A wave of daily
steps runs day by day, all its stale steps of a day in one run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from assay.assets.steps.step import Resources, Step, stale, waits_for
from assay.features.tables.lake import TableMissing


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One Dagster run to be: these steps, for this day (None: not partitioned)."""

    partition: str | None
    steps: tuple[Step, ...]
    position: int = 1  # the how-manieth of the days (or of one) that its wave looks at
    of: int = 1

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(table for step in self.steps for table in step.outputs)

    def __str__(self) -> str:
        what = ", ".join(step.outputs[0] for step in self.steps)
        return f"{self.partition}: {what}" if self.partition else what


def stages(steps: Sequence[Step]) -> list[tuple[Step, ...]]:
    """Steps (in order, upstream first) in waves. What has no partitions goes as early as it can, so that a day, which may
    look things up there, is one run."""
    remaining, result, done = list(steps), [], set[str]()
    produced = {table for step in steps for table in step.outputs}
    while remaining:
        kinds = sorted({step.first_day for step in remaining}, key=lambda day: (day is not None, day))
        stage = next(
            found for kind in kinds if (found := _stage([s for s in remaining if s.first_day == kind], done, produced))
        )
        result.append(stage)
        done |= {table for step in stage for table in step.outputs}
        remaining = [step for step in remaining if step not in stage]
    return result


def _stage(candidates: Sequence[Step], done: set[str], produced: set[str]) -> tuple[Step, ...]:
    """The candidates whose upstreams are done or among themselves."""
    have, stage = set(done), []
    for step in candidates:
        needs = {table for table in (*step.reads, *step.references) if table in produced} - set(step.outputs)
        if needs <= have:
            stage.append(step)
            have |= set(step.outputs)
    return tuple(stage)


def days_of(steps: Sequence[Step], env: Resources, chosen: Sequence[str] | None = None) -> list[str]:
    """Days to look at: those with deliveries or with data, or the chosen ones."""
    if chosen is not None:
        return sorted(chosen)
    found: set[str] = set()
    for step in steps:
        if step.landed:
            found |= set(step.landed(env))
    for table in {table for step in steps if step.daily for table in (*step.outputs, *step.reads)}:
        try:
            found |= set(env.lake.table(table).at().partitions())
        except TableMissing:
            continue
    first = min((step.first_day.isoformat() for step in steps if step.first_day), default="")
    return sorted(day for day in found if day[:1].isdigit() and len(day) == 10 and day >= first)


def planned_runs(
    stage: Sequence[Step], env: Resources, chosen: Sequence[str] | None = None, *, force: bool = False
) -> Iterator[PlannedRun]:
    """What a wave has to do, decided lazily: each unit is looked at when the ones before it are done, because what they
    write may make it stale."""
    env = replace(env, lake=env.lake.remembering())
    if not stage[0].daily:
        # Days that were chosen are what is to be forced; a model is not fitted again for them.
        due = tuple(step for step in stage if (force and chosen is None) or _due(step, env, None))
        if due:
            yield PlannedRun(None, _with_downstream(stage, due))
        return
    days = days_of(stage, env, chosen)
    for position, day in enumerate(days, 1):
        here = [step for step in stage if step.first_day and day >= step.first_day.isoformat()]
        due = tuple(step for step in here if force or stale(step, env, day))
        if due:
            yield PlannedRun(day, _with_downstream(here, due), position, len(days))


def waiting(steps: Sequence[Step], env: Resources, days: Sequence[str]) -> list[str]:
    """For each day on which none of the daily steps can run: what the first of them waits for."""
    reasons = []
    for day in days:
        here = [step for step in steps if step.first_day and day >= step.first_day.isoformat()]
        found = [waits_for(step, env, day) for step in here]
        if not here:
            reasons.append(f"{day} is before the first day of everything chosen.")
        elif found[0] is not None and None not in found:
            reasons.append(found[0])
    return reasons


def _due(step: Step, env: Resources, partition: str | None) -> bool:
    keys = step.batches(env) if step.batches else [partition]
    return any(stale(step, env, key) for key in keys)


def _with_downstream(stage: Sequence[Step], due: Sequence[Step]) -> tuple[Step, ...]:
    """The due steps and everything after them in the wave that they may make stale."""
    tables = {table for step in due for table in step.outputs}
    chosen = []
    for step in stage:
        if step in due or tables & set(step.reads):
            chosen.append(step)
            tables |= set(step.outputs)
    return tuple(chosen)


def select(steps: Sequence[Step], wanted: Sequence[str]) -> tuple[Step, ...]:
    """Steps by table name, by folder (`clean/`), or with everything upstream of them (`+predictions/router`).

    Raises AssayError for a name that selects nothing.
    """
    from assay.errors import AssayError

    if not wanted:
        return tuple(steps)
    chosen: set[str] = set()
    for name in wanted:
        plain = name.lstrip("+")
        hit = [
            step
            for step in steps
            if any(table == plain or table.startswith(plain.rstrip("/") + "/") for table in step.outputs)
        ]
        if not hit:
            known = ", ".join(step.outputs[0] for step in steps)
            raise AssayError(f"No asset is called {plain!r}. There are: {known}.")
        chosen |= {step.name for step in hit}
        if name.startswith("+"):
            chosen |= _upstream(steps, hit)
    return tuple(step for step in steps if step.name in chosen)


def _upstream(steps: Sequence[Step], of: Sequence[Step]) -> set[str]:
    writer = {table: step for step in steps for table in step.outputs}
    found: set[str] = set()
    todo = list(of)
    while todo:
        step = todo.pop()
        parents = [writer[table] for table in (*step.reads, *step.references) if table in writer]
        todo += [parent for parent in parents if parent.name not in found]
        found |= {parent.name for parent in parents}
    return found
