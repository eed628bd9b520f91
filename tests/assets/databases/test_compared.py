"""A model of a table that is changed, looked at and killed at random: what the lake holds is what the table was at each look."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import given, settings

from assay.assets.databases import known_rows as module
from assay.assets.databases.known_rows import known_rows
from assay.assets.databases.rows import Rows
from assay.assets.sources.source import Source
from assay.assets.steps.clean import batches_of, clean_step
from assay.assets.steps.raw import raw_step
from assay.assets.steps.step import NotReady, Resources, execute
from assay.checks import Contract, Field
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.row_prints import fingerprinted
from assay.features.tables.run_record import NullRecorder
from assay.settings import Settings
from tests.conftest import ROOT

KEYS, VALUES = range(5), [None, "", "a", "b", "Ä\n\"'"]


class Things(Contract):
    part: int = Field(key=True)
    place: str = Field(key=True)
    name: str = Field(nullable=True)
    price: float = Field(nullable=True)


SOURCE = Source(
    name="things",
    reader=Rows("things", connection="erp", mode="snapshot"),
    contract=Things,
    key=("part", "place"),
    event_time="_seen_at",
)
State = Mapping[tuple[int, str], tuple[str | None, float | None]]


class Killed(BaseException):
    """What a process that is killed leaves undone."""


class World:
    """The table, and a lake that is filled from it."""

    def __init__(self, url: str, home: Path, lake: Lake | None = None, new: bool = True) -> None:
        self.engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)
        if new:
            self.do("DROP TABLE IF EXISTS things")
            self.do(
                "CREATE TABLE things (part BIGINT, place TEXT, name TEXT, price DOUBLE PRECISION, PRIMARY KEY (part, place))"
            )
        made = Settings(home=home, connections={"erp": {"url": url}})  # pyright: ignore[reportArgumentType]
        self.env = Resources(made, lake or open_lake(home / "lake"), NullRecorder())
        self.looks: list[State] = []

    def do(self, statement: str, **values: object) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), values)

    def put(self, part: int, place: str, name: str | None, price: float | None) -> None:
        self.do(
            "INSERT INTO things VALUES (:part, :place, :name, :price) ON CONFLICT (part, place) DO UPDATE "
            "SET name = excluded.name, price = excluded.price",
            part=part, place=place, name=name, price=price,
        )  # fmt: skip

    def state(self) -> State:
        with self.engine.begin() as connection:
            found = connection.execute(sa.text("SELECT part, place, name, price FROM things"))
            return {(part, place): (name, price) for part, place, name, price in found}

    def look(self) -> bool:
        """Run the raw step once. Whether there was anything new."""
        step = raw_step(SOURCE)
        assert step.batches is not None
        (batch,) = step.batches(self.env)
        try:
            execute(step, self.env, batch)
        except NotReady:
            assert self.state() == (self.looks[-1] if self.looks else {})
            return False
        self.looks.append(self.state())
        return True

    def clean(self) -> None:
        for batch in batches_of("raw/things", self.env):
            execute(clean_step(SOURCE), self.env, batch)


def held(table: str, world: World, version: int | None = None) -> State:
    frame = world.env.lake.table(table).current(version).select("part", "place", "name", "price").collect()
    return {(part, place): (name, price) for part, place, name, price in frame.iter_rows()}


operations = st.one_of(
    st.tuples(st.just("put"), *map(st.sampled_from, [KEYS, "xy", VALUES, [None, 0.0, 1.5]])),
    st.tuples(st.just("delete"), st.sampled_from(KEYS)),
    st.tuples(st.just("clear")),
    st.tuples(st.just("look")),
    st.tuples(st.just("look")),
    st.tuples(st.just("killed before the commit")),
    st.tuples(st.just("killed after the commit")),
    st.tuples(st.just("lose what is kept")),
)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_lake_holds_what_the_table_was_at_each_look(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @settings(max_examples=(3 if kind == "sqlite" else 2) * (100 if os.environ.get("SOAK") else 1), deadline=None)
    @given(st.lists(operations, max_size=25))
    def check(history: list[tuple[Any, ...]]) -> None:
        folder = tmp_path_factory.mktemp("model")
        url = f"sqlite:///{folder / 'a.db'}" if kind == "sqlite" else request.getfixturevalue("postgres_url")
        (folder / "a.db").touch()
        world = World(url, folder / "home")
        for operation, *given_values in history:
            happen(world, operation, given_values)
        world.look()
        verify(world)

    check()


def happen(world: World, operation: str, values: list[Any]) -> None:
    match operation:
        case "put":
            world.put(*values)
        case "delete":
            world.do("DELETE FROM things WHERE part = :part", part=values[0])
        case "clear":
            world.do("DELETE FROM things")
        case "look":
            world.look()
        case "killed before the commit":
            killed(world, "write_commit")
        case "killed after the commit":
            killed(world, "checkpoint_if_due")
        case _:
            for file in Path(world.env.lake.storage.root).glob("_index/rows/raw/things/*/*"):
                file.unlink()


def killed(world: World, at: str) -> None:
    """A look that ends there, with nothing that would come after it."""
    from assay.features.tables import delta_commit

    def die(*_: object, **__: object) -> None:
        raise Killed

    before = world.state()
    known = len(batches_of("raw/things", world.env))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delta_commit, at, die)
        try:
            world.look()
        except Killed:
            if len(batches_of("raw/things", world.env)) > known:
                world.looks.append(before)


def verify(world: World) -> None:
    if not world.looks:
        assert world.state() == {}
        return
    lake = world.env.lake
    raw = lake.table("raw/things").at()
    versions = [commit.version for commit in raw.writers(None)]
    assert [held("raw/things", world, version) for version in versions] == world.looks
    assert world.looks[-1] == world.state()
    # No change twice, and none for nothing.
    before: State = {}
    for number, after in enumerate(world.looks, start=1):
        found = raw.scan([f"{number:06d}"]).select("part", "place", "_change").collect()
        changes = {(part, place): change for part, place, change in found.iter_rows()}
        assert len(changes) == found.height
        expected = dict.fromkeys(after.keys() - before.keys(), "insert")
        expected |= dict.fromkeys(before.keys() - after.keys(), "delete")
        expected |= {key: "update" for key in after.keys() & before.keys() if after[key] != before[key]}
        assert changes == expected
        before = after
    world.clean()
    assert held("clean/things", world) == world.state()
    key = ["part", "place"]
    kept = known_rows(raw, key).rows
    rows = raw.current().select(*key, "name", "price").collect()
    assert sorted(kept[["key", "values"]].tolist()) == sorted(fingerprinted(rows, key)[["key", "values"]].tolist())


@pytest.mark.parametrize("place", ["local", "s3"])
def test_a_look_reads_only_what_came_since_the_last_one(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "a.db").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lake = open_lake(tmp_path / "lake")
    if place == "s3":
        lake = open_lake(f"s3://lake/{tmp_path.name}", request.getfixturevalue("s3_options"))
    world = World(f"sqlite:///{tmp_path / 'a.db'}", tmp_path / "home", lake)
    opened: list[str] = []
    real = module.scan_in_order
    monkeypatch.setattr(module, "scan_in_order", lambda state, batches: opened.extend(batches) or real(state, batches))
    for number in range(5):
        world.put(number, "x", "a", None)
        opened.clear()
        assert world.look()
        assert opened == ([f"{number:06d}"] if number else [])
    opened.clear()
    assert not world.look()
    assert opened == ["000005"]
    opened.clear()
    assert not world.look()
    assert opened == []


@pytest.mark.parametrize(
    "damage", [lambda file: file.write_bytes(b"x"), lambda file: file.unlink(), lambda file: flip(file)]
)
def test_what_is_kept_is_made_anew_where_it_is_damaged(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    (tmp_path / "a.db").touch()
    world = World(f"sqlite:///{tmp_path / 'a.db'}", tmp_path / "home")
    world.put(1, "x", "a", None)
    world.look()
    world.look()
    for file in Path(world.env.lake.storage.root).glob("_index/rows/raw/things/*/*.npy"):
        damage(file)
    world.put(2, "x", "a", None)
    assert world.look()
    assert held("raw/things", world) == world.state()


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_more_rows_than_one_chunk_come_with_their_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.assets.databases import sql

    monkeypatch.setattr(sql, "_CHUNK", 7)
    (tmp_path / "a.db").touch()
    world = World(f"sqlite:///{tmp_path / 'a.db'}", tmp_path / "home")
    for number in range(20):
        world.put(number, "x", f"n{number}", number / 2)
    world.look()
    state = world.env.lake.table("raw/things").at()
    (source,) = state.last_commit.sources
    assert state.scan().collect()["_row_number"].sort().to_list() == list(range(1, 21))
    kept = (Path(world.env.lake.storage.root) / source.kept).read_bytes()
    lines = pl.read_ndjson(kept)
    numbered = state.scan().sort("_row_number").select("_change", "part", "place", "name", "price").collect()
    assert lines.drop("_batch").equals(numbered)
    assert (source.rows, source.size) == (20, len(kept))


def test_looks_are_in_order_by_a_clock_that_went_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.assets.databases import rows

    (tmp_path / "a.db").touch()
    world = World(f"sqlite:///{tmp_path / 'a.db'}", tmp_path / "home")
    world.put(1, "x", "a", None)
    world.look()
    late = datetime.now(UTC) - timedelta(days=1)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return late.astimezone(tz)

    monkeypatch.setattr(rows, "datetime", Clock)
    world.put(1, "x", "b", None)
    world.look()
    seen = world.env.lake.table("raw/things").scan().sort("partition_key").collect()["_seen_at"]
    assert seen[0] < seen[1]


LOOKING = """
import sys
from pathlib import Path
from tests.assets.databases.test_compared import World
world = World(sys.argv[1], Path(sys.argv[2]), new=False)
world.state = lambda: {}  # changes meanwhile
while True:
    try:
        world.look()
    except AssertionError:
        pass
    print("looked", flush=True)
