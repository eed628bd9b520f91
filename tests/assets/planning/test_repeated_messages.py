"""A message is shown once, until it changes or has gone and come again."""

from pathlib import Path

import pytest

from assay.assets.planning.repeated_messages import FILE, not_shown_before


def test_each_message_is_new_once_until_it_changes_or_comes_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert not_shown_before([], home) == [] and not home.exists()
    assert not_shown_before(["a", "b"], home) == ["a", "b"]
    written = (home / FILE).stat().st_ino, (home / FILE).stat().st_mtime_ns
    assert not_shown_before(["a", "b"], home) == []
    assert ((home / FILE).stat().st_ino, (home / FILE).stat().st_mtime_ns) == written
    assert not_shown_before(["a", "b and c"], home) == ["b and c"]
    assert not_shown_before(["a"], home) == []
    assert not_shown_before(["a", "b and c"], home) == ["b and c"]
    assert "b and c" not in (home / FILE).read_text(), "names of files are in no further place"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"7"])
def test_where_the_memory_is_damaged_all_is_shown_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert not_shown_before(["a"], tmp_path) == ["a"]
    assert not_shown_before(["a"], tmp_path) == []


def test_where_nothing_can_be_kept_all_is_shown_each_time(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    assert (
        not_shown_before(["a\udcff"], tmp_path / "home")
        == not_shown_before(["a\udcff"], tmp_path / "home")
        == ["a\udcff"]
    )
