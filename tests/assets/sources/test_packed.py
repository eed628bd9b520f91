"""Files that were compressed with Zstandard are read in pieces, and refused by name; those of gzip are in test_dispatch."""

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from assay.assets.sources import packed
from assay.assets.sources.deliveries import Delivery, DeliveryError
from assay.assets.sources.dispatch import delivery_blocks
from assay.assets.sources.limits import SMALL, USUAL_LIMITS
from assay.assets.sources.packed import unpacked

CSV = b"id,text\n" + b"".join(b"%d,text %d\n" % (number, number * 7919 % 1000) for number in range(20_000))


def zst(content: bytes) -> bytes:
    return pa.Codec("zstd").compress(content, asbytes=True)


def rows_of(content: bytes, name: str = "in/a.csv.zst") -> pl.DataFrame:
    return pl.concat(delivery_blocks(Delivery.of_bytes(name, content, "")))


def test_it_is_read_as_what_it_was_made_from(tmp_path: Path) -> None:
    plain = rows_of(CSV, "in/a.csv")
    assert rows_of(zst(CSV)).equals(plain)
    assert rows_of(zst(CSV[:999]) + zst(CSV[999:]), "in/A.CSV.ZST").equals(plain)  # two parts, one after the other
    plain.drop("_row_number", "_defect", "_line").write_parquet(tmp_path / "a.parquet")
    content = zst((tmp_path / "a.parquet").read_bytes())
    assert rows_of(content, "in/a.parquet.zst")["id"].equals(plain["id"])


def test_pieces_are_small_however_large_the_content_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "PIECE", 1_000)
    content = zst(CSV)
    few = [content[at : at + 77] for at in range(0, len(content), 77)]
    parts = list(unpacked(Delivery.of_bytes("a.csv.zst", content, ""), few, USUAL_LIMITS))
    assert b"".join(parts) == CSV
    assert max(map(len, parts)) == 1_000


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (zst(CSV)[:-5], r"in/a\.csv\.zst: ends in the middle of its compressed content; ask .* a\.r1\.csv\.zst"),
        (CSV, "is not Zstandard, or is damaged"),
        (zst(CSV) + b"rest", "is not Zstandard, or is damaged"),
        (zst(b""), "has no rows"),
        (b"", "has no rows"),
        (zst(b"id\n" + b"1\n" * SMALL), "is compressed to less than a 250th of its content"),
    ],
)
def test_what_cannot_be_read_is_refused(content: bytes, problem: str) -> None:
    with pytest.raises(DeliveryError, match=problem):
        rows_of(content)


def test_it_is_what_was_scanned_also_after_it_was_read(tmp_path: Path) -> None:
    file = tmp_path / "a.csv.zst"
    file.write_bytes(zst(CSV))
    delivery = Delivery.of_bytes("a.csv.zst", zst(CSV), "")
    there = Delivery("a.csv.zst", file, delivery.sha256, delivery.size, "")
    assert pl.concat(delivery_blocks(there)).height == 20_000
    file.write_bytes(zst(CSV[:-20]))
    with pytest.raises(DeliveryError, match="changed while it was being read"):
        list(delivery_blocks(there))
