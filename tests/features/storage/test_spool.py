"""Bytes that wait: few in memory, many in a file that nobody else sees."""

from pathlib import Path

import pytest

from assay.features.storage.spool import Spool, Spooled


def test_contents_come_back_from_memory_and_from_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    spool = Spool(str(folder), in_memory=10)
    held = [spool.add(content) for content in (b"12345", b"a long content", b"67890", b"", b"another long one")]
    contents = [item.read() if isinstance(item, Spooled) else item for item in held]
    assert contents == [b"12345", b"a long content", b"67890", b"", b"another long one"]
    assert [isinstance(item, Spooled) for item in held] == [False, True, False, False, True]
    assert list(folder.iterdir()) == []  # it has no name, so nothing is left of a process that is killed
    spool.close()
    spool.close()
    with pytest.raises(ValueError, match="closed"):
        held[1].read()  # pyright: ignore[reportAttributeAccessIssue]


def test_what_fits_into_memory_makes_no_file(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "none"), in_memory=10)
    spool.add(b"1234567890")
    assert not (tmp_path / "none").exists()
