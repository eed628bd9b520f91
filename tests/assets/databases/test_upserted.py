"""A model of a table that is read by a cursor, and as a whole now and then: late, back-dated and silent changes, deletes."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from hypothesis import given, settings

from assay.assets.databases.rows import OVERLAP, Rows
from assay.assets.sources.source import Source
from assay.assets.steps.clean import batches_of, clean_step
from assay.assets.steps.raw import raw_step
from assay.assets.steps.step import NotReady, Resources, execute
from assay.checks import Contract, Field, Timestamp
from assay.features.tables.lake import open_lake
from assay.features.tables.run_record import NullRecorder
from assay.settings import Settings

KEYS, NAMES = "abcde", ["", "x", "y"]
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
Row = tuple[str, datetime]
State = Mapping[str, Row]


class Things(Contract):
    part: str = Field(key=True)
    name: str = Field()
    at: Timestamp = Field()


def source(reconcile: timedelta) -> Source:
    reader = Rows("things", cursor="at", connection="erp", mode="upsert", reconcile=reconcile)
    return Source(name="things", reader=reader, contract=Things, key=("part",), event_time="_seen_at")


class World:
    """The table, what it is, and what a reader by a cursor can know of it."""

    def __init__(self, url: str, home: Path) -> None:
        self.is_sqlite = url.startswith("sqlite")
        self.engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)
        self.do("DROP TABLE IF EXISTS things")
        kind = "TIMESTAMP" if self.is_sqlite else "TIMESTAMPTZ"
        self.do(f"CREATE TABLE things (part TEXT PRIMARY KEY, name TEXT, at {kind})")
        made = Settings(home=home, connections={"erp": {"url": url}})  # pyright: ignore[reportArgumentType]
        self.env = Resources(made, open_lake(home / "lake"), NullRecorder())
        self.table: dict[str, Row] = {}
        self.known: dict[str, Row] = {}
        self.read: list[datetime] = []  # every cursor that came into raw
        self.states: list[State] = []
        self.minute = 0

    def do(self, statement: str, **values: object) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), values)

    def put(self, part: str, name: str, how: str) -> None:
        """Change a row, or insert one. `how` says where its cursor is then."""
        self.minute += 7
        now = BEGIN + timedelta(minutes=self.minute)
        at = {
            "moves": now,
            "late": now - OVERLAP + timedelta(minutes=8),  # a transaction that took long
            "back-dated": BEGIN - timedelta(days=30),
            "silent": self.table.get(part, ("", now))[1],
        }[how]
        self.table[part] = (name, at)
        text = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        self.do(
            "INSERT INTO things VALUES (:part, :name, :at) ON CONFLICT (part) DO UPDATE "
            "SET name = excluded.name, at = excluded.at",
            part=part, name=name, at=text,
        )  # fmt: skip

    def delete(self, part: str) -> None:
        self.table.pop(part, None)
        self.do("DELETE FROM things WHERE part = :part", part=part)

    def look(self, *, whole: bool) -> None:
        """Run the raw step once, and expect of it what the reader can see."""
        whole = whole or not self.states
        since = max(self.read, default=BEGIN) - OVERLAP
        seen = {part: row for part, row in self.table.items() if whole or row[1] >= since}
        changed = {part: row for part, row in seen.items() if self.known.get(part) != row}
        gone = self.known.keys() - self.table.keys() if whole else set[str]()
        step = raw_step(source(timedelta(0) if whole else timedelta(days=7)))
        assert step.batches is not None
        (batch,) = step.batches(self.env)
        try:
            execute(step, self.env, batch)
        except NotReady:
            assert not changed
            assert not gone
            return
        assert changed or gone
        self.read += [at for _, at in changed.values()] + [self.known[part][1] for part in gone]
        self.known = {part: row for part, row in {**self.known, **changed}.items() if part not in gone}
        self.states.append(dict(self.known))


def held(table: str, world: World, version: int | None = None) -> State:
    frame = world.env.lake.table(table).current(version).select("part", "name", "at").collect()
    return {part: (name, at) for part, name, at in frame.iter_rows()}


operations = st.one_of(
    st.tuples(
        st.just("put"),
        *map(st.sampled_from, [KEYS, NAMES, ["moves", "moves", "late", "back-dated", "silent"]]),
    ),
    st.tuples(st.just("delete"), st.sampled_from(KEYS)),
    st.tuples(st.just("look"), st.booleans()),
    st.tuples(st.just("look"), st.just(False)),
)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_lake_holds_what_a_reader_by_a_cursor_can_see(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @settings(max_examples=(3 if kind == "sqlite" else 2) * (100 if os.environ.get("SOAK") else 1), deadline=None)
    @given(st.lists(operations, max_size=25))
    def check(history: list[tuple[Any, ...]]) -> None:
        folder = tmp_path_factory.mktemp("model")
        url = f"sqlite:///{folder / 'a.db'}" if kind == "sqlite" else request.getfixturevalue("postgres_url")
        (folder / "a.db").touch()
        world = World(url, folder / "home")
        for operation, *values in history:
            match operation:
                case "put":
                    world.put(*values)
                case "delete":
                    world.delete(*values)
                case _:
                    world.look(whole=values[0])
        world.look(whole=True)
        verify(world)

    check()


def verify(world: World) -> None:
    if not world.states:
        assert world.table == {}
        return
    raw = world.env.lake.table("raw/things").at()
    versions = [commit.version for commit in raw.writers(None)]
    assert [held("raw/things", world, version) for version in versions] == world.states
    assert world.states[-1] == world.table, "the last look was at the whole table"
    for batch in batches_of("raw/things", world.env):
        execute(clean_step(source(timedelta(0))), world.env, batch)
    assert held("clean/things", world) == world.table


def test_a_clock_that_went_back_puts_no_whole_look_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(days=1)

    (tmp_path / "a.db").touch()
    world = World(f"sqlite:///{tmp_path / 'a.db'}", tmp_path / "home")
    world.put("a", "x", "moves")
    world.put("b", "x", "moves")
    with monkeypatch.context() as patched:
        patched.setattr("assay.assets.databases.rows.datetime", Tomorrow)
        world.look(whole=True)
    world.delete("b")
    step = raw_step(source(timedelta(days=7)))
    assert step.batches is not None
    (batch,) = step.batches(world.env)
    execute(step, world.env, batch)
    assert held("raw/things", world) == world.table, "a look by the cursor alone cannot see what was deleted"
