"""A long history, made as a project makes it: a project of its own, a file a day, and the real steps, without Dagster.

    python -m benchmarks.long_lake FOLDER --days 365
    python -m benchmarks.long_lake FOLDER --days 90 --sources 200       # 1,000 tables

Each source has one key, one file of 100 rows a day, of which two break the contract, and one view with windows, so that it
makes five tables. Called again, it goes on where it stopped, also after a kill. The same day has the same bytes always.
"""

import argparse
import os
import random
import runpy
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path

from assay.assets.declarations import ordered, steps_of
from assay.assets.steps.step import Resources, Step, execute
from assay.store import Store, open_store

START = date(2012, 1, 1)
ROWS = 100
VISITORS = 50
PAGES = ("home", "search", "item", "basket", "paid")

_PROJECT = """\
[project]
name = "visits"
version = "1"

[tool.assay]
domains = ["visits.declarations"]
"""

_DECLARATIONS = '''\
"""Visits of a site: {sources} sources of the same kind."""

from datetime import date

import polars as pl

from assay import Contract, Entity, FeatureView, Field, Files, Partitioning, Source, Timestamp, windows


class Visits(Contract):
    visit_id: str = Field(key=True)
    visitor_id: str = Field(str_matches=r"^U\\d+$")
    at: Timestamp = Field()
    page: str = Field(isin={pages!r})
    seconds: float = Field(ge=0)

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "site"


names = [f"visits_{{number:03d}}" for number in range({sources})]

sources = [
    Source(
        name=name,
        reader=Files(f"{{name}}/{{{{day}}}}/*", (".csv",)),
        contract=Visits,
        key=("visit_id",),
        event_time="at",
        partitioning=Partitioning.daily({start!r}),
    )
    for name in names
]

views = [
    FeatureView(
        f"habits_{{name[-3:]}}",
        entity=Entity("visitor", ["visitor_id"]),
        event_time="event_time",
        max_age="1d",
        features=windows(
            ["1d", "7d"], source=f"clean/{{name}}", time="at", visits=pl.len(), seconds=pl.col("seconds").sum()
        ),
    )
    for name in names
]
'''


@dataclass(frozen=True)
class LongLake:
    """The project in a folder, with its landing area and its lake below `var/`."""

    folder: Path
    sources: int = 1

    @cached_property
    def store(self) -> Store:
        return open_store(project=str(self.folder), home=self.folder / "var", actor="benchmark")

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """Those of the project, which is run and not imported: a process may look at several, which have the same names."""
        declared = runpy.run_path(str(self.folder / "visits" / "declarations" / "__init__.py"))
        return ordered(steps_of([*declared["sources"], *declared["views"]]))

    @property
    def last_table(self) -> str:
        return self.steps[-1].outputs[0]

    def days(self) -> int:
        """How many days are complete: the day that was being made when a process was killed is not."""
        table = self.store.table(self.last_table)
        return len(table.at().partitions()) if table.exists() else 0

    def declare(self) -> None:
        """Write the project."""
        package = self.folder.resolve() / "visits"
        (package / "declarations").mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
        text = _DECLARATIONS.format(sources=self.sources, pages=list(PAGES), start=START).replace(
            "datetime.date", "date"
        )
        (package / "declarations" / "__init__.py").write_text(text)
        (self.folder / "pyproject.toml").write_text(_PROJECT)

    def deliver(self, number: int) -> str:
        """Write the files of the day `number` (from 0); its partition."""
        day = day_of(number)
        for source in range(self.sources):
            file = self.store.settings.landing_path / f"visits_{source:03d}" / day / "visits.csv"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(visits(source, number))
            written = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp() + 86_400
            os.utime(file, (written, written))
        return day

    def make(self, number: int, env: Resources) -> None:
        """Deliver a day, and run every step for it."""
        day = self.deliver(number)
        for step in self.steps:
            execute(step, env, day)


def day_of(number: int) -> str:
    return (START + timedelta(days=number)).isoformat()


def visits(source: int, number: int) -> bytes:
    """The file of a day. Its last two rows break the contract."""
    chance, day = random.Random(f"{source}/{number}"), day_of(number)
    lines = ["visit_id,visitor_id,at,page,seconds"]
    for row in range(ROWS):
        second = chance.randrange(86_400)
        at = f"{day}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z"
        visitor = f"U{chance.randrange(VISITORS)}" if row != ROWS - 1 else "nobody"
        seconds = round(chance.uniform(0, 600), 1) if row != ROWS - 2 else -1.0
        lines.append(f"S{source}-{number}-{row},{visitor},{at},{chance.choice(PAGES)},{seconds}")
    return "\n".join([*lines, ""]).encode()


def long_lake(folder: Path, days: int, sources: int = 1, *, telling: bool = False) -> LongLake:
    """A project whose lake holds that many days, or more if it had them already."""
    lake = LongLake(folder, sources)
    lake.declare()
    env, begin = lake.store.env(), time.monotonic()
    for number in range(lake.days(), days):
        lake.make(number, env)
        if telling and (number + 1) % 50 == 0:
            print(f"{folder}: {number + 1} days, {time.monotonic() - begin:.0f} s", flush=True)
    return lake


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--sources", type=int, default=1, help="each has five tables")
    given = parser.parse_args()
    long_lake(given.folder, given.days, given.sources, telling=True)


if __name__ == "__main__":
    main()
