import hashlib
import os
from pathlib import Path

import pytest

from assay.assets.sources.file_hashes import FileHashes


def put(file: Path, content: bytes, *, at: float = 1e9) -> str:
    file.write_bytes(content)
    os.utime(file, (at, at))
    return hashlib.sha256(content).hexdigest()


def test_a_file_is_hashed_once_until_it_changes(tmp_path: Path) -> None:
    file, hashes = tmp_path / "a", FileHashes()
    digest = put(file, b"one")
    assert [hashes.of(file), hashes.of(file)] == [(digest, 3)] * 2
    assert hashes.computed == 1
    longer = put(file, b"three")
    assert hashes.of(file) == (longer, 5)
    touched = put(file, b"seven", at=1e9 + 1)
    assert hashes.of(file) == (touched, 5)
    other = tmp_path / "b"
    replaced = put(other, b"eight", at=1e9 + 1)
    other.replace(file)
    assert hashes.of(file) == (replaced, 5), "same size and time, another inode"
    assert hashes.computed == 4
    hashes.forget(file)
    hashes.of(file)
    assert hashes.computed == 5


def test_a_file_that_has_just_changed_is_not_trusted(tmp_path: Path) -> None:
    file, hashes = tmp_path / "a", FileHashes()
    file.write_bytes(b"one")
    hashes.of(file)
    hashes.of(file)
    assert hashes.computed == 2


def test_what_is_known_is_kept_for_the_next_process_and_only_when_asked(tmp_path: Path) -> None:
    file, kept = tmp_path / "a", tmp_path / "home" / "hashes.db"
    digest = put(file, b"one")
    first = FileHashes(kept)
    first.of(file)
    assert not kept.exists()
    first.save()
    again = FileHashes(kept)
    assert (again.of(file), again.computed) == ((digest, 3), 0)
    before = kept.stat().st_mtime_ns
    again.save()
    assert kept.stat().st_mtime_ns == before, "nothing new, nothing written"
    assert [item.name for item in kept.parent.iterdir()] == ["hashes.db"]


@pytest.mark.parametrize("content", [b"", b"[]", b"\x00" * 5000])
def test_a_damaged_memory_is_an_empty_one(tmp_path: Path, content: bytes) -> None:
    kept = tmp_path / "hashes.db"
    kept.write_bytes(content)
    digest = put(tmp_path / "a", b"one")
    damaged = FileHashes(kept)
    assert damaged.of(tmp_path / "a") == (digest, 3)
    damaged.save()
    again = FileHashes(kept)
    assert (again.of(tmp_path / "a"), again.computed) == ((digest, 3), 0)


def test_saving_writes_what_is_new_and_reads_what_is_asked_for(tmp_path: Path) -> None:
    """However many files are known, and whoever else saves."""
    kept = tmp_path / "hashes.db"
    one, other = FileHashes(kept), FileHashes(kept)
    digests = {name: put(tmp_path / name, name.encode()) for name in "abc"}
    one.of(tmp_path / "a")
    one.save()
    other.of(tmp_path / "b")
    other.save()
    third = FileHashes(kept)
    assert [third.of(tmp_path / name)[0] for name in "ab"] == [digests["a"], digests["b"]]
    assert third.computed == 0
    third.forget(tmp_path / "a")
    third.save()
    fourth = FileHashes(kept)
    assert [fourth.of(tmp_path / name)[0] for name in "ab"] == [digests["a"], digests["b"]]
    assert fourth.computed == 1
