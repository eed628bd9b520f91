"""Which row of a key stays is decided by what was delivered, whatever the order in which batches come and are judged."""

import random
import shutil
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
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
from assay.features.tables.lake import TableState
from assay.features.tables.partitioning import Partitioning
from assay.store import open_store
from tests.conftest import SOAK
from tests.forked import run_forked


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

    def __init__(self, home: Path, source: Source, *, new: bool = True) -> None:
        if new:
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
@settings(max_examples=60 if SOAK else 2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deliveries=DELIVERIES, seed=st.integers(0, 2**32))
def test_a_lake_is_what_was_delivered(
    tmp_path: Path, mode: str, timed: bool, deliveries: list[tuple[int, str, list[Row]]], seed: int
) -> None:
    source = source_of(mode, timed=timed)
    lake = processed(tmp_path / "lake", source, deliveries, random.Random(seed))
    expected = model({(number, file): rows for number, file, rows in deliveries}, mode, timed=timed)
    assert lake.state() == expected
    assert lake.plan() == 0, "what was displaced is judged in the same plan"


class Twins(Contract):
    """Several rules about keys: a row that breaks one frees what others of them hold."""

    sale: str = Field(key=True)
    at: Timestamp = Field(nullable=True)
    note: str = Field(unique=True, canonical_unique="amount")
    amount: int = Field(ge=0)


@settings(max_examples=100 if SOAK else 2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deliveries=DELIVERIES, seed=st.integers(0, 2**32))
def test_with_several_keys_two_lakes_of_the_same_files_are_the_same(
    tmp_path: Path, deliveries: list[tuple[int, str, list[Row]]], seed: int
) -> None:
    source = replace(source_of("first"), contract=Twins)
    lake = processed(tmp_path / "lake", source, deliveries, random.Random(seed))
    other = Lake(tmp_path / "other", source)
    for number, file, rows in deliveries:
        other.deliver(number, file, rows)
    for both in (lake, other):
        plans = 0
        while both.plan():
            plans += 1
            assert plans < 10, "it comes to an end"
    assert lake.state() == other.state()


def sold(number: int, *hours: int, first: int = 1) -> list[Row]:
    return [Row(f"{number}-{index}", hour, "x", 1) for index, hour in enumerate(hours, first)]


def test_the_reason_names_the_rule_the_way_and_the_other_partition(tmp_path: Path) -> None:
    lake = Lake(tmp_path, source_of("first"))
    lake.deliver(2, "a", [*sold(1, 9), *sold(2, 9)])
    lake.plan()
    before = lake.store.table("clean/sales").at().version
    lake.deliver(1, "late", sold(1, 8))
    assert lake.plan() == 2, "the late day, and the one that gives way"
    (row,) = lake.store.table("quarantine/sales").scan().collect().to_dicts()
    assert (row["partition_key"], row["sale"], row["_rules"]) == (day(2), "1-1", ["sale.unique"])
    assert row["_duplicate_of"] == f"{day(1)} (sale.unique, first)"
    late, again = lake.store.table("clean/sales").history()[before + 1 :]
    assert (late.partition, list(late.extra["displaces"]), again.partition) == (day(1), [day(2)], day(2))
    assert [check["message"] for check in again.checks if check["name"] == "sale.unique"] == [
        "1 of 2 rows broke sale.unique, set aside in quarantine/sales (allowed: 10% by all rules, from 10 rows on). "
        f"The first rows of their keys are in {day(1)} (1)."
    ]
    # Who judged it read the late day: it is in the record, at the version.
    assert {(item.snapshot.table, item.snapshot.version) for item in again.inputs if item.lookup} == {
        ("clean/sales", late.version)
    }


def test_a_batch_that_gives_way_is_not_stopped_for_it(tmp_path: Path) -> None:
    """Else what was published of it would stay, but only if it came first."""
    lake = Lake(tmp_path, source_of("first"))
    lake.deliver(2, "a", sold(1, *[9] * 20))
    lake.plan()
    lake.deliver(1, "a", sold(1, *[8] * 20))
    lake.plan()
    state = lake.state()
    assert (day(2) in {key for _, key in state}, ("clean/sales", day(2)) in state) == (True, False)
    assert len(state["clean/sales", day(1)]) == len(state["quarantine/sales", day(2)]) == 20
    commit = lake.store.table("clean/sales").at().writer_of(day(2))
    assert commit is not None
    (check,) = [check for check in commit.checks if check["name"] == "quarantined"]
    assert (check["passed"], check["severity"], check["invalid"]) == (False, "warn", 20)


