"""Why a prediction is wrong, and what came of a bad file: on the demo, and on a stranger's project, which `assay init` has
written."""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from playwright.sync_api import Browser

from assay.assets.declarations import declarations, declared_in, ordered, steps_of
from assay.assets.planning.plan import planned_runs, stages
from assay.assets.steps.step import execute
from assay.cli.init import project_files
from assay.serve import create_app
from assay.store import open_store
from tests.assay.conftest import DAYS
from tests.assay.web.browsing import opened, served
from tests.assay.web.jobs import NARROW, WIDE, bad_file, complaint

PACKAGE = "kiosk_of_tests"
# What somebody adds to a new project first.
MODEL = '''
"""Who may soon order for much."""

import json
from datetime import date

import polars as pl

from assay import Model, Spine, TrainingSet


def fit(frame):
    return {"limit": 20.0}


def predict(model, frame):
    spent = frame["spent_7d"].fill_null(0)
    return pl.DataFrame({"spender": ["big" if value > model["limit"] else "small" for value in spent]})


cases = TrainingSet(
    "cases",
    Spine(source="clean/orders", keys=["order_id", "customer_id"], event_time="ordered_at"),
    features=["customer_spending:spent_7d"],
    label=(pl.col("amount") > 50).alias("much"),
    until="2026-09-02",
)
spender = Model(
    "spender",
    cases,
    fit,
    predict,
    outputs=["spender"],
    save=lambda model: json.dumps(model).encode(),
    load=json.loads,
    start=date(2026, 9, 2),
    retrain="manual",
    owner="shop-models",
)
'''


@dataclass(frozen=True)
class World:
    """A console, what a complaint says and which prediction it means, and what took rows of a file that was bad."""

    name: str
    address: str
    complaint: str
    prediction: str
    answer: str
    file: str
    affected: set[str]


@contextmanager
def kiosk(folder: Path) -> Iterator[World]:
    """Of the first day's customers C1 and C2 ordered again; the third's rows had all been set aside."""
    for path, text in project_files("kiosk", PACKAGE):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / PACKAGE / "declarations" / "spender.py").write_text(MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("ASSAY_PROJECT", str(folder))
        patch.setenv("ASSAY_HOME", str(folder / "var"))
        declarations.cache_clear()
        store = open_store(home=str(folder / "var"))
        modules = [importlib.import_module(f"{PACKAGE}.declarations.{name}") for name in ("orders", "spender")]
        steps = ordered(steps_of([item for module in modules for item in declared_in(module)]))
        for stage in stages(steps):
            for unit in planned_runs(stage, store.env()):
                for step in unit.steps:
                    execute(step, store.env(), unit.partition)
        rows = store.table("predictions/spender").scan().select("customer_id", "prediction_id").collect()
        ids = dict(rows.iter_rows())
        with served(create_app(store)) as address:
            file, affected = "orders/2026-09-01/orders.csv", {ids["C1"], ids["C2"]}
            yield World("kiosk", address, "C1 2026-09-02", ids["C1"], "gives the same answer", file, affected)
        store.recorder.close()
        declarations.cache_clear()
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[name]


@contextmanager
def demo(two_days: Any) -> Iterator[World]:
    """The file is the last day's tickets: what it touched is found by another way, through the tickets' own numbers."""
    store = open_store(home=str(two_days.home), embedding_model=two_days.settings["ASSAY_EMBEDDING_MODEL"])
    rows = store.table("predictions/router").scan().collect().sort("event_time")
    chosen = rows.row(-1, named=True)
    raw = store.table("raw/tickets").scan().filter(partition_key=DAYS[-1]).collect().sort("_source_file")
    file, sha256 = raw.row(0, named=True)["_source_file"], raw.row(0, named=True)["_source_sha256"]
    clean = store.table("clean/tickets").scan().filter(_source_sha256=sha256).select("ticket_id").collect()
    direct = rows.filter(pl.col("ticket_id").is_in(clean["ticket_id"].implode()))
    assert direct.height > 1
    with served(create_app(store)) as address:
        about = f"{chosen['customer_id']} {chosen['event_time']:%Y-%m-%d}"
        affected = set(direct["prediction_id"])
        yield World("demo", address, about, chosen["prediction_id"], str(chosen["intent"]), file, affected)
    store.recorder.close()


@pytest.fixture(scope="module", params=["demo", "kiosk"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One after the other: each has a project of its own."""
    made = (
        demo(request.getfixturevalue("two_days"))
        if request.param == "demo"
        else kiosk(tmp_path_factory.mktemp("kiosk"))
    )
    with made as found:
        yield found


SCREENS = [(WIDE, False), (NARROW, True), (NARROW, False), (WIDE, True)]  # by keyboard?
if not os.environ.get("SOAK"):
    SCREENS = SCREENS[:2]


@pytest.mark.parametrize(("size", "keys"), SCREENS, ids=str)
def test_why_a_prediction_is_wrong(browser: Browser, world: World, size: tuple[int, int], keys: bool) -> None:
    with opened(browser, world.address, size) as page:
        complaint(page, world.complaint, world.prediction, world.answer, keys=keys, name=world.name)


@pytest.mark.parametrize(("size", "keys"), SCREENS, ids=str)
def test_what_came_of_a_bad_file(
    browser: Browser, world: World, size: tuple[int, int], keys: bool, tmp_path: Path
) -> None:
    with opened(browser, world.address, size) as page:
        bad_file(page, world.file, world.affected, keys=keys, name=world.name, folder=tmp_path)
