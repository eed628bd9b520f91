"""A small real lake to lie in: one project of parcels, delivered, checked, learnt from and predicted day by day.

Built once by the project's own steps; every case gets a copy. What the cases change is named by what it is (the commit of the
prediction, the kept file of its day), never by a path that a test writes down.
"""

import importlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import assay
from assay.assets.declarations import declared_in, ordered, steps_of
from assay.assets.planning.plan import planned_runs, stages
from assay.assets.steps.step import Result, Step, execute

PACKAGE = "parcels"
PROJECT = '''
"""Parcels: which will be late?"""

import json

import polars as pl

from assay import (
    Contract,
    Entity,
    Feature,
    FeatureView,
    Field,
    Files,
    Model,
    Partitioning,
    Source,
    Spine,
    Timestamp,
    TrainingSet,
    windows,
)


class Parcels(Contract):
    parcel: str = Field(key=True)
    depot: str = Field()
    sent: Timestamp = Field()
    grams: int = Field(ge=0)
    hours: float = Field()

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "parcels"


parcels = Source(
    name="parcels",
    reader=Files("parcels/{day}/*", (".csv",)),
    partitioning=Partitioning.daily("2026-03-01"),
    contract=Parcels,
    key=("parcel",),
    event_time="sent",
)

parcel = FeatureView(
    "parcel",
    entity=Entity("parcel", ["parcel"]),
    event_time="sent",
    source="clean/parcels",
    features=[Feature("weight", pl.col("grams") / 1000)],
)

depot = FeatureView(
    "depot",
    entity=Entity("depot", ["depot"]),
    event_time="event_time",
    max_age="2d",
    features=windows(["1d", "2d"], source="clean/parcels", time="sent", sent=pl.len()),
)

delays = TrainingSet(
    "delays",
    Spine(
        source="clean/parcels",
        keys=["parcel", "depot"],
        event_time="sent",
        build=lambda parcels, depots: parcels.join(depots, on="depot", how="semi"),
        lookups=["lists/depots"],
    ),
    features=[parcel, "depot:sent_1d"],
    label=(pl.col("hours") > 24).alias("late"),
    until="2026-03-03",
)


def fit(frame):
    return {"above": frame.filter(pl.col("late"))["weight"].min()}


def predict(fitted, frame):
    late = frame["weight"] >= fitted["above"]
    return pl.DataFrame({"late": late, "confidence": (0.5 + frame["weight"] / 10).clip(0, 1)})


late = Model(
    "late",
    delays,
    fit,
    predict,
    outputs=["late"],
    save=lambda fitted: json.dumps(fitted).encode(),
    load=json.loads,
    held_back=0,
)
'''

DAYS = range(1, 6)  # delivered; the first two are learnt from, the others predicted
TABLE = "predictions/late"
OF_DAY = "predictions.json"


def day(number: int) -> str:
    return f"2026-03-{number:02d}"


def delivery(number: int, parcels: int = 6, *, heavier: int = 0) -> str:
    """A day's file: a parcel an hour, from two depots, ever heavier; the heavy ones take longer."""
    lines = ["parcel,depot,sent,grams,hours"]
    for index in range(parcels):
        grams = 500 * (index + 1) + heavier
        lines.append(f"p{number}-{index},D{index % 2},{day(number)}T{index + 1:02d}:00:00Z,{grams},{grams / 75}")
    return "\n".join([*lines, ""])


