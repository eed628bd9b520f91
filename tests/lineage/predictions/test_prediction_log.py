"""Logging predictions: ids that a retry repeats, nothing twice, clear refusals, and finding them again."""

import multiprocessing
import random
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import AssayError
from assay.features.tables.lake import open_lake
from assay.features.tables.run_record import NullRecorder, Work, new_run
from assay.features.tables.transaction import transaction
from assay.lineage.predictions.find_prediction import find_prediction
from assay.lineage.predictions.prediction_log import log_predictions, prediction_ids, stage_predictions
from assay.lineage.predictions.uuid7 import uuid7, uuid7_time

NOON = datetime(2026, 9, 24, 12, tzinfo=UTC)


def source(lake: Any) -> Any:
    """A feature table to have predicted from, and the slice that was read."""
    with transaction(lake, NullRecorder(), Work("features/ticket", "2026-09-24")) as tx:
        tx.extra["serving"] = {"entity": "ticket", "keys": ["ticket_id"], "event_time": "event_time"}
        tx.write("features/ticket", pl.DataFrame({"ticket_id": ["t1"], "event_time": [NOON], "length": [3]}))
    return lake.table("features/ticket").at().slice(["2026-09-24"])


def frame(count: int, *, start: datetime = NOON, step: timedelta = timedelta(seconds=1)) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "ticket_id": [f"t{n}" for n in range(count)],
            "event_time": pl.Series([start + step * n for n in range(count)], dtype=pl.Datetime("us", "UTC")),
            "length": range(count),
            "intent": ["card"] * count,
            "confidence": [0.5] * count,
        }
    )


def log(lake: Any, rows: pl.DataFrame, inputs: Any, **options: Any) -> list[str]:
    given = {"model": "router", "model_version": "3", "feature_columns": ["length"], **options}
    return log_predictions(lake, NullRecorder(), frame=rows, inputs=inputs, **given)


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)), st.binary(min_size=10, max_size=32))  # noqa: DTZ001
def test_a_uuid7_carries_its_time_and_digest(naive: datetime, digest: bytes) -> None:
    moment = naive.replace(tzinfo=UTC)
    made = uuid7((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1), digest)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert moment - uuid7_time(str(made)) < timedelta(milliseconds=1)
    bits = (made.int >> 64 & 0xFFF) << 62 | made.int & ((1 << 62) - 1)
    assert bits == int.from_bytes(digest[:10], "big") >> 6


def test_an_id_is_decided_by_what_was_predicted_about_whom_and_when() -> None:
    rows = frame(3).with_columns(pl.lit("d").alias("feature_digest"))
    ids = prediction_ids("router", "3", rows, ["ticket_id"])
    assert ids.n_unique() == 3
    assert list(ids) == sorted(ids), "by event time"
    assert list(prediction_ids("router", "3", rows.with_columns(intent=pl.lit("x")), ["ticket_id"])) == list(ids)
    other = [
        prediction_ids("other", "3", rows, ["ticket_id"]),
        prediction_ids("router", "4", rows, ["ticket_id"]),
        prediction_ids("router", "3", rows.with_columns(ticket_id=pl.lit("x")), ["ticket_id"]),
        prediction_ids("router", "3", rows.with_columns(pl.col("event_time").dt.offset_by("1us")), ["ticket_id"]),
        prediction_ids("router", "3", rows.with_columns(feature_digest=pl.lit("e")), ["ticket_id"]),
    ]
    assert len({item[0] for item in [ids, *other]}) == 6


