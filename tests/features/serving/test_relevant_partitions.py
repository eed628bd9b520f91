"""The partitions that are needed to answer a spine: all that hold an answer, and none that is looked at in vain for years."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest

from assay.features.serving.as_of import ViewRead, latest, point_in_time_join
from assay.features.serving.feature_refs import resolve
from assay.features.serving.join_options import JoinOptions
from assay.features.serving.online import Online
from assay.features.serving.relevant_partitions import _spans, partitions_as_of, partitions_with
from assay.features.storage.index_store import index_store
from assay.features.storage.parquet_files import PARTITION
from assay.features.tables.lake import Lake, TableState, open_lake
from assay.features.tables.reader import Reader
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.serving import Serving
from assay.features.tables.transaction import transaction
from tests.conftest import SOAK

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 86_400_000_000


def written(lake: Lake, table: str, serving: Serving, days: dict[str, pl.DataFrame]) -> TableState:
    for day, rows in days.items():
        with transaction(lake, NullRecorder(), Work(table, day)) as tx:
            tx.write(table, rows, sections={"serving": serving.to_dict()})
    return lake.table(table).at()


def rows_of(rows: Sequence[tuple[str, float, int]], chance: random.Random | None = None) -> pl.DataFrame:
    """Key, days since the start, value; and by chance when it was known, and another value that may be null."""
    frame = pl.DataFrame(
        {
            "key": [key for key, _, _ in rows],
            "at": pl.Series([START + timedelta(days=at) for _, at, _ in rows], dtype=pl.Datetime("us", "UTC")),
            "value": [value for _, _, value in rows],
        },
        schema_overrides={"key": pl.String, "value": pl.Int64},
    )
    if chance is None:
        return frame
    lags = pl.Series([timedelta(days=chance.choice([0, 0, 0, 1, 5, 0.25])) for _ in rows], dtype=pl.Duration("us"))
    null = pl.Series([chance.random() < 0.4 for _ in rows], dtype=pl.Boolean)
    other = pl.when(~null).then("value")
    return frame.with_columns(known=pl.col("at") + lags, other=other, value=pl.when(~null.reverse()).then("value"))


@pytest.mark.parametrize("seed", range(60 if SOAK else 4))
def test_random_histories_are_answered_as_from_all_partitions(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    lake, count = open_lake(tmp_path), chance.choice([3, 14, 30])
    max_age = chance.choice([None, None, 3 * DAY])
    serving = Serving.as_of(["key"], "at", known_time="known", max_age_us=max_age)
    days = {}
    for day in range(
        count
    ):  # some keys are often there, others once; rows may belong to other days, or be exactly on a bound
        keys = [key for key in "abcdefgh" if chance.random() < {"a": 0.9, "b": 0.5, "c": 0.1}.get(key, 0.05)]
        late = [chance.choice([0, 0, 0, 0.5, -2, 1, -9, 0.0000005]) for _ in keys]
        days[f"d{day:03d}"] = rows_of(
            [(key, max(day + more, 0), day) for key, more in zip(keys, late, strict=True)], chance
        )
    state = written(lake, "features/v", serving, days)
    first = chance.uniform(0, count + 5)
    for begin, end in ((first, first), (first, first + 2), (0, count + 9), (float(int(first)), first + 1)):
        asked = [chance.choice("abcdefghx") for _ in range(chance.choice([1, 3, 9]))]
        times = [START + timedelta(days=chance.uniform(begin, end)) for _ in asked[1:]] + [
            START + timedelta(days=begin)
        ]
        spine = pl.DataFrame({"key": asked, "event_time": times}, schema_overrides={"key": pl.String})
        between = (min(times), max(times))
        for bounded in (True, False):
            found = partitions_as_of(state, serving, spine, between, bounded=bounded)
            assert found == sorted(found or ()), "sorted, each once"
            _same_answers(state, serving, spine, found, between, bounded=bounded)
            _none_in_vain(state, spine, found, between, max_age if bounded else None)
        for known, features in (
            (True, []),
            (False, ["value", "other"]),
            (True, ["value", "other"]),
            (False, ["other"]),
        ):
            found = partitions_as_of(state, serving, spine, between, known=known, features=features)
            assert set(found or ()) <= set(_spans(state, "at", between, max_age))
            at: Any = "known" if known else "event"
            _same_answers(state, serving, spine, found, between, known_at=at, features=features)


def _same_answers(
    state: TableState,
    serving: Serving,
    spine: pl.DataFrame,
    found: Any,
    between: Any,
    *,
    bounded: bool = True,
    known_at: Literal["event", "known"] = "event",
    features: Sequence[str] = (),
) -> None:
    def read(partitions: list[str] | None) -> ViewRead:
        frame = state.scan(partitions).sort(PARTITION).with_columns(rank=pl.col(PARTITION).rank("dense").cast(pl.Int64))
        return ViewRead("v", serving, frame, features or ["value"], position="rank")

    def joined(view: ViewRead) -> pl.DataFrame:
        return point_in_time_join(spine, [view], known_at=known_at, skip_nulls=bool(features))

    if bounded:
        assert joined(read(found)).equals(joined(read(None)))
    elif between[0] == between[1]:
        keys = spine.select("key")
        assert latest(read(found), keys, between[0]).equals(latest(read(None), keys, between[0]))


def _none_in_vain(state: TableState, spine: pl.DataFrame, found: Any, between: Any, max_age: int | None) -> None:
    """What is older than the first moment is there for the newest row of a key."""
    first = between[0]
    rows = state.scan().collect().join(spine.select("key").unique(), on="key", how="semi").filter(pl.col("at") <= first)
    newest = rows.filter(pl.col("at") == pl.col("at").max().over("key"))
    reaching = state.scan().collect().filter(pl.col("at") >= first - timedelta(milliseconds=2))[PARTITION]
    allowed = {*newest[PARTITION], *reaching}
    in_age = set(_spans(state, "at", between, max_age))
    assert set(found) <= allowed & in_age
    assert {key for key in newest[PARTITION] if key in in_age} <= set(found)


def test_a_key_that_is_often_there_costs_as_much_after_many_days_as_after_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, serving, scanned = open_lake(tmp_path), Serving.as_of(["key"], "at"), []
    scan = TableState.scan_files

    def scan_files(state: TableState, files: Any) -> pl.LazyFrame:
        scanned.extend(files)
        return scan(state, files)

    monkeypatch.setattr(TableState, "scan_files", scan_files)
    costs = []
    for day in range(40):
        rows = [("often", day, day), *([("once", day, day)] if day == 1 else [])]
        state = written(lake, "features/v", serving, {f"d{day:03d}": rows_of(rows)})
        if day in (9, 39):
            now = START + timedelta(days=day, hours=3)
            spine = pl.DataFrame({"key": ["often"], "event_time": [now]})
            reader = Reader(lake)
            resolve(reader, ["v:value"], spine)
            assert [item.partitions for item in reader.reads] == [(f"d{day:03d}",)]
            scanned.clear()
            assert Online(lake, ["v:value"]).get({"key": "often"}, now)["value"].to_list() == [day]
            costs.append(len(scanned))
            scanned.clear()
            assert Online(lake, ["v:value"]).get({"key": ["once", "never"]}, now)["value"].to_list() == [1, None]
            costs.append(len(scanned))
            assert partitions_as_of(state, serving, spine.with_columns(key=pl.lit("once")), (now, now)) == ["d001"]
            scanned.clear()
            resolve(reader, ["v:value"], spine, options=JoinOptions(skip_nulls=True))
            costs.append(len(scanned))
    assert costs[:3] == costs[3:]


def test_files_without_statistics_may_hold_anything(tmp_path: Path) -> None:
    lake, serving = open_lake(tmp_path), Serving.as_of(["key"], "at")
    state = written(lake, "features/v", serving, {f"d{day}": rows_of([("a", day, day)]) for day in range(3)})
    old = "FROM ranges WHERE high < 1767320000000000"
    store = index_store(lake.storage)
    store.write(lambda index: index.execute(f"INSERT INTO unranged SELECT t, name, file {old}"))
    store.write(lambda index: index.execute(f"DELETE {old}"))
    spine = pl.DataFrame({"key": ["b"], "event_time": [START]})
    now = START + timedelta(days=9)
    assert partitions_as_of(state, serving, spine, (now, now)) == ["d0", "d1"]


def test_the_partitions_of_a_looked_up_key(tmp_path: Path) -> None:
    lake, serving = open_lake(tmp_path), Serving.lookup(["key"])
    state = written(
        lake, "features/v", serving, {f"d{day}": rows_of([("a", day, 1), (str(day), 0, 1)]) for day in range(3)}
    )
    spine = pl.DataFrame({"key": ["1", None, "z"]})
    assert partitions_with(state, serving, spine) == ["d1"]
    assert partitions_with(state, serving, spine.with_columns(key=pl.lit("a"))) == ["d0", "d1", "d2"]