@dataclass
class World:
    """One copy of the lake, with everything beside it: `home` has the lake, the landing folder and the lineage store.

    `prediction` is the one in question; a case may make it another one. `of_day` are ids, one for each predicted day.
    """

    home: Path
    prediction: str = ""
    of_day: Mapping[int, str] = field(default_factory=dict)

    @cached_property
    def store(self) -> assay.Store:
        return assay.open(home=str(self.home))

    @property
    def lake(self) -> Path:
        return self.home / "lake"

    @property
    def landing(self) -> Path:
        return self.home / "landing"

    @property
    def lineage(self) -> Path:
        return self.home / "lineage.db"

    def close(self) -> None:
        if "recorder" in vars(self.store):
            self.store.recorder.close()
        if "lineage_store" in vars(self.store):
            self.store.lineage_store.close()

    # -- the project ---------------------------------------------------------------------------------------------------

    @property
    def steps(self) -> tuple[Step, ...]:
        return ordered(steps_of(list(declared_in(importlib.import_module(f"{PACKAGE}.declared")))))

    def deliver(self, number: int, **changes: Any) -> Path:
        file = self.landing / "parcels" / day(number) / "a.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(delivery(number, **changes))
        return file

    def run(self) -> list[Result]:
        """Everything that is due, in order."""
        done = []
        for stage in stages(self.steps):
            for unit in planned_runs(stage, self.store.env()):
                done += [execute(step, self.store.env(), unit.partition) for step in unit.steps]
        return done

    # -- what there is to change ---------------------------------------------------------------------------------------

    def row(self, number: int, index: int = 2) -> dict[str, Any]:
        """The prediction of a parcel of a day."""
        rows = self.store.table(TABLE).scan().filter(pl.col("parcel") == f"p{number}-{index}").collect()
        return rows.row(0, named=True)

    def commit(self, table: str, version: int) -> Path:
        return self.lake / table / "_delta_log" / f"{version:020d}.json"

    def versions(self, table: str) -> list[int]:
        return sorted(int(path.stem) for path in (self.lake / table / "_delta_log").glob("*.json"))

    def added(self, table: str, version: int) -> list[Path]:
        """The data files that a commit added."""
        return [
            self.lake / table / item["add"]["path"] for item in actions(self.commit(table, version)) if "add" in item
        ]

    def data(self, table: str, version: int) -> Path:
        (path,) = self.added(table, version)
        return path

    def info(self, table: str, version: int) -> dict[str, Any]:
        return next(item["commitInfo"] for item in actions(self.commit(table, version)) if "commitInfo" in item)

    def kept(self, number: int) -> Path:
        """The lake's copy of a day's delivery."""
        (source,) = json.loads(self.info("raw/parcels", number)["assay.sources"])
        return self.lake / source["kept"]

    @property
    def contract(self) -> Path:
        """The declaration by which the prediction's rows were judged."""
        digest = json.loads(self.info("clean/parcels", 4)["assay.contract"])["digest"]
        return self.lake / "_contracts" / f"{digest}.json"

    def seal(self, table: str, version: int) -> Path:
        (path,) = (self.lake / "_seals" / table).rglob(f"{version:020d}.json")
        return path

    def name(self, path: Path) -> str:
        """As a finding names a file of the lake."""
        return path.relative_to(self.lake).as_posix()


def actions(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@contextmanager
def project(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The declared project, importable and active."""
    package = folder / PACKAGE
    package.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(f'[tool.assay]\ndomains = ["{PACKAGE}"]\n')
    (package / "__init__.py").touch()
    (package / "declared.py").write_text(PROJECT)
    patch.syspath_prepend(folder)
    patch.setenv("ASSAY_PROJECT", str(folder))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def build(home: Path) -> None:
    """Five days of life, each by the steps that a day makes due."""
    world = World(home)
    with world.store.transaction("lists/depots") as tx:
        tx.write("lists/depots", pl.DataFrame({"depot": ["D0", "D1"]}))
    with world.store.transaction("clean/notes") as tx:
        tx.write("clean/notes", pl.DataFrame({"note": ["nobody reads this"]}))
    for number in DAYS:
        world.deliver(number)
        world.run()
    (home / OF_DAY).write_text(json.dumps({number: world.row(number)["prediction_id"] for number in (3, 4, 5)}))
    world.close()


@contextmanager
def copied(home: Path) -> Iterator[World]:
    """A copy of a home, in memory where there is such a file system. Nothing of it is kept: there are hundreds."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="assay-mutation-", dir=memory if memory.is_dir() else None) as folder:
        shutil.copytree(home, folder, dirs_exist_ok=True)
        of_day = {int(number): key for number, key in json.loads((home / OF_DAY).read_text()).items()}
        made = World(Path(folder), of_day=of_day)
        yield made
        made.close()
