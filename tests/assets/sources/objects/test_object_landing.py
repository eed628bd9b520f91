"""What lies in a bucket is what lies in a folder: the same partitions, the same files, the same leftovers."""

import gzip
import hashlib
import io
import os
import random
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import polars as pl
import pytest

from assay.assets.sources.deliveries import Delivery, DeliveryError
from assay.assets.sources.file_hashes import FileHashes
from assay.assets.sources.files import Files
from assay.assets.sources.landing.leftovers import Leftover
from assay.assets.sources.landing.places import places_of
from assay.assets.sources.limits import Limits
from assay.assets.sources.objects import s3
from assay.assets.sources.reader import NothingDelivered, NotReadYet, Reading
from assay.features.storage.commit_metadata import SourceFile
from assay.features.tables.partitioning import Partitioning
from assay.settings import Settings

SOAK = bool(os.environ.get("SOAK"))
DAILY = Partitioning.daily("2026-09-02", "2026-09-04")
PATTERNS = [
    ("in/{day}/*", DAILY),
    ("in/o_{day}.csv", DAILY),
    ("in/*{day}*.csv", DAILY),
    ("in/dt={day}/**/*", DAILY),
    ("in/{day:%Y/%m/%d}/*", DAILY),
    ("in/{day:%Y%m}/o_{day}.csv", DAILY),
    ("in/*/{day}.csv", DAILY),
    ("in/**/{day}.csv", DAILY),
    ("{day}/*", DAILY),
    ("in/{day}.csv", Partitioning.weekly("2026-08-31")),
    ("in/{day}/*", Partitioning.monthly("2026-09")),
    ("in/{hour:%Y-%m-%d-%H}*.csv", Partitioning.hourly("2026-09-02-00")),
    ("in/{key}/*", Partitioning.static("north", "x")),
]
FOLDERS = (
    "in", "in/2026-09-02", "in/2026-09-03", "in/dt=2026-09-03", "in/2026/09/04", "in/202609", "in/north", "in/2026-08-31",
    "in/x/y", "in/20260902", "in/2026-09-02/sub", "in/dt=2026-09-03/a/b", "2026-09-02", "in/.hidden",
)  # fmt: skip
NAMES = (
    "a.csv", "b.txt", "C.CSV", "o_2026-09-02.csv", "o_2026-09-02.r1.csv", "o_2026-09-03.CSV", "2026-09-04.csv", "2026-09-01.csv",
    "o_2026-13-01.csv", "o_20260902.csv", "o_2026-09-02.csv.part", ".o_2026-09-02.csv", "x2026-09-02y.csv", "2026-09-02-13.csv",
    "a b%20+&=#?.csv", "größe.csv", "a\\b.csv", "x.csv.gz", "~[1]{2}.csv",
)  # fmt: skip


def asked_for(path: str, key: str) -> bool:
    """Whether a request is for an object whose key ends like this."""
    return urlsplit(path).path.endswith(quote(key))


def reading(settings: Settings, partition: str, partitioning: Partitioning = DAILY, **given: Any) -> Reading:
    hashes = given.pop("hashes", None) or FileHashes()
    return Reading("s", ("k",), partition, partitioning, settings, lambda: None, hashes, **given)


def found(reader: Files, settings: Settings, partitioning: Partitioning, root: str) -> dict[str, Any]:
    """All that a source has of what was dropped, with the addresses of a landing folder."""

    def plain(one: Delivery) -> tuple[Any, ...]:
        by = one.superseded_by
        return (
            one.path.removeprefix(root), one.sha256, one.size, one.partition, one.revision, by and by.removeprefix(root),
            one.content(), b"".join(one.pieces(3)),
        )  # fmt: skip

    def named(left: list[Leftover]) -> list[tuple[str, str]]:
        assert all(one.root == root for one in left)
        return [(one.path, one.why) for one in left]

    keys = reader.partitions(settings, partitioning)
    result: dict[str, Any] = {
        "partitions": keys,
        "changed": sorted(reader.delivered(settings, partitioning).changed),
        "unplaced": reader.unplaced(settings, partitioning),
        "outside": reader.outside(settings, partitioning),
        "left": sorted(named(list(reader.leftovers(settings, partitioning)))),
    }
    for key in keys:
        result[f"left in {key}"] = named(list(reader.leftovers(settings, partitioning, key)))
        try:
            result[key] = [plain(one) for one in reader.deliveries(reading(settings, key, partitioning))]
        except NothingDelivered as nothing:
            result[key] = str(nothing).replace(root, "")
    return result


