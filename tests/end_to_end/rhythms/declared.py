"""Sources of every rhythm and mode, as somebody declares them in a project of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from click.testing import CliRunner

from assay.cli.init import init
from assay.features.tables.partitioning import Partitioning

PROJECT = "bazaar"
TIMED = ("hourly", "daily", "weekly", "monthly")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Sydney")
BY_TIME = ("append", "snapshot", "pushed")
UNPARTITIONED = ("rows_append", "rows_upsert", "rows_snapshot", "dlt")
STATIC = ("north", "south", "east", "west")
WINDOWS = {"hourly": "2h", "daily": "2d", "weekly": "14d", "monthly": "61d"}


@dataclass(frozen=True, slots=True)
class Kind:
    """A source: in which way its rows come, and how they are cut."""

    mode: str
    rhythm: str = "none"
    zone: str = "UTC"

    @property
    def name(self) -> str:
        place = "" if self.zone == "UTC" else f"_{self.zone.rpartition('/')[2].lower()}"
        return f"{self.mode}_{self.rhythm}{place}" if self.rhythm != "none" else self.mode

    @property
    def is_timed(self) -> bool:
        return self.rhythm in TIMED

    @property
    def keys(self) -> tuple[str, ...]:
        """Four partitions in order. Where clocks change, each of the two days of the year has two: with it and after it."""
        if not self.is_timed:
            return STATIC if self.rhythm == "static" else ()
        endless = getattr(Partitioning, self.rhythm)(
            "2025-01-01" if self.rhythm == "daily" else _first(self), None, self.zone
        )
        found: list[str] = []
        for change in clock_changes(self.zone):
            before = endless.current(change - timedelta(microseconds=1))
            assert before is not None
            found += [before, *endless.after(before, 1)]
        return tuple(found)

    @property
    def partitioning(self) -> Partitioning:
        if self.is_timed:
            return getattr(Partitioning, self.rhythm)(self.keys[0], self.keys[-1], self.zone)
        return Partitioning.static(*STATIC) if self.rhythm == "static" else Partitioning.none()

    @property
    def has_windows(self) -> bool:
        return self.is_timed and self.mode != "snapshot"

    @property
    def compares(self) -> bool:
        return self.mode in ("rows_upsert", "rows_snapshot")

    @property
    def first_wins(self) -> bool:
        """Which of several rows with one key stays: of a table that is read by its cursor the last one."""
        return self.mode != "rows_append"


def _first(kind: Kind) -> str:
    return {"hourly": "2025-01-01-00", "weekly": "2025-01-06", "monthly": "2025-01"}[kind.rhythm]


@cache
def clock_changes(zone: str) -> Sequence[datetime]:
    """When clocks are changed in 2025; where they are not, two moments."""
    hours = [datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=number) for number in range(24 * 364)]
    shifts = [hour.astimezone(ZoneInfo(zone)).utcoffset() for hour in hours]
    changes = [hours[n] for n in range(1, len(hours)) if shifts[n] != shifts[n - 1]]
    return changes or [datetime(2025, 3, 30, 1, tzinfo=UTC), datetime(2025, 10, 26, 1, tzinfo=UTC)]


COVERING = (
    Kind("pushed", "hourly", "Europe/Berlin"),
    Kind("append", "daily", "America/New_York"),
    Kind("snapshot", "daily", "America/New_York"),
    Kind("snapshot", "weekly", "Australia/Sydney"),
    Kind("append", "monthly"),
    Kind("append", "static"),
    *(Kind(mode) for mode in UNPARTITIONED),
)
EVERY = (
    *(Kind(mode, rhythm, zone) for rhythm in TIMED for zone in ZONES for mode in BY_TIME),
    *(Kind(mode, "static") for mode in ("append", "pushed")),
    *(Kind(mode) for mode in UNPARTITIONED),
)

_CONTRACTS = '''
"""A bazaar: the same rows, as every kind of upstream has them."""

import os
from datetime import timedelta

import dlt
import polars as pl
from dlt.sources.helpers.requests import Client

from assay import (
    Contract, Dlt, Entity, Feature, FeatureView, Field, Files, Partitioning, Pushed, QuarantineLimits, Rows, Source, Timestamp,
    windows,
)

client = Client(request_timeout=2, request_max_attempts=2, request_backoff_factor=0.001, request_max_retry_delay=0.01)
shop = Entity("shop", ["shop"])
sale = Entity("sale", ["id"])


@dlt.resource(primary_key="id")
def sold(number=dlt.sources.incremental("number", initial_value=0)):
    answer = client.get(os.environ["BAZAAR_API"], params={"since": number.last_value}, timeout=2)
    answer.raise_for_status()
    yield answer.json()


class Sales(Contract):
    id: str = Field(key=True)
    shop: str = Field()
    at: Timestamp = Field()
    amount: float = Field(ge=0)

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "bazaar"
        quarantine = QuarantineLimits(warn=None)


class LatestSales(Sales):
    class Config(Sales.Config):
        duplicates = "latest"
'''
_SOURCE = """

{name} = Source(
    name="{name}",
    reader={reader},
    contract={contract},
    key=("id",),
    event_time="{event_time}",
    partitioning=Partitioning.{partitioning},
)
{name}_view = FeatureView(
    "{name}",
    {view}
)
"""
_WINDOWS = """entity=shop,
    event_time="event_time",
    features=windows(["{window}"], source="clean/{name}", time="at", n=pl.len(), total=pl.col("amount").sum()),"""
_ROW_WISE = """entity=sale,
    event_time="{event_time}",
    source="clean/{name}",
    features=[Feature("twice", pl.col("amount") * 2)],"""


def declaration(kind: Kind) -> str:
    """The source and a view over it, as code."""
    name, event_time = kind.name, "_seen_at" if kind.mode == "snapshot" or kind.compares else "at"
    reader = {
        "append": f'Files("{name}/{{partition}}/*", (".csv",))',
        "snapshot": f'Files("{name}/{{partition}}/*", (".csv",), mode="snapshot")',
        "pushed": f'Pushed("{name}", every=timedelta(hours=1))',
        "rows_append": f'Rows("{name}", cursor="at", connection="erp")',
        "rows_upsert": f'Rows("{name}", cursor="at", connection="erp", mode="upsert", reconcile=timedelta(days=7))',
        "rows_snapshot": f'Rows("{name}", connection="erp", mode="snapshot")',
        "dlt": 'Dlt("sold", sold, every=timedelta(0))',
    }[kind.mode]
    cut = kind.partitioning
    partitioning = "none()"
    if kind.is_timed:
        partitioning = f"{kind.rhythm}({cut.start!r}, {cut.end!r}, time_zone={kind.zone!r})"
    elif kind.rhythm == "static":
        partitioning = f"static{STATIC!r}"
    view = _WINDOWS if kind.has_windows else _ROW_WISE
    return _SOURCE.format(
        name=name,
        reader=reader,
        contract="Sales" if kind.first_wins else "LatestSales",
        event_time=event_time,
        partitioning=partitioning,
        view=view.format(name=name, window=WINDOWS.get(kind.rhythm), event_time=event_time),
    )


def make_project(folder: Path, kinds: tuple[Kind, ...]) -> None:
    """What `assay init` writes, with one more file."""
    done = CliRunner().invoke(init, [PROJECT, "--dir", str(folder)])
    assert done.exit_code == 0, done.output
    text = _CONTRACTS + "".join(map(declaration, kinds))
    (folder / PROJECT / "declarations" / "bazaar.py").write_text(text)
