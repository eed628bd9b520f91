"""A step: what turns some tables (or files) into others. Declarations become steps; steps become Dagster assets.

A step has two halves. `prepare` pins what it will read, and so decides whether anything is to be done; `compute` does it.
The planner runs only the first half, the runner both: what is stale is decided in one place, by the same code that runs.
"""

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from assay.assets.code_version import code_identity
from assay.assets.lacking import UNREACHABLE, NotConnected, outage_of
from assay.assets.settling import settled
from assay.assets.sources.file_hashes import FileHashes
from assay.assets.steps.column_notes import ColumnNote
from assay.assets.steps.hold import Earlier, Held, Hold, Takes
from assay.assets.steps.plan_store import PlanStore
from assay.assets.steps.watched import Watched, batch_digest, judged
from assay.errors import AssayError, panics_as_errors
from assay.features.storage.commit_metadata import Commit
from assay.features.tables.delta_commit import Conflict
from assay.features.tables.kinds import has_definitions, own_name
from assay.features.tables.lake import Lake, TableMissing
from assay.features.tables.partitioning import UNPARTITIONED, Partitioning, midnight
from assay.features.tables.refusals import Refusal, find_refusal, forget_refusal, keep_refusal
from assay.features.tables.run_record import Recorder, Run, RunResult, Work, new_run
from assay.features.tables.transaction import AuditFailed, Transaction, run
from assay.settings import Settings

# Whether a refused batch would find the same again: a plan asks several times, a sensor at each tick.
_ALIKE: dict[tuple[str, str | None, str, str], bool] = {}
_MOST = 10_000
NOTHING = Takes()

Progress = Callable[[str, int, int], None]  # (what, done, total)


