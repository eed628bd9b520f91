"""What is known to be complete is not looked at again; what is not is found, however late."""

import shutil
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from assay.features.storage.storage import Storage
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import NullRecorder, Recorder, Work
from assay.features.tables.transaction import transaction
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.store.lineage_store import LineageStore

NOW = timedelta(0)


@dataclass(frozen=True)
class Counting(Storage):
    """Counts the files that are read."""

    read: list[str] = field(default_factory=list, compare=False)

    def get(self, path: str) -> bytes:
        self.read.append(path)
        return super().get(path)


@pytest.fixture
def counted(lake: Lake) -> Lake:
    storage = Counting(**{name: getattr(lake.storage, name) for name in lake.storage.__dataclass_fields__})
    return replace(lake, storage=storage)


def files_read(lake: Lake) -> int:
    assert isinstance(lake.storage, Counting)
    count = len(lake.storage.read)
    lake.storage.read.clear()
    return count


def publish(lake: Lake, recorder: Recorder, number: int, *tables: str) -> str:
    work = Work("clean/t", f"d{number}")
    with transaction(lake, recorder, work) as tx:
        for table in tables or ("clean/t", "quarantine/t"):
            tx.write(table, pl.DataFrame({"a": [number]}))
    return work.run.id


def test_looking_again_reads_as_little_after_many_commits_as_after_few(
    lake: Lake, counted: Lake, recorder: EventRecorder
) -> None:
    counts = []
    for days in (range(3), range(3, 30)):
        for number in days:
            publish(lake, recorder, number)
        assert recorder.recover(counted, quiet=NOW) == []
        files_read(counted)
        assert recorder.recover(counted, quiet=NOW) == []
        counts.append(files_read(counted))
    assert counts == [2, 2], "of each table the commit up to which all is known"
    killed = publish(lake, NullRecorder(), 30)
    assert recorder.recover(counted, quiet=NOW) == [killed]
    assert recorder.recover(counted, quiet=NOW) == []


def test_a_run_that_may_be_at_work_still_is_looked_at_again(lake: Lake, counted: Lake, recorder: EventRecorder) -> None:
    publish(lake, recorder, 1)
    killed = publish(lake, NullRecorder(), 2, "clean/t")
    for number in (3, 4):
        publish(lake, recorder, number)
    assert recorder.recover(counted) == []
    files_read(counted)
    assert recorder.recover(counted) == []
    assert files_read(counted) > 2, "the commits since the one whose run has no end"
    assert recorder.recover(counted, quiet=NOW) == [killed]
    recorder.recover(counted)
    files_read(counted)
    recorder.recover(counted)
    assert files_read(counted) == 2


def test_a_damaged_commit_is_not_passed_over(lake: Lake, recorder: EventRecorder) -> None:
    publish(lake, recorder, 1)
    recorder.recover(lake, quiet=NOW)
    killed = publish(lake, NullRecorder(), 2, "clean/t")
    path = f"clean/t/_delta_log/{lake.table('clean/t').at().version:020d}.json"
    whole = lake.storage.get(path)
    lake.storage.put(path, b"{half")
    assert recorder.recover(lake, quiet=NOW) == []
    lake.storage.put(path, whole)
    assert recorder.recover(lake, quiet=NOW) == [killed]


def test_a_table_made_anew_is_looked_at_from_its_beginning(
    tmp_path: Path, lake: Lake, recorder: EventRecorder, store: LineageStore
) -> None:
    for number in range(3):
        publish(lake, recorder, number)
    recorder.recover(lake, quiet=NOW)
    shutil.rmtree(tmp_path / "lake" / "clean" / "t")
    killed = [publish(lake, NullRecorder(), number, "clean/t") for number in range(3, 8)]
    assert set(recorder.recover(lake, quiet=NOW)) == set(killed)
    assert {store.states(killed)[run_id] for run_id in killed} == {"COMPLETE"}
    shutil.rmtree(tmp_path / "lake" / "clean" / "t")
    killed = [publish(lake, NullRecorder(), 9, "clean/t")]
    assert recorder.recover(lake, quiet=NOW) == killed, "and one that is shorter than it was"
