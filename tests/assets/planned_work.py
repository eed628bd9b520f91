"""What is due, executed without Dagster: for tests of steps, of which a Dagster run costs four times the work.

The plan, the steps, the attempts, the verdicts and what waits for what are the product's. Nothing is reported to an instance, and
commits name no Dagster run: tests that look at those materialise."""

from collections.abc import Sequence
from dataclasses import replace

import dagster as dg

from assay.assets.dagster.dagster_metadata import verdict
from assay.assets.dagster.failures import OUTAGE, PlainFailure, in_one_sentence
from assay.assets.dagster.materialize import PlannedRunResult, Summary
from assay.assets.dagster.to_dagster import RETRIES, environment
from assay.assets.planning.plan import Chosen, PlannedRun, planned_runs, stages
from assay.assets.steps.step import NotReady, Resources, Result, Step, execute
from assay.features.tables.run_record import CheckResult
from assay.features.tables.transaction import AuditFailed


def run_planned(steps: Sequence[Step], env: Resources, *, chosen: Chosen | None = None, force: bool = False) -> Summary:
    """As `materialize`: every stale step (or, with `force`, every step), stage by stage, partition by partition."""
    units = (unit for stage in stages(steps) for unit in planned_runs(stage, env, chosen, force=force))
    return Summary([_run(unit, force=force, judge_again=env.judge_again) for unit in units])


def _run(unit: PlannedRun, *, force: bool, judge_again: bool) -> PlannedRunResult:
    """One run over the unit's steps. A step for which another one of them made nothing is left out."""
    env = replace(environment(), judge_again=judge_again)
    made, failed, lacking = list[Result](), dict[str, None](), set[str]()
    problems, warnings, outages, waiting = list[str](), list[str](), list[str](), list[str]()

    def judge(step: Step, checks: Sequence[CheckResult], *, published: bool) -> None:
        declared = {check.name for check in step.checks}
        for check in (check for check in checks if check.name in declared and check.judged):
            found = verdict(check, None, published=published)
            if not found.passed and found.severity == dg.AssetCheckSeverity.ERROR:
                failed[step.outputs[0]] = None
                problems.append((found.description or "").strip())
            elif found.description and (not found.passed or check.invalid):
                warnings.append(found.description)

    for step in unit.steps:
        if not lacking.isdisjoint((*step.reads, *step.references)):
            lacking.update(step.outputs)
            continue
        results, stopped = list[Result](), False
        try:
            for partition in step.batches(env) if step.batches else [unit.partition]:
                done = _tried(step, env, partition, force=force)
                if isinstance(done, Result):
                    results.append(done)
                    judge(step, done.done.checks, published=True)
                elif isinstance(done, AuditFailed):
                    stopped = True
                    judge(step, done.checks, published=False)
                elif not step.batches:
                    stopped = True
                    waiting.append(f"{step.outputs[0]}: {done}")
        except Exception as failure:
            stopped, results = True, []
            failed[step.outputs[0]] = None
            problems.append(
                str(failure) if isinstance(failure, PlainFailure) else f"{type(failure).__name__}: {failure}"
            )
            if isinstance(failure, PlainFailure):
                outages += [str(text.value) for name, text in failure.metadata.items() if name == OUTAGE]
        if stopped and not results:
            lacking.update(step.outputs)
        made += results
    tables = {table for result in made for table in result.step.outputs}
    return PlannedRunResult(
        unit,
        run_id="",
        success=not failed,
        new_versions=tuple(
            f"{write.table}@{write.snapshot.version}"
            for result in made
            for write in result.done.writes
            if write.changed
        ),
        problems=tuple(problems),
        warnings=tuple(warnings),
        failed=tuple(failed),
        waiting=tuple(waiting),
        not_made=tuple(table for table in unit.tables if table not in tables),
        outages=tuple(outages),
    )


def _tried(step: Step, env: Resources, partition: str | None, *, force: bool) -> Result | AuditFailed | NotReady:
    """As often as Dagster would try. Raises what the last try raised."""
    for left in reversed(range(RETRIES.max_retries + 1)):
        try:
            with in_one_sentence(last=not left):
                try:
                    return execute(step, env, partition, force=force)
                except (AuditFailed, NotReady) as problem:
                    return problem
        except Exception as problem:
            if not left or isinstance(problem, PlainFailure):
                raise
    raise AssertionError("it was tried")
