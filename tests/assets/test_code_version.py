"""Which code ran is named by release, and in a working copy by commit."""

import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from assay.assets.code_version import code_identity


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    code_identity.cache_clear()
    yield
    code_identity.cache_clear()


def git(*arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.invalid"]
    return subprocess.run(["git", *who, *arguments], capture_output=True, text=True, check=True).stdout.strip()


def test_outside_of_a_working_copy_the_release_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert code_identity() == {"assay": version("assay")}


def test_in_a_working_copy_the_commit_and_whether_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    Path("a.txt").write_text("1")
    git("add", "a.txt")
    git("commit", "-q", "-m", "first")
    clean = code_identity()
    assert clean == {"assay": version("assay"), "git": git("rev-parse", "HEAD"), "changed": "no"}
    Path("a.txt").write_text("2")
    code_identity.cache_clear()
    assert code_identity() == clean | {"changed": "yes"}
