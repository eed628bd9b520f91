"""An object is copied once, whole or not at all, and its copy is gone when nobody needs it."""

import gc
import shutil
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from assay.assets.lacking import FULL, UNREACHABLE, outage_of
from assay.assets.sources.objects import copies, s3_errors
from assay.assets.sources.objects.address import Address
from assay.assets.sources.objects.connection import landing_of
from assay.assets.sources.objects.copies import Copies
from assay.assets.sources.objects.object_landing import ObjectLanding
from assay.assets.sources.objects.s3 import Bucket, Found
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


def test_an_object_that_ends_before_its_end_is_copied_again_and_then_an_outage(
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
        s3_errors.forget_silence()
        drops.proxy.fault = lambda method, path, answer=answer: answer if path.endswith("/a") else None
        with pytest.raises(AssayError, match=r"does not answer \(an object ends before its end\)") as raised:
            Copies(tmp_path).of(bucket, found)
        assert outage_of(raised.value) == UNREACHABLE
    assert files_in(tmp_path) == []


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
