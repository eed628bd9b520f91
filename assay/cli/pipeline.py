"""`assay materialize`: the run of everything that is stale, through Dagster."""

import functools
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.exit_codes import EXIT_DONE, EXIT_NO, EXIT_STOPPED
from assay.cli.output import bold, err, json_option, mark, out, print_json, progress, ticking
from assay.errors import AssayError, plural
from assay.features.tables.kinds import Kind
from assay.features.tables.partitioning import Partitioning
from assay.optional import require

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from assay.assets.dagster.materialize import PlannedRunResult, Summary
    from assay.assets.planning.plan import Chosen
    from assay.assets.planning.refused import Refused
    from assay.assets.steps.step import Resources, Step
    from assay.store import Store

LATEST = 3  # partitions that are looked at for what they wait for, besides those that waited before
LATEST_JUDGED = 30  # partitions with quarantined rows that are looked at for whether a changed contract may take them


@click.command()
@click.argument("assets", nargs=-1)
@click.option("--partition", help="One partition, e.g. the day 2026-09-03.")
@click.option("--range", "range_", help="Partitions from A to B inclusive, written A:B.")
@click.option("--force", is_flag=True, help="Compute even what is up to date (makes no new version of equal content).")
@click.option(
    "--judge-again",
    is_flag=True,
    help="Also judge batches again of which a contract that was loosened may take more rows.",
)
@click.option("--dry-run", is_flag=True, help="Say what would run and what would follow from it, and run nothing.")
@json_option
def materialize(
    assets: tuple[str, ...],
    partition: str | None,
    range_: str | None,
    force: bool,
    judge_again: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Materialise what is stale, through Dagster, and wait.

    ASSETS are table names (clean/tickets), folders (clean/), or names with everything upstream (+predictions/router).
    Without any, everything. A batch that is refused stops itself and what needs it; the rest goes on, and the exit code
    is 3. It is run again when another file, another declaration or looked-up rows that matter are there, or if its partition is
    chosen, or with --force. What waits for an upstream is named and is no failure. A batch stays as judged where its contract
    was only loosened, but with --judge-again one that has quarantined rows which it may take now is judged again. Ctrl-C stops
    when the current step has committed (130).

    \b
    Examples:
      assay materialize
      assay materialize --partition 2026-09-03 raw/tickets clean/tickets
      assay materialize --range 2026-09-01:2026-09-07 +features/customer_activity
      assay materialize --judge-again clean/tickets
      assay materialize --dry-run
    """
    if not dry_run:
        require("dagster", "Running the pipeline")
    from assay.assets.decisions.reports import set_aside
    from assay.assets.declarations import declarations, pipeline, require_declarations
    from assay.assets.planning.as_judged import as_judged
    from assay.assets.planning.displaced import displaced
    from assay.assets.planning.held import with_what_they_hold
    from assay.assets.planning.pending import note_lacking, summarised, waiting_steps
    from assay.assets.planning.plan import never_made, select, waiting
    from assay.assets.planning.refused import forget_withdrawn, staying_refused, to_judge_again
    from assay.assets.planning.settle import settle
    from assay.assets.project import active_project
    from assay.store import open_store

    project = active_project()
    require_declarations(project)
    broken = declarations(project).broken
    for module in broken:
        err.print(mark(False), str(module), highlight=False, soft_wrap=True)
    steps = select(pipeline(project), assets)
    if force:
        steps = with_what_they_hold(steps, pipeline(project))
    chosen = chosen_partitions(partition, range_, steps)
    store = open_store()
    if dry_run:
        env, everything = replace(store.env(recording=False), judge_again=judge_again), pipeline(project)
        sound = _tell_plan(steps, everything, env, chosen, force=force, as_json=as_json, complete=not broken)
        for reason in [] if chosen or as_json else [*unread_in(store), *outside_in(store)]:
            err.print(reason, markup=False, highlight=False, soft_wrap=True)
        return EXIT_NO if broken or not sound else EXIT_DONE
    started = time.monotonic()
    summary, still = run_steps(
        steps, store, chosen, force=force, judge_again=judge_again, project=project.name, as_json=as_json
    )
    nothing = [] if summary.results or summary.left or not chosen else waiting(steps, store.env(), chosen)
    if nothing:
        raise AssayError(f"Nothing to do. {' '.join(nothing)}")
    if still and not as_json:
        err.print(f"{still} lineage events wait for the OpenLineage endpoint; the next run sends them.")
    env = store.env(recording=False)
    note_lacking(pipeline(project), env)
    if not chosen:
        forget_withdrawn(pipeline(project), env)
        settle(pipeline(project), env)
    just_now = {(result.unit.partition, table) for result in summary.failed for table in result.failed}
    refused = [] if summary.left else staying_refused(steps, env, chosen)
    held_up = {(one.partition, table) for one in refused for table in one.waiting}
    again = [] if summary.left else to_judge_again(steps, env, chosen)
    again = [one.place for one in again if (one.partition, one.table) not in held_up]
    waits = [] if summary.left else waiting_steps(pipeline(project), env, chosen, latest=None if chosen else LATEST)
    waits = [one for one in waits if any(one.table in step.outputs for step in steps)]
    never = [] if chosen or summary.left else never_made(steps, env)
    before = [] if summary.left or not assets else _upstream_to_do(steps, pipeline(project), env, chosen)
    unread = [] if chosen or summary.left else unread_in(store, complete=as_json)
    written = [version for result in summary.results for version in result.new_versions]
    aside, moved = set_aside(env.lake, written), displaced(pipeline(project), env, written)
    stay = [] if summary.left or judge_again else as_judged(steps, env, chosen, latest=LATEST_JUDGED)
    if as_json:
        answer = {"runs": [_as_dict(result) for result in summary.results], "failed": len(summary.failed)}
        waiting_now = [one.to_dict() for one in waits]
        stays = [one.to_dict() for one in refused]
        left = [*summary.left, *again]
        answer |= {"refused": stays, "waiting": waiting_now, "left": left, "upstream": before, "unread": unread}
        answer |= {"as_judged": [one.to_dict() for one in stay], "set_aside": [one.to_dict() for one in aside]}
        print_json(answer | {"displaced": [one.to_dict() for one in moved]})
    else:
        _summarise(
            summary,
            time.monotonic() - started,
            complete=not (refused or again or waits or never or before or broken or moved),
        )
        for one in (*aside, *stay):
            out.print(f"{one}.", markup=False, highlight=False, soft_wrap=True)
        _tell_refused([one for one in refused if (one.partition, one.table) not in just_now])
        if again:
            first = f"{again[0]}{f' and {len(again) - 1} more' if again[1:] else ''}"
            err.print(f"Refused before, may be taken now, not run yet: {first}.", markup=False, soft_wrap=True)
        for one in moved:
            err.print(f"{one}.", markup=False, highlight=False, soft_wrap=True)
        for reason in [*_news_of(unread, store), *(f"{text}." for text in summarised(waits)), *never, *before[:5]]:
            err.print(reason, markup=False, highlight=False, soft_wrap=True)
    if summary.left:
        return EXIT_STOPPED
    missing = summary.failed or refused or again or moved or broken or before or any(one.delivered for one in waits)
    return EXIT_NO if missing else EXIT_DONE


def _upstream_to_do(
    steps: "Sequence[Step]", all_steps: "Sequence[Step]", env: "Resources", chosen: "Chosen | None"
) -> list[str]:
    """What stands upstream of the chosen steps, was not among them, and was refused or has not been run."""
    from assay.assets.planning.plan import planned_runs, select, stages
    from assay.assets.planning.refused import staying_refused

    upstream = select(all_steps, [f"+{step.outputs[0]}" for step in steps])
    others = [step for step in upstream if step not in steps]
    planned = [unit for stage in stages(others) for unit in planned_runs(stage, env, chosen)]
    refused = staying_refused(others, env, chosen)
    places = {(one.partition, one.table) for one in refused}
    return [f"{one.place}, which stands upstream, is refused: {one.refusal.problem}" for one in refused] + [
        f"{unit}, which stands upstream, has not been run yet, or failed."
        for unit in planned
        if not all((unit.partition, step.outputs[0]) in places for step in unit.steps)
    ]


def run_steps(
    steps: "Sequence[Step]",
    store: "Store",
    chosen: "Chosen | None",
    *,
    force: bool,
    judge_again: bool,
    project: str,
    as_json: bool,
    finished: "Callable[[PlannedRunResult], None]" = lambda result: None,
) -> "tuple[Summary, int]":
    """Everything that is stale, with progress; and how many lineage events could not be forwarded. `finished` is called
    with each run that has ended."""
    from assay.assets.dagster.materialize import materialize as run_all
    from assay.assets.dagster.materialize import open_instance, quiet
    from assay.assets.dagster.run_recovery import end_killed_runs, is_over
    from assay.assets.dagster.sessions import kept_sessions
    from assay.assets.silent import forget_silences
    from assay.assets.stopping import finish_gently

    def ended(result: "PlannedRunResult") -> None:
        if not as_json:
            _tell(result)
        finished(result)

    def heard() -> None:
        err.print("Stopping when the current step has committed (Ctrl-C again: at once).")

    quiet()
    forget_silences(store.settings.home)  # whoever calls this has perhaps just started one
    with progress(as_json) as bar, kept_sessions(), open_instance(dagster_home()) as instance:
        end_killed_runs(instance)
        store.recover_events(over=is_over(instance))
        env = replace(store.env(), progress=ticking(bar), judge_again=judge_again)
        if force:
            env.hashes.forget()
        current = bar.add_task("looking for what is stale", total=None)
        work = functools.partial(
            run_all,
            steps,
            env,
            instance,
            chosen=chosen,
            force=force,
            project=project,
            starting=lambda unit: bar.update(
                current, description=str(unit)[:60], completed=unit.position - 1, total=unit.of
            ),
            finished=ended,
        )
        summary = finish_gently(work, heard)
        return summary, store.forward_events(seconds=5)


def _tell_plan(
    steps: "Sequence[Step]",
    all_steps: "Sequence[Step]",
    env: "Resources",
    chosen: "Chosen | None",
    *,
    force: bool,
    as_json: bool,
    complete: bool,
) -> bool:
    """What would run now, and what that makes stale, and what is refused and would not run; nothing is run, and Dagster is not
    asked. `complete`: every declaration could be loaded. Gives whether nothing of it stays refused, or certainly fails."""
    from assay.assets.planning.as_judged import as_judged
    from assay.assets.planning.held import staying
    from assay.assets.planning.pending import consequences, judged_again, lacking_steps, summarised, waiting_steps
    from assay.assets.planning.plan import never_made, planned_runs, stages
    from assay.assets.planning.refused import staying_refused

    planned = [unit for stage in stages(steps) for unit in planned_runs(stage, env, chosen, force=force)]
    refused = staying_refused(steps, env, chosen)
    again = {(unit.partition, table) for unit in planned for table in unit.tables}
    stays = [one for one in refused if (one.partition, one.table) not in again]
    tried = [
        [one.table for one in refused if one.partition == unit.partition and one.table in unit.tables]
        for unit in planned
    ]
    lacks = lacking_steps([step for unit in planned for step in unit.steps], env)
    if as_json:
        print_json(
            [
                {
                    "partition": unit.partition,
                    "assets": unit.tables,
                    "refused": tables,
                    "lacks": [text for table, text in lacks.items() if table in unit.tables],
                }
                for unit, tables in zip(planned, tried, strict=True)
            ]
        )
        return not (stays or lacks)
    lines = [f"{unit}{_refused_before(tables)}" for unit, tables in zip(planned, tried, strict=True)]
    out.print("\n".join(lines) or "Nothing would run.", markup=False, highlight=False, soft_wrap=True)
    for lack in lacks.values():
        err.print(lack, markup=False, highlight=False, soft_wrap=True)
    _tell_refused(stays)
    lines, stay = consequences(planned, all_steps, env)
    waits = waiting_steps(steps, env, chosen, latest=None if chosen else LATEST)
    refused_or_waiting = [(one.table, one.partition) for one in (*stays, *waits)]
    lines += filter(None, [judged_again(planned, refused_or_waiting, all_steps)])
    now = [] if force else staying(steps, env, chosen, latest=None if chosen else LATEST)
    reached = {one.table for one in stay}
    left = [] if force or env.judge_again else as_judged(steps, env, chosen)
    for line in [*lines, *map(str, [*stay, *(one for one in now if one.table not in reached), *left])]:
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    for reason in [*summarised(waits), *([] if chosen or planned else never_made(steps, env))]:
        err.print(reason, markup=False, highlight=False, soft_wrap=True)
    if complete and not planned and not waits and not now and not refused and not left:
        out.print("Everything is up to date.")
    return not (stays or lacks)


def _refused_before(tables: "Sequence[str]") -> str:
    return f" (of these {', '.join(tables)} refused the same before)" if tables else ""


def _tell_refused(stays: "Sequence[Refused]", most: int = 5) -> None:
    """What is not run again by itself."""
    from assay.assets.planning.refused import AGAIN, refused_lines

    if not stays:
        return
    err.print(f"Refused, and not run again before there is {AGAIN}:", soft_wrap=True)
    lines = refused_lines(stays)
    for line in lines[-most:]:
        err.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    if len(lines) > most:
        err.print(f"  and {len(lines) - most} earlier ones (`assay status`)", markup=False)


def unread_in(store: "Store", *, complete: bool = False) -> list[str]:
    """What was delivered and is not read by any declared source: the first few things of each, or `complete`."""
    from assay.assets.steps.raw import unread_of

    return unread_of(store.sources(), store.env(recording=False), complete=complete)


def _news_of(unread: list[str], store: "Store") -> list[str]:
    """What was not shown the last time, and how many places were."""
    from assay.assets.planning.repeated_messages import not_shown_before

    new = not_shown_before(unread, store.settings.home)
    old = len(unread) - len(new)
    places = "1 place has" if old == 1 else f"{old:,} places have"
    return [*new, *([f"As before, {places} what is not read (`assay status` names it)."] if old else [])]


def outside_in(store: "Store") -> list[str]:
    """What was delivered for a time of which no declared source has partitions."""
    from assay.assets.upstream import outside_of

    return outside_of(store.sources(), store.env(recording=False))


def chosen_partitions(partition: str | None, range_: str | None, steps: "Sequence[Step]") -> "Chosen | None":
    """What was asked for, or None for everything: a key or a range of keys, or days, which choose every partition that
    overlaps them. Raises AssayError for anything else, and where none of the steps has such a partition."""
    if partition and range_:
        raise AssayError("Give --partition or --range, not both.")
    if not partition and not range_:
        return None
    text = range_ or str(partition)
    first, _, last = (range_ or f"{partition}:{partition}").partition(":")
    rhythms = [one for one in dict.fromkeys(step.partitioning for step in steps) if one.is_partitioned]
    if not any(one.is_key(first) and one.is_key(last) for one in (*rhythms, Partitioning("daily"))):
        keys = ", ".join(str(one) for one in rhythms if one.kind != "daily")
        also = f", nor among {keys}" if keys else ""
        raise AssayError(f"{text!r} is not a day (2026-09-03) or a range (2026-09-01:2026-09-07){also}.")
    if last < first and not any(one.kind == "static" and one.is_key(first) for one in rhythms):
        raise AssayError(f"The range {range_} ends before it starts.")
    if rhythms and not any(one.chosen(first, last) for one in rhythms):
        begin = "; ".join(f"{one}{f' from {one.start}' if one.start else ''}" for one in rhythms)
        raise AssayError(f"{text} chooses no partition of what is to be materialised: {begin}.")
    return lambda one: one.chosen(first, last)


def _tell(result: Any) -> None:
    if not result.success:
        what = ", ".join(result.failed) or result.unit.tables[0]
        err.print(mark(False), f"{result.unit.partition or ''} {what}, run {result.run_id[:8]}", highlight=False)
        for problem in result.problems:
            err.print(f"  {problem}", markup=False, highlight=False)


def _as_dict(result: Any) -> dict[str, Any]:
    return {
        "run_id": result.run_id,
        "partition": result.unit.partition,
        "assets": result.unit.tables,
        "success": result.success,
        "new_versions": result.new_versions,
        "problems": result.problems,
        "warnings": result.warnings,
        "waiting": result.waiting,
    }


def _summarise(summary: "Summary", seconds: float, *, complete: bool) -> None:
    if not summary.results and not summary.left:
        what = "Everything is up to date" if complete else "Nothing to do now; not everything is there"
        out.print(f"{what} ({seconds:.1f} s).")
        return
    versions = sum(len(result.new_versions) for result in summary.results)
    out.print(f"{plural(len(summary.results), 'run')}, {plural(versions, 'new table version')}, {seconds:.0f} s.")
    if summary.left:
        out.print(f"Stopped. Not done: {'; '.join(summary.left)}. `assay materialize` goes on there.", markup=False)
    if summary.failed:
        # Batches without partitions are read from databases and servers.
        of_files = all(
            Kind.RAW.holds(table) and result.unit.partitioning.is_partitioned and not result.outages
            for result in summary.failed
            for table in result.failed
        )
        when = "When the corrected file is there" if of_files else "When the cause above is gone"
        out.print(
            bold(f"{len(summary.failed)} of them stopped a batch:"),
            "nothing of it was published, everything else "
            f"went on. {when}, run `assay materialize` again: it does exactly what is missing.",
        )


def dagster_home() -> Path:
    """Where Dagster keeps its runs: DAGSTER_HOME, or dagster_home/ of the project (or here), or HOME/dagster."""
    from assay.project_folder import project_folder
    from assay.settings import Settings

    if os.environ.get("DAGSTER_HOME"):
        return Path(os.environ["DAGSTER_HOME"]).expanduser().resolve()
    settings = Settings()
    local = (project_folder(settings.project) or Path()) / "dagster_home"
    return (local if local.is_dir() else settings.home / "dagster").resolve()
