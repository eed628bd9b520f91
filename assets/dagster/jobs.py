"""Steps as a Dagster code location: assets, and one job per kind of partition, which is what a run can have one of."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from assay.assets.dagster.dagster_metadata import asset_key
from assay.assets.dagster.to_dagster import build_asset, environment
from assay.assets.steps.step import Resources, Step

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as Job


def definitions_of(
    steps: Sequence[Step],
    jobs: Sequence["Job"] = (),
    sensors: Sequence[dg.SensorDefinition] = (),
    *,
    project: str = "",
    resources: Callable[[], Resources] = environment,
) -> dg.Definitions:
    """Everything that these steps make of Dagster; without `jobs`, their own."""
    known = frozenset(table for step in steps for table in step.outputs)
    return dg.Definitions(
        assets=[build_asset(step, known, resources) for step in steps],
        jobs=jobs or jobs_of(steps, project),
        sensors=sensors,
        executor=dg.in_process_executor,
    )


def jobs_of(steps: Sequence[Step], project: str = "") -> list["Job"]:
    tables: dict[str, list[str]] = {}
    for step in steps:
        tables.setdefault(job_name(step, project), []).extend(step.outputs)
    return [
        dg.define_asset_job(name, dg.AssetSelection.assets(*(asset_key(table) for table in found)))
        for name, found in tables.items()
    ]


def job_name(step: Step, project: str = "") -> str:
    """The job that a step belongs to: `daily_from_2026_09_01`, or `unpartitioned`, after the project's name."""
    own = f"daily_from_{step.first_day:%Y_%m_%d}" if step.first_day else "unpartitioned"
    return named(own, project)


def named(own: str, project: str) -> str:
    """A name that stays unique when several projects are merged: `shop_arrivals`."""
    return f"{project}_{own}" if project else own
