"""A tiny domain, declared in one file of a package of its own, and its daily life in a lake of its own."""

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import ModuleType

import dagster as dg
import polars as pl
import pytest

from assay.assets.dagster.materialize import Summary, materialize
from assay.assets.dagster.to_dagster import environment
from assay.assets.declarations import declared_in, ordered, pipeline, steps_of
from assay.assets.planning.plan import Chosen, PlannedRun, planned_runs, stages
from assay.assets.steps.step import Resources, Step
from assay.features.tables.digest import content_digest
from tests.assets.planned_work import run_planned


@pytest.fixture(autouse=True)
def attempts_follow_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many attempts as elsewhere, but nobody waits between them."""
    monkeypatch.setattr("assay.assets.dagster.to_dagster.RETRIES", dg.RetryPolicy(max_retries=2))


SHOP = '''
"""A shop's orders: one source, its contract and one feature view."""

from datetime import date

import polars as pl

from assay.assets.sources.source import Files, Source
from assay.checks import Contract, Field, Timestamp
from assay.features.tables.partitioning import Partitioning
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.windowed import windows


class Orders(Contract):
    order_id: str = Field(key=True)
    shopper: str = Field(pii="name")
    at: Timestamp = Field()
    amount: float = Field(ge=0)

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "shop"
        freshness = "1d"


orders = Source(
    name="orders",
    reader=Files("orders/{day}/*", (".csv",)),
    partitioning=Partitioning.daily(date(2026, 3, 1)),
    contract=Orders,
    key=("order_id",),
    event_time="at",
)

spending = FeatureView(
    "spending",
    entity=Entity("shopper", ["shopper"]),
    event_time="event_time",
    max_age="1d",
    features=windows(
        ["1d", "2d"],
        source="clean/orders",
        time="at",
        orders=pl.len(),
        spent=(pl.col("amount").sum(), "What was paid.", "EUR"),
    ),
    owner="shop",
)
'''
HEADER = "order_id,shopper,at,amount"


def day(number: int) -> str:
    return f"2026-03-{number:02d}"


def csv(number: int, *amounts: float, first: int = 1, header: str = HEADER) -> bytes:
    """A day's file: one order per amount, by Ada and Bob in turn, an hour apart."""
    rows = [
        f"{number}-{index},{('Ada Byron', 'Bob Noyce')[index % 2]},{day(number)}T{index % 24:02d}:00:00Z,{amount}"
        for index, amount in enumerate(amounts, start=first)
    ]
    return "\n".join([header, *rows, ""]).encode()


class Shop:
    """The domain with its landing folder, lake and, once it is asked for, Dagster instance."""

    def __init__(self, home: Path, package: ModuleType, opened: ExitStack) -> None:
        self.home, self.package, self._opened = home, package, opened
        self.steps: tuple[Step, ...] = pipeline()

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        return self._opened.enter_context(dg.DagsterInstance.ephemeral())

    @property
    def env(self) -> Resources:
        return environment()

    day = staticmethod(day)
    csv = staticmethod(csv)

    def drop(self, number: int, content: bytes, name: str = "a.csv") -> Path:
        file = self.home / "landing" / "orders" / day(number) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def run(self, *, force: bool = False, judge_again: bool = False, chosen: Chosen | None = None) -> Summary:
        """What is due, without Dagster (see `planned_work.py`)."""
        return run_planned(self.steps, replace(self.env, judge_again=judge_again), chosen=chosen, force=force)

    def materialize(self, *, force: bool = False) -> Summary:
        """What is due, as the product does it: in Dagster runs."""
        return materialize(self.steps, self.env, self.instance, force=force)

    def due(self) -> list[PlannedRun]:
        """What the planner would do now."""
        return [unit for stage in stages(self.steps) for unit in planned_runs(stage, self.env)]

    def redeclare(self, change: Callable[[str], str]) -> None:
        """Change the domain's one file, as a developer would, and load it again."""
        file = Path(str(self.package.__file__)).with_name("orders.py")
        file.write_text(change(file.read_text()))
        module = importlib.import_module(f"{self.package.__name__}.orders")
        importlib.invalidate_caches()
        exec(compile(file.read_text(), str(file), "exec"), vars(module))  # not reload: it trusts times of one second
        self.steps = ordered(steps_of(list(declared_in(module))))

    def frame(self, table: str) -> pl.DataFrame:
        return self.env.lake.table(table).scan().collect()

    def version(self, table: str) -> int:
        return self.env.lake.table(table).at().version

    def files(self) -> Mapping[tuple[str, str | None], tuple[str, ...]]:
        """Live data files, which are named by content, of every table and partition."""
        lake = self.env.lake
        found: dict[tuple[str, str | None], tuple[str, ...]] = {}
        for table in lake.tables():
            for file in lake.table(table).at().files:
                found[table, file.partition] = (*found.get((table, file.partition), ()), file.path)
        return found

    def contents(self) -> dict[str, str]:
        """The digest of every table's rows, without the moments at which they came in."""
        return {name: content_digest(self.frame(name), ["_ingested_at"]) for name in self.env.lake.tables()}


@pytest.fixture(scope="session")
def three_days(made_once: Callable[..., Path]) -> Path:
    """The home of a shop whose three days are delivered and materialised: made once, to be copied."""

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch, opened(folder, patch) as made:
            for number in (1, 2, 3):
                made.drop(number, csv(number, 10.0, 20.0, -5.0, 30.0))
            assert not made.run().failed

    return made_once("three-days", make) / "var"


@pytest.fixture
def new_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop to which nothing has been delivered yet."""
    with opened(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def shop(new_shop: Shop, three_days: Path) -> Shop:
    """Three days, delivered and materialised."""
    shutil.copytree(three_days, new_shop.home, dirs_exist_ok=True)
    return new_shop


@contextmanager
def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    project = folder / "project"
    (project / "shop").mkdir(parents=True)
    (project / "pyproject.toml").write_text('[tool.assay]\ndomains = ["shop"]\n')
    (project / "shop" / "__init__.py").touch()
    (project / "shop" / "orders.py").write_text(SHOP)
    monkeypatch.syspath_prepend(project)
    monkeypatch.setenv("ASSAY_PROJECT", str(project))
    monkeypatch.setenv("ASSAY_HOME", str(folder / "var"))
    with ExitStack() as stack:
        yield Shop(folder / "var", importlib.import_module("shop"), stack)
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


@pytest.fixture
def new_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Shop], AbstractContextManager[None]]:
    """The same deliveries, an empty lake and an empty Dagster instance."""

    @contextmanager
    def at_new_home(shop: Shop) -> Iterator[None]:
        again = tmp_path / "again"
        again.mkdir()
        (again / "landing").symlink_to(shop.home / "landing")
        monkeypatch.setenv("ASSAY_HOME", str(again))
        with dg.DagsterInstance.ephemeral() as shop.instance:
            yield

    return at_new_home
