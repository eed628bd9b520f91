"""Frames to content-addressed Parquet: types that survive, statistics that tell nothing personal."""

import hashlib
import io
import itertools
import json
from datetime import UTC, date, datetime, time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from assay.errors import AssayError
from assay.features.storage import parquet_files as files
from assay.features.storage.parquet_files import encode, file_sha256, storable
from assay.features.storage.spool import Spool
from assay.features.tables.lake import Lake

UNSTORABLE = {
    "naive": (pl.Series([datetime(2026, 1, 1)]), "naive"),  # noqa: DTZ001 (a naive time is the point)
    "other zone": (
        pl.Series([datetime(2026, 1, 1, tzinfo=UTC)]).dt.convert_time_zone("Europe/Vienna"),
        "convert_time_zone",
    ),
    "nanoseconds": (pl.Series([datetime(2026, 1, 1, tzinfo=UTC)]).dt.cast_time_unit("ns"), r"\.cast"),
    "times": (pl.Series([[time(12)]]), "Cast it first"),
    "duration": (pl.Series([1], dtype=pl.Duration("us")), "Cast it first"),
    "null": (pl.Series([None]), "nothing but nulls"),
    "nested": (pl.Series([[datetime(2026, 1, 1)]]), "Cast"),  # noqa: DTZ001
}


@pytest.mark.parametrize("kind", UNSTORABLE)
def test_a_type_that_delta_would_change_is_refused_by_name(kind: str) -> None:
    column, advice = UNSTORABLE[kind]
    with pytest.raises(AssayError, match=f"clean/t: column 'odd'.*{advice}"):
        storable(pl.DataFrame({"odd": column}), "clean/t")


def test_every_type_that_is_stored_reads_back_as_it_was(any_lake: Lake, write) -> None:
    frame = pl.DataFrame(
        {
            "i8": pl.Series([1, None], dtype=pl.Int8),
            "i64": pl.Series([2**62, None]),
            "f32": pl.Series([1.5, float("nan")], dtype=pl.Float32),
            "f64": pl.Series([-0.0, float("inf")]),
            "text": ["ü\n🙂", None],
            "bytes": [b"\x00\xff", None],
            "flag": [True, None],
            "day": [date(2026, 1, 1), None],
            "at": [datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC), None],
            "money": pl.Series(["1.10", None]).cast(pl.Decimal(10, 2)),
            "list": [["a", None], None],
            "struct": [{"a": 1, "b": [1.5]}, {"a": None, "b": None}],
            "inputs": [[{"table": "clean/t", "version": 1}], None],
        }
    )
    write(any_lake, "raw/types", frame)
    assert_frame_equal(any_lake.table("raw/types").scan().collect(), frame)


def test_what_can_be_widened_without_loss_is(lake: Lake, write) -> None:
    frame = pl.DataFrame(
        {
            "u32": pl.Series([2**32 - 1], dtype=pl.UInt32),
            "u64": pl.Series([2**64 - 1], dtype=pl.UInt64),
            "u64s": pl.Series([[2**64 - 1, None]], dtype=pl.List(pl.UInt64)),
            "u8": pl.Series([255], dtype=pl.UInt8),
            "category": pl.Series(["a"], dtype=pl.Categorical),
            "vector": pl.Series([[1.0, 2.0]], dtype=pl.Array(pl.Float32, 2)),
        }
    )
    write(lake, "raw/t", frame)
    decimal = pl.Decimal(20, 0)
    wide = {
        "u64": decimal,
        "u64s": pl.List(decimal),
        "u32": pl.Int64(),
        "u8": pl.Int32(),
        "category": pl.String(),
        "vector": pl.List(pl.Float32),
    }
    assert_frame_equal(lake.table("raw/t").scan().collect(), frame.cast(wide))


@given(st.lists(st.none() | st.integers(0, 86_399_999_999_999), max_size=20))
def test_times_of_day_are_texts_in_their_order_to_the_nanosecond(nanos: list[int | None]) -> None:
    times = pl.Series("t", nanos, dtype=pl.Int64).cast(pl.Time)
    stored = storable(times.to_frame(), "clean/t")["t"]
    assert stored.dtype == pl.String
    assert stored.str.to_time("%H:%M:%S%.f").equals(times)
    assert stored.sort().equals(storable(times.sort().to_frame(), "clean/t")["t"])


@given(st.lists(st.tuples(st.integers(-5, 5), st.none() | st.floats()), max_size=30))
def test_equal_rows_are_equal_bytes_named_by_their_digest(rows: list[tuple[int, float | None]]) -> None:
    frame = pl.DataFrame(rows, schema={"a": pl.Int64, "b": pl.Float64}, orient="row")
    (one,), (two,) = encode(frame, "p"), encode(frame.clone(), "p")
    assert one == two
    assert file_sha256(one.path) == hashlib.sha256(one.content).hexdigest()
    assert_frame_equal(pl.read_parquet(io.BytesIO(one.content)), frame)


