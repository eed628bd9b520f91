"""Readers of one's own, made of exported names only: zipped files of fixed width by month, and a folder on a server."""

import zipfile
from pathlib import Path
from typing import Any

import pytest

from assay.errors import AssayError

METERS = '''
"""Meter readings: one zip a month, with files of fixed width."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from assay import Contract, Field, Partitioning, Source, Timestamp
from assay.assets import Delivery, DeliveryError, SourceReader


@dataclass(frozen=True)
class ZippedFixedWidth(SourceReader):
    folder: str
    columns: tuple[tuple[str, int], ...]

    kinds = ("zip",)

    def partitions(self, settings, partitioning):
        files = (settings.landing_path / self.folder).glob("*.zip")
        return partitioning.known([file.stem for file in files])

    def deliveries(self, reading):
        file = reading.landing / self.folder / f"{reading.partition}.zip"
        if not file.exists():
            return []
        sha256, size = reading.hashes.of(file)
        return [Delivery(f"{self.folder}/{file.name}", file, sha256, size, reading.partition)]

    def read(self, delivery):
        with zipfile.ZipFile(io.BytesIO(delivery.content())) as archive:
            lines = [line for name in archive.namelist() for line in archive.read(name).decode().splitlines()]
        values, defects, width = {name: [] for name, _ in self.columns}, [], sum(size for _, size in self.columns)
        for line in lines:
            at, fits = 0, len(line) == width
            for name, size in self.columns:
                values[name].append(line[at : at + size].strip() if fits else None)
                at += size
            defects.append(None if fits else "unparsable")
        texts = [line if defect else None for line, defect in zip(lines, defects)]
        return pl.DataFrame(values | {"_defect": defects, "_line": texts}).cast({"_defect": pl.String, "_line": pl.String})


class Meters(Contract):
    meter: str = Field(key=True)
    at: Timestamp = Field(key=True)
    kwh: float = Field(ge=0)


meters = Source(
    name="meters",
    reader=ZippedFixedWidth("meters", (("meter", 4), ("at", 20), ("kwh", 6))),
    partitioning=Partitioning.monthly("2026-01"),
    contract=Meters,
    key=("meter", "at"),
    event_time="at",
)
'''

SERVER = '''
"""Rates from a server: whatever it lists that was not read before."""

import json
from dataclasses import dataclass

import polars as pl

from assay import Contract, Field, Source
from assay.assets import Delivery, SourceReader

PAGES = {}


@dataclass(frozen=True)
class Pages(SourceReader):
    address: str

    def deliveries(self, reading):
        return [Delivery.of_bytes(f"{self.address}/{name}", PAGES[name], reading.partition) for name in sorted(PAGES)]

    def read(self, delivery):
        return pl.DataFrame(json.loads(delivery.content()))


class Rates(Contract):
    currency: str = Field(key=True)
    rate: float = Field(gt=0)


rates = Source(name="rates", reader=Pages("https://rates"), contract=Rates, key=("currency",), event_time="at")
'''


def zipped(shop: Any, month: str, *lines: str) -> Path:
    file = shop.home / "landing" / "meters" / f"{month}.zip"
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readings.txt", "\n".join(lines))
    return file


def test_a_reader_of_ones_own_is_read_checked_and_traced_as_any_other(new_shop: Any) -> None:
    new_shop.redeclare(lambda text: METERS)
    file = zipped(new_shop, "2026-02", "m1  2026-02-01T00:00:00Z   1.5", "m2  2026-02-01T00:00:00Z  -2.0", "torn")
    zipped(new_shop, "notes")
    (result,) = new_shop.run().results
    assert (result.success, result.unit.partition) == (True, "2026-02")
    assert new_shop.frame("clean/meters").select("meter", "kwh").rows() == [("m1", 1.5)]
    rules = new_shop.frame("quarantine/meters").sort("_row_number")["_rules"].to_list()
    assert rules[0] == ["kwh.ge"]
    assert "row.unparsable" in rules[1]
    assert new_shop.due() == []
    lake = new_shop.env.lake
    (commit,) = lake.table("raw/meters").at().writers(["2026-02"])
    assert lake.storage.get(commit.sources[0].kept) == file.read_bytes()


def test_a_reader_that_fails_stops_its_own_source_and_shows_no_value(new_shop: Any) -> None:
    new_shop.redeclare(lambda text: METERS)
    file = zipped(new_shop, "2026-02", "m1  2026-02-01T00:00:00Z   1.5")
    file.write_bytes(b"secret value, not a zip")
    new_shop.drop(1, new_shop.csv(1, 5.0))
    (failed,) = new_shop.run().failed
    assert failed.problems == (
        "meters/2026-02.zip: cannot be read by ZippedFixedWidth (BadZipFile); correct the file or the reader, and run "
        "again. Nothing was published.",
    )
    assert new_shop.frame("clean/orders").height == 1


def test_a_reader_without_partitions_takes_what_is_new(new_shop: Any) -> None:
    new_shop.redeclare(lambda text: SERVER)
    pages = new_shop.package.orders.PAGES
    pages["a"] = b'[{"currency": "EUR", "rate": 1.0}]'
    assert not new_shop.run().failed
    assert new_shop.due() == []
    pages["b"] = b'[{"currency": "SEK", "rate": 11.5}, {"currency": "XXX", "rate": -1.0}]'
    assert not new_shop.run().failed
    assert new_shop.frame("clean/rates").select("partition_key", "currency").sort("currency").rows() == [
        ("000001", "EUR"),
        ("000002", "SEK"),
    ]
    assert new_shop.due() == []


def test_a_reader_that_is_not_the_same_in_every_process_is_refused(new_shop: Any) -> None:
    plain = SERVER.replace("@dataclass(frozen=True)\n", "").replace('Pages("https://rates")', "Pages()")
    with pytest.raises(AssayError, match="make its reader Pages a frozen dataclass"):
        new_shop.redeclare(lambda text: plain)