class NotReady(AssayError):
    """An upstream of this step has not arrived yet. Not an error of the step: it waits (`table`: for which one, if it is one;
    `unseen`: nobody has looked now)."""

    def __init__(self, message: str, *, table: str = "", unseen: bool = False) -> None:
        self.table, self.unseen = table, unseen
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Resources:
    """What a step may use besides its transaction. `now` decides which exceptions are over; `hashes`
    remembers the digests of files, `plans` what the planner has seen. `planning` says that a step is only looked at,
    `judge_again` that batches are judged again of which a changed contract may take more rows, `forced` that somebody wants
    all of it made again, `leaves_silent` that nothing is planned for an upstream that does not answer: a run would wait for
    it once more, and others for the run."""

    settings: Settings
    lake: Lake
    recorder: Recorder
    progress: Progress = lambda what, done, total: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    hashes: FileHashes = field(default_factory=FileHashes)
    plans: PlanStore = field(default_factory=PlanStore)
    planning: bool = False
    judge_again: bool = False
    forced: bool = False
    leaves_silent: bool = False


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """A check that a step will report, known before it runs (so that the UI can list it)."""

    name: str
    table: str
    description: str
    blocking: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A node of the pipeline.

    `prepare(tx, env)` declares reads and sources and returns what `compute(tx, env, prepared)` needs; it raises NotReady
    while an upstream is missing, and writes nothing: planning and dry runs call it. `keep(tx, env, prepared)` stores what
    a run must not lose whatever follows, such as the bytes of a delivery. `partitioning` says which partitions the step
    has; one without, but with `batches`, handles all pending batches of its upstream in one go, one transaction each.
    `landed` names the partitions for which its upstream has delivered anything. `lacks` says what the settings lack for it to
    run, such as a connection. `settle` lets an upstream forget what the lake holds
    now; planning does not call it. `reads` are the tables that it depends on,
    `references` tables that it only looks things up in. `watched` lets the planner look at a partition only when something
    has changed that can concern it; without, it looks at all of them each time. `hold` lets results stay although their
    inputs have changed; partitions that begin before `since` stay as long as nothing but code and contract has changed, and
    others where `earlier` says so of how they were made.
    `judged_by` is what decides whether a batch is refused, as far as `code_version` does not say it.
    """

    outputs: tuple[str, ...]
    prepare: Callable[[Transaction, Resources], Any]
    compute: Callable[[Transaction, Resources, Any], Mapping[str, Any] | None]
    code_version: str
    keep: Callable[[Transaction, Resources, Any], None] | None = None
    reads: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    partitioning: Partitioning = UNPARTITIONED
    batches: Callable[[Resources], list[str]] | None = None
    landed: Callable[[Resources], list[str]] | None = None
    lacks: Callable[[Resources], str] | None = None
    settle: Callable[[Resources], None] | None = None
    checks: tuple[CheckSpec, ...] = ()
    group: str = ""  # empty: by the kind of each table
    kinds: tuple[str, ...] = ()
    owner: str = ""
    description: str = ""
    descriptions: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, ColumnNote]] = field(default_factory=dict)  # by table and name
    pool: str | None = None
    freshness: timedelta | None = None  # how old its newest data may be
    event_time: str = ""  # the column that says how new a table without partitions is
    lookback: int = 0  # partitions before its own that it also reads, at most
    watched: Watched | None = None
    hold: Hold | None = None
    judged_by: str = ""
    since: date | None = None
    earlier: Earlier | None = None

    @property
    def name(self) -> str:
        return step_name(self.outputs[0])


def step_name(table: str) -> str:
    """The name of the step whose first output is this table."""
    return table.replace("/", "__")


@dataclass(frozen=True, slots=True)
class Result:
    """What running a step for one partition gave. `shown` is what a person sees of it in the UI."""

    step: Step
    partition: str | None
    done: RunResult
    shown: Mapping[str, Any]

    @property
    def changed(self) -> bool:
        return self.done.changed


def work_of(step: Step, partition: str | None, run: Run | None = None) -> Work:
    return Work(
        asset=step.outputs[0],
        partition=partition,
        code_version=step.code_version,
        run=run or new_run(),
        description=step.description,
        owner=step.owner,
        period=_period(step, partition),
    )


def _period(step: Step, partition: str | None) -> tuple[datetime, datetime] | None:
    if partition is None or not step.partitioning.is_timed or not step.partitioning.contains(partition):
        return None
    return step.partitioning.bounds(partition)


def execute(
    step: Step,
    env: Resources,
    partition: str | None,
    step_run: Run | None = None,
    *,
    force: bool = False,
    remembered: bool = True,
) -> Result:
    """Run one step for one partition. Nothing is computed when its outputs already hold the result of these inputs
    (`force` computes all the same). That a batch was refused, or its work failed, the lake keeps with the reason, unless it
    is not to be `remembered`. Raises NotReady, AuditFailed (nothing published) or any AssayError."""

    def body(tx: Transaction) -> Mapping[str, Any]:
        with panics_as_errors(step.outputs[0]):
            prepared = step.prepare(tx, replace(env, forced=force))
            given.append(judged(tx, step.outputs, step.judged_by))
            if step.keep:
                step.keep(tx, env, prepared)
            tx.audit()
            if not force and (takes := _stays(step, tx, env)) is not None:
                return _told(step, tx, takes)
            if not force and _held(step, tx, env) is not None:
                return {}
            tx.describe(code=code_identity())
            return step.compute(tx, env, prepared) or {}

    given: list[dict[str, Any]] = []
    work = work_of(step, partition, step_run)
    try:
        preview, done = run(env.lake, env.recorder, work, body)
    except AuditFailed as problem:
        if given and remembered:
            _remember(step, env, work, given[-1], str(problem))
        raise
    except (NotReady, Conflict):  # it waits, or is tried again
        raise
    except Exception as problem:
        if remembered and outage_of(problem) is None:
            # Of what libraries raise, the text may hold values.
            own = isinstance(problem, AssayError)
            text = str(problem) if own else f"{type(problem).__name__}: the run says more."
            made = {name: given[-1][name] for name in ("files", "read")} if given else {}
            _remember(step, env, work, made | {"given": ""}, text)
        raise
    finally:
        env.hashes.save()
    with suppress(Exception):  # what is written is not refused, whatever is kept
        forget_refusal(env.lake, step.outputs[0], partition)
    if step.settle:
        settled(step.outputs[0], functools.partial(step.settle, env))
    return Result(step, partition, done, preview)


def _remember(step: Step, env: Resources, work: Work, given: Mapping[str, Any], problem: str) -> None:
    """What cannot be kept is refused once more: the refusal itself is not to be lost over it."""
    with suppress(Exception):
        keep_refusal(
            env.lake,
            Refusal(
                table=step.outputs[0],
                partition=work.partition,
                problem=problem,
                at=datetime.now(UTC),
                tables=step.outputs,
                run_id=work.run.id,
                parent_id=work.run.parent_id or "",
                **given,
            ),
        )


@dataclass(frozen=True, slots=True)
class Look:
    """What looking at a step for a partition showed: whether it is stale, or what it waits for, or by which rule its results
    stay although their inputs have changed, and what `prepare` gave. `refused`: it is stale, and this is the refusal of the
    same batch; running it would refuse it again. `takes`: what a declaration may take that has changed since. `unseen`: its
    upstream was not asked now, or does not answer."""

    stale: bool
    waits_for: NotReady | None = None
    prepared: Any = None
    held: Held | None = None
    refused: Refusal | None = None
    takes: Takes = NOTHING
    unseen: bool = False


def look(step: Step, env: Resources, partition: str | None) -> Look:
    """Whether running the step now would do something: its inputs, code or sources differ from those of its outputs.
    A delivery that would be refused counts, too: running it says what is wrong."""
    tx = Transaction(env.lake, work_of(step, partition))
    try:
        with panics_as_errors(step.outputs[0]):
            prepared = step.prepare(tx, replace(env, planning=True))
        if (takes := _stays(step, tx, env)) is not None:
            return Look(stale=False, prepared=prepared, takes=takes)
        held = _held(step, tx, env)
        refused = None if held is not None else _refused(step, tx, env, prepared)
        return Look(stale=held is None, prepared=prepared, held=held, refused=refused)
    except NotReady as waiting:
        return Look(stale=False, waits_for=waiting, unseen=waiting.unseen)
    except NotConnected as problem:
        return Look(stale=True, unseen=problem.lack == UNREACHABLE)
    except Exception:  # whatever is wrong with this step, the others are planned; running it says what it is
        return Look(stale=True)


def _stays(step: Step, tx: Transaction, env: Resources) -> Takes | None:
    """What the step may take beside its results, which are those of what it is given now, though perhaps by an earlier
    declaration; None if they are not."""
    if tx.current(*step.outputs):
        return NOTHING
    if _begins_before(step, tx.work.partition) and tx.current(*step.outputs, as_then=lambda made: True):
        return NOTHING
    if step.earlier is None:
        return None
    found: list[Takes] = []

    def accepted(made: Commit) -> bool:
        takes = step.earlier.takes(env.lake, made) if step.earlier is not None else None
        if takes is None or (env.judge_again and takes.rows):
            return False
        found.append(takes)
        return True

    return found[0] if tx.current(*step.outputs, as_then=accepted) else None


def _told(step: Step, tx: Transaction, takes: Takes) -> dict[str, Any]:
    """What a person sees of a result that stays: also in the checks of rules by which more may be taken now."""
    if not takes.rows:
        return {}
    chosen = f" --partition {tx.work.partition}" if step.partitioning.is_partitioned else ""
    more = f"The contract has changed since and may take them: `assay materialize {step.outputs[0]}{chosen} --judge-again`."
    tx.checks[:] = [
        replace(check, message=f"{check.message} {more}".strip())
        if check.name in takes.rules and check.invalid
        else check
        for check in tx.checks
    ]
    return {"rows_that_may_be_taken": takes.rows}


def _begins_before(step: Step, partition: str | None) -> bool:
    """Whether the partition is of before the step's declaration holds."""
    if step.since is None or partition is None or not step.partitioning.is_timed:
        return False
    return step.partitioning.bounds(partition)[0] < midnight(step.since.isoformat(), step.partitioning)


