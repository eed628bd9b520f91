"""The lake, built once in a session, and a copy of it for every case."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lineage.mutations.world import World, build, copied, project


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
    with copied(parcels) as made:
        yield made