def test_long_frames_become_several_files_and_keep_their_order(
    lake: Lake, write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ROWS_PER_FILE", 10)
    frame = pl.DataFrame({"a": range(25)})
    assert [file.rows for file in encode(frame, None)] == [10, 10, 5]
    write(lake, "raw/t", frame)
    assert sorted(lake.table("raw/t").scan().collect()["a"]) == list(range(25))
    assert lake.table("raw/t").at().rows() == 25


TABLE = pl.DataFrame(
    {
        "n": pl.Series([None if n % 7 == 0 else n for n in range(60)], dtype=pl.Int64),
        "text": [f"{n % 5}" * (n % 9) for n in range(60)],
        "day": [date(2026, 1, 1 + n % 28) for n in range(60)],
        "list": [[n] * (n % 3) for n in range(60)],
    }
)


@given(
    st.integers(0, 60),
    st.lists(st.integers(0, 60), max_size=6),
    st.sampled_from([1, 7, 20, 60, 100]),
    st.sampled_from([[], ["text"]]),
    st.integers(0, 500),
)
def test_the_files_of_rows_are_the_same_however_they_come(
    height: int, cuts: list[int], rows: int, statistics: list[str], in_memory: int
) -> None:
    whole = TABLE.head(height)
    edges = [0, *sorted(min(cut, height) for cut in cuts), height]
    pieces = [whole.slice(start, stop - start) for start, stop in itertools.pairwise(edges)]
    spool = Spool(None, in_memory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ROWS_PER_FILE", rows)
        patch.setattr(files, "ROWS_PER_GROUP", 6)
        patch.setattr(files, "ROWS_PER_SEARCHED_GROUP", 4)
        expected = list(encode(whole, "p", statistics))
        for given_rows in (pl.concat(pieces, rechunk=False), iter(pieces)):
            made = list(encode(given_rows, "p", statistics, spool))
            assert [(file.path, file.stats) for file in made] == [(file.path, file.stats) for file in expected]
            assert [file.content for file in made] == [file.content for file in expected]
            assert [file.size for file in made] == [len(file.content) for file in expected]
    spool.close()
    assert [file.rows for file in expected] == [rows] * (height // rows) + [height % rows] * (
        height % rows > 0 or not height
    )


def test_a_large_file_has_the_row_groups_that_its_rows_alone_decide() -> None:
    """Without a size of its own Polars would cut them where the chunks of a frame are cut."""
    frame = pl.DataFrame({"n": pl.int_range(0, files.ROWS_PER_GROUP + 1000, eager=True)})
    chunked = pl.concat([frame.head(50_000), frame.slice(50_000)], rechunk=False)
    (one,), (two,) = encode(frame, None), encode(chunked, None)
    assert one.path == two.path


def test_frames_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(AssayError, match="different columns"):
        list(encode([TABLE, TABLE.drop("n")], None))


def test_statistics_keep_strings_only_where_asked(lake: Lake, write) -> None:
    frame = pl.DataFrame({"id": ["a", "b"], "email": ["x@example.org", "y@example.org"], "n": [1, 2]})
    (file,) = encode(frame, None, statistics=["id"])
    assert json.loads(file.stats) == {
        "numRecords": 2,
        "minValues": {"id": "a", "n": 1},
        "maxValues": {"id": "b", "n": 2},
        "nullCount": {"id": 0, "email": 0, "n": 0},
    }
    write(lake, "raw/t", frame, statistics=["id"])
    log = b"".join(lake.storage.get(path) for path in lake.storage.list("raw/t/_delta_log"))
    assert b"example.org" not in log


def test_statistics_never_hide_a_row_from_a_filter(lake: Lake, write) -> None:
    at = datetime(2026, 1, 1, 0, 0, 0, 999_999, tzinfo=UTC)
    frame = pl.DataFrame({"f": [1.0, float("nan")], "at": [at, at], "none": pl.Series([None, None], dtype=pl.Int64)})
    write(lake, "raw/t", frame)
    scan = lake.table("raw/t").scan()
    assert scan.filter(pl.col("f").is_nan()).collect().height == 1
    assert scan.filter(pl.col("at") >= at).collect().height == 2
    assert scan.filter(pl.col("at") == at).collect().height == 2
    assert scan.filter(pl.col("none").is_null()).collect().height == 2


def test_only_our_own_names_promise_a_digest() -> None:
    assert file_sha256("partition_key=a/" + "0" * 64 + ".parquet") == "0" * 64
    assert file_sha256("part-00000-c000.snappy.parquet") is None
