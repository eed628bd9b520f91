"""Which row of a key stays is decided by what was delivered, whatever the order in which batches come and are judged."""

import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.assets.declarations import ordered, steps_of
from assay.assets.planning.plan import planned_runs, stages
from assay.assets.sources.source import Files, Source
from assay.assets.steps.step import Resources, Step, execute
from assay.checks import Contract, Field, Timestamp
from assay.features.tables.partitioning import Partitioning
from assay.store import open_store


def source_of(mode: str, *, timed: bool = True) -> Source:
    class Config(Contract.Config):
        duplicates = mode

    class Sales(Contract):
        sale: str = Field(key=True)
        at: Timestamp = Field(nullable=True)
        note: str = Field(nullable=True)
        amount: int = Field(ge=0)

    contract = type("Sales", (Sales,), {"Config": Config, "__module__": __name__})
    return Source(
        name="sales",
        reader=Files("sales/{day}/*", (".csv",)),
        partitioning=Partitioning.daily(date(2026, 3, 1)),
        contract=contract,
        key=("sale",),
        event_time="at" if timed else "delivered",
    )


@dataclass(frozen=True)
class Row:
    sale: str
    hour: int | None
    note: str
    amount: int

    @property
    def line(self) -> str:
        at = "" if self.hour is None else f"2026-03-01T{self.hour:02d}:00:00Z"
        return f"{self.sale},{at},{self.note},{self.amount}"


ROWS = st.builds(
    Row, st.sampled_from("abc"), st.sampled_from([1, 2, 3, None]), st.sampled_from("xy"), st.sampled_from([1, 1, 1, -1])
)
#: (day, file) and what is in it, in the order of delivery: the same file may come again, with other rows.
DELIVERIES = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from(["a", "b"]), st.lists(ROWS, min_size=1, max_size=3)),
    min_size=1,
    max_size=7,
)
State = dict[tuple[str, str], list[tuple[Any, ...]]]


def day(number: int) -> str:
    return f"2026-03-{number:02d}"


def model(delivered: dict[tuple[int, str], list[Row]], mode: str, *, timed: bool) -> State:
    """What each partition holds in the end, row by row in plain Python."""
    rows: list[tuple[Any, ...]] = []
    seen: set[str] = set()
    for number, file in sorted(delivered):
        content = "".join(row.line + "\n" for row in delivered[number, file])
        if content in seen:  # the same bytes are taken once, by the first partition
            continue
        seen.add(content)
        for place, row in enumerate(delivered[number, file], 1):
            rows.append((number, file, place, row))
    state: State = {}

    def put(table: str, row: tuple[Any, ...], *broken: str) -> None:
        number, file, place, found = row
        state.setdefault((table, day(number)), []).append((file, place, found.sale, broken))

    def order(row: tuple[Any, ...]) -> tuple[Any, ...]:
        number, file, place, found = row
        hour = (found.hour or 0) if timed else 0
        return (-hour, -number, [-ord(file)], -place) if mode == "latest" else (hour, number, [ord(file)], place)

    def known(row: tuple[Any, ...]) -> bool:
        return not timed or row[3].hour is not None

    for key in {row[3].sale for row in rows}:
        group = sorted((row for row in rows if row[3].sale == key), key=lambda row: (not known(row), order(row)))
        fit = [row for row in group if row[3].amount >= 0]
        differ = mode == "none" and len({row[3].line for row in fit}) > 1
        for row in group:
            beaten = differ or (bool(fit) and group.index(row) > group.index(fit[0]))
            broken = [*(["amount.ge"] if row[3].amount < 0 else []), *(["sale.unique"] if beaten else [])]
            put("quarantine/sales" if broken else "clean/sales", row, *sorted(broken))
    return {place: sorted(found) for place, found in state.items()}


class Lake:
    """A source in a lake of its own."""

    def __init__(self, home: Path, source: Source) -> None:
        shutil.rmtree(home, ignore_errors=True)
        self.store = open_store(home=str(home))
        self.steps: tuple[Step, ...] = ordered(steps_of([source]))

    @property
    def env(self) -> Resources:
        return self.store.env()

    def deliver(self, number: int, name: str, rows: Sequence[Row]) -> None:
        file = Path(self.store.settings.landing_path, "sales", day(number), f"{name}.csv")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(["sale,at,note,amount", *(row.line for row in rows), ""]))

    def plan(self, only: str | None = None) -> int:
        """Everything that is due (of one day), as the command does it: how many runs."""
        chosen = None if only is None else (lambda partitioning: [only])
        count = 0
        for stage in stages(self.steps):
            for unit in planned_runs(stage, self.env, chosen):
                for step in unit.steps:
                    execute(step, self.env, unit.partition)
                count += 1
        return count

    def state(self) -> State:
        found: State = {}
        for table in ("clean/sales", "quarantine/sales"):
            frame = self.store.table(table).scan().collect()
            if "_rules" not in frame.columns:
                frame = frame.with_columns(_rules=pl.lit([], pl.List(pl.String)))
            for key, file, place, sale, broken in frame.select(
                "partition_key", "_source_file", "_row_number", "sale", "_rules"
            ).iter_rows():
                name = Path(file).stem
                found.setdefault((table, key), []).append((name, place, sale, tuple(sorted(broken))))
        return {place: sorted(rows) for place, rows in found.items()}


def processed(
    home: Path, source: Source, deliveries: Sequence[tuple[int, str, list[Row]]], chance: random.Random
) -> Lake:
    """A lake that was given the deliveries, of which some were judged at once, some days late, some by themselves."""
    lake = Lake(home, source)
    for number, file, rows in deliveries:
        lake.deliver(number, file, rows)
        match chance.randrange(4):
            case 0:
                lake.plan()
            case 1:
                lake.plan(day(chance.randint(1, 4)))
            case 2:
                lake.plan(day(number))
            case _:
                pass
        if not chance.randrange(4):
            lake.store.settings.home.joinpath("plans.db").unlink(missing_ok=True)
    lake.plan()
    return lake


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("mode", ["first", "latest", "none"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deliveries=DELIVERIES, seed=st.integers(0, 2**32))
def test_a_lake_is_what_was_delivered(
    tmp_path: Path, mode: str, timed: bool, deliveries: list[tuple[int, str, list[Row]]], seed: int
) -> None:
    source = source_of(mode, timed=timed)
    lake = processed(tmp_path / "lake", source, deliveries, random.Random(seed))
    expected = model({(number, file): rows for number, file, rows in deliveries}, mode, timed=timed)
    assert lake.state() == expected
    assert lake.plan() == 0, "what was displaced is judged in the same plan"
