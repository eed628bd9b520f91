"""Making a generation of a feature set: planned, built beside the one that is read, and put in its place as a whole."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from assay.features.online.backend import Backend, NewGeneration
from assay.features.online.build import Progress, all_rows, changed_rows
from assay.features.online.folding import AVAILABLE
from assay.features.online.manifest import Manifest, Stream
from assay.features.online.plan import Plan, StreamPlan, cut, plan
from assay.features.serving.feature_set import FeatureSet
from assay.features.tables.lake import Lake
from assay.features.tables.reader import Reader
from assay.features.views.timestamps import utc


@dataclass(frozen=True, slots=True, eq=False)
class Materialized:
    """What came of it.

    Args:
        manifest: Of the generation that is read now; of a dry run without one before: None.
        plan: What was to be done.
        is_new: Whether it was done; else the generation is the one that was there.
    """

    manifest: Manifest | None
    plan: Plan
    is_new: bool

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "set": self.plan.set.id,
            "new": self.is_new,
            "needed": self.plan.is_needed,
            "streams": [one.to_dict() for one in self.plan.streams],
            "generation": self.manifest.to_dict() if self.manifest else None,
        }


def no_progress(stream: str, done: int, total: int) -> None:
    """Says nothing."""


def materialize_online(
    lake: Lake,
    generations: Backend,
    features: FeatureSet,
    *,
    at: datetime | None = None,
    full: bool = False,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> Materialized:
    """Make the latest values of a feature set ready for reading.

    Each table is read at one version. What has changed since the generation before is read alone, with the same result as
    if all were. Where nothing has, there is nothing to do. Until the new generation is whole the former one is read, also
    when this is killed.

    Args:
        lake: Where the tables are.
        generations: Where what is read is kept.
        features: The set.
        at: The moment from which on it answers; rows that hold from later are kept too. Default: now.
        full: Read all rows again.
        dry_run: Only say what would be done.
        progress: Told of rows that were read.

    Raises:
        AssayError: For unknown views or features, or while another process does the same.
    """
    moment = utc(at, "at") if at is not None else datetime.now(UTC)
    micros = int(pl.Series([moment]).dt.epoch("us")[0])
    if dry_run:
        former = generations.manifest(features.id)
        return Materialized(former, plan(Reader(lake), features, micros, former, full=full), False)
    with generations.building(features.id) as building:
        former = generations.manifest(features.id)
        planned = plan(Reader(lake), features, micros, former, full=full)
        if not planned.is_needed:
            return Materialized(former, planned, False)
        streams = tuple(_build(generations, building, planned, one, micros, progress) for one in planned.streams)
        manifest = Manifest(
            features.id,
            features.digest(),
            features.references,
            moment,
            moment,
            0,
            planned.tables,
            streams,
            planned.joined,
            pl.__version__,
        )
        return Materialized(building.publish(manifest, datetime.now(UTC)), planned, True)


def _build(
    generations: Backend, building: NewGeneration, planned: Plan, one: StreamPlan, at: int, progress: Progress
) -> Stream:
    """Write a stream's rows."""
    stream, former = cut(one), planned.former
    if one.action == "keep":
        building.keep(stream)
        return stream
    number, newest = 0, 0
    for part in range(stream.parts):
        if one.action == "full" or one.former is None or former is None:
            rows = all_rows(one, stream, part, at, progress)
        else:
            before = generations.former_rows(planned.set.id, one.former, part)
            was_at = int(pl.Series([former.at]).dt.epoch("us")[0])
            rows = changed_rows(one, before, part, was_at, at, progress)
        building.write(stream, part, rows)
        number += rows.height
        newest = max(newest, int(rows[AVAILABLE].max() or 0)) if rows.height else newest  # pyright: ignore[reportArgumentType]
    return replace(stream, rows=number, newest=newest)
