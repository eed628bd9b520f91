"""An airline: flights by day, two feature views, a training set and two models, declared in one file of a package."""

import importlib
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from assay.assets.declarations import declared_in, ordered, steps_of
from assay.assets.planning.plan import planned_runs, stages
from assay.assets.steps.step import Resources, Result, Step, execute
from assay.store import open_store
from tests.assets.steps.compared_people import SHOP
from tests.conftest import SOAK

AIRLINE = '''
"""An airline's flights: which are late, and by how much."""

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

STRENGTH = 100.0


class Flights(Contract):
    flight: str = Field(key=True)
    carrier: str = Field()
    departs: Timestamp = Field()
    miles: int = Field(ge=0)
    wind: float = Field()
    minutes: float = Field(nullable=True)

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "airline"


flights = Source(
    name="flights",
    reader=Files("flights/{day}/*", (".csv",)),
    partitioning=Partitioning.daily("2026-03-01"),
    contract=Flights,
    key=("flight",),
    event_time="departs",
)

flight = FeatureView(
    "flight",
    entity=Entity("flight", ["flight"]),
    event_time="departs",
    source="clean/flights",
    features=[Feature("distance", pl.col("miles")), Feature("gusts", pl.col("wind"))],
)

carrier = FeatureView(
    "carrier",
    entity=Entity("carrier", ["carrier"]),
    event_time="event_time",
    max_age="1d",
    features=windows(["1d", "2d"], source="clean/flights", time="departs", flights=pl.len()),
)

delays = TrainingSet(
    "delays",
    Spine(source="clean/flights", keys=["flight", "carrier"], event_time="departs", where=pl.col("miles") > 0),
    features=[flight, "carrier:flights_1d"],
    label=(pl.col("minutes") > 15).alias("late"),
    until="2026-03-05",
)


def inputs(frame):
    return frame.select("distance", "gusts", pl.col("flights_1d").fill_null(0)).to_numpy()


def fit(frame):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH)).fit(inputs(frame), frame["late"].to_numpy())


def predict(model, frame):
    chance = model.predict_proba(inputs(frame)).max(axis=1)
    return pl.DataFrame({"late": model.predict(inputs(frame)), "confidence": chance})


late = Model("late", delays, fit, predict, outputs=["late"], params={"strength": STRENGTH}, owner="airline-ml")
'''

OWN = '''
"""A model that stores itself: the mean wait by whether the wind is strong."""

import json

import polars as pl

from assay import Model, Spine, TrainingSet

LIMIT = 0.5

waits = TrainingSet(
    "waits",
    Spine(
        source="clean/flights",
        keys=["flight"],
        event_time="departs",
        build=lambda flights, hubs: flights.join(hubs, on="carrier", how="semi"),
        lookups=["lists/hubs"],
    ),
    features=["flight:gusts as wind"],
    label="minutes",
    until="2026-03-05",
)


def fit_means(frame):
    strong = pl.col("wind") > LIMIT
    means = frame.group_by(strong.alias("strong")).agg(pl.col("minutes").mean())
    return {"yes" if strong else "no": minutes for strong, minutes in means.sort("strong").rows()}


def predict_wait(means, frame):
    strong = frame["wind"] > LIMIT
    return pl.DataFrame({"wait": [means["yes" if item else "no"] for item in strong]}, schema={"wait": pl.Float64})


def save_json(means):
    return json.dumps(means, sort_keys=True).encode()


wait = Model("wait", waits, fit_means, predict_wait, outputs=["wait"], save=save_json, load=json.loads, held_back=0.25)
'''


def day(number: int) -> str:
    return f"2026-03-{number:02d}"