def test_a_bucket_and_a_folder_with_the_same_files_are_the_same(tmp_path: Path, drops: Any) -> None:
    chance = random.Random(7)
    for trial in range(6 if SOAK else 1):
        drops.prefix, root = f"t{trial}", tmp_path / str(trial)
        paths = {f"{chance.choice(FOLDERS)}/{chance.choice(NAMES)}" for _ in range(100)}
        firsts = {one: one.start or one.keys[0] for _, one in PATTERNS}
        paths |= {places_of(*one).example(firsts[one[1]]).replace("**", "a").replace("*", "a.csv") for one in PATTERNS}
        for path in paths:
            content = f"a,b\n{chance.random()},2\n".encode()
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            drops.put(path, content)
        for pattern, partitioning in PATTERNS:
            folder = found(Files(pattern, (".csv",)), Settings(landing=root), partitioning, "")
            assert folder["partitions"] and folder["changed"]
            there = Files(pattern, (".csv",), connection="drops")
            assert found(there, drops.settings(tmp_path / "home"), partitioning, drops.root) == folder, pattern
            as_folder = drops.settings(tmp_path / "home", url=f"file://{root}", options={})
            assert found(there, as_folder, partitioning, f"file://{root}/") == folder, pattern


FILES = Files("in/{day}/*", (".csv", ".csv.gz"), connection="drops")
DAY = "2026-09-03"


def one(found: Sequence[Delivery]) -> Delivery:
    (only,) = found
    return only


def test_a_look_costs_a_request_for_a_thousand_keys_and_finds_what_another_one_would(
    tmp_path: Path, drops: Any
) -> None:
    settings = drops.settings(tmp_path)
    for day in ("2026-09-02", DAY, "2026-09-04"):
        drops.put(f"in/{day}/a.csv")
    drops.put("elsewhere/a.csv")
    first = FILES.delivered(settings, DAILY)
    assert first.changed == {"2026-09-02", DAY, "2026-09-04"} and not first.unsettled
    drops.proxy.count()
    assert FILES.delivered(settings, DAILY, first.seen) == replace(first, changed=frozenset())
    assert drops.proxy.count() == {"lists": 1, "gets": 0}

    def changed(before: bytes, *days: str) -> bytes:
        after = FILES.delivered(settings, DAILY, before)
        assert after.changed == set(days) and FILES.delivered(settings, DAILY, after.seen).changed == frozenset()
        return after.seen

    drops.put(f"in/{DAY}/a.csv", b"a,b\n1,3\n")
    seen = changed(first.seen, DAY)
    drops.put(f"in/{DAY}/a.r1.csv", b"a,b\n1,4\n")
    seen = changed(seen, DAY)
    drops.put(f"in/{DAY}/late.csv.part")
    seen = changed(seen)
    drops.delete(f"in/{DAY}/a.r1.csv")
    seen = changed(seen, DAY)
    drops.delete("in/2026-09-04/a.csv")
    assert changed(seen) != seen, "where all is gone, nothing is to be done"
    other = drops.settings(tmp_path, url=f"s3a://{drops.bucket}/prod/")
    assert FILES.delivered(other, DAILY, seen).changed == frozenset(), "written otherwise it is the same place"
    for damaged in (b"nonsense", b"[]", b"{}"):
        assert FILES.delivered(settings, DAILY, damaged).changed == {"2026-09-02", DAY}