"""


def test_killed_while_the_table_changes_no_change_is_lost_or_taken_twice(tmp_path: Path) -> None:
    url, chance = f"sqlite:///{tmp_path / 'a.db'}", random.Random(7)
    (tmp_path / "a.db").touch()
    world = World(url, tmp_path / "home")
    for _ in range(12 if os.environ.get("SOAK") else 2):
        command = [sys.executable, "-c", LOOKING, url, str(tmp_path / "home")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "looked\n"
            for _ in range(40 if os.environ.get("SOAK") else 25):
                part, place = chance.choice(KEYS), chance.choice("xy")
                if chance.random() < 0.4:
                    world.do("DELETE FROM things WHERE part = :part", part=part)
                else:
                    world.put(part, place, chance.choice("abc"), None)
                time.sleep(chance.uniform(0, 0.02))
            process.kill()
    world.look()
    assert held("raw/things", world) == world.state()
    rows = world.env.lake.table("raw/things").scan().sort("partition_key").collect()
    there: dict[tuple[int, str], str | None] = {}
    for part, place, name, change in rows.select("part", "place", "name", "_change").iter_rows():
        key = part, place
        assert (change == "insert") == (key not in there)
        assert change != "update" or there[key] != name
        if change == "delete":
            assert there.pop(key) == name
        else:
            there[key] = name
    assert rows["partition_key"].n_unique() > 1
