"""Changed declarations are loaded when they can be; else the ones loaded before stay, and one message gives the reason."""

import uuid
from pathlib import Path

import pytest

from assay.assets.declared_files import DeclaredFiles
from assay.assets.project import Project
from assay.assets.reloading import Reloading


class Watched:
    """A module in a folder, looked at step by step."""

    def __init__(self, folder: Path) -> None:
        name = f"module_{uuid.uuid4().hex}"
        self.file, self.reloads = folder / f"{name}.py", 0
        self.file.write_text("X = 1\n")
        self.broken: dict[str, str] = {}
        self.tried, self.before = 0, ["old"]
        files = DeclaredFiles(Project("p", (name,), folder))
        self.reloading = Reloading(files, files.contents(), self.reload, lambda: self.before, self.trial)

    def reload(self) -> None:
        self.reloads += 1

    def trial(self) -> dict[str, str]:
        self.tried += 1
        return self.broken


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_change_is_loaded_once_when_it_is_complete(watched: Watched) -> None:
    for text in ("X = 2\n", "X = 3\n"):  # being written
        watched.file.write_text(text)
        watched.reloading.look()
    assert (watched.tried, watched.reloads) == (0, 0)
    for _ in range(3):
        watched.reloading.look()
    assert (watched.tried, watched.reloads) == (1, 1)


def test_what_cannot_be_loaded_is_said_once_and_loads_nothing(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.broken = {"shop": "shop cannot be loaded: line 3: invalid syntax. Correct it."}
    watched.file.write_text("X = \n")
    for _ in range(4):
        watched.reloading.look()
    assert (watched.tried, watched.reloads) == (1, 0)
    assert [record.getMessage() for record in caplog.records] == [
        "shop cannot be loaded: line 3: invalid syntax. Correct it. "
        "The declarations of before stay; runs are requested again when it is corrected."
    ]
    watched.broken = {}
    watched.file.write_text("X = 4\n")
    for _ in range(3):
        watched.reloading.look()
    assert watched.reloads == 1


def test_what_was_broken_before_holds_up_nothing(watched: Watched) -> None:
    watched.broken = {"old": "old cannot be loaded"}
    watched.file.write_text("X = 5\n")
    for _ in range(2):
        watched.reloading.look()
    assert watched.reloads == 1


def test_what_is_taken_back_is_not_loaded(watched: Watched) -> None:
    watched.broken = {"shop": "no"}
    for text in ("X = \n", "X = 1\n"):
        watched.file.write_text(text)
        for _ in range(3):
            watched.reloading.look()
    assert watched.reloads == 0
