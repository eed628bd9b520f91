"""The torch dataset: every row once, whoever reads it and whoever is killed in between; the same order everywhere.

Torch is imported by the tests: a worker of pytest that has none of them need not wait for it."""

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import assay.features.training.order as order
from assay.errors import AssayError
from assay.features.serving.training import TrainingSetVersion, create_training_set
from assay.features.storage import parquet_files
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import NullRecorder
from tests.conftest import SOAK
from tests.features.training.rows import at

ROWS = 1000


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainingSetVersion]:
    """A thousand rows in four files, of blocks of 64."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet_files, "ROWS_PER_FILE", 300)
        patch.setattr(order.blocks_of, "__defaults__", (None, 64))
        lake = open_lake(tmp_path_factory.mktemp("numbers") / "lake")
        yield create_training_set(lake, NullRecorder(), "numbers", spine(lake), ["vectors:n", "vectors:v"])


def spine(lake: Lake) -> pl.DataFrame:
    from assay.features.tables.run_record import Work
    from assay.features.tables.transaction import transaction

    serving = {"entity": "k", "keys": ["k"], "event_time": "event_time", "known_time": None, "max_age_us": None}
    rows = pl.DataFrame({"k": range(ROWS)}).with_columns(
        event_time=pl.lit(at(0)).cast(pl.Datetime("us", "UTC")),
        n=pl.when(pl.col("k") % 7 > 0).then("k"),
        v=pl.concat_list(pl.col("k") + 0.25, pl.col("k") * 2.0),
        text=pl.lit("x"),
    )
    with transaction(lake, NullRecorder(), Work("features/vectors")) as tx:
        tx.describe(serving=serving)
        tx.write("features/vectors", rows)
    return rows.select("k", "event_time", bought=pl.col("k") % 2 == 0, share=pl.col("k") / ROWS)


def keys(loaded: Any) -> list[int]:
    return [int(key) for batch in loaded for key in (batch[0] if isinstance(batch, tuple | list) else batch)[:, 0]]


def test_a_batch_is_a_matrix_and_its_labels(numbers: TrainingSetVersion) -> None:
    import torch

    rows = numbers.torch(label="bought", batch_size=100)
    assert rows.names == ["n", "v[0]", "v[1]"]
    (features, label), *_ = rows
    assert (features.dtype, features.shape, label.dtype) == (torch.float32, (100, 3), torch.int64)
    frame = numbers.frame()[:100]
    expected = np.column_stack(
        [frame["n"].cast(pl.Float64).fill_null(float("nan")), frame["k"] + 0.25, frame["k"] * 2.0]
    )
    np.testing.assert_array_equal(features.numpy(), expected.astype(np.float32))
    assert label.tolist() == frame["bought"].cast(pl.Int64).to_list()
    (only, *_) = numbers.torch(columns=["k", "share"], batch_size=10)
    assert isinstance(only, torch.Tensor) and only.shape == (10, 2)
    (_, share), *_ = numbers.torch(columns=["k"], label="share")
    assert share.dtype == torch.float32


def test_every_row_comes_once_in_the_order_of_the_seed(numbers: TrainingSetVersion) -> None:
    plain = keys(numbers.torch(columns=["k"], batch_size=33))
    assert plain == numbers.frame()["k"].to_list()
    rows = numbers.torch(columns=["k"], batch_size=33, shuffle_seed=1)
    first, second = keys(rows), keys(rows)
    assert sorted(first) == sorted(second) == list(range(ROWS))
    assert first != plain and first != second, "each epoch has its order"
    rows.set_epoch(0)
    assert keys(rows) == first == keys(numbers.torch(columns=["k"], batch_size=7, shuffle_seed=1))
    assert keys(numbers.torch(columns=["k"], shuffle_seed=2)) != first


@pytest.mark.parametrize("world", [1, 3])
def test_ranks_have_equal_parts(numbers: TrainingSetVersion, world: int) -> None:
    parts = [keys(numbers.torch(columns=["k"], shuffle_seed=3, rank=rank, world=world)) for rank in range(world)]
    assert sorted(key for part in parts for key in part) == list(range(ROWS))
    assert {len(part) for part in parts} <= {ROWS // world, ROWS // world + 1}


def test_a_part_of_a_split_is_loaded(numbers: TrainingSetVersion) -> None:
    split = numbers.split(by_entity="k", test=0.3)
    for part in ("train", "test"):
        assert sorted(keys(split.torch(part, columns=["k"], shuffle_seed=1))) == sorted(split[part]["k"])
    with pytest.raises(AssayError, match="no part 'validation'"):
        split.torch("validation")


@given(
    stops=st.lists(st.integers(0, 30), max_size=5),
    seed=st.integers(0, 5),
    sizes=st.lists(st.integers(1, 90), min_size=6),
)
@settings(deadline=None, max_examples=200 if SOAK else 8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_row_comes_once_over_kills(
    numbers: TrainingSetVersion, stops: list[int], seed: int, sizes: list[int]
) -> None:
    """At each stop the process is gone, and another one goes on with the state, and with another batch size."""
    seen: list[int] = []
    state = None
    for number, stop in enumerate([*stops, ROWS]):
        rows = numbers.torch(columns=["k"], batch_size=sizes[number], shuffle_seed=seed)
        if state is not None:
            rows.load_state_dict(state)
        for count, batch in enumerate(rows):
            if count == stop:  # this batch was read, but nobody had it
                break
            seen += keys([batch])
            state = rows.state_dict()
        if rows.epoch == 1:
            break
    assert sorted(seen) == list(range(ROWS))


def workers() -> dict[str, Any]:
    """Two. Torch is imported once for both; in a soak each begins as the loader starts it without being asked, and imports it."""
    if os.environ.get("SOAK"):
        return {"num_workers": 2}
    multiprocessing.set_forkserver_preload(["torch", "polars"])
    return {"num_workers": 2, "multiprocessing_context": "forkserver"}


def test_workers_read_each_row_once_and_are_killed(numbers: TrainingSetVersion) -> None:
    rows = numbers.torch(columns=["k"], label="bought", batch_size=50, shuffle_seed=4)
    seen: list[int] = []
    for count, batch in enumerate(rows.loader(**workers())):
        seen += keys([batch])
        if count == 6:
            break
    state = rows.state_dict()
    assert len(state["done"]) == 2, "each worker has done some of its part"
    again = numbers.torch(columns=["k"], label="bought", batch_size=50, shuffle_seed=4)
    again.load_state_dict(state)
    seen += keys(again.loader(num_workers=0))
    assert sorted(seen) == list(range(ROWS))
    assert again.epoch == 1


def test_a_plain_data_loader_reads_each_row_once(numbers: TrainingSetVersion) -> None:
    from torch.utils.data import DataLoader

    rows = numbers.torch(columns=["k"], batch_size=64, shuffle_seed=4)
    assert sorted(keys(DataLoader(rows, batch_size=None))) == list(range(ROWS))
    with pytest.raises(AssayError, match="multiprocessing_context='spawn'"):
        list(DataLoader(rows, batch_size=None, num_workers=1, multiprocessing_context="fork"))


@pytest.mark.skipif(not os.environ.get("SOAK"), reason="SOAK=1: starts six processes that import torch")
@pytest.mark.parametrize("workers", [2, 4])
def test_workers_of_a_plain_data_loader_read_each_row_once(numbers: TrainingSetVersion, workers: int) -> None:
    from torch.utils.data import DataLoader

    rows = numbers.torch(columns=["k"], batch_size=64, shuffle_seed=4)
    loader = DataLoader(rows, batch_size=None, num_workers=workers, multiprocessing_context="spawn")
    assert sorted(keys(loader)) == list(range(ROWS))


def test_a_state_of_others_is_refused(numbers: TrainingSetVersion) -> None:
    rows = numbers.torch(columns=["k"], shuffle_seed=1)
    state = rows.state_dict()
    for other, what in (
        (numbers.torch(columns=["k"], shuffle_seed=2), "another seed"),
        (numbers.torch(columns=["k"], shuffle_seed=1, world=2), "another world"),
        (numbers.split(by_entity="k", test=0.5).torch(columns=["k"], shuffle_seed=1), "other rows"),
    ):
        with pytest.raises(AssayError, match=what):
            other.load_state_dict(state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ["nn"]}, "no column 'nn'. Did you mean 'n'"),
        ({"columns": ["event_time"]}, "'event_time' is Datetime.*no number"),
        ({"label": "event_time"}, "no number"),
        ({"batch_size": 0}, "at least 1"),
        ({"rank": 2, "world": 2}, "rank counts from 0"),
    ],
)
def test_what_cannot_be_loaded_is_explained(numbers: TrainingSetVersion, options: dict[str, Any], message: str) -> None:
    with pytest.raises(AssayError, match=message):
        numbers.torch(**options)


def test_a_label_that_is_missing_is_refused(numbers: TrainingSetVersion) -> None:
    with pytest.raises(AssayError, match="'n' holds nulls"):
        list(numbers.torch(columns=["k"], label="n"))


def test_the_last_batch_may_be_left_out(numbers: TrainingSetVersion) -> None:
    assert [len(batch) for batch in numbers.torch(columns=["k"], batch_size=300, drop_last=True)] == [300, 300, 300]


def test_a_changed_file_is_not_read(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")
    made = create_training_set(lake, NullRecorder(), "numbers", spine(lake), ["vectors:n"])
    (file, *_) = made.row_files()
    path = tmp_path / "lake" / "training" / "numbers" / file.path
    frame = pl.read_parquet(path)
    rows = made.torch(columns=["k"])
    frame.with_columns(pl.col("k") + 1).write_parquet(path)
    with pytest.raises(AssayError, match="other content than its manifest says"):
        list(rows)