def _refused(step: Step, tx: Transaction, env: Resources, prepared: Any) -> Refusal | None:
    """The refusal of exactly what the step would be given now, judged by the same declaration; what it is looked up in may
    have changed, if that cannot matter to it."""
    key = tx.work.partition
    try:
        refusal, given = find_refusal(env.lake, step.outputs[0], key), batch_digest(tx, step.outputs, step.judged_by)
        if refusal is None or refusal.given == given:
            return refusal
        if (
            step.watched is None
            or not refusal.batch
            or refusal.batch != batch_digest(tx, step.outputs, step.judged_by, lookups=False)
        ):
            return None
        asked = (step.outputs[0], key, refusal.given, given)
        if asked not in _ALIKE:
            with panics_as_errors(step.outputs[0]):
                alike = step.watched.alike(prepared, key or "", refusal.looked_up)
            if len(_ALIKE) >= _MOST:
                _ALIKE.clear()
            _ALIKE[asked] = alike
        return refusal if _ALIKE[asked] else None
    except Exception:  # running it says what is wrong
        return None


def _held(step: Step, tx: Transaction, env: Resources) -> Held | None:
    """By which rule the step's results stay, whatever their inputs are now. They are reported as unchanged then."""
    if step.hold is None or (made := tx.made(*step.outputs)) is None:
        return None
    held = step.hold.holds(made, env.now())
    if held is not None:
        tx.keep(*step.outputs)
    return held


