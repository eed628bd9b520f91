"""`assay status`: how everything stands, for whoever looks in the morning."""

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from assay.cli.exit_codes import EXIT_DONE, EXIT_NO
from assay.cli.output import bold, json_option, out, print_json, print_table
from assay.cli.pipeline import dagster_home, outside_in, unread_in
from assay.errors import plural
from assay.store import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.assets.dagster.history import RanRun
    from assay.assets.project import Project
    from assay.assets.steps.step import Resources, Step

RUNS = 200  # that are looked at for failures


@click.command()
@click.option("--runs", "shown", default=5, show_default=True, type=click.IntRange(0, RUNS), help="Last runs to show.")
@json_option
def status(shown: int, as_json: bool) -> int:
    """Say what is up to date, what waits for what, what was refused and why, what is not read, what was given up, and the last
    runs.

    Exit code 3 if something needs a person: a batch that is refused, a run that failed or was given up, a setting that is
    missing, or an outage, such as a full disk. Waiting needs nobody, and data that is older than promised needs its owner.

    \b
    Examples:
      assay status
      assay status --json
    """
    from assay.assets.declarations import declarations, pipeline, require_declarations
    from assay.assets.freshness import freshness_by_table
    from assay.assets.outages import outage_now
    from assay.assets.planning.as_judged import as_judged
    from assay.assets.planning.held import staying
    from assay.assets.planning.pending import note_lacking, summarised, waiting_steps
    from assay.assets.planning.plan import never_made, planned_runs, run_lines, stages
    from assay.assets.planning.refused import AGAIN, refused_lines, staying_refused, still_failing
    from assay.assets.planning.undeclared import undeclared_line, undeclared_tables
    from assay.assets.project import active_project

    project = active_project()
    require_declarations(project)
    store = open_store()
    steps, env = pipeline(project), store.env(recording=False)
    planned = [unit for stage in stages(steps) for unit in planned_runs(stage, env)]
    waits, never, stay = waiting_steps(steps, env), never_made(steps, env), staying(steps, env)
    left = as_judged(steps, env)
    lack = outage_now(env, [dagster_home()])
    try:
        runs, failures, given_up, since, outdated = _history(project, steps, env, lack or "")
    except Exception:
        if lack is None:
            raise
        runs, failures, given_up, since, outdated = [], [], [], "", ""  # Dagster's database needs what is lacking
    refused, failed, ages = staying_refused(steps, env), still_failing(steps, env), freshness_by_table(steps, env)
    outage = f"{lack[0].upper()}{lack[1:]}{since}; {plural(len(planned), 'run')} to be made." if lack else ""
    died = [found for run in failures if run.died and (found := _still_missing(run, steps, env)) is not None]
    broken, lacks = declarations(project).broken, list(note_lacking(steps, env).values())
    gone = undeclared_tables(env.lake, [t for step in steps for t in step.outputs]) if not broken else {}
    unread = [*unread_in(store, complete=as_json), *outside_in(store)]
    if as_json:
        print_json(
            {
                "up_to_date": not (planned or waits or never or refused or broken or lacks),
                "stale": [{"partition": unit.partition, "assets": unit.tables} for unit in planned],
                "outage": outage,
                "lacking": lacks,
                "waiting": [one.to_dict() for one in waits],
                "never_made": never,
                "staying": [one.to_dict() for one in stay],
                "as_judged": [one.to_dict() for one in left],
                "refused": [one.to_dict() for one in refused],
                "failed": [one.to_dict() for one in failed],
                "died": [run.to_dict() for run in died],
                "freshness": {table: age.to_dict() for table, age in ages.items()},
                "given_up": given_up,
                "outdated": outdated,
                "undeclared": {table: at.isoformat(timespec="seconds") for table, at in gone.items()},
                "unread": unread,
                "broken": [str(module) for module in broken],
                "runs": [run.to_dict() for run in runs[:shown]],
            }
        )
    else:
        if not (planned or waits or never or refused or broken or lacks):
            but = " but for what stays as declared or judged" if stay or left else ""
            out.print(f"Everything is up to date{but}: {len(env.lake.tables()) - len(gone)} tables.")
        _section("No run is requested", [outage] if outage else [])
        _section("To be done", run_lines(planned))
        _section("Cannot be read", lacks)
        _section("Waits", [*summarised(waits, 8), *never])
        _section("Stays as declared (`assay materialize TABLE --force` makes it again)", list(map(str, stay)))
        _section("Stays as judged", list(map(str, left)))
        _section(f"Refused (waits for {AGAIN}; `assay materialize --partition P` tries again)", refused_lines(refused))
        _section("Older than promised", [age.message for age in ages.values() if not age.fresh])
        _section("Failed", refused_lines(failed))
        _section("Died", [_death(run) for run in died])
        _section("Given up after runs that died", given_up)
        _section("Runs with earlier declarations", [outdated] if outdated else [])
        _section("Not read", unread)
        _section("No longer declared", [undeclared_line(table, at) for table, at in gone.items()])
        _section("Cannot be loaded", [str(module) for module in broken])
        if runs[:shown]:
            rows = [
                (run.run_id[:8], run.status, run.partition, ", ".join(run.assets)[:80], str(run.ended or "")[:16])
                for run in runs[:shown]
            ]
            print_table(("run", "ended as", "partition", "assets", "at"), rows)
    return EXIT_NO if refused or failed or died or given_up or broken or lacks or outage else EXIT_DONE


