import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from assay.assets import Files, Source
from assay.assets.sources import Delivery, DeliveryError, read_delivery
from assay.assets.sources.landing.listing import partitions_in
from assay.assets.sources.landing.places import places_of
from assay.assets.sources.landing.scan import scan_partition
from assay.assets.sources.source import unread
from assay.checks import Contract, Field, Timestamp
from assay.errors import AssayError
from assay.features.tables.partitioning import Partitioning
from assay.settings import Settings

PATTERN = "tickets/{day}/*"
PLACES = places_of(PATTERN, Partitioning.daily("2026-09-01"))
DAY = "2026-09-01"


def _land(root: Path, path: str, content: bytes = b"a,b\n1,2\n") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def test_a_day_is_its_finished_files_by_path_with_their_digests(tmp_path: Path) -> None:
    for name in ("b.csv", "a.jsonl", ".hidden.csv", "c.csv.part", "d.tmp", "notes.txt", "sub/e.csv"):
        _land(tmp_path, f"tickets/{DAY}/{name}", name.encode())
    found = scan_partition(tmp_path, PLACES, DAY, (".csv", ".jsonl"))
    assert [delivery.path for delivery in found] == [f"tickets/{DAY}/a.jsonl", f"tickets/{DAY}/b.csv"]
    assert found[1].sha256 == hashlib.sha256(b"b.csv").hexdigest()
    assert (found[1].size, found[1].partition, found[1].revision, found[1].superseded_by) == (5, DAY, 0, None)
    assert [delivery.path.rpartition("/")[2] for delivery in scan_partition(tmp_path, PLACES, DAY)][-1] == "notes.txt"


def test_the_highest_revision_supersedes_the_others_by_number_not_by_name(tmp_path: Path) -> None:
    for name in ("a.csv", "a.r2.csv", "a.r10.csv", "a.jsonl", "b.r1.csv", "c.r0.csv"):
        _land(tmp_path, f"tickets/{DAY}/{name}")
    found = {Path(d.path).name: (d.revision, d.superseded_by) for d in scan_partition(tmp_path, PLACES, DAY)}
    last = f"tickets/{DAY}/a.r10.csv"
    assert found == {
        "a.csv": (0, last),
        "a.r2.csv": (2, last),
        "a.r10.csv": (10, None),
        "a.jsonl": (0, None),
        "b.r1.csv": (1, None),
        "c.r0.csv": (0, None),
    }


def test_delivered_are_the_partitions_that_have_files(tmp_path: Path) -> None:
    for path in (
        "2026-09-02/a.csv",
        "2026-09-01/a.csv",
        "2026-09-03/.a.csv",
        "2026-02-30/a.csv",
        "20260904/a.csv",
        "x/a.csv",
    ):
        _land(tmp_path, f"tickets/{path}")
    daily = Partitioning.daily("2026-09-01")
    assert partitions_in(tmp_path, PLACES) == ["2026-09-01", "2026-09-02"]
    assert partitions_in(tmp_path, places_of("tickets/{partition}/*", daily)) == ["2026-09-01", "2026-09-02"]
    assert partitions_in(tmp_path, places_of(PATTERN, Partitioning.daily("2026-09-02"))) == ["2026-09-02"]
    assert partitions_in(tmp_path, places_of("tickets/{key}/*", Partitioning.static("y", "x"))) == ["x"]
    assert partitions_in(tmp_path / "nowhere", places_of(PATTERN, daily)) == []


def test_files_in_a_folder_that_is_no_partition_are_named_with_what_is_expected(tmp_path: Path) -> None:
    for path in ("2026-09-02/a.csv", "20260904/a.csv", "2026-08-31/a.csv", "notes/readme.md", "later/.a.csv"):
        _land(tmp_path, f"tickets/{path}")

    class Tickets(Contract):
        id: str = Field(key=True)
        at: Timestamp = Field()

    source = Source(
        "tickets", Files(PATTERN, (".csv",)), Tickets, ("id",), "at", partitioning=Partitioning.daily("2026-09-01")
    )
    assert unread(source, Settings(landing=tmp_path)) == [
        f"The files in tickets/{folder}/ are not read: '{folder}' is not a key of daily partitions: write it like 2026-01-31. "
        "Rename the folder."
        for folder in ("20260904", "notes")
    ]


@pytest.mark.parametrize(
    "pattern",
    [
        "tickets/*",
        "tickets/{day}",
        "{a}/{day}/*",
        "tickets//{day}/*",
        "{day}/orders",
        "tickets/{day}/",
        "/etc/{day}/*",
        "../{day}/*",
    ],
)
def test_a_pattern_without_a_component_for_the_partition_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(AssayError, match="landing"):
        partitions_in(tmp_path, places_of(pattern, Partitioning.daily("2026-09-01")))


@pytest.mark.parametrize("key", ["../../etc", "a/b", ".", ""])
def test_a_partition_names_one_folder(tmp_path: Path, key: str) -> None:
    with pytest.raises(AssayError, match="is not a key of daily partitions"):
        scan_partition(tmp_path, PLACES, key)


def test_content_is_what_was_scanned_or_an_error(tmp_path: Path) -> None:
    file = _land(tmp_path, f"tickets/{DAY}/a.csv")
    (delivery,) = scan_partition(tmp_path, PLACES, DAY)
    assert delivery.content() == b"a,b\n1,2\n"
    file.write_bytes(b"a,b\n1,3\n")
    with pytest.raises(DeliveryError, match="changed while it was being read"):
        delivery.content()
    file.unlink()
    with pytest.raises(DeliveryError, match="cannot be read"):
        delivery.content()


def _delivery(name: str) -> Delivery:
    return Delivery(f"tickets/{DAY}/{name}", Path(name), "0" * 64, 0, DAY, revision=name.count(".r1."))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b""),
        ("a.csv", b"\n \n"),
        ("a.csv", b"x,y\n"),
        ("a.csv", b"x,y\r\n\r\n"),
        ("a.jsonl", b""),
        ("a.parquet", b""),
    ],
)
def test_a_file_without_rows_says_how_to_send_it_again(name: str, content: bytes) -> None:
    with pytest.raises(DeliveryError, match=r"no rows .* re-send it as a\.r1\.") as caught:
        read_delivery(_delivery(name), content)
    assert caught.value.path == f"tickets/{DAY}/{name}"


def test_the_correction_of_a_correction_has_the_next_number() -> None:
    assert _delivery("a.csv").next_revision == "a.r1.csv"
    assert _delivery("a.r1.csv").next_revision == "a.r2.csv"


def test_the_suffix_chooses_the_reader() -> None:
    assert read_delivery(_delivery("a.csv"), b"x\n1\n").columns == ["x", "_row_number", "_defect", "_line"]
    assert read_delivery(_delivery("a.ndjson"), b'{"x":1}')["x"].to_list() == ["1"]
    with pytest.raises(DeliveryError, match="no reader knows"):
        read_delivery(_delivery("a.xls"), b"PK")


def test_what_the_lake_has_just_written_is_read_there(tmp_path: Path) -> None:
    file = _land(tmp_path, f"tickets/{DAY}/a.csv")
    (delivery,) = scan_partition(tmp_path, PLACES, DAY)
    kept = tmp_path / "kept"
    file.rename(kept)
    kept_now = replace(delivery, kept=kept, kept_now=True)
    assert kept_now.content() == b"a,b\n1,2\n"
    assert list(kept_now.pieces(3)) == [b"a,b", b"\n1,", b"2\n"]
    kept.unlink()
    with pytest.raises(DeliveryError, match="cannot be read"):
        kept_now.content()
