"""Upkeep as a Dagster job with a schedule, so that nobody has to think of it.

The schedule runs by default, for the job does by itself only what loses nothing. It removes history only where somebody has
set `ASSAY_HISTORY_DAYS`; else it says what `assay maintain --yes` would remove.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg

from assay.assets.dagster.failures import in_one_sentence
from assay.assets.dagster.history_retention import keep_history
from assay.assets.dagster.jobs import named
from assay.assets.dagster.run_recovery import beating, is_over
from assay.assets.steps.step import Resources
from assay.assets.upkeep import Upkeep, keep_up

DAILY = "17 4 * * *"


def upkeep(env: Resources, instance: dg.DagsterInstance, *, do: bool, history: bool) -> list[Upkeep]:
    """All upkeep of a lake and of Dagster's history.

    Args:
        env: What steps use.
        instance: Whose history.
        do: Do what loses nothing.
        history: Also remove what is older than the settings say.
    """
    found = keep_history(instance, env.settings.history_days, do=do, history=history)
    return [*found, *keep_up(env, do=do, files=_databases(instance), over=is_over(instance))]


def _databases(instance: dg.DagsterInstance) -> Sequence[Path]:
    """The SQLite files of Dagster, without those of single runs."""
    home = Path(instance.root_directory)
    names = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
    return [file for name in names if (file := home / name).is_file()]


def maintenance(project: str, resources: Callable[[], Resources]) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    """The job `maintain` and its daily schedule.

    Args:
        project: Whose names they carry.
        resources: What steps use, asked for in each run.
    """

    @dg.op(name=named("upkeep", project))
    def op(context: dg.OpExecutionContext) -> None:
        with in_one_sentence(), beating(context.instance, context.run.run_id):
            env = resources()
            decided = "history_days" in env.settings.model_fields_set
            for one in upkeep(env, context.instance, do=True, history=decided):
                context.log.info("%s", one)

    @dg.job(
        name=named("maintain", project),
        executor_def=dg.in_process_executor,
        description="Checkpoints, leftovers and free space: what loses nothing. Removes Dagster's history where "
        "ASSAY_HISTORY_DAYS is set.",
    )
    def job() -> None:
        op()

    schedule = dg.ScheduleDefinition(
        name=named("maintain_daily", project),
        job=job,
        cron_schedule=DAILY,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Upkeep once a day. It loses nothing, unless ASSAY_HISTORY_DAYS says how long history is kept.",
    )
    return job, schedule
