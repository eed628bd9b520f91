"""The end of a Parquet file says what is in it; compared with what wrote it."""

import random
from io import BytesIO

import polars as pl
import pytest

from assay.assets.sources.parquet_footer import footer_of, footer_size


def written(frame: pl.DataFrame, rows: int, compression: str) -> bytes:
    buffer = BytesIO()
    frame.write_parquet(buffer, row_group_size=rows, compression=compression)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def footer(content: bytes) -> bytes:
    size = footer_size(content[-8:])
    return content[-8 - size : -8]


@pytest.mark.parametrize("compression", ["zstd", "snappy", "uncompressed"])
def test_rows_values_and_sizes_are_those_that_were_written(compression: str) -> None:
    frame = pl.DataFrame(
        {
            "id": range(1_000),
            "list": [list(range(number % 4)) for number in range(1_000)],
            "of": [{"a": 1, "b": "x" * 500}] * 1_000,
        }
    )
    found = footer_of(footer(written(frame, 300, compression)))
    assert [group.rows for group in found.groups] == [300, 300, 300, 100]
    assert (found.rows, found.columns) == (1_000, 4)
    pq = pytest.importorskip("pyarrow.parquet")
    told = pq.ParquetFile(BytesIO(written(frame, 300, compression))).metadata
    for number, group in enumerate(found.groups):
        chunks = [told.row_group(number).column(at) for at in range(4)]
        assert group.values == sum(chunk.num_values for chunk in chunks)
        sizes = sum(chunk.total_uncompressed_size for chunk in chunks)
        assert group.unpacked == max(sizes, told.row_group(number).total_byte_size)


def test_a_file_without_rows_has_no_groups() -> None:
    assert footer_of(footer(written(pl.DataFrame({"a": [1]}).clear(), 1, "zstd"))).rows == 0


def test_a_footer_that_lacks_a_part_or_contradicts_itself_is_none() -> None:
    whole = bytearray(footer(written(pl.DataFrame({"a": [1, 2]}), 2, "zstd")))
    groups = whole.index(b"\x19\x1c\x19", 10)  # a list of one row group, in which is a list of columns
    for head in (0x29, 0x09):  # as if it were the next field but one; a field whose number follows
        damaged = bytearray(whole)
        damaged[groups] = head
        with pytest.raises(ValueError, match=r"Parquet|field|number|more"):
            footer_of(bytes(damaged))


def test_other_bytes_are_no_footer() -> None:
    for content in (b"", b"PAR1", b"a,b\n1,2\n"):
        with pytest.raises(ValueError, match="Parquet"):
            footer_size(content)
    chance, whole = random.Random(3), footer(written(pl.DataFrame({"a": [1], "b": ["x"]}), 1, "zstd"))
    refused = 0
    for _ in range(500):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            footer_of(bytes(damaged[: chance.choice([len(damaged), chance.randrange(len(damaged))])]))
        except ValueError:
            refused += 1
    assert refused > 100