def test_ids_come_back_in_the_frames_order_and_find_their_rows(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    read = source(lake)
    rows = frame(40, step=timedelta(hours=5)).sample(fraction=1, shuffle=True, seed=1)  # over nine days
    ids = log(lake, rows, [read])
    state = lake.table("predictions/router").at()
    assert state.partitions() == sorted(rows["event_time"].dt.strftime("%Y-%m-%d").unique())
    assert state.rows() == 40
    for number in random.Random(1).sample(range(40), 8):
        found = find_prediction(lake, ids[number])
        assert (found.model, found.row["ticket_id"]) == ("router", rows["ticket_id"][number])
        assert found.row["event_time"] == rows["event_time"][number]
        assert found.row["model_version"] == "3"
        assert [(item["table"], item["version"], item["table_id"]) for item in found.row["inputs"]] == [
            ("features/ticket", 1, read.snapshot.table_id)
        ]
        assert "length" not in found.row and len(found.row["feature_digest"]) == 64
    assert find_prediction(lake, f" {ids[0].upper()} ").row["prediction_id"] == ids[0]


def test_a_prediction_in_an_unlikely_partition_is_found_too(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    ids = log(lake, frame(3), [source(lake)], partition="backfill")
    assert find_prediction(lake, ids[1]).partition == "backfill"


def test_logging_again_adds_nothing_twice(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    read = source(lake)
    first = log(lake, frame(5), [read])
    version = lake.table("predictions/router").at().version
    assert log(lake, frame(5), [read]) == first
    assert lake.table("predictions/router").at().version == version
    more = log(lake, frame(8).reverse(), [read])
    assert more[::-1][:5] == first
    state = lake.table("predictions/router").at()
    assert state.version == version + 1
    ids = state.scan().collect()["prediction_id"]
    assert sorted(ids) == sorted(more)


def test_what_is_already_there_is_fresh_for_other_inputs_too(tmp_path: Path) -> None:
    """A step whose inputs changed without changing its predictions must not be stale for ever."""
    lake = open_lake(tmp_path)
    log(lake, frame(2), [source(lake)])
    with transaction(lake, NullRecorder(), Work("features/ticket", "2026-09-24")) as tx:
        tx.extra["serving"] = {"keys": ["ticket_id"]}
        tx.write("features/ticket", pl.DataFrame({"ticket_id": ["t2"], "event_time": [NOON], "length": [4]}))
    fresh = []
    for _ in range(2):
        with transaction(lake, NullRecorder(), Work("predictions/router", "2026-09-24")) as tx:
            tx.read("features/ticket")
            fresh.append(tx.current("predictions/router"))
            stage_predictions(tx, model="router", model_version="3", frame=frame(2), feature_columns=["length"])
    assert fresh == [False, True]


def test_a_longer_frame_is_one_run_a_day_the_same_on_a_retry(tmp_path: Path) -> None:
    lake, run = open_lake(tmp_path), new_run()
    read = source(lake)
    log(lake, frame(4, step=timedelta(days=1)), [read], run=run)
    runs = lake.table("predictions/router").at().scan().collect()["run_id"]
    assert runs.n_unique() == 4
    other = open_lake(tmp_path / "other")
    log(other, frame(4, step=timedelta(days=1)), [source(other)], run=run)
    assert sorted(other.table("predictions/router").at().scan().collect()["run_id"]) == sorted(runs)
    log(lake, frame(1), [read], run=run, model="single")
    assert lake.table("predictions/single").at().scan().collect()["run_id"].to_list() == [run.id]


def _log_some(root: str, number: int) -> None:
    lake = open_lake(root)
    for attempt in range(3):
        log(lake, frame(6 + attempt + number), [lake.table("features/ticket").at().slice(["2026-09-24"])])


def test_retries_at_the_same_time_never_both_add_a_prediction(tmp_path: Path) -> None:
    source(open_lake(tmp_path))
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_log_some, args=(str(tmp_path), number)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    ids = open_lake(tmp_path).table("predictions/router").at().scan().collect()["prediction_id"]
    assert (len(ids), ids.n_unique()) == (9, 9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event_time": None}, "no column 'event_time'"),
        ({"event_time": pl.lit(None, dtype=pl.Datetime("us", "UTC"))}, "2 rows have no event_time"),
        ({"event_time": pl.col("event_time").dt.replace_time_zone(None)}, "naive"),
        ({"event_time": pl.lit("2026-09-24")}, "not a timestamp"),
        ({"event_time": pl.col("event_time").dt.cast_time_unit("ns")}, "nanoseconds"),
        ({"event_time": pl.lit(datetime(1969, 12, 31, tzinfo=UTC), dtype=pl.Datetime("us", "UTC"))}, "before 1970"),
        ({"confidence": pl.lit(1.01)}, "confidence"),
        ({"confidence": pl.lit(float("nan"))}, "confidence"),
        ({"confidence": pl.lit("high")}, "confidence"),
        ({"prediction_id": pl.lit("x")}, "prediction_id"),
        ({"ticket_id": None}, "keys"),
        ({"ticket_id": pl.lit(None, dtype=pl.String)}, r"2 of 2 rows have no value in a key \(ticket_id\)"),
        ({"ticket_id": pl.lit("same"), "event_time": pl.lit(NOON), "length": pl.lit(1)}, "1 rows repeat"),
        ({"length": None}, "length"),
    ],
)
def test_what_cannot_be_traced_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    lake = open_lake(tmp_path)
    rows = frame(2)
    for name, value in change.items():
        rows = rows.drop(name) if value is None else rows.with_columns(value.alias(name))
    with pytest.raises(AssayError, match=message):
        log(lake, rows, [source(lake)])
    assert not lake.table("predictions/router").exists()


def test_inputs_must_be_there_and_be_what_they_were(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    read = source(lake)
    with pytest.raises(AssayError, match="without inputs"):
        log(lake, frame(1), [], keys=["ticket_id"])
    (tmp_path / "features" / "ticket").rename(tmp_path / "old")
    with pytest.raises(AssayError, match="no table features/ticket"):
        log(lake, frame(1), [read])
    source(lake)
    with pytest.raises(AssayError, match="deleted and made again"):
        log(lake, frame(1), [read])


def test_other_zones_confidences_at_the_edges_and_extra_columns_are_kept(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    rows = frame(2).with_columns(
        pl.col("event_time").dt.convert_time_zone("Asia/Tokyo"),
        pl.Series("confidence", [0.0, 1.0]),
        pl.Series("reasons", [[{"feature": "length", "weight": 0.5}], None]),
    )
    ids = log(lake, rows, [source(lake).snapshot])
    found = find_prediction(lake, ids[0]).row
    assert found["event_time"] == NOON
    assert found["reasons"] == [{"feature": "length", "weight": 0.5}]


def test_no_predictions_make_no_table(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    assert log(lake, frame(1).clear(), [source(lake)]) == []
    assert not lake.table("predictions/router").exists()


def test_a_damaged_or_missing_file_of_predictions_is_named(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    ids = log(lake, frame(3), [source(lake)])
    (file,) = (tmp_path / "predictions" / "router").rglob("*.parquet")
    content = file.read_bytes()
    file.write_bytes(content[:100] + bytes(200) + content[300:])
    with pytest.raises(AssayError, match=rf"{file.name} is damaged"):
        find_prediction(lake, ids[0])
    file.unlink()
    with pytest.raises(AssayError, match=rf"{file.name} is gone"):
        find_prediction(lake, ids[0])


def test_what_notebooks_pass_by_mistake_is_refused_or_means_the_same(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")
    inputs = [source(lake)]
    rows = frame(3)
    with pytest.raises(AssayError, match=r"keys is a list of columns: write keys=\['ticket_id'\]"):
        log(lake, rows, inputs, keys="ticket_id")
    with pytest.raises(AssayError, match=r"outputs is a list of columns: write outputs=\['intent'\]"):
        log(lake, rows, inputs, outputs="intent")
    with pytest.raises(AssayError, match="must be a polars DataFrame, not LazyFrame"):
        log(lake, rows.lazy(), inputs)  # type: ignore[arg-type] # on purpose
    for empty in ("", None):
        with pytest.raises(AssayError, match="model_version is empty"):
            log(lake, rows, inputs, model_version=empty)
    ids = log(lake, rows, inputs, model_version=3)
    assert log(lake, rows, inputs) == log(lake, rows, inputs, keys=[]) == ids
    assert log(lake, rows, inputs, keys=["ticket_id", "ticket_id"]) == ids
    stored = lake.table("predictions/router").scan().collect()
    assert stored.height == 3 and stored["model_version"].unique().to_list() == ["3"]