def _history(
    project: "Project", steps: "Sequence[Step]", env: "Resources", lack: str
) -> "tuple[list[RanRun], list[RanRun], list[str], str, str]":
    """The last runs, those of them that failed and were not made good, what was given up, since when something lacks, and whether
    other declarations run than those on disk."""
    home = dagster_home()
    if not (home / "history").exists() and not (home / "dagster.yaml").exists():
        return [], [], [], "", ""
    from assay.assets.dagster.attention import outdated_now
    from assay.assets.dagster.history import last_runs, outage_since, remembered, unresolved
    from assay.assets.dagster.lost_runs import given_up
    from assay.assets.dagster.materialize import open_instance, quiet

    quiet()
    with open_instance(home) as instance:
        runs = last_runs(instance, RUNS)
        since, memory = outage_since(instance, project.name, lack), remembered(instance, project.name)
        return (
            runs,
            unresolved(runs),
            [str(one) for one in given_up(instance, steps, memory, project.name, env.now())],
            f" since {since:%Y-%m-%d %H:%M} UTC" if since else "",
            outdated_now(instance, project),
        )


def _still_missing(run: "RanRun", steps: "Sequence[Step]", env: "Resources") -> "RanRun | None":
    """What of a run that died is still to be made, with what is known of that alone; None where nothing is."""
    from assay.assets.steps.step import look

    makers = {table: step for step in steps for table in step.outputs}
    open_ = set[str]()
    for table in run.missing:
        step = makers.get(table)
        if step is not None and table not in open_ and step.partitioning.is_partitioned == (run.partition is not None):
            keys = step.batches(env) if step.batches else [run.partition]
            if any((seen := look(step, env, key)).stale and seen.refused is None for key in keys):
                open_ |= set(step.outputs)
    tables = tuple(table for table in run.missing if table in open_)
    problems = tuple(problem for problem in run.problems if not problem.table or problem.table in open_)
    return replace(run, assets=tables, missing=tables, problems=problems) if tables else None


def _death(run: "RanRun") -> str:
    what = f"{run.partition or 'all'}: {', '.join(run.assets)}, run {run.run_id[:8]}"
    return ": ".join([what, *([" ".join(problem.text for problem in run.problems)] if run.problems else [])])


def _section(title: str, lines: list[str], most: int = 10) -> None:
    if not lines:
        return
    out.print(bold(title))
    for line in lines[:most]:
        out.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    if len(lines) > most:
        out.print(f"  and {len(lines) - most} more (--json)")
