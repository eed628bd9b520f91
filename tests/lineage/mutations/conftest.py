"""The lake, built once in a session, and a copy of it for every case."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lineage.mutations.world import World, build, project


@pytest.fixture(scope="session")
def original(made_once: Callable[..., Path]) -> Path:
    """The folder with the project and the home of the lake that is copied."""

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch, project(folder / "project", patch):
            build(folder / "home")

    return made_once("mutations", make)


@pytest.fixture(scope="module")
def parcels(original: Path) -> Iterator[Path]:
    """The same, with the project importable and active."""
    with pytest.MonkeyPatch.context() as patch, project(original / "project", patch):
        yield original / "home"


@pytest.fixture
def world(parcels: Path) -> Iterator[World]:
    """A copy of one's own. Nothing of it is kept: there are hundreds."""
    with tempfile.TemporaryDirectory(prefix="assay-mutation-") as folder:
        shutil.copytree(parcels, folder, dirs_exist_ok=True)
        made = World(Path(folder))
        yield made
        made.close()
