"""Files in the lake's root, on disk and on S3."""

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assay.errors import AssayError
from assay.features.storage.storage import Storage, open_storage
from assay.features.tables.lake import Lake


def test_a_file_comes_back_as_it_was_put(any_lake: Lake) -> None:
    storage = any_lake.storage
    content = os.urandom(100_000)
    storage.put("a/b/one.bin", content)
    storage.put("a/b/empty", b"")
    assert storage.get("a/b/one.bin") == content
    assert storage.get("a/b/empty") == b""
    assert storage.size("a/b/one.bin") == 100_000
    storage.put("a/b/one.bin", b"new")
    assert storage.get("a/b/one.bin") == b"new"


def test_what_is_not_there_is_said_to_be_gone(any_lake: Lake) -> None:
    storage = any_lake.storage
    assert storage.size("a/none") is None
    assert storage.modified("a/none") is None
    with pytest.raises(AssayError, match="a/none is not there"):
        storage.get("a/none")
    storage.delete("a/none")
    assert storage.list("a") == [] and storage.walk("a") == []


def test_what_no_file_can_be_called_is_not_there(lake: Lake) -> None:
    """Names may come from an address that somebody typed."""
    lake.storage.put("a", b"x")
    for name in ("x" * 300, "a/b", "x\0"):
        assert lake.storage.size(name) is None
        assert lake.storage.list(name) == []


def test_folders_are_listed_one_level_or_whole(any_lake: Lake) -> None:
    storage = any_lake.storage
    for path in ("a/2", "a/1", "a/b/3", "c/4"):
        storage.put(path, b"x")
    assert storage.list("a") == ["a/1", "a/2"]
    assert storage.walk("a") == ["a/1", "a/2", "a/b/3"]
    assert storage.walk() == ["a/1", "a/2", "a/b/3", "c/4"]
    storage.delete("a/1")
    assert storage.list("a") == ["a/2"]


def test_put_once_keeps_what_is_whole_repairs_what_is_not_and_makes_it_young(lake: Lake) -> None:
    storage = lake.storage
    storage.put_once("f", b"content")
    path = Path(storage.root, "f")
    inode, old = path.stat().st_ino, (datetime.now(UTC) - timedelta(days=9)).timestamp()
    os.utime(path, (old, old))
    storage.put_once("f", b"content")
    assert path.stat().st_ino == inode
    modified = storage.modified("f")
    assert modified is not None and datetime.now(UTC) - modified < timedelta(minutes=1)
    path.write_bytes(b"half")
    storage.put_once("f", b"content")
    assert storage.get("f") == b"content"


def test_what_is_kept_comes_in_pieces_and_stays_as_old_as_it_is(any_lake: Lake) -> None:
    storage = any_lake.storage

    def broken() -> Iterator[bytes]:
        yield b"half of "
        raise AssayError("it changed")

    with pytest.raises(AssayError, match="changed"):
        storage.keep("f", broken(), 15)
    assert storage.size("f") is None
    storage.keep("f", iter([b"half of ", b"it all."]), 15)
    assert storage.get("f") == b"half of it all."
    before = storage.modified("f")
    storage.keep("f", broken(), 15)  # it is there: nothing is read
    assert storage.modified("f") == before
    storage.put("f", b"half of")
    storage.keep("f", iter([b"half of ", b"it all."]), 15)
    assert storage.get("f") == b"half of it all."
    assert storage.walk() == ["f"]


def test_readers_see_the_old_file_or_the_new_one_never_a_mixture(lake: Lake) -> None:
    storage, size = lake.storage, 300_000
    storage.put("f", b"0" * size)
    stop = threading.Event()

    def rewrite() -> None:
        for number in range(60):
            storage.put("f", str(number % 10).encode() * size)
        stop.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    while not stop.is_set():
        content = storage.get("f")
        assert len(content) == size and len(set(content)) == 1
    writer.join()
    assert storage.walk() == ["f"], "no temporary file is left"


def test_a_failed_put_leaves_the_old_file_and_nothing_else(lake: Lake) -> None:
    storage = lake.storage
    storage.put("f", b"old")
    with pytest.raises(TypeError):
        storage.put("f", "not bytes")  # pyright: ignore[reportArgumentType]  (the failure under test)
    assert storage.get("f") == b"old"
    assert storage.walk() == ["f"]


def test_a_local_root_is_absolute_and_credentials_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_storage("lake/").root == str(tmp_path / "lake")
    assert open_storage(f"file://{tmp_path}/lake").root == str(tmp_path / "lake")
    assert "hunter2" not in repr(Storage("s3://lake", {"AWS_SECRET_ACCESS_KEY": "hunter2"}))
