"""A project, or any steps, as a Dagster code location or as a part of one that a team already has."""

import logging
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from assay.assets.dagster.failures import PlainFailure
from assay.assets.dagster.freshness import freshness_checks, freshness_sensor
from assay.assets.dagster.jobs import jobs_of
from assay.assets.dagster.loaded import LoadedDeclarations
from assay.assets.dagster.maintenance import maintenance
from assay.assets.dagster.sensors import arrivals
from assay.assets.dagster.to_dagster import build_asset, environment
from assay.assets.declarations import BrokenModule, declarations, pipeline
from assay.assets.project import Project, project_of
from assay.assets.steps.step import Resources, Step
from assay.features.tables.partitioning import Partitioning

if TYPE_CHECKING:
    from assay.assets.dagster.jobs import Job
    from assay.store import Store

log = logging.getLogger("assay")


def definitions(*domains: str, store: "Store | None" = None) -> dg.Definitions:
    """Assets, checks, jobs, the sensor and the executor of a project, to be loaded or merged.

    >>> defs = dg.Definitions.merge(theirs, assay.definitions("shop.declarations"))  # doctest: +SKIP

    Jobs and the sensor are named after the project (`shop_arrivals`), so that several projects can be merged. Assets are
    named after tables, so two projects that are merged into one code location need different names of sources and views.

    Args:
        *domains: Packages of declarations. Default: those of the active project. Their settings (`.env`, home) are those
            of the project whose folder holds them, wherever Dagster was started.
        store: Where its tables are kept. Default: as the project's settings say.

    Returns:
        Definitions that can be merged with others.

    Raises:
        AssayError: A package is not there, or two declarations write one table.
    """
    project = project_of(domains)
    loaded = LoadedDeclarations.now(project)
    broken = declarations(project).broken
    loaded.without(module.module for module in broken)
    for module in broken:
        log.error("%s", module)
    steps = pipeline(project)
    jobs = jobs_of(steps, project.name)

    def resources() -> Resources:
        return _store(project, store).env()

    sensor = arrivals(steps, jobs, project=project.name, resources=resources, declared=loaded)
    sensors = [sensor, *freshness_sensor(steps, resources, project=project.name)]
    declared = definitions_of(steps, jobs, sensors, project=project.name, resources=resources)
    maintain, daily = maintenance(project.name, resources)
    also = dg.Definitions(assets=[_broken_asset(module) for module in broken], jobs=[maintain], schedules=[daily])
    return dg.Definitions.merge(declared, also)


def definitions_of(
    steps: Sequence[Step],
    jobs: Sequence["Job"] = (),
    sensors: Sequence[dg.SensorDefinition] = (),
    *,
    project: str = "",
    resources: Callable[[], Resources] = environment,
) -> dg.Definitions:
    """Everything that these steps make of Dagster; without `jobs`, their own."""
    partitionings = partitions_by_table(steps)
    return dg.Definitions(
        assets=[build_asset(step, partitionings, resources) for step in steps],
        asset_checks=freshness_checks(steps, resources),
        jobs=jobs or jobs_of(steps, project),
        sensors=sensors,
        executor=dg.in_process_executor,
    )


def partitions_by_table(steps: Sequence[Step]) -> dict[str, Partitioning]:
    """All tables of the steps, with their partitions."""
    return {table: step.partitioning for step in steps for table in step.outputs}


def _broken_asset(broken: BrokenModule) -> dg.AssetsDefinition:
    """What cannot be loaded, where people look: an asset `broken/<module>`, whose run fails with the reason."""

    @dg.asset(
        key=["broken", re.sub(r"[^A-Za-z0-9_]", "_", broken.module)],
        group_name="broken",
        description=f"{broken} The other declarations are there all the same.",
    )
    def asset() -> None:
        raise PlainFailure(str(broken))

    return asset


def _store(project: Project, given: "Store | None") -> "Store":
    """A store of its own for each run: nothing is shared between processes or threads."""
    from assay.store import Store, open_store

    if given is not None:
        return Store(given.settings)
    return open_store(project=str(project.root) if project.root else None)


@dg.definitions
def defs() -> dg.Definitions:
    """The active project."""
    return definitions()
