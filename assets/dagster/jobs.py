"""Jobs, and the runs of them that are due. One job per partitions definition, since a Dagster run can have only one.

The planner knows slices (which partitions' bytes a step has read), which Dagster's own staleness does not; so what it plans
is requested, and the sensor, `assay materialize` and a click give the same result.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from assay.assets.dagster.dagster_metadata import asset_key
from assay.assets.steps.step import Step

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as Job

HIDDEN = ".dagster/"  # Dagster's UI does not show tags that begin so: they are for programs
TABLES_TAG = f"{HIDDEN}assay.tables"  # on a run of a part of a job: which, since Dagster does not keep it
PARTITION_TAG = "dagster/partition"
RANGE_TAG = "dagster/asset_partition_range_"  # and start, or end: on a run of a backfill
BY_TAG = f"{HIDDEN}assay.by"  # on a run: the command that made it


def jobs_of(steps: Sequence[Step], project: str = "") -> list["Job"]:
    tables: dict[str, list[str]] = {}
    rhythms = {job_name(step, project): _in_words(step) for step in steps}
    for step in steps:
        tables.setdefault(job_name(step, project), []).extend(step.outputs)
    return [
        dg.define_asset_job(
            name,
            # Steps report their verdicts themselves. Checks planned for a batch that is refused would be shown as failed.
            dg.AssetSelection.assets(*(asset_key(table) for table in outputs)).without_checks(),
            description=f"All tables {rhythms[name]}. The sensor and `assay materialize` run the parts of it that are due.",
        )
        for name, outputs in tables.items()
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


def _in_words(step: Step) -> str:
    partitions = step.partitioning
    if not partitions.is_partitioned:
        return "without partitions"
    if not partitions.is_timed:
        return f"with the partitions {', '.join(partitions.keys)}"
    return f"with {partitions.kind} partitions from {partitions.start}" + (
        f" to {partitions.end}" if partitions.end else ""
    )


def named(own: str, project: str) -> str:
    """A name that stays unique when several projects are merged: `shop_arrivals`."""
    return f"{project}_{own}" if project else own


def hidden_tag(run: dg.DagsterRun, name: str) -> str:
    """A hidden tag's value, or nothing."""
    return run.tags.get(name) or run.tags.get(shown_before(name), "")


def shown_before(name: str) -> str:
    """What a hidden tag was called in runs of earlier versions: `assay/tables`."""
    return name.removeprefix(HIDDEN).replace(".", "/", 1)


def tables_of(run: dg.DagsterRun) -> tuple[str, ...]:
    """The tables that a run was to make."""
    chosen = sorted(key.to_user_string() for key in run.asset_selection or ())
    return tuple(chosen or hidden_tag(run, TABLES_TAG).split())


def partition_of(run: dg.DagsterRun) -> str | None:
    """The one partition that a run is for; a backfill writes it as a range."""
    first, last = (run.tags.get(f"{RANGE_TAG}{end}") for end in ("start", "end"))
    return run.tags.get(PARTITION_TAG) or (first if first == last else None)
