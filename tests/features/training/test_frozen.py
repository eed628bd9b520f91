"""A training set is the same for ever, whatever becomes of the tables that it was made from."""

import shutil
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from assay.errors import AssayError
from assay.features.retention.vacuum import vacuum
from assay.features.serving.training import create_training_set, load_training_set
from assay.features.tables.digest import content_digest
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.features.views.feature_view import FeatureView
from assay.features.views.windowed import windows
from tests.features.training.conftest import ACTIVITY, events, spine
from tests.features.training.rows import at


def materialise(lake: Lake, view: FeatureView, days: range, shift: int = 0) -> None:
    with transaction(lake, NullRecorder(), Work("features/activity", params={"shift": shift})) as tx:
        rows = view.compute({"clean/tickets": events().lazy()}, at=[at(day) for day in days])
        tx.describe(**view.metadata())
        tx.write("features/activity", rows.with_columns(pl.col("tickets_1d") + shift))


def test_it_reloads_after_everything_that_happens_to_a_lake_in_its_life(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")
    materialise(lake, ACTIVITY, range(31))
    made = create_training_set(lake, NullRecorder(), "bought", spine(), ["activity:*"])
    digest, split = made.manifest["content_digest"], made.split(by_time="2026-01-20", embargo="8d")
    held = split.test
    # 200 commits, of both tables
    for number in range(100):
        materialise(lake, ACTIVITY, range(1), shift=number + 1)
        create_training_set(lake, NullRecorder(), "bought", spine(1), ["activity:tickets_1d"])
    # an overwrite, and another definition
    redefined = FeatureView(ACTIVITY.name, ACTIVITY.entity, ACTIVITY.event_time,
                            windows(["1d", "7d"], source="clean/tickets", time="created_at", tickets=pl.len() * 2,
                                    spent=pl.col("paid").max()))  # fmt: skip
    materialise(lake, redefined, range(31))
    # compaction by another engine, and its vacuum; ours; and an attempt to vacuum without regard to retention
    for table in ("features/activity", "training/bought"):
        delta = DeltaTable(lake.storage.uri(table))
        delta.optimize.compact()
        with pytest.raises(Exception, match="retention"):
            delta.vacuum(0, dry_run=False)
        vacuum(lake, table, keep_days=0, grace=timedelta(0), dry_run=False)
        # log cleanup, which needs a checkpoint
        delta.create_checkpoint()
        delta.cleanup_metadata()
    # a moved lake
    shutil.move(tmp_path / "lake", tmp_path / "moved")
    loaded = load_training_set(open_lake(tmp_path / "moved"), made.id)
    assert loaded.manifest["content_digest"] == digest == content_digest(loaded.frame())
    assert loaded.split_again(split.definition).test.equals(held)
    assert loaded.split_again(split.definition).id == split.id
    with pytest.raises(AssayError, match="no part"):
        _ = split.validation
