"""An object is copied once, whole or not at all, and its copy is gone when nobody needs it."""

import gc
import shutil
import time
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assay.assets.lacking import FULL, UNREACHABLE, NotConnected, outage_of
from assay.assets.sources.deliveries import DeliveryError
from assay.assets.sources.objects import copies, s3, s3_errors
from assay.assets.sources.objects.address import Address
from assay.assets.sources.objects.connection import landing_of
from assay.assets.sources.objects.copies import Copies
from assay.assets.sources.objects.object_landing import ObjectLanding
from assay.assets.sources.objects.s3 import Bucket, Found
from assay.assets.sources.objects.s3_errors import Changed
from assay.errors import AssayError

CONTENT = bytes(range(256)) * 9000


def opened(drops: Any, home: Path) -> tuple[Bucket, list[Found]]:
    landing = landing_of(drops.settings(home), "drops")
    assert isinstance(landing, ObjectLanding)
    return landing.bucket, list(landing.bucket.listed("prod/"))


def files_in(home: Path) -> list[Path]:
    gc.collect()
    return [file for file in (home / "scratch").rglob("*") if file.is_file() and file.name != "lock"]


def test_copies_are_kept_up_to_a_size_and_as_long_as_somebody_has_them(
    tmp_path: Path, drops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "_KEPT", 2 * len(CONTENT))
    for name in "abc":
        drops.put(name, CONTENT)
    bucket, found = opened(drops, tmp_path)
    made = Copies(tmp_path)
    first = made.of(bucket, found[0])
    assert made.of(bucket, found[0]) is first and made.made == 1
    assert first.path.read_bytes() == CONTENT
    for one in found[1:]:
        made.of(bucket, one)
    assert len(files_in(tmp_path)) == 3 and first.path.exists(), "somebody has it"
    path = first.path
    del first
    assert len(files_in(tmp_path)) == 2 and not path.exists()
    made.of(bucket, found[0])
    assert made.made == 4


def test_an_object_that_ends_before_its_end_is_copied_again_and_then_refused_by_its_address(
    tmp_path: Path, drops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    drops.put("a", CONTENT)
    bucket, (found,) = opened(drops, tmp_path)
    cuts = [1000, len(CONTENT)]
    drops.proxy.fault = lambda method, path: (-cuts.pop(), b"") if cuts and path.endswith("/a") else None
    assert Copies(tmp_path).of(bucket, found).path.read_bytes() == CONTENT and not cuts
    # Cut off on the way; and whole, but not what was listed.
    for answer in ((-1, b""), (200, CONTENT[:-1])):
        drops.proxy.fault = lambda method, path, answer=answer: answer if path.endswith("/a") else None
        drops.proxy.count()
        why = r"does not come .*\(2,303,999 of 2,304,000 bytes come\)"
        with pytest.raises(DeliveryError, match=rf"^s3://{drops.bucket}/prod/a: {why}") as raised:
            Copies(tmp_path).of(bucket, found)
        assert outage_of(raised.value) is None and drops.proxy.count() == {"lists": 1, "gets": 3}
    assert files_in(tmp_path) == []


def test_one_object_that_the_store_does_not_give_is_refused_and_several_in_a_row_are_an_outage(
    tmp_path: Path, drops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    for name in "abcdefg":
        drops.put(name, CONTENT)
    bucket, found = opened(drops, tmp_path)
    made, bad = Copies(tmp_path), "abcd"

    def fault(method: str, path: str) -> tuple[int, bytes] | None:
        return (500, b"<Error><Code>InternalError</Code></Error>") if path[-1] in bad else None

    drops.proxy.fault = fault
    for one in (*found[:4], found[0]):
        with pytest.raises(DeliveryError, match=rf"/prod/{one.key[-1]}: does not come .*\(InternalError\)") as raised:
            made.of(bucket, one)
        assert outage_of(raised.value) is None
    assert made.of(bucket, found[4]).size == len(CONTENT), "others go on at once"
    bad = "abcdefg"
    for one in found[:4]:
        with pytest.raises(DeliveryError):
            made.of(bucket, one)
    with pytest.raises(NotConnected, match=r"lists objects and does not give them .*/prod/f\). Next: ") as raised:
        made.of(bucket, found[5])
    assert outage_of(raised.value) == UNREACHABLE
    # A store that has too much to do says so itself.
    s3_errors.forget_silence()
    drops.proxy.fault = lambda method, path: (503, b"<Error><Code>SlowDown</Code></Error>") if path[-1] == "a" else None
    with pytest.raises(NotConnected, match=r"\(SlowDown, the last one was s3://drops-\w+/prod/a\)"):
        made.of(bucket, found[0])
    assert made.of(bucket, found[5]).size == len(CONTENT)


def test_a_store_that_is_down_by_now_is_not_taken_for_one_bad_object(
    tmp_path: Path, drops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    drops.put("a", CONTENT)
    bucket, (found,) = opened(drops, tmp_path)
    drops.proxy.fault = lambda method, path: (500, b"<Error><Code>InternalError</Code></Error>")
    with pytest.raises(NotConnected, match=r"does not answer \(InternalError\)"):
        Copies(tmp_path).of(bucket, found)


def test_an_object_that_drips_is_given_up_and_one_that_comes_slowly_is_not(
    tmp_path: Path, drops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drops.put("a", bytes(60))
    bucket, (found,) = opened(drops, tmp_path)
    drops.proxy.drip = 0.02
    assert Copies(tmp_path).of(bucket, found).size == 60
    monkeypatch.setattr(s3, "_OBJECT_SECONDS", 0.1)
    with pytest.raises(DeliveryError, match=r"/prod/a: does not come .*\(it comes too slowly\)"):
        Copies(tmp_path).of(bucket, found)
    monkeypatch.setattr(s3, "_SPEED", 1)  # a byte in a second
    assert Copies(tmp_path).of(bucket, found).size == 60


def test_a_store_that_does_not_look_at_if_match_gives_no_other_state(tmp_path: Path, drops: Any) -> None:
    drops.put("a", CONTENT)
    bucket, (found,) = opened(drops, tmp_path)
    other = drops.put("a", CONTENT[::-1])
    drops.proxy.without = ("If-Match",)
    with pytest.raises(Changed):
        Copies(tmp_path).of(bucket, found)
    assert Copies(tmp_path).of(bucket, replace(found, etag=f"W/{other}")).path.read_bytes() == CONTENT[::-1]


def test_an_object_for_which_the_disk_has_no_room_is_an_outage_before_it_is_copied(
    tmp_path: Path, drops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drops.put("a", CONTENT)
    bucket, (found,) = opened(drops, tmp_path)
    drops.proxy.count()
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(1 << 20))
    with pytest.raises(AssayError, match=r"has no room to copy it\. Next: free some space") as raised:
        Copies(tmp_path).of(bucket, found)
    assert outage_of(raised.value) == FULL and drops.proxy.count()["gets"] == 0


def test_an_address_prints_no_secret() -> None:
    address = Address("b", "", "ASSAY_CONNECTIONS__B__URL", (("secret_access_key", "verysecret"),))
    assert "verysecret" not in repr(Bucket(address)) + str(address)
