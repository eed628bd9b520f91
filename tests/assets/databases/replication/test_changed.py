"""A model of a table with random transactions, looked at and killed at random: the lake holds what the table was."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import psycopg
import pytest
from hypothesis import Phase, given, settings

from assay.assets.databases.replication import changed
from tests.assets.databases.replication.world import State, World, put

SOAK = bool(os.environ.get("SOAK"))
LARGE = ["".join(chr(65 + (number * seed) % 57) for number in range(4000)) for seed in (7, 11)]  # not sent if unchanged
NAMES, PRICES = [None, "", "a", "Ä\n\"'\\N", *LARGE], [None, 0.0, 1.5, float("inf")]
WRITERS = (range(3), range(3, 6))  # two at a time, each with keys of its own: they never wait for each other


class Killed(BaseException):
    """What a process that is killed leaves undone."""


class Model:
    """A world, two transactions in it, and what the table was after each commit."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.writers = [psycopg.connect(world.url) for _ in WRITERS]
        self.follows = False
        self.log: list[tuple[int, State]] = [(-1, {})]

    def open(self) -> list[psycopg.Connection]:
        return [one for one in self.writers if one.info.transaction_status != psycopg.pq.TransactionStatus.IDLE]

    def commit(self, writer: psycopg.Connection) -> None:
        with self.noted():
            writer.commit()

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Of what is committed there: a place of the log before it, and what the table is afterwards."""
        before = self.world.end()
        yield
        self.log.append((before, self.world.state()))

    def ready(self) -> None:
        """A slot is not made while others write."""
        for writer in [] if self.world.confirmed() else self.open():
            self.commit(writer)

    def look(self) -> bool:
        self.ready()
        if new := self.world.look():
            resume = self.world.resume()
            assert resume is not None
            reached = max(resume.lsn, resume.until)
            assert self.world.held() == [state for lsn, state in self.log if lsn < reached][-1]
        self.follows |= not self.world.waits  # as it may for one of the server's own
        self.verify()
        return new

    def verify(self) -> None:
        """The slot has not passed a change that the lake does not have."""
        if not self.follows:
            return  # it was just made, and the lake has seen nothing of the table since then
        held = self.world.held()
        passed = [number for number, (lsn, _) in enumerate(self.log) if lsn < self.world.confirmed()]
        assert held in [state for _, state in self.log[passed[-1] :]]

    def close(self) -> None:
        for writer in self.writers:
            writer.close()
        self.world.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(changed, "_OPEN_SECONDS", 0.0)
    yield


WRITER, KEY = st.integers(0, 1), st.integers(0, 2)
writes = st.one_of(
    st.tuples(
        st.just("put"),
        WRITER,
        KEY,
        st.sampled_from("xy"),
        *map(st.sampled_from, [NAMES, PRICES]),
    ),
    st.tuples(st.just("price"), WRITER, KEY, st.sampled_from(PRICES)),
    st.tuples(st.just("move"), WRITER, KEY, KEY),
    st.tuples(st.just("delete"), WRITER, KEY),
)
operations = st.one_of(
    writes,
    writes,
    writes,
    st.tuples(st.just("commit"), WRITER),
    st.tuples(st.just("commit"), WRITER),
    st.tuples(st.just("roll back"), WRITER),
    st.tuples(st.just("roll back a part"), WRITER, KEY),
    st.tuples(st.just("truncate")),
    st.tuples(st.just("look")),
    st.tuples(st.just("look")),
    st.tuples(st.just("add a column")),
    st.tuples(st.just("killed before the commit")),
    st.tuples(st.just("killed after the commit")),
    st.tuples(st.just("killed before the slot is moved")),
    st.tuples(st.just("lose what is remembered")),
    st.tuples(st.just("make the slot anew")),
)


@pytest.mark.timeout(3600 if SOAK else 300)
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_the_lake_holds_what_the_table_was_at_each_place_of_the_log(
    identity: str, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Each example takes a second: none is made smaller.
    @settings(max_examples=100 if SOAK else 2, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
    @given(st.sampled_from([1, 4, 100_000]), st.lists(operations, min_size=15, max_size=40))
    def check(batch_size: int, history: list[tuple[Any, ...]]) -> None:
        world = World(postgres_url, tmp_path_factory.mktemp("model"), batch_size=batch_size, identity=identity)
        model = Model(world)
        try:
            for operation, *values in history:
                happen(model, operation, values)
            for writer in model.open():
                model.commit(writer)
            for _ in range(len(model.log) + 3):
                if not model.look() and world.held() == world.state():
                    break
            assert world.held() == world.state()
            world.clean()
            assert world.held("clean/things") == world.state() or not world.resume()
        finally:
            model.close()

    check()


def happen(model: Model, operation: str, values: list[Any]) -> None:
    world = model.world
    writer, keys = (model.writers[values[0]], WRITERS[values[0]]) if values else (model.writers[0], WRITERS[0])
    match operation:
        case "put":
            put(writer, keys[values[1]], values[2], values[3], values[4])
        case "price":
            writer.execute("UPDATE things SET price = %s WHERE part = %s", (values[2], keys[values[1]]))
        case "move":
            there = b"SELECT 1 FROM things t WHERE t.part = %s AND t.place = things.place"
            moved = b"UPDATE things SET part = %s WHERE part = %s AND NOT EXISTS (" + there + b")"
            writer.execute(moved, (keys[values[2]], keys[values[1]], keys[values[2]]))
        case "delete":
            writer.execute("DELETE FROM things WHERE part = %s", (keys[values[1]],))
        case "commit":
            model.commit(writer)
        case "roll back":
            writer.rollback()
        case "roll back a part":
            with writer.transaction(force_rollback=True):
                put(writer, keys[values[1]], "x", "never", None)
        case "truncate" | "add a column" if model.open():
            return  # it would wait for them
        case "truncate":
            with model.noted():
                world.do("TRUNCATE things")
        case "add a column":
            world.do("ALTER TABLE things ADD COLUMN IF NOT EXISTS colour TEXT DEFAULT 'red'")
        case "look":
            model.look()
        case "killed before the commit":
            killed(model, "assay.features.tables.delta_commit.write_commit")
        case "killed after the commit":
            killed(model, "assay.features.tables.delta_commit.checkpoint_if_due")
        case "killed before the slot is moved":
            killed(model, "assay.assets.databases.replication.settled.advance")
        case "lose what is remembered":
            for file in [
                *world.home.glob("slots/*"),
                *Path(world.env.lake.storage.root).glob("_index/rows/raw/things/*/*"),
            ]:
                file.unlink()
        case _ if world.confirmed() and not model.open():
            world.do("SELECT pg_drop_replication_slot(%s)", world.slot)
            model.follows = False
            with model.noted():
                world.put(0, "x", "in no slot", None)


def killed(model: Model, at: str) -> None:
    """A look that ends there, with nothing that would come after it."""

    def die(*_: object, **__: object) -> None:
        raise Killed

    model.ready()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(at, die)
        with suppress(Killed):
            model.world.look()
    model.verify()
