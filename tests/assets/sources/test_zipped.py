"""Files in one zip are judged one by one, like files in a folder, and what could do harm is refused by name."""

import zipfile
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest

from assay.assets.sources import dispatch
from assay.assets.sources.deliveries import Delivery, DeliveryError
from assay.assets.sources.dispatch import delivery_blocks, delivery_parts
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
    ],
)
def test_what_cannot_be_read_is_refused_by_the_name_of_its_member(content: bytes, problem: str) -> None:
    with pytest.raises(DeliveryError, match=problem):
        rows_of(content)


def test_what_is_compressed_too_well_is_refused() -> None:
    content = zipped(a_csv=b"id\n" + b"1\n" * SMALL)
    with pytest.raises(DeliveryError, match="is compressed to less than a 250th of its content"):
        rows_of(content)


@pytest.mark.parametrize(
    ("suffixes", "read"),
    [
        ((".csv", ".ZIP"), ["a.csv", "c.CSV"]),
        ((".zip",), ["README.txt", "a.csv", "c.CSV", "d.jsonl"]),
        ((".jsonl", ".csv", ".zip"), ["a.csv", "c.CSV", "d.jsonl"]),
    ],
)
def test_only_members_of_the_suffixes_are_read(suffixes: tuple[str, ...], read: list[str]) -> None:
    content = zipped(d_jsonl=b'{"id": "1"}\n', a_csv=b"id\n1\n2\n", README_txt=b"id\n1\n", c_CSV=b"id\n3\n")
    parts = delivery_parts(Delivery.of_bytes("in/o.zip", content, ""), suffixes=suffixes)
    numbers, unread = dict[str, list[int]](), dict[str, str]()
    for part in parts:
        name = part.path.removeprefix("in/o.zip!/")
        if part.frames is None:
            unread[name] = part.why
        else:
            numbers[name] = pl.concat(part.frames)["_row_number"].to_list()
    assert list(numbers) == read
    assert [*numbers["a.csv"], *numbers["c.CSV"]] == ([2, 3, 4] if "README.txt" in read else [1, 2, 3])
    assert {*numbers, *unread} == {"README.txt", "a.csv", "c.CSV", "d.jsonl"}
    assert all(why == f"its suffix is not among the source's: {', '.join(suffixes)}" for why in unread.values())


def test_one_without_a_member_of_the_suffixes_is_refused_and_one_in_another_is_never_left_out() -> None:
    def parts(content: bytes) -> list[object]:
        delivery = Delivery.of_bytes("in/o.zip", content, "")
        return [list(part.frames or ()) for part in delivery_parts(delivery, suffixes=(".csv", ".zip"))]

    with pytest.raises(DeliveryError, match=r"in/o\.zip: holds no files of the source's suffixes: \.csv, \.zip"):
        parts(zipped(README_txt=b"hello"))
    with pytest.raises(DeliveryError, match=r"in/o\.zip!/b\.zip: is a zip file in another"):
        parts(zipped(a_csv=b"id\n1\n", b_zip=zipped(a_csv=b"id\n1\n")))
