"""What no usual file is, is refused before it fills the machine, and the limit can be raised."""

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from assay.assets.sources import parquet
from assay.assets.sources.deliveries import Delivery, DeliveryError
from assay.assets.sources.dispatch import delivery_blocks
from assay.assets.sources.jsonl import MOST_VALUES, jsonl_blocks
from assay.assets.sources.limits import USUAL_LIMITS, Limits
from assay.errors import AssayError


def written(frame: pl.DataFrame, rows: int = 100_000) -> bytes:
    buffer = BytesIO()
    frame.write_parquet(buffer, row_group_size=rows)
    return buffer.getvalue()


def rows_of(name: str, content: bytes, limits: Limits = USUAL_LIMITS) -> pl.DataFrame:
    return pl.concat(delivery_blocks(Delivery.of_bytes(name, content, ""), limits=limits))


def test_a_number_of_columns_is_a_limit_of_every_format() -> None:
    names = [f"k{number}" for number in range(11)]
    row = ",".join(names)
    files = {
        "a.csv": f"{row}\n{row}\n".encode(),
        "a.csv.gz": gzip.compress(f"{row}\n{row}\n".encode()),
        "a.jsonl": "".join(json.dumps({name: 1}) + "\n" for name in names).encode(),
        "a.parquet": written(pl.DataFrame({name: [1] for name in names})),
    }
    for name, content in files.items():
        assert rows_of(name, content, Limits(columns=11)).height > 0
        with pytest.raises(DeliveryError, match=r"has more than 10 (columns|different keys), .*Limits\(columns=20\)"):
            rows_of(name, content, Limits(columns=10))


def test_a_line_longer_than_a_file_may_have_is_refused_when_so_much_of_it_was_read() -> None:
    def endless(head: bytes) -> Iterator[bytes]:
        yield head
        for _ in range(40):
            yield b"x" * (1 << 16)
        raise AssertionError("all of it was read")

    def read(head: bytes) -> DeliveryError:
        with pytest.raises(DeliveryError, match="has a line of more than 1 MB") as problem:
            list(jsonl_blocks("a.jsonl", lambda: endless(head), Limits(line_mb=1)))
        return problem.value

    assert read(b'{"a": "b"}\n{"a": "').line == 2
    assert read(b"{").line == 1
    line = b"a\n" + b"x" * (3 << 20) + b"\nz\n"
    assert rows_of("a.csv", line)["a"].str.len_bytes().to_list() == [3 << 20, 1]
    with pytest.raises(
        DeliveryError, match="line 2: has a line of more than 1 MB; ask the upstream to end its lines, or"
    ):
        rows_of("a.csv", line, Limits(line_mb=1))


def test_rows_that_lack_most_columns_need_memory_for_a_few_of_them_at_a_time() -> None:
    wide = json.dumps({f"k{number}": number for number in range(1_000)}).encode()
    frames = list(jsonl_blocks("a.jsonl", lambda: [wide + b"\n" + b"{}\n" * 20_000]))
    assert sum(frame.height for frame in frames) == 20_001
    assert all((frame.height - 1) * 1_000 <= MOST_VALUES for frame in frames) and len(frames) > 2
    numbers = pl.concat(frames)["_row_number"]
    assert numbers.to_list() == list(range(1, 20_002))


def test_json_lines_in_blocks_have_the_columns_of_all_of_them() -> None:
    rows = [{"id": number, f"k{number // 100}": "x"} for number in range(500)]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    whole = pl.concat(jsonl_blocks("a.jsonl", lambda: [content]))
    frames = list(jsonl_blocks("a.jsonl", lambda: [content[:999], content[999:]], size=500))
    assert len(frames) > 5
    assert_frame_equal(pl.concat(frames), whole)
    assert whole.columns == ["id", "k0", "k1", "k2", "k3", "k4", "_row_number", "_defect", "_line", "_json"]


def test_the_memory_of_python_does_not_grow_with_a_file_of_json_lines() -> None:
    line = json.dumps({"id": 1, "text": "x" * 200}).encode() + b"\n"

    def peak(blocks: int) -> int:
        tracemalloc.start()
        for frame in jsonl_blocks("a.jsonl", lambda: (line * 100 for _ in range(blocks)), size=1 << 16):
            del frame
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few = min(peak(20), peak(20))  # what the first one loads stays
    assert peak(200) < 1.5 * few


@pytest.mark.parametrize("rows", [1_000_000, 50_000])
def test_parquet_comes_in_frames_however_it_is_grouped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(parquet, "BLOCK", 1 << 20)
    frame = pl.DataFrame({"id": range(200_000), "text": [f"text {number}" for number in range(200_000)]})
    content = written(frame, rows)
    (tmp_path / "a.parquet").write_bytes(content)
    for source in (content, tmp_path / "a.parquet"):
        frames = list(parquet.parquet_blocks("a.parquet", source))
        assert len(frames) > 5 and max(frame.height for frame in frames) < 50_000
        assert_frame_equal(pl.concat(frames).select("id", "text"), frame)
        assert pl.concat(frames)["_row_number"].to_list() == list(range(1, 200_001))


def test_parquet_that_unpacks_to_more_than_any_usual_file_is_refused_by_what_its_end_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parquet, "_FEW", 1 << 20)
    zeros = written(pl.DataFrame({"a": pl.repeat(0, 2_000_000, dtype=pl.Int64, eager=True)}), 2_000_000)
    monkeypatch.setattr(parquet, "_read", None)  # not even the first row
    with pytest.raises(
        DeliveryError, match=r"has 2,000,000 rows of 1 column, more than 250 times the size of the file"
    ):
        rows_of("a.parquet", zeros)


def test_texts_that_stand_in_the_file_once_are_counted_as_often_as_they_are_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parquet, "_FEW", 1 << 20)
    frame = pl.DataFrame({"a": pl.repeat("x" * 1_000, 20_000, eager=True)})
    with pytest.raises(DeliveryError, match="has texts that are repeated, more than 250 times the size of the file"):
        rows_of("a.parquet", written(frame))
    assert rows_of("a.parquet", written(frame), Limits(times=10**6)).height == 20_000


def test_a_limit_is_a_number_above_zero() -> None:
    with pytest.raises(AssayError, match=r"Limits\(columns=0\): give a number above 0"):
        Limits(columns=0)
