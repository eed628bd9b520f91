"""Records of runs in the lake: written once, read whatever happened to them, folded day by day."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.features.storage.storage import Storage, open_storage
from assay.lineage.delivery.run_records import (
    RunRecord,
    find_record,
    fold_records,
    keep_record,
    read_records,
    record_of,
    unfolded_days,
)
from tests.conftest import SOAK

T0 = datetime(2026, 9, 1, 23, 59, tzinfo=UTC)
TODAY = (T0 + timedelta(days=9)).date()


def made(number: int = 0, end: str = "FAIL", at: datetime = T0, said: str = "") -> RunRecord:
    run = {"runId": str(uuid.UUID(int=number)), "facets": {"said": said}}
    events = ({"eventType": kind, "eventTime": at.isoformat(), "run": run} for kind in ("START", end))
    return record_of(*(json.dumps(event).encode() for event in events))


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(tmp_path)


def test_a_record_is_found_again_as_it_was(storage: Storage) -> None:
    keep_record(storage, made())
    assert storage.walk() == [f"_runs/2026-09-01/{made().run_id}.ndjson"]
    assert storage.get(storage.walk()[0]) == made().start + b"\n" + made().end + b"\n"
    assert find_record(storage, made().run_id, T0) == made()
    assert find_record(storage, made(1).run_id, T0) is None
    assert read_records(storage).records == {made().run_id: made()}


def test_the_first_end_stands_unless_it_was_presumed(storage: Storage) -> None:
    for record in (made(end="ABORT"), made(said="first"), made(said="second"), made(end="ABORT")):
        keep_record(storage, record)
    assert find_record(storage, made().run_id, T0) == made(said="first")


def test_a_run_without_a_start_is_of_the_day_on_which_it_ended(storage: Storage) -> None:
    keep_record(storage, record_of(b"", made().end))
    assert find_record(storage, made().run_id, T0) == record_of(b"", made().end)
    with pytest.raises(ValueError, match="two runs"):
        record_of(made(1).start, made(2).end)


@pytest.mark.parametrize("content", [b"", b"{half", b"[]\n", made().start, b'{"eventType": "FAIL"}'])
def test_a_damaged_record_is_named_kept_and_hinders_no_other(storage: Storage, content: bytes) -> None:
    bad = "_runs/2026-09-01/broken.ndjson"
    storage.put(bad, content)
    keep_record(storage, made())
    for _ in range(2):
        found = read_records(storage)
        assert (list(found.records), found.damaged) == ([made().run_id], (bad,))
        fold_records(storage, TODAY)
    assert storage.get(bad) == content
    keep_record(storage, made(2))
    storage.put(f"_runs/2026-09-01/{made(2).run_id}.ndjson", content)
    keep_record(storage, made(2))  # what cannot be read is written again
    assert find_record(storage, made(2).run_id, T0) == made(2)


@settings(max_examples=300 if SOAK else 8, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["FAIL", "ABORT", "COMPLETE"]), st.booleans()), max_size=12)
)
def test_folding_at_any_moment_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[int, str, bool]]
) -> None:
    """Against a dictionary: the first end of a run that is no presumption, else the first."""
    storage, expected = open_storage(tmp_path_factory.mktemp("lake")), dict[str, RunRecord]()
    for count, (number, end, fold) in enumerate(acts):
        record = made(number, end, T0 + timedelta(days=number % 2), str(count))
        keep_record(storage, record)
        if record.run_id not in expected or (expected[record.run_id].presumed and not record.presumed):
            expected[record.run_id] = record
        if fold:
            fold_records(storage, TODAY)
    assert read_records(storage).records == expected
    assert {run_id: find_record(storage, run_id, one.started_at) for run_id, one in expected.items()} == expected
    fold_records(storage, TODAY)
    assert storage.walk() == sorted({f"_runs/{one.started_at.date()}.ndjson.gz" for one in expected.values()})
    assert read_records(storage).records == expected


def test_the_last_days_stay_as_they_are(storage: Storage) -> None:
    for days in range(4):
        keep_record(storage, made(days, at=T0 + timedelta(days=days)))
    today = (T0 + timedelta(days=3)).date()
    assert [str(day) for day in unfolded_days(storage, today)] == ["2026-09-01", "2026-09-02"]
    assert fold_records(storage, today) == 2
    assert len(read_records(storage).records) == 4


def test_a_minute_by_minute_failure_costs_little(storage: Storage) -> None:
    for minute in range(360):
        keep_record(storage, made(minute, said="The upstream does not answer. " * 20, at=T0.replace(hour=0)))
    assert fold_records(storage, TODAY) == 360
    assert sum(storage.size(path) or 0 for path in storage.walk()) < 10_000
