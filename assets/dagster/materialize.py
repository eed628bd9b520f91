"""`assay materialize`: do what is stale, through Dagster, and wait.

The runs are ordinary Dagster runs in the instance that the UI shows, executed in this process one after the other.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
from dagster._core.instance import InstanceRef
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from assay.assets.dagster.dagster_metadata import asset_key
from assay.assets.dagster.definitions import definitions_of
from assay.assets.dagster.failures import OUTAGE
from assay.assets.dagster.freshness import NAME as FRESHNESS
from assay.assets.dagster.jobs import BY_TAG, TABLES_TAG, job_name
from assay.assets.dagster.partitions import dagster_key
from assay.assets.dagster.run_recovery import PROCESS_TAG, end_killed_runs, process_tag
from assay.assets.dagster.to_dagster import AGAIN_TAG, FORCE_TAG, WAITED_TAG
from assay.assets.planning.plan import Chosen, PlannedRun, planned_runs, stages
from assay.assets.steps.step import Resources, Step
from assay.assets.stopping import REQUESTED

Report = Callable[["PlannedRunResult"], None]
USER_TAG = "user"  # on a run: whom the Dagster UI names as the one who launched it


@dataclass(frozen=True, slots=True)
class PlannedRunResult:
    """How one Dagster run ended. `problems` are the failed steps' own words, `skipped` what waited for them."""

    unit: PlannedRun
    run_id: str
    success: bool
    new_versions: tuple[str, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()  # the tables whose steps failed
    waiting: tuple[str, ...] = ()  # the steps that found an upstream missing, and why: no failure
    not_made: tuple[str, ...] = ()  # tables that the run was to make and did not
    outages: tuple[str, ...] = ()  # what was lacking, where that is why a step failed


@dataclass(slots=True)
class Summary:
    """Everything a call of `materialize` did."""

    results: list[PlannedRunResult] = field(default_factory=list)
    left: list[str] = field(default_factory=list)  # what was not begun after a wish to stop

    @property
    def failed(self) -> list[PlannedRunResult]:
        return [result for result in self.results if not result.success]


def materialize(
    steps: Sequence[Step],
    env: Resources,
    instance: dg.DagsterInstance,
    *,
    chosen: Chosen | None = None,
    force: bool = False,
    project: str = "",
    starting: Callable[[PlannedRun], None] = lambda unit: None,
    finished: Report = lambda result: None,
) -> Summary:
    """Run every stale step (or, with `force`, every step), stage by stage, partition by partition. A failing run does not
    stop the others: what depends on it waits, the rest goes on. A wish to stop is followed after the step that runs."""
    end_killed_runs(instance)
    summary = Summary()
    definitions = definitions_of(steps, project=project)
    for stage in stages(steps):
        if REQUESTED.is_set():
            summary.left.append(f"everything of {', '.join(step.outputs[0] for step in stage)}")
            continue
        for unit in planned_runs(stage, env, chosen, force=force):
            if REQUESTED.is_set():
                summary.left.append(f"{unit}{f', and what follows of {unit.of} partitions' if unit.of > 1 else ''}")
                break
            starting(unit)
            result = run_unit(
                unit,
                definitions,
                instance,
                force=force,
                judge_again=env.judge_again,
                project=project,
                actor=env.settings.acting,
            )
            summary.results.append(result)
            finished(result)
            if REQUESTED.is_set() and result.success and result.not_made:
                tables = ", ".join(result.not_made)
                summary.left.append(f"{unit.partition}: {tables}" if unit.partition else tables)
    return summary


def run_unit(
    unit: PlannedRun,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    *,
    force: bool = False,
    judge_again: bool = False,
    project: str = "",
    actor: str = "",
) -> PlannedRunResult:
    """One Dagster run over the unit's assets, launched by `actor`."""
    tables = frozenset(asset_key(table) for table in unit.tables)
    job = definitions.resolve_job_def(job_name(unit.steps[0], project))
    outcome = job.get_subset(asset_selection=tables, asset_check_selection=frozenset()).execute_in_process(
        partition_key=dagster_key(unit.partitioning, unit.partition) if unit.partition else None,
        instance=instance,
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        tags={BY_TAG: "materialize", PROCESS_TAG: process_tag(), TABLES_TAG: " ".join(unit.tables)}
        | ({USER_TAG: actor} if actor else {})
        | ({FORCE_TAG: "yes"} if force else {})
        | ({AGAIN_TAG: "yes"} if judge_again else {}),
    )
    versions, problems, outages, failed, made = [], [], list[str](), set[str](), set[str]()
    for event in outcome.all_events:
        if event.is_step_failure:
            failed.add(event.step_key or "")
            error = event.step_failure_data.error
            cause = error.cause if error and error.cause else error
            text = event.step_failure_data.user_failure_data
            if text and OUTAGE in text.metadata:
                outages.append(str(text.metadata[OUTAGE].value))
            problems.append(
                (text.description if text and text.description else None) or (cause.message if cause else "")
            )
    for result in outcome.get_asset_materialization_events():
        data = result.step_materialization_data.materialization
        made.add(data.asset_key.to_user_string())
        if data.metadata.get("new_version") and data.metadata["new_version"].value:
            versions.append(f"{data.asset_key.to_user_string()}@{data.metadata['delta_version'].value}")
    run = instance.get_run_by_id(outcome.run_id)
    waited = run.tags.get(WAITED_TAG, "") if run else ""
    makers = {asset_key(table): step.name for step in unit.steps for table in step.outputs}
    warnings = list[str]()
    for evaluation in outcome.get_asset_check_evaluations():
        if evaluation.check_name == FRESHNESS:
            continue  # nobody needs a reminder at each old day that it is old
        counts = [number.value for name, number in evaluation.metadata.items() if name.endswith("s_invalid")]
        found = not evaluation.passed or any(counts)
        if not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR:
            failed.add(makers[evaluation.asset_key])
            problems.append(evaluation.description or f"{evaluation.check_name} failed")
        elif found and evaluation.description:
            warnings.append(evaluation.description)
    return PlannedRunResult(
        unit,
        outcome.run_id,
        not failed and outcome.success,
        tuple(versions),
        tuple(text.strip() for text in problems),
        tuple(warnings),
        tuple(step.outputs[0] for step in unit.steps if step.name in failed),
        (waited,) if waited else (),
        tuple(table for table in unit.tables if table not in made),
        tuple(outages),
    )


def quiet() -> None:
    """Dagster's own logging stays out of the terminal; the runs keep their logs in the instance."""
    logging.getLogger("dagster").setLevel(logging.CRITICAL)


DAGSTER_YAML = """\
telemetry: {enabled: false}
nux: {enabled: false}
"""


_PRINTED = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}


@contextmanager
def open_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance in a folder (made if it is not there), the same that the UI shows.

    What a step prints goes to the terminal. To keep it in a file, too, Dagster starts four processes for each run.
    """
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        (home / "dagster.yaml").write_text(DAGSTER_YAML)
    os.environ["DAGSTER_HOME"] = str(home)
    ref = InstanceRef.from_dir(str(home))
    if ref.compute_logs_data.class_name == LocalComputeLogManager.__name__:  # else they are somebody's wish
        ref = InstanceRef.from_dir(str(home), overrides={"compute_logs": _PRINTED})
    with dg.DagsterInstance.from_ref(ref) as instance:
        yield instance