def held_at(step: Step, env: Resources, partition: str | None) -> Held | None:
    """By which rule the step's results for a partition would stay, if their inputs changed now."""
    return _held(step, Transaction(env.lake, work_of(step, partition)), env)


def stale(step: Step, env: Resources, partition: str | None) -> bool:
    """Whether running the step now would do something. False while it is not ready."""
    return look(step, env, partition).stale


def waits_for(step: Step, env: Resources, partition: str | None) -> str | None:
    """Why the step cannot run yet, or None if it could."""
    reason = not_ready(step, env, partition)
    return None if reason is None else str(reason)


def not_ready(step: Step, env: Resources, partition: str | None) -> NotReady | None:
    """What keeps the step from running, or None if it could."""
    return look(step, env, partition).waits_for


def available(tx: Transaction, table: str, wanted: list[str] | None = None) -> list[str]:
    """Partitions of a table that exist (among `wanted`). Raises NotReady when the table does not exist."""
    try:
        return tx.state(table).partitions(wanted)
    except TableMissing:
        raise NotReady(f"{table} does not exist yet: materialise it first.", table=table) from None


def require(tx: Transaction, table: str, partition: str) -> None:
    """Raise NotReady unless the table has the partition."""
    if available(tx, table, [partition]):
        return
    if has_definitions(table) and tx.lake.table(table).at().partitions([partition]):
        raise NotReady(
            f"{table} has partition {partition} by a changed definition, which is not served before it has computed all others: "
            f"`assay features backfill {own_name(table)}`.",
            table=table,
        )
    raise NotReady(f"{table} has no partition {partition} yet: materialise it first.", table=table)


def fingerprints(steps: Sequence[Step], env: Resources, partition: str | None) -> dict[str, str]:
    """What each step would compute from now, as a digest by `place_of` it: equal ones mean that nothing has changed for it.
    What waits is not among them."""
    found: dict[str, str] = {}
    for step in steps:
        try:
            with panics_as_errors(step.outputs[0]):
                keys = step.batches(env) if step.batches else [partition]
        except Exception as problem:
            found[step.name] = _digest(step, problem)
            continue
        for key in keys:
            tx = Transaction(env.lake, work_of(step, key))
            try:
                with panics_as_errors(step.outputs[0]):
                    step.prepare(tx, replace(env, planning=True))
                found[place_of(step, key)] = batch_digest(tx, step.outputs, step.judged_by)
            except NotReady:
                continue
            except Exception as problem:
                found[place_of(step, key)] = _digest(step, problem)
    return found


def _digest(step: Step, problem: Exception) -> str:
    """Of what cannot even be looked at: another declaration may be able to, although the error reads the same."""
    return hashlib.sha256(f"cannot: {step.code_version} {problem}".encode()).hexdigest()


def place_of(step: Step, key: str | None) -> str:
    """A step's name, and which of its batches, if one run handles several."""
    return f"{step.name} {key}" if step.batches else step.name