class Airline:
    """The package, its landing folder and its lake."""

    def __init__(self, home: Path, package: ModuleType) -> None:
        self.package, self.store = package, open_store(home=str(home))

    day = staticmethod(day)

    @property
    def env(self) -> Resources:
        return self.store.env()

    @property
    def steps(self) -> tuple[Step, ...]:
        names = sorted(path.stem for path in Path(str(self.package.__file__)).parent.glob("[a-z]*.py"))
        declared = {id(item): item for name in names for item in declared_in(self.module(name))}
        return ordered(steps_of(list(declared.values())))

    def step(self, table: str) -> Step:
        return next(step for step in self.steps if table in step.outputs)

    def module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{self.package.__name__}.{name}")

    def deliver(self, number: int, flights: int = 40) -> None:
        """A day of flights: those with strong wind are late."""
        chance = random.Random(number)
        lines = ["flight,carrier,departs,miles,wind,minutes"]
        for index in range(flights):
            wind = round(chance.random(), 4)
            minutes = round(wind * 30 + (10 if wind > 0.5 else -10), 2)
            at = f"{day(number)}T{index % 24:02d}:{index // 24:02d}:00Z"
            known = "" if index == 0 else minutes
            lines.append(f"F{number}-{index},C{index % 3},{at},{chance.randrange(1, 900)},{wind},{known}")
        file = Path(self.store.settings.landing_path, "flights", day(number), "a.csv")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join([*lines, ""]))

    def run(self) -> list[Result]:
        """Everything that is due, in order."""
        found = []
        for stage in stages(self.steps):
            for unit in planned_runs(stage, self.env):
                for step in unit.steps:
                    keys = step.batches(self.env) if step.batches else [unit.partition]
                    found += [execute(step, self.env, key) for key in keys]
        return found

    def frame(self, table: str) -> pl.DataFrame:
        return self.store.table(table).scan().collect()

    def versions(self) -> dict[str, int]:
        return {info.name: info.version for info in self.store.tables()}


@contextmanager
def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Airline]:
    package = folder / "packages" / "airline"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "flights.py").write_text(AIRLINE)
    monkeypatch.syspath_prepend(package.parent)
    yield Airline(folder / "var", importlib.import_module("airline"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "airline"]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def six_days(made_once: Callable[..., Path]) -> Path:
    """The home of an airline whose six days are delivered and computed: made once, to be copied."""

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch, opened(folder, patch) as made:
            for number in range(1, 7):
                made.deliver(number)
            made.run()

    return made_once("six-days", make) / "var"


@pytest.fixture
def new_airline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Airline]:
    """Nothing has been delivered yet."""
    with opened(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def airline(new_airline: Airline, six_days: Path) -> Airline:
    """Six days, delivered and computed."""
    shutil.copytree(six_days, new_airline.store.settings.home, dirs_exist_ok=True)
    return new_airline


@pytest.fixture
def own_model(airline: Airline) -> Airline:
    """Beside the first model one with save and load of its own."""
    Path(str(airline.package.__file__)).with_name("own.py").write_text(OWN)
    importlib.invalidate_caches()
    with airline.store.transaction("lists/hubs") as tx:
        tx.write("lists/hubs", pl.DataFrame({"carrier": ["C0", "C1"]}))
    airline.run()
    return airline


# What differs between databases is tested with both in `tests/assets/databases`.
@pytest.fixture(params=["sqlite", "postgresql"] if SOAK else ["postgresql"])
def erp(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """An empty database that the connection `erp` leads to."""
    url = f"sqlite:///{tmp_path / 'crm.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    monkeypatch.setenv("ASSAY_CONNECTIONS__ERP__URL", url)
    address = sa.make_url(url)
    engine = sa.create_engine(
        address if request.param == "sqlite" else address.set(drivername="postgresql+psycopg"), poolclass=sa.NullPool
    )
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS people"))
    yield engine
    engine.dispose()


@pytest.fixture
def database(erp: sa.Engine) -> Callable[..., None]:
    """Executes statements, on a table of people that is compared."""

    def do(*statements: str) -> None:
        with erp.begin() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))

    do("CREATE TABLE people (person TEXT PRIMARY KEY, city TEXT, email TEXT)")
    return do


@pytest.fixture
def people(new_shop: Any) -> Any:
    """The shop of `compared_people`."""
    new_shop.redeclare(lambda _: SHOP)
    return new_shop
