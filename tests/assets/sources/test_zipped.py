"""Files in one zip are read as one file, and what could do harm is refused by name."""

import zipfile
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest

from assay.assets.sources import dispatch
from assay.assets.sources.deliveries import Delivery, DeliveryError
from assay.assets.sources.dispatch import delivery_blocks
from assay.assets.sources.limits import SMALL


def zipped(**members: bytes) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return buffer.getvalue()


def rows_of(content: bytes) -> pl.DataFrame:
    return pl.concat(delivery_blocks(Delivery.of_bytes("in/o.zip", content, "")))


def test_members_are_read_in_the_order_of_their_names_with_the_columns_of_all() -> None:
    frame = rows_of(zipped(b_jsonl=b'{"id": "3", "x": 1}\noops\n', a_csv=b"id,y\n1,u\n2\n", folder__c_csv=b"id\n4\n"))
    assert frame.columns == ["id", "y", "_row_number", "_defect", "_line", "x", "_json"]
    assert frame.select("id", "y", "x", "_row_number", "_defect").rows() == [
        ("1", "u", None, 1, None),
        (None, None, None, 2, "unparsable"),
        ("3", None, "1", 3, None),
        (None, None, None, 4, "unparsable"),
        ("4", None, None, 5, None),
    ]


def test_a_large_one_is_read_where_it_lies_and_is_what_was_scanned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "SMALL_CONTENT", 10)
    content = zipped(a_csv=b"id\n1\n")
    delivery = Delivery.of_bytes("in/o.zip", content, "")
    (tmp_path / "o.zip").write_bytes(content)
    there = Delivery("in/o.zip", tmp_path / "o.zip", delivery.sha256, delivery.size, "")
    assert pl.concat(delivery_blocks(there))["id"].to_list() == ["1"]
    (tmp_path / "o.zip").write_bytes(zipped(a_csv=b"id\n2\n"))
    with pytest.raises(DeliveryError, match="changed while it was being read"):
        list(delivery_blocks(there))


def encrypted() -> bytes:
    content = bytearray(zipped(a_csv=b"id\n1\n"))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + at] |= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"id\n1\n", r"in/o\.zip: is not zip, or is damaged"),
        (zipped(), r"in/o\.zip: holds no files"),
        (zipped(_hidden=b"x", MAC__a_csv=b"x").replace(b"MAC/a.csv", b"a/.a.csv_"), "holds no files"),
        (zipped(a_zip=zipped(a_csv=b"id\n1\n")), r"in/o\.zip!/a\.zip: is a zip file in another"),
        (zipped(a_pdf=b"id\n1\n"), r"in/o\.zip!/a\.pdf: is of a kind that no reader knows"),
        (zipped(a_csv=b"id\n1\n", b_csv=b"\n"), r"in/o\.zip!/b\.csv: has no rows .* re-send it as o\.r1\.zip"),
        (encrypted(), "is encrypted; ask the upstream to send it without a password"),
        (zipped(a_csv=b"id\n" + b"1\n" * SMALL), "is compressed to less than a 250th of its content"),
    ],
)
def test_what_cannot_be_read_is_refused_by_the_name_of_its_member(content: bytes, problem: str) -> None:
    with pytest.raises(DeliveryError, match=problem):
        rows_of(content)