def test_a_batch_with_new_keys_reads_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(tmp_path, source_of("latest"))
    for number in (1, 2, 3):
        lake.deliver(
            number, "a", [*sold(number, 9, 9), Row(f"bad-{number}", 9, "x", -1)] if number < 3 else sold(number, 9)
        )
    lake.plan()
    scanned: set[str] = set()
    scan = TableState.scan

    def counted(self: TableState, partitions: Any = None, *others: Any) -> Any:
        if self.table.name != "raw/sales":
            scanned.update(self.partitions() if partitions is None else partitions)
        return scan(self, partitions, *others)

    monkeypatch.setattr(TableState, "scan", counted)
    lake.deliver(4, "a", sold(4, 9, 9))
    assert lake.plan() == 1
    assert scanned <= {day(4)}
    lake.deliver(5, "a", sold(2, 9))
    assert lake.plan() == 2
    assert scanned <= {day(2), day(4), day(5)}


def test_batches_that_are_judged_at_once_come_to_the_same(tmp_path: Path) -> None:
    days = (1, 2, 3, 4)
    delivered = {(number, "a"): [Row(key, 5 - number, "xy"[number % 2], 1) for key in "abc"] for number in days}
    for mode in ("first", "none"):
        lake = Lake(tmp_path / mode, source_of(mode))
        for (number, name), rows in delivered.items():
            lake.deliver(number, name, rows)
        env = lake.env

        def judged(number: int, lake: Lake = lake, env: Resources = env) -> None:
            for step in lake.steps:
                execute(step, env, day(number))

        with ThreadPoolExecutor(len(days)) as pool:
            list(pool.map(judged, days))
        lake.plan()
        assert lake.state() == model(delivered, mode, timed=True) and lake.plan() == 0


KILLED = """
import os, signal, sys
from assay.features.tables import delta_commit
from tests.assets.steps.test_duplicate_keys import Lake, source_of
left, committed = int(sys.argv[2]), delta_commit._committed

def counted(*given):
    global left
    left -= 1
    done = committed(*given)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return done

delta_commit._committed = counted
Lake(sys.argv[1], source_of("none"), new=False).plan()
"""


@pytest.fixture(scope="module")
def two_days_late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with a first day corrected and a fourth delivered, neither of which is judged yet: made once, to be copied."""
    lake = Lake(tmp_path_factory.mktemp("late"), source_of("none"))
    for (number, name), rows in BEFORE.items():
        lake.deliver(number, name, rows)
    lake.plan()
    for (number, name), rows in LATE.items():
        lake.deliver(number, name, rows)
    return lake.store.settings.home


BEFORE = {(1, "a"): sold(1, 1, 1, 1), (2, "a"): sold(1, 2), (3, "a"): [*sold(1, 3), *sold(3, 1, 1)]}
LATE = {(1, "a"): sold(1, 1, 1, first=2), (4, "a"): [*sold(1, 4, 4, first=2), *sold(3, 4)]}


@pytest.mark.parametrize("commits", range(1, 9))
def test_a_run_that_is_killed_after_any_of_its_commits_changes_nothing_of_the_end(
    two_days_late: Path, tmp_path: Path, commits: int
) -> None:
    """The late day has three keys: one that is held, one that is contested already, and one that is corrected away."""
    shutil.copytree(two_days_late, tmp_path, dirs_exist_ok=True)
    lake = Lake(tmp_path, source_of("none"), new=False)
    killed = run_forked("-c", KILLED, str(tmp_path), str(commits), imports=("hypothesis", "pytest"))
    assert killed.code == -signal.SIGKILL, killed.err
    lake.plan()
    assert lake.state() == model({**BEFORE, **LATE}, "none", timed=True)
    assert lake.plan() == 0
