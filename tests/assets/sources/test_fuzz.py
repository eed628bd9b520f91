"""Whatever happens to a file on its way: it is read record by record, or refused by a message that holds none of its values."""

import gzip
import json
import random
import zipfile
from collections.abc import Callable
from io import BytesIO
from xml.etree import ElementTree

import polars as pl
import pyarrow as pa
import pytest

from assay.assets.sources.csv import csv_blocks
from assay.assets.sources.csv_records import read_records
from assay.assets.sources.deliveries import Delivery, DeliveryError
from assay.assets.sources.dispatch import delivery_blocks
from assay.assets.sources.jsonl import jsonl_blocks
from tests.assets.sources.excel import books
from tests.conftest import SOAK

MUTATIONS = 2_000 if SOAK else 150
MARKER = "Erika.Mustermann@example.org"
ROWS = 60


def csv() -> bytes:
    lines = [f'{number},"{MARKER} ""{number}""","one\ntwo{number}",ü{number}' for number in range(ROWS)]
    return ("id,mail,text,word\r\n" + "\r\n".join(lines) + "\r\n").encode()


def json_lines() -> bytes:
    rows = [
        {"id": number, "mail": MARKER, "nested": {"a": [number, None]}, f"k{number % 7}": "ü"} for number in range(ROWS)
    ]
    return "".join(json.dumps(row, ensure_ascii=row["id"] == 3) + "\n" for row in rows).encode()


def parquet() -> bytes:
    columns = {
        "id": range(ROWS),
        "mail": [MARKER] * ROWS,
        "amount": [number / 7 if number % 5 else None for number in range(ROWS)],
        "list": [[number, None] for number in range(ROWS)],
    }
    buffer = BytesIO()
    pl.DataFrame(columns).write_parquet(buffer, row_group_size=25, compression="zstd")
    return buffer.getvalue()


def excel_sheet() -> bytes:
    marker, others = books.text(MARKER), [books.other("b", 1), books.other("e", "#N/A")]
    rows = [[books.number(at), marker, books.number(f"{at}.5", 2), *others] for at in range(ROWS)]
    return books.sheet(books.header("id", "mail", "at", "paid", "broken"), *rows).encode()


def in_workbook(content: bytes) -> bytes:
    return books.book({"A": content})


def out_of_workbook(content: bytes) -> bytes:
    with zipfile.ZipFile(BytesIO(content)) as archive:
        return archive.read("xl/worksheets/sheet1.xml")


def excel_rows(content: bytes) -> int:
    """The rows with any text, below the first, whatever the namespace is called."""

    def named(within: ElementTree.Element, *names: str) -> list[ElementTree.Element]:
        return [one for one in within.iter() if one.tag.rpartition("}")[2] in names]

    rows = named(ElementTree.fromstring(content), "row")
    return sum(any((one.text or "").strip() for one in named(row, "v", "t")) for row in rows) - 1


def csv_records(content: bytes) -> int:
    return read_records("a.csv", content).height


def lines(content: bytes) -> int:
    text = content.removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape")
    return sum(bool(line.strip()) for line in text.split("\n"))


def parquet_rows(content: bytes) -> int:
    return (
        pl.read_parquet(BytesIO(content), columns=[]).height
        or pl.scan_parquet(BytesIO(content)).select(pl.len()).collect().item()
    )


def gz(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def zst(content: bytes) -> bytes:
    return pa.Codec("zstd").compress(content, asbytes=True)


def unzst(content: bytes) -> bytes:
    return pa.input_stream(BytesIO(content), compression="zstd").read()


def as_it_is(content: bytes) -> bytes:
    return content


def in_zip(content: bytes) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("a.csv"), content)
    return buffer.getvalue()


def out_of_zip(content: bytes) -> bytes:
    with zipfile.ZipFile(BytesIO(content)) as archive:
        return archive.read(archive.namelist()[0])


