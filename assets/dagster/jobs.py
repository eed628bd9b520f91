"""Steps as a Dagster code location: assets, and one job per partitions definition, since a Dagster run can have
only one."""

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from assay.assets.dagster.dagster_metadata import asset_key
from assay.assets.dagster.to_dagster import build_asset, environment
from assay.assets.steps.step import Resources, Step
from assay.features.tables.partitioning import Partitioning

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
    known = partitions_by_table(steps)
    return dg.Definitions(
        assets=[build_asset(step, known, resources) for step in steps],
        jobs=jobs or jobs_of(steps, project),
        sensors=sensors,
        executor=dg.in_process_executor,
    )


def partitions_by_table(steps: Sequence[Step]) -> dict[str, Partitioning]:
    """All tables of the steps, with their partitions."""
    return {table: step.partitioning for step in steps for table in step.outputs}


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
    return named(_rhythm(step), project)


def _rhythm(step: Step) -> str:
    partitions = step.partitioning
    if not partitions.is_partitioned:
        return "unpartitioned"
    if not partitions.is_timed:
        return f"static_{hashlib.sha256(' '.join(partitions.keys).encode()).hexdigest()[:8]}"
    zone = "" if partitions.time_zone == "UTC" else f"_{partitions.time_zone}"
    until = f"_to_{partitions.end}" if partitions.end else ""
    return re.sub(r"[^A-Za-z0-9_]", "_", f"{partitions.kind}_from_{partitions.start}{until}{zone}")


def named(own: str, project: str) -> str:
    """A name that stays unique when several projects are merged: `shop_arrivals`."""
    return f"{project}_{own}" if project else own
