"""Whatever is the matter with the lake: the work does not notice, and the record comes when the lake is back."""

import logging
import os
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from assay.features.storage.storage import Storage, open_storage
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import Work
from assay.features.tables.transaction import transaction
from assay.lineage.delivery import record_keeper
from assay.lineage.delivery.rebuild import rebuild
from assay.lineage.delivery.record_keeper import RecordKeeper
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.delivery.run_records import read_records
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store
from tests.lineage.delivery.test_run_records import made


class Silent(Storage):
    """An object store that accepts a connection and then says nothing for a while."""

    def size(self, path: str) -> int | None:
        time.sleep(0.5)
        return super().size(path)


def test_a_lake_that_takes_nothing_gets_it_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "lake").write_text("")  # no folder can be made here
    keeper = RecordKeeper(open_storage(tmp_path / "lake"), tmp_path / "home")
    with caplog.at_level(logging.WARNING, "assay.lineage"):
        for number in range(3):
            keeper.keep(made(number))
    assert len(caplog.records) == 1
    assert "The work goes on" in caplog.text
    (tmp_path / "lake").unlink()
    keeper.empty_spool()
    keeper.empty_spool()
    assert read_records(keeper.storage).records == {made(number).run_id: made(number) for number in range(3)}
    assert keeper.spool.path.stat().st_size == 0


def test_a_lake_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_keeper, "WAIT_SECONDS", 0.05)
    keeper = RecordKeeper(Silent(str(tmp_path / "lake")), tmp_path)
    begin = time.monotonic()
    for number in range(20):
        keeper.keep(made(number))
    assert time.monotonic() - begin < 0.45
    keeper.storage = open_storage(tmp_path / "lake")
    keeper.empty_spool()
    assert len(read_records(keeper.storage).records) == 20


def test_nothing_can_be_written_anywhere_and_the_work_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    keeper = RecordKeeper(open_storage(tmp_path / "file"), tmp_path / "file")
    with caplog.at_level(logging.WARNING, "assay.lineage"):
        keeper.keep(made())
    assert made().run_id in caplog.text


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_lake_that_may_only_be_read(lake: Lake, store: LineageStore) -> None:
    root = Path(lake.storage.root)
    root.mkdir()
    root.chmod(0o500)
    recorder = EventRecorder(store, lake=lake.storage)
    with transaction(lake, recorder, Work("sums")):
        pass
    assert [run.state for run in store.runs()] == ["COMPLETE"]
    root.chmod(0o700)
    recorder.empty_record_spool()
    assert len(read_records(lake.storage).records) == 1


def test_a_run_that_its_commits_describe_costs_no_file(lake: Lake, store: LineageStore) -> None:
    recorder = EventRecorder(store, lake=lake.storage)
    with transaction(lake, recorder, Work("sums")) as tx:
        tx.write("sums", pl.DataFrame({"a": [1]}))
    assert lake.storage.walk("_runs") == []
    with transaction(lake, recorder, Work("sums")) as tx:
        tx.write("sums", pl.DataFrame({"a": [1]}))
    assert len(lake.storage.walk("_runs")) == 1


def test_whoever_is_killed_between_record_and_event_is_found_in_the_lake(
    lake: Lake, store: LineageStore, tmp_path: Path
) -> None:
    """The store's own events are those of the record, and a lake copied at that moment has the same."""
    from datetime import timedelta

    from assay.lineage.events.events import started
    from assay.lineage.events.process import this_process
    from assay.lineage.events.serialize import to_bytes

    process = this_process()
    if process is None:
        pytest.skip("this system does not tell which process is which")
    work, aside = Work("sums"), open_lineage_store(tmp_path / "aside.db")
    with pytest.raises(ValueError, match="no"), transaction(lake, EventRecorder(aside, lake=lake.storage), work):
        raise ValueError("no")
    aside.close()
    store.put(to_bytes(started(work, "assay", replace(process, started=process.started - 1))), once=True)
    assert EventRecorder(store, lake=lake.storage).recover(lake, quiet=timedelta(0)) == [work.run.id]
    assert [run.state for run in store.runs()] == ["FAIL"]
    assert rebuild(store, lake).runs == 0