def test_pages_are_followed_to_the_end(tmp_path: Path, drops: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_PAGE", 4)
    for number in range(9):
        drops.put(f"in/{DAY}/{number}.csv", f"a\n{number}\n".encode())
    drops.proxy.count()
    settings = drops.settings(tmp_path)
    assert [file.path[-5:] for file in FILES.deliveries(reading(settings, DAY))] == [f"{n}.csv" for n in range(9)]
    assert drops.proxy.count() == {"lists": 3, "gets": 9}


def test_planning_copies_nothing_and_a_run_copies_each_object_once(tmp_path: Path, drops: Any) -> None:
    settings, hashes = drops.settings(tmp_path / "one"), FileHashes(tmp_path / "hashes.db")
    etag = drops.put(f"in/{DAY}/a.csv")
    with pytest.raises(NotReadYet, match=rf"{DAY}/a\.csv has not been read yet, as one of 1 \(state"):
        FILES.deliveries(reading(settings, DAY, hashes=hashes, planning=True))
    assert drops.proxy.count() == {"lists": 1, "gets": 0}
    assert not (tmp_path / "one").exists()
    delivery = one(FILES.deliveries(reading(settings, DAY, hashes=hashes)))
    assert delivery.sha256 == hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    assert delivery.content() == b"a,b\n1,2\n" and FILES.read(delivery).select("a", "b").rows() == [("1", "2")]
    assert drops.proxy.count() == {"lists": 1, "gets": 1}
    hashes.save()
    for known in (hashes, FileHashes(tmp_path / "hashes.db")):  # also in another process
        assert one(FILES.deliveries(reading(settings, DAY, hashes=known, planning=True))) == delivery
    state = SourceFile(delivery.path, delivery.sha256, delivery.size, 1, etag=etag)
    taken = reading(settings, DAY, taken=lambda: [state], planning=True)
    assert one(FILES.deliveries(taken)) == delivery, "on another machine the commit says it"
    assert drops.proxy.count() == {"lists": 3, "gets": 0}
    drops.put(f"in/{DAY}/a.csv", b"a,b\n1,3\n")
    with pytest.raises(NotReadYet):
        FILES.deliveries(reading(settings, DAY, hashes=hashes, taken=lambda: [state], planning=True))


def test_an_object_that_changes_meanwhile_is_looked_at_again_and_never_mixed(tmp_path: Path, drops: Any) -> None:
    drops.put(f"in/{DAY}/a.csv", b"a\n1\n")
    drops.put(f"in/{DAY}/b.csv", b"a\n2\n")
    settings, changes = drops.settings(tmp_path), [b"a\n3\n"]

    def overwritten(method: str, path: str) -> None:
        if changes and asked_for(path, "/b.csv"):
            etags.append(drops.put(f"in/{DAY}/b.csv", changes.pop()))

    etags: list[str] = []
    drops.proxy.fault = overwritten
    files = FILES.deliveries(reading(settings, DAY))
    assert [file.content() for file in files] == [b"a\n1\n", b"a\n3\n"]
    assert [files[1].elsewhere.etag] == etags, "what was read is what its ETag says"
    changes += [b"a\n%d\n" % number for number in range(4, 10)]
    drops.put(f"in/{DAY}/b.csv", b"a\n10\n")
    with pytest.raises(DeliveryError, match=r"b\.csv: was overwritten while it was being read; run again once the"):
        FILES.deliveries(reading(settings, DAY))
    changes.clear()
    drops.proxy.fault = lambda method, path: drops.delete(f"in/{DAY}/b.csv") if asked_for(path, "/b.csv") else None
    assert one(FILES.deliveries(reading(settings, DAY))).path.endswith("/a.csv"), "it is gone by now"


def test_what_was_known_and_is_another_object_now_is_refused(tmp_path: Path, drops: Any) -> None:
    """Between two looks: the first knew the bytes, and nobody has them any more."""
    hashes, settings = FileHashes(), drops.settings(tmp_path / "one")
    drops.put(f"in/{DAY}/a.csv", b"a\n1\n")
    FILES.deliveries(reading(settings, DAY, hashes=hashes))
    (before,) = FILES.deliveries(reading(drops.settings(tmp_path / "two"), DAY, hashes=hashes))
    drops.put(f"in/{DAY}/a.csv", b"a\n2\n")
    with pytest.raises(DeliveryError, match="was overwritten while it was being read"):
        before.content()
    drops.delete(f"in/{DAY}/a.csv")
    with pytest.raises(DeliveryError, match=r"is not there any more; run again"):
        list(FILES.blocks(before))


def test_a_commit_says_what_an_object_holds_where_its_etag_is_computed_from_the_bytes(
    tmp_path: Path, drops: Any
) -> None:
    path = f"{drops.prefix}/in/{DAY}/a.csv"
    for etag, known in (
        ("0123456789abcdef" * 2, True),
        (f"{'0123456789abcdef' * 2}-12", True),
        ("7", False),
        ("", False),
    ):
        item = f"<Contents><Key>{path}</Key><Size>8</Size><ETag>&quot;{etag}&quot;</ETag></Contents>"
        listing = f"<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated>{item}</ListBucketResult>".encode()
        drops.proxy.fault = lambda method, path, listing=listing: (200, listing)
        state = SourceFile(f"s3://{drops.bucket}/{path}", "f" * 64, 8, 1, etag=f'"{etag}"')
        planned = reading(drops.settings(tmp_path), DAY, taken=lambda state=state: [state], planning=True)
        if known:
            assert one(FILES.deliveries(planned)).sha256 == "f" * 64
        else:
            with pytest.raises(NotReadYet):
                FILES.deliveries(planned)


def test_keys_that_no_file_can_have_are_named_and_markers_are_nothing(tmp_path: Path, drops: Any) -> None:
    drops.put(f"in/{DAY}/a.csv")
    drops.put("in/", b"")
    drops.put(f"in/{DAY}/", b"")
    drops.put(f"in/{DAY}/sub/", b"")
    for key in ("in//2026-09-03/b.csv", f"in/{DAY}//c.csv", f"in/{DAY}/../{DAY}/d.csv", f"in/{DAY}/./e.csv", "in/f/"):
        drops.put(key)
    settings = drops.settings(tmp_path)
    assert one(FILES.deliveries(reading(settings, DAY))).path == f"{drops.root}in/{DAY}/a.csv"
    left = FILES.leftovers(settings, DAILY)
    assert [item.path for item in left] == [
        "in//2026-09-03/b.csv", f"in/{DAY}/../{DAY}/d.csv", f"in/{DAY}/./e.csv", f"in/{DAY}//c.csv", "in/f/",
    ]  # fmt: skip
    assert str(left[0]) == (
        f"{drops.root}in//2026-09-03/b.csv (its key has an empty part, or one of dots, which no pattern names: have it written "
        "without)"
    )
    of_day = FILES.leftovers(settings, DAILY, DAY)
    assert [item.path for item in of_day] == [f"in/{DAY}/../{DAY}/d.csv", f"in/{DAY}/./e.csv", f"in/{DAY}//c.csv"]


def test_an_object_that_is_too_large_is_refused_before_it_is_copied(tmp_path: Path, drops: Any) -> None:
    drops.put(f"in/{DAY}/a.csv", bytes(2 << 20))
    reader = replace(FILES, limits=Limits(object_mb=1))
    message = (
        rf"{DAY}/a\.csv: has 2 MB, more than the 1 that are taken; ask the upstream for smaller ones, or declare "
        r"Files\(…, limits=Limits\(object_mb=2\)\)"
    )
    with pytest.raises(DeliveryError, match=message):
        reader.deliveries(reading(drops.settings(tmp_path), DAY))
    assert drops.proxy.count()["gets"] == 0


def test_files_of_every_format_are_read_from_a_copy(tmp_path: Path, drops: Any) -> None:
    content = b"a,b\n1,x\n2,y\n"
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    parquet, several = io.BytesIO(), io.BytesIO()
    frame.write_parquet(parquet)
    with zipfile.ZipFile(several, "w") as archive:
        archive.writestr("one.csv", content)
        archive.writestr("two.txt", content)
    made = {
        "a.csv": content,
        "b.csv.gz": gzip.compress(content),
        "c.jsonl": b'{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n',
        "d.parquet": parquet.getvalue(),
        "e.zip": several.getvalue(),
    }
    reader = Files("in/{day}/*", (".csv", ".csv.gz", ".jsonl", ".parquet", ".zip"), connection="drops")
    for name, body in made.items():
        drops.put(f"in/{DAY}/{name}", body)
    files = reader.deliveries(reading(drops.settings(tmp_path), DAY))
    for file, (name, body) in zip(files, made.items(), strict=True):
        frames = [frame for part in reader.parts(file) for frame in part.frames or ()]
        rows = [str(row) for frame in frames for row in frame.select("a", "b").rows()]
        assert [text.replace("'1'", "1").replace("'2'", "2") for text in rows] == ["(1, 'x')", "(2, 'y')"], name
        assert file.content() == body
    assert drops.proxy.count()["gets"] == len(made)
