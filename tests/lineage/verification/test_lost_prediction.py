"""What is known of a prediction that cannot be traced any more. Which culprits are named, the mutation suite tests."""

import json
import shutil
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from assay.errors import AssayError
from assay.features.retention.removals import record_removal
from assay.features.tables.run_record import Work
from assay.features.tables.transaction import transaction
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.predictions.find_prediction import find_prediction
from assay.lineage.store.writes import writes_below
from assay.lineage.tracing.trace import trace
from assay.lineage.verification.lost_prediction import LostPrediction, lost_prediction

TABLE = "predictions/router"


@pytest.fixture
def recorded(desk: Any, recorder: EventRecorder) -> Any:
    """The support desk with two days of predictions, whose work the lineage store records."""
    desk.work = lambda asset, partition=None: transaction(desk.lake, recorder, Work(asset, partition))
    desk.until(3)
    desk.train("1", range(2))
    desk.predict(2, "1")
    desk.asked = desk.predict(3, "1")[1]
    desk.store = recorder.store
    return desk


def known(desk: Any, prediction: str, *, store: bool = True) -> LostPrediction | None:
    """What is known once it cannot be traced."""
    with pytest.raises(AssayError) as problem:
        trace(desk.lake, prediction)
    return lost_prediction(desk.lake, prediction, str(problem.value), desk.store if store else None)


def data_file(desk: Any) -> Path:
    return Path(desk.lake.storage.root, TABLE, find_prediction(desk.lake, desk.asked).file)


def test_where_nothing_is_lost_there_is_no_such_prediction(recorded: Any) -> None:
    other = str(uuid.UUID(int=uuid.UUID(recorded.asked).int ^ 1))
    assert known(recorded, other) is None
    with pytest.raises(AssayError, match="not a prediction id"):
        lost_prediction(recorded.lake, "x", "", recorded.store)


def test_a_file_that_was_vacuumed_is_named_with_who_removed_it(recorded: Any) -> None:
    path = data_file(recorded)
    name = path.relative_to(Path(recorded.lake.storage.root, TABLE)).as_posix()
    record_removal(recorded.lake.storage, TABLE, [name], by="Ada", reason="too old")
    path.unlink()
    lost = known(recorded, recorded.asked)
    assert lost is not None and lost.outcome == "incomplete"
    (finding,) = lost.findings
    assert finding.what == f"{TABLE}/{name}" and "vacuumed by Ada" in finding.detail and "too old" in finding.detail
    (removal,) = lost.removals
    assert removal.by == "Ada"
    (commit,) = lost.commits
    assert (commit.table, commit.version, commit.partition, commit.rows) == (TABLE, 2, "2026-09-04", 4)
    assert commit.by == ("its seal", "the lineage store", "its commit")
    assert any(text.startswith("models/router@") for text in commit.reads)


@pytest.mark.parametrize("stored", [True, False])
def test_a_table_that_is_gone_is_known_to_others(recorded: Any, stored: bool) -> None:
    writes = writes_below(recorded.store, "predictions", "2026-09-04")
    assert [(item.table, item.version, item.partition) for item in writes] == [(TABLE, 2, "2026-09-04")]
    assert writes_below(recorded.store, "predict_ons", "") == []
    shutil.rmtree(Path(recorded.lake.storage.root, TABLE))
    lost = known(recorded, recorded.asked, store=stored)
    assert lost is not None and lost.event_time.replace(hour=0) == datetime(2026, 9, 4, tzinfo=UTC)
    (finding,) = lost.findings
    assert finding.what == TABLE and "last seal is that of version 2" in finding.detail
    assert [commit.version for commit in lost.commits] == ([2] if stored else [])
    said = json.loads(json.dumps(lost.to_dict()))
    assert (said["traced"], said["outcome"], said["findings"][0]["what"]) == (False, "incomplete", TABLE)
    assert recorded.asked in str(lost).splitlines()[0] and "the table is gone" in str(lost)


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


@pytest.mark.parametrize(("change", "outcome"), [(Path.unlink, "incomplete"), (damaged, "broken")])
def test_a_commit_that_is_gone_is_missing_and_one_that_is_damaged_was_changed(
    recorded: Any, change: Callable[[Path], None], outcome: str
) -> None:
    change(Path(recorded.lake.storage.root, TABLE, "_delta_log", f"{2:020d}.json"))
    lost = known(recorded, recorded.asked)
    assert lost is not None and lost.outcome == outcome
    assert [item.what for item in lost.findings] == [f"{TABLE}/_delta_log/{2:020d}.json"]
    assert [(item.version, item.by) for item in lost.commits] == [(2, ("its seal", "the lineage store"))]
