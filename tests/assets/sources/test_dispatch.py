"""Compressed files are read as what they were made from, in bounded memory, and damaged ones are refused by name."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from assay.assets.sources.deliveries import Delivery, DeliveryError
from assay.assets.sources.dispatch import delivery_blocks, read_delivery
from assay.assets.sources.landing.places import places_of
from assay.assets.sources.landing.scan import scan_partition
from assay.assets.sources.limits import SMALL
from assay.features.tables.partitioning import Partitioning

CSV = "id,text\n" + "".join(f"{number},text {number * 7919 % 1000} of some length\n" for number in range(20_000))
JSON_LINES = "".join(json.dumps({"id": number, "text": f"é {number}"}) + "\n" for number in range(100))


def delivered(name: str, content: bytes) -> Delivery:
    return Delivery.of_bytes(f"in/2026-09-01/{name}", content, "2026-09-01")


def rows_of(delivery: Delivery) -> pl.DataFrame:
    return pl.concat(delivery_blocks(delivery))


@pytest.mark.parametrize(("suffix", "content"), [(".csv", CSV), (".jsonl", JSON_LINES), (".CSV", CSV[:400])])
def test_a_compressed_file_has_the_rows_of_its_content(suffix: str, content: str) -> None:
    whole = content.encode()
    plain = rows_of(delivered(f"a{suffix}", whole))
    half = len(whole) // 2
    for packed in (gzip.compress(whole), gzip.compress(whole[:half]) + gzip.compress(whole[half:])):
        assert_frame_equal(rows_of(delivered(f"a{suffix}.gz", packed)), plain)
        assert_frame_equal(read_delivery(delivered(f"a{suffix}.GZ", packed), packed), plain)


def test_parquet_in_gzip_too(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1, 2]}).write_parquet(tmp_path / "a.parquet")
    packed = gzip.compress((tmp_path / "a.parquet").read_bytes())
    assert rows_of(delivered("a.parquet.gz", packed))["a"].to_list() == [1, 2]


@pytest.mark.parametrize("cut", [1, 5, 9, 60_000])
def test_a_file_that_is_cut_off_or_damaged_is_refused(cut: int) -> None:
    packed = gzip.compress(CSV.encode())
    with pytest.raises(DeliveryError, match=r"a\.csv\.gz: ends in the middle of its compressed content; ask"):
        rows_of(delivered("a.csv.gz", packed[:-cut]))
    damaged = bytearray(packed)
    damaged[len(packed) // 2] ^= 0xFF
    with pytest.raises(DeliveryError, match="is not gzip, or is damaged"):
        rows_of(delivered("a.csv.gz", bytes(damaged)))
    with pytest.raises(DeliveryError, match="is not gzip, or is damaged"):
        rows_of(delivered("a.csv.gz", CSV.encode()))
    with pytest.raises(DeliveryError, match="has no rows"):
        rows_of(delivered("a.csv.gz", gzip.compress(b"")))


@pytest.mark.parametrize("padding", [1, 512, 3 << 20])
def test_a_file_that_is_filled_up_with_zeros_is_whole(padding: int) -> None:
    whole, zeros = CSV.encode(), b"\0" * padding
    plain, packed = rows_of(delivered("a.csv", whole)), gzip.compress(whole)
    for filled in (packed + zeros, gzip.compress(whole[:99]) + zeros + gzip.compress(whole[99:]) + zeros):
        assert_frame_equal(rows_of(delivered("a.csv.gz", filled)), plain)
        assert_frame_equal(read_delivery(delivered("a.csv.gz", filled), filled), plain)
    with pytest.raises(DeliveryError, match="has no rows"):
        rows_of(delivered("a.csv.gz", gzip.compress(b"") + zeros))
    with pytest.raises(DeliveryError, match="is not gzip, or is damaged"):
        rows_of(delivered("a.csv.gz", packed + zeros + b"rest"))
    with pytest.raises(DeliveryError, match="is not gzip, or is damaged"):
        rows_of(delivered("a.csv.gz", zeros + packed))
    with pytest.raises(DeliveryError, match="ends in the middle"):
        rows_of(delivered("a.csv.gz", packed + zeros + packed[:-4]))


def test_what_grows_beyond_all_measure_is_refused_before_it_is_whole() -> None:
    bomb = gzip.compress(b"id\n" + b"1\n" * SMALL)
    with pytest.raises(
        DeliveryError, match="is compressed to less than a 250th of its content, as no usual file is; ask"
    ):
        rows_of(delivered("a.csv.gz", bomb))


def test_files_of_any_case_are_taken_and_of_no_reader_refused(tmp_path: Path) -> None:
    for name in ("A.CSV", "b.Csv.gz", "c.csv"):
        (tmp_path / "in" / "2026-09-01").mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / "2026-09-01" / name).write_bytes(b"x")
    taken = scan_partition(tmp_path, places_of("in/{day}/*", Partitioning.daily("2026-09-01")), "2026-09-01", (".csv",))
    assert [delivery.path.rpartition("/")[2] for delivery in taken] == ["A.CSV", "c.csv"]
    with pytest.raises(DeliveryError, match=r"no reader knows; deliver one of \.csv, .* with \.gz"):
        read_delivery(delivered("a.xls", b"x"), b"x")
