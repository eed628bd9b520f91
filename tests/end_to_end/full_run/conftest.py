"""One full run of the shipped domain, made by the real command in the order in which the world delivered, and shared by
every test of this folder."""

import csv
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import pytest

import assay
from assay.store import Store
from tests.order import SHARED_RUN

ROOT = Path(__file__).resolve().parents[3]
REAL_TICKETS = ROOT.parent / "shared" / "data" / "banking77"
SOAK = bool(os.environ.get("SOAK"))
# The evening on which an empty file has arrived, the one on which a column has been renamed for two days, the end.
EVENINGS = ("2026-09-10", "2026-09-14", "2026-09-30")


class Place(Protocol):
    """See `tests/conftest.py`."""

    folder: Path
    home: Path
    environment: dict[str, str]

    def assay(self, *arguments: str, code: int = 0) -> str: ...
    def json(self, *arguments: str, code: int = 0) -> Any: ...
    def start(self, *arguments: str, **options: Any) -> Any: ...


@dataclass(frozen=True)
class FullRun:
    """A finished run. `phases` are what `assay materialize --json` said on each evening."""

    place: Place
    phases: tuple[Mapping[str, Any], ...]
    real: Path | None

    @cached_property
    def store(self) -> Store:
        return assay.open(home=self.place.home)

    @cached_property
    def truth(self) -> Mapping[str, Any]:
        return json.loads((self.place.home / "landing.truth.json").read_bytes())

    @property
    def landing(self) -> Path:
        return self.place.home / "landing"

    def frame(self, table: str) -> pl.DataFrame:
        return self.store.table(table).scan().collect()

    def versions(self) -> dict[str, int]:
        return {info.name: info.version for info in self.store.tables()}


def a_third_of(tickets: Path, folder: Path) -> Path:
    for name in ("train.csv", "test.csv"):
        with (tickets / name).open(encoding="utf-8", newline="") as stream:
            names, *rows = csv.reader(stream)
        with (folder / name).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([names, *rows[::3]])
    return folder


@pytest.fixture(scope="session")
def full_run(tmp_path_factory: pytest.TempPathFactory, new_place: Callable[..., Place]) -> FullRun:
    """All thirty days: of the real queries where they are beside this checkout (a third of them, in a soak all), else of
    generated ones."""
    place = new_place(tmp_path_factory.mktemp("full-run"))
    real = REAL_TICKETS if REAL_TICKETS.is_dir() else None
    if real is not None and not SOAK:
        real = a_third_of(real, tmp_path_factory.mktemp("tickets"))
    tickets = ["--tickets", str(real)] if real else []
    phases = []
    for evening in EVENINGS:
        place.assay("demo", *tickets, "--until", evening)
        # Exit code 3: done, but batches were stopped. On the last evening everything has been corrected.
        phases.append(place.json("materialize", code=0 if evening == EVENINGS[-1] else 3))
    return FullRun(place, tuple(phases), real)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whichever test comes first waits for the run."""
    for item in items:
        if item.nodeid.startswith(SHARED_RUN):
            item.add_marker(pytest.mark.timeout(1800))