# What a file holds, how many records a reader of the whole finds in it, how it is wrapped and unwrapped.
Whole = Callable[[bytes], bytes]
READERS: dict[str, tuple[bytes, Callable[[bytes], int], Whole, Whole]] = {
    "a.csv": (csv(), csv_records, as_it_is, as_it_is),
    "a.jsonl": (json_lines(), lines, as_it_is, as_it_is),
    "a.parquet": (parquet(), parquet_rows, as_it_is, as_it_is),
    "a.csv.gz": (csv(), csv_records, gz, gzip.decompress),
    "a.jsonl.gz": (json_lines(), lines, gz, gzip.decompress),
    "a.parquet.gz": (parquet(), parquet_rows, gz, gzip.decompress),
    "a.csv.zst": (csv(), csv_records, zst, unzst),
    "a.xlsx": (excel_sheet(), excel_rows, in_workbook, out_of_workbook),
    "a.zip": (csv(), csv_records, in_zip, out_of_zip),
}


def mutated(content: bytes, chance: random.Random) -> bytes:
    found = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 5, 20])):
        at, length = chance.randrange(len(found) + 1), chance.choice([1, 2, 16, 200])
        match chance.randrange(7):
            case 0 if found:
                found[at % len(found)] ^= 1 << chance.randrange(8)
            case 1:
                found[at : at + length] = chance.randbytes(min(length, len(found) - at))
            case 2:
                del found[max(at, 1) :]
            case 3:
                found[at:at] = found[at : at + length]
            case 4:
                found[at:at] = bytes(length)
            case 5:
                del found[at : at + length]
            case _:
                found[at:at] = chance.choice(
                    [b'"', b"\n", b"\r", b"{", b"}", b",", b"\xff\xfe", b"\xef\xbb\xbf", b"PAR1"]
                )
    return bytes(found)


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_was_damaged_is_read_record_by_record_or_refused(name: str) -> None:
    content, records, wrapped, unwrapped = READERS[name]
    assert sum(frame.height for frame in delivery_blocks(Delivery.of_bytes(name, wrapped(content), ""))) == ROWS
    chance, refused = random.Random(name), 0
    for number in range(MUTATIONS):
        damaged = wrapped(mutated(content, chance)) if chance.random() < 0.7 else mutated(wrapped(content), chance)
        try:
            frames = list(delivery_blocks(Delivery.of_bytes(name, damaged, "")))
        except DeliveryError as problem:
            refused += 1
            assert MARKER[:9] not in str(problem), number
            assert str(problem).startswith(name)
            continue
        assert sum(frame.height for frame in frames) == records(unwrapped(damaged)), number
        assert len({tuple(frame.schema.items()) for frame in frames}) == 1, number
        for frame in frames:
            defects = frame.filter(pl.col("_defect").is_not_null())
            assert set(defects["_defect"]) <= {"unparsable", "encoding"}, number
            assert defects["_line"].null_count() == 0, number
    assert 0 < refused < MUTATIONS, "some can be read, and some cannot"


def in_blocks(pieces: list[bytes], size: int) -> object:
    try:
        return pl.concat(jsonl_blocks("a.jsonl", lambda: pieces, size=size)).rows()
    except DeliveryError as problem:
        return str(problem)


def test_however_large_the_blocks_are_the_records_are_the_same() -> None:
    chance = random.Random(7)
    for number in range(MUTATIONS // (3 if SOAK else 10)):
        damaged = mutated(json_lines(), chance)
        pieces = [damaged[at : at + 100] for at in range(0, len(damaged), 100)]
        outcomes = [in_blocks(pieces, size) for size in (1, 64, 700, 1 << 20)]
        assert outcomes.count(outcomes[0]) == len(outcomes), number
        damaged = mutated(csv(), chance)
        try:
            whole = read_records("a.csv", damaged)
        except DeliveryError:
            continue
        assert pl.concat(csv_blocks("a.csv", [damaged], 200)).rows() == whole.rows(), number
