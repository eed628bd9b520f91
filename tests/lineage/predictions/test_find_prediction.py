"""One prediction among many: found wherever it was logged, with other files gone, by log or checkpoint; or said not to be."""

import os
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet
import pytest

from assay.errors import AssayError
from assay.features.storage.parquet_files import ROWS_PER_SEARCHED_GROUP, encode
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.lineage.predictions.find_prediction import find_prediction
from assay.lineage.predictions.uuid7 import uuid7

SOAK = bool(os.environ.get("SOAK"))
FIRST = datetime(2026, 9, 1, tzinfo=UTC)


@dataclass
class Logged:
    """Predictions in a lake; where each is, is the oracle."""

    folder: Path
    chance: random.Random
    where: dict[str, tuple[str, str, int]] = field(default_factory=dict)  # table, partition, value
    replaced: list[str] = field(default_factory=list)

    @property
    def lake(self) -> Lake:
        return open_lake(self.folder)

    def new_id(self) -> str:
        moment = FIRST + timedelta(seconds=self.chance.randrange(20 * 86_400))
        return str(uuid7(int(moment.timestamp() * 1000), self.chance.randbytes(10)))

    def write(self, *, model: str, partition: str, replace: bool = False, statistics: bool = True) -> None:
        table = f"predictions/{model}"
        if replace:
            gone = [item for item, (t, p, _) in self.where.items() if (t, p) == (table, partition)]
            self.replaced += gone
            self.where = {item: place for item, place in self.where.items() if item not in gone}
        # Sorted in time as a rule; now and then from anywhere, so that ranges overlap.
        ids = sorted(self.new_id() for _ in range(self.chance.randint(1, 6)))
        values = [self.chance.randrange(1000) for _ in ids]
        self.where |= {item: (table, partition, value) for item, value in zip(ids, values, strict=True)}
        frame = pl.DataFrame({"prediction_id": ids, "value": values})
        with transaction(self.lake, NullRecorder(), Work(table, partition)) as tx:
            known = ("prediction_id",) if statistics else ()
            tx.write(table, frame, mode="replace" if replace else "append", statistics=known)


def fill(folder: Path, seed: int, commits: int) -> Logged:
    made = Logged(folder, random.Random(seed))
    for _ in range(commits):
        model = made.chance.choice(["router", "router", "urgency"])
        day = (FIRST + timedelta(days=made.chance.randrange(5))).strftime("%Y-%m-%d")
        partition = made.chance.choice([day, day, "late"])
        kind = made.chance.random()
        made.write(model=model, partition=partition, replace=kind < 0.2, statistics=kind < 0.9)
    return made


def check(made: Logged, lake: Lake) -> None:
    for wanted in made.chance.sample(sorted(made.where), 12):
        table, partition, value = made.where[wanted]
        found = find_prediction(lake, wanted)
        assert (found.table, found.partition, found.row["prediction_id"]) == (table, partition, wanted)
        assert found.row["value"] == value
        assert found.version == lake.table(table).at().version
        assert found.removed_at is None
    for gone in made.replaced[-3:]:
        found = find_prediction(lake, gone)
        assert found.removed_at == found.version + 1
        now, then = lake.table(found.table).scan(), pl.scan_parquet(lake.storage.uri(f"{found.table}/{found.file}"))
        assert now.filter(prediction_id=gone).collect().is_empty()
        assert then.filter(prediction_id=gone).collect()["value"].to_list() == [found.row["value"]]
    for absent in (made.new_id(), made.new_id()):
        with pytest.raises(AssayError, match=rf"no prediction {absent} .looked in: predictions/router"):
            find_prediction(lake, absent)


@pytest.mark.parametrize("seed", range(30 if SOAK else 1))
def test_every_prediction_is_found_and_no_other(tmp_path: Path, seed: int) -> None:
    """With late ones, overlapping ranges, replaced days, files without statistics; by the log, by checkpoints, by both."""
    made = fill(tmp_path, seed, commits=20)
    check(made, made.lake)
    kept = made.lake.remembering()
    check(made, kept)
    for name in made.lake.tables("predictions"):
        made.lake.table(name).at().delta.create_checkpoint()
    check(made, made.lake)
    made.write(model="router", partition="late")
    check(made, made.lake)
    check(made, kept)
    log = tmp_path / "predictions" / "router" / "_delta_log"
    (log / f"{0:020d}.json").unlink()  # as other tools do with what a checkpoint holds
    check(made, made.lake)


def test_only_files_that_may_hold_it_are_opened(tmp_path: Path) -> None:
    """All others may as well not be there."""
    made = Logged(tmp_path, random.Random(1))
    for _ in range(6):
        made.write(model="router", partition="late")
    actions = pl.DataFrame(made.lake.table("predictions/router").opened().get_add_actions(flatten=True))
    ranges = actions.select("path", low="min.prediction_id", high="max.prediction_id")
    for wanted in made.where:
        for path, low, high in ranges.rows():
            data = tmp_path / "predictions" / "router" / path
            moved = data.rename(tmp_path / data.name) if not low <= wanted <= high else None
            assert find_prediction(made.lake, wanted).row["prediction_id"] == wanted
            if moved:
                moved.rename(data)


def test_a_file_that_could_hold_it_and_is_gone_is_named_not_passed_over(tmp_path: Path) -> None:
    made = Logged(tmp_path, random.Random(2))
    made.write(model="router", partition="2026-09-01")
    wanted = next(iter(made.where))
    data = tmp_path / "predictions" / "router" / find_prediction(made.lake, wanted).file
    data.unlink()
    with pytest.raises(AssayError, match=rf"{data.name} is gone"):
        find_prediction(made.lake, wanted)
    made.write(model="urgency", partition="2026-09-01")
    other = next(item for item, (table, _, _) in made.where.items() if table == "predictions/urgency")
    assert find_prediction(made.lake, other).model == "urgency"


def test_a_damaged_log_is_said_to_be(tmp_path: Path) -> None:
    made = Logged(tmp_path, random.Random(3))
    made.write(model="router", partition="2026-09-01")
    (tmp_path / "predictions" / "router" / "_delta_log" / f"{1:020d}.json").write_text('{"add": 1}')
    with pytest.raises(AssayError, match="predictions/router cannot be opened: its log is damaged"):
        find_prediction(made.lake, next(iter(made.where)))


def test_rows_that_are_looked_for_by_value_lie_in_small_groups(tmp_path: Path) -> None:
    frame = pl.DataFrame({"prediction_id": [f"{n:08d}" for n in range(ROWS_PER_SEARCHED_GROUP + 1)]})
    for statistics, groups in ((("prediction_id",), 2), ((), 1)):
        (file,) = encode(frame, None, statistics)
        (tmp_path / "x.parquet").write_bytes(file.content)
        assert pyarrow.parquet.ParquetFile(tmp_path / "x.parquet").num_row_groups == groups


def test_tables_of_one_folder(tmp_path: Path) -> None:
    made = Logged(tmp_path, random.Random(4))
    for model in ("router", "urgency"):
        made.write(model=model, partition="2026-09-01")
    with transaction(made.lake, NullRecorder(), Work("clean/t")) as tx:
        tx.write("clean/t", pl.DataFrame({"a": [1]}))
    assert made.lake.tables("predictions") == ["predictions/router", "predictions/urgency"]
    assert made.lake.tables("features") == []
    assert made.lake.tables() == ["clean/t", "predictions/router", "predictions/urgency"]
