"""What is to be done now: the same answer for `assay materialize`, for the sensor and for a curious person.

Steps with the same partitions that follow each other form a stage: a Dagster run has one kind of partition. A stage runs
partition by partition, all its stale steps of a partition in one run.
"""

import functools
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, replace

from assay.assets.planning.grouped import counted, grouped
from assay.assets.planning.plan_memory import PlanMemory
from assay.assets.steps.plan_store import PlanStore
from assay.assets.steps.step import Resources, Step, waits_for
from assay.errors import AssayError, nearest, panics_as_errors
from assay.features.tables.lake import TableMissing
from assay.features.tables.partitioning import Partitioning

# Which partitions somebody chose, whatever the rhythm: e.g. `lambda partitioning: partitioning.chosen(first, last)`.
Chosen = Callable[[Partitioning], Sequence[str]]


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One Dagster run to be: these steps, for this partition (None: not partitioned)."""

    partition: str | None
    steps: tuple[Step, ...]
    position: int = 1  # of the partition within its stage, from 1
    of: int = 1

    @property
    def partitioning(self) -> Partitioning:
        return self.steps[0].partitioning

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(table for step in self.steps for table in step.outputs)

    def __str__(self) -> str:
        what = ", ".join(step.outputs[0] for step in self.steps)
        return f"{self.partition}: {what}" if self.partition else what


def run_lines(runs: Sequence[PlannedRun]) -> list[str]:
    """A line for each run, or one for those that do the same in several partitions."""
    groups = grouped((run.partition, ", ".join(step.outputs[0] for step in run.steps), "") for run in runs)
    lines = []
    for one in groups:
        (first, *more) = one.partitions
        alone = f"{first}: {one.what}" if first else one.what
        lines.append(f"{one.what}{counted(one.partitions)}" if more else alone)
    return lines


def stages(steps: Sequence[Step]) -> list[tuple[Step, ...]]:
    """Steps (in order, upstream first) in stages. What has no partitions goes as early as it can, so that a day, which may
    look things up there, is one run."""
    remaining, result, done = list(steps), [], set[str]()
    produced = {table for step in steps for table in step.outputs}
    while remaining:
        kinds = sorted({step.partitioning for step in remaining}, key=_order)
        stage = next(
            next_stage
            for kind in kinds
            if (next_stage := _stage([step for step in remaining if step.partitioning == kind], done, produced))
        )
        result.append(stage)
        done |= (made := {table for step in stage for table in step.outputs})
        remaining = [step for step in remaining if step.outputs[0] not in made]
    return result


def _order(partitioning: Partitioning) -> tuple[bool, str, str, str]:
    """Without partitions first, then by first partition; ties so that the order is always the same."""
    return partitioning.is_partitioned, partitioning.start, partitioning.kind, repr(partitioning)


def _stage(candidates: Sequence[Step], done: set[str], produced: set[str]) -> tuple[Step, ...]:
    """The candidates whose upstreams are done or among themselves."""
    have, stage = set(done), []
    for step in candidates:
        needs = {table for table in (*step.reads, *step.references) if table in produced} - set(step.outputs)
        if needs <= have:
            stage.append(step)
            have |= set(step.outputs)
    return tuple(stage)


def partitions_of(steps: Sequence[Step], env: Resources, chosen: Chosen | None = None) -> list[str]:
    """Partitions to look at, of steps that have the same ones: those with deliveries or with data, or the chosen ones."""
    partitioning = steps[0].partitioning
    if chosen is not None:
        return partitioning.known(chosen(partitioning))
    keys: set[str] = set()
    for step in steps:
        if step.landed:
            try:
                with panics_as_errors(step.outputs[0]):
                    keys |= set(step.landed(env))
            except Exception:  # looked at where it certainly fails, and then says why; the others go on
                keys |= {partitioning.current(env.now()) or partitioning.start, *partitioning.keys[:1]}
    for table in {table for step in steps for table in (*step.outputs, *step.reads)}:
        try:
            keys |= set(env.lake.table(table).at().partitions())
        except TableMissing:
            continue
    return partitioning.known(sorted(keys))


def planned_runs(
    stage: Sequence[Step], env: Resources, chosen: Chosen | None = None, *, force: bool = False
) -> Iterator[PlannedRun]:
    """What a stage has to do, decided lazily: each run is looked at when the ones before it are done, because what they
    write may make it stale. Partitions that nothing concerns that has changed since the last plan are not looked at. A batch
    that was refused, and would be again, is run only if its partition was chosen or with `force`; what needs it waits."""
    # What stays as an earlier contract judged it is remembered as done.
    env = replace(env, lake=env.lake.remembering(), plans=PlanStore() if env.judge_again else env.plans)
    partitioned = stage[0].partitioning.is_partitioned
    if force and partitioned:
        keys = partitions_of(stage, env, chosen)
        yield from (PlannedRun(key, tuple(stage), number, len(keys)) for number, key in enumerate(keys, 1))
    elif force and chosen is None:
        yield PlannedRun(None, tuple(stage))
    else:
        # Partitions that were chosen are what is to be forced; a model is not fitted again for them.
        memory = PlanMemory(stage, env, _everything(stage, env), retry=chosen is not None)
        try:
            yield from _due_by_partition(stage, chosen, memory) if partitioned else _due_as_a_whole(stage, env, memory)
        finally:
            memory.keep()


def _due_by_partition(stage: Sequence[Step], chosen: Chosen | None, memory: PlanMemory) -> Iterator[PlannedRun]:
    """From the first to the last partition; and then what was refused or waited, where that which it is looked up in has
    come meanwhile, and what others displaced. A round makes what the next one looks things up in, so that there are no more
    rounds than steps; and what was displaced is judged once, when all others are."""
    partitioning = stage[0].partitioning
    wanted = None if chosen is None else frozenset(chosen(partitioning))
    again: dict[str, set[str]] = {}  # the first round is about everything
    position = 0
    for _ in range(len(stage) + 1):
        found = set().union(*(again.values() if again else [memory.open(step) for step in stage]))
        keys = partitioning.known(sorted(found if wanted is None else found & wanted))[::-1]
        once_more = set(keys) if again else set()
        while keys:
            key, position = keys.pop(), position + 1
            due = _due(stage, memory, lambda step, key=key: [key])
            if key in once_more:
                # What failed a moment ago is left to the next command.
                due = tuple(step for step in due if key in again.get(step.name, set()))
            if due:
                yield PlannedRun(key, with_downstream(stage, due), position, position + len(keys))
                opened = memory.refresh()
                once_more -= opened
                if new := (opened if wanted is None else opened & wanted) - {key} - set(keys):
                    both = partitioning.known([key, *keys, *new])
                    keys = both[: both.index(key) : -1]
        if not (again := memory.once_more()):
            return


def _due_as_a_whole(stage: Sequence[Step], env: Resources, memory: PlanMemory) -> Iterator[PlannedRun]:
    def batches(step: Step) -> Sequence[str | None] | None:
        try:
            with panics_as_errors(step.outputs[0]):
                return step.batches(env) if step.batches else [None]
        except Exception:  # running it says what is wrong
            return None

    due = _due(stage, memory, batches)
    for _ in range(len(stage) + 1):
        if not due:
            return
        yield PlannedRun(None, with_downstream(stage, due, memory.waits))
        memory.refresh()
        again = memory.once_more()
        due = tuple(
            step
            for step in (_due(stage, memory, batches) if again else ())
            if any(memory.due(step, key or None) for key in again.get(step.name, ()))
        )


def _due(
    stage: Sequence[Step], memory: PlanMemory, keys: Callable[[Step], Sequence[str | None] | None]
) -> tuple[Step, ...]:
    """The steps that have something to do for one of these partitions or batches (None: certainly), and of which nothing is
    missing that is refused."""
    due: list[Step] = []
    missing: set[str] = set()
    for step in stage:
        asked = keys(step)
        found = [True] if asked is None else [memory.due(step, key) for key in asked]
        waits = missing & {*step.reads, *step.references}
        if any(found) and not waits:
            due.append(step)
        elif waits or any((step.name, key) in memory.refused for key in asked or ()):
            # Of batches that follow each other the others are there.
            missing |= set() if step.batches else set(step.outputs)
    return tuple(due)


def waiting(steps: Sequence[Step], env: Resources, chosen: Chosen) -> list[str]:
    """For each chosen partition in which none of the steps can run: what the first of them waits for."""
    reasons: list[str] = []
    for partitioning in dict.fromkeys(step.partitioning for step in steps if step.partitioning.is_partitioned):
        here = [step for step in steps if step.partitioning == partitioning]
        for key in partitioning.known(chosen(partitioning)):
            waits = [waits_for(step, env, key) for step in here]
            if waits[0] is not None and None not in waits:
                reasons.append(waits[0])
    return reasons


def never_made(steps: Sequence[Step], env: Resources) -> list[str]:
    """What each step without partitions waits for whose table has never been made: nothing else would show that its
    declaration names what does not exist."""
    reasons = []
    for step in steps:
        if step.partitioning.is_partitioned or step.batches or env.lake.table(step.outputs[0]).exists():
            continue
        if (reason := waits_for(step, env, None)) is not None:
            reasons.append(f"{step.outputs[0]} waits: {reason}")
    return reasons


def _everything(stage: Sequence[Step], env: Resources) -> Callable[[Step], Sequence[str]]:
    """All partitions of a step that there are to look at: for a stage with partitions the same for each of its steps."""

    @functools.cache
    def shared() -> Sequence[str]:
        return partitions_of(stage, env)

    def of(step: Step) -> Sequence[str]:
        if step.partitioning.is_partitioned:
            return shared()
        try:
            with panics_as_errors(step.outputs[0]):
                return step.batches(env) if step.batches else [""]
        except Exception:  # so it is due
            return []

    return of


def with_downstream(
    stage: Sequence[Step], due: Sequence[Step], waits: Callable[[Step, Set[str]], bool] = lambda step, made: False
) -> tuple[Step, ...]:
    """The due steps and everything after them in the stage that they may make stale; but not what `waits` all the same, although
    these tables are made. A run of it would do nothing, and the lineage would have it as one that failed."""
    tables = {table for step in due for table in step.outputs}
    chosen = []
    for step in stage:
        if step in due or (tables & set(step.reads) and not waits(step, tables)):
            chosen.append(step)
            tables |= set(step.outputs)
    return tuple(chosen)


def select(steps: Sequence[Step], wanted: Sequence[str]) -> tuple[Step, ...]:
    """Steps by table name, by folder (`clean/`), or with everything upstream of them (`+predictions/router`).

    Raises AssayError for a name that selects nothing.
    """
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
            names = ", ".join(step.outputs[0] for step in steps)
            close = nearest(plain, [table for step in steps for table in step.outputs])
            raise AssayError(f"No asset is called {plain!r}.{close} There are: {names}.")
        chosen |= {step.name for step in hit}
        if name.startswith("+"):
            chosen |= _upstream(steps, hit)
    return tuple(step for step in steps if step.name in chosen)


def _upstream(steps: Sequence[Step], of: Sequence[Step]) -> set[str]:
    writer = {table: step for step in steps for table in step.outputs}
    tables: set[str] = set()
    todo = list(of)
    while todo:
        step = todo.pop()
        parents = [writer[table] for table in (*step.reads, *step.references) if table in writer]
        todo += [parent for parent in parents if parent.name not in tables]
        tables |= {parent.name for parent in parents}
    return tables
