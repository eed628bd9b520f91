"""Processes that are killed while a table changes, and a table that changes while it is read for the first time."""

import random
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import polars as pl
import psycopg
import pytest

from assay.assets.databases.replication.resume import Resume, ResumeMemory
from tests.assets.databases.replication.world import World, put
from tests.conftest import ROOT, SOAK

# Each line of its input is one process: forked, so that Polars and SQLAlchemy are imported once.
LOOKING = """
import importlib, os, signal, sys
from pathlib import Path
from tests.assets.databases.replication import world

def look(url, home, slot, module, name, when):
    target = importlib.import_module(module)
    real = getattr(target, name)

    def die(*arguments, **named):
        if when == "after":
            real(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(target, name, die)
    lake = world.World(url, Path(home), slot, 20)
    while True:
        lake.look()

for line in sys.stdin:
    if not (child := os.fork()):
        look(*sys.argv[1:], *line.split())
    print(os.waitpid(child, 0)[1], flush=True)
"""
REPLICATION, COMMIT = "assay.assets.databases.replication", "assay.features.tables.delta_commit"
POINTS = [
    (f"{REPLICATION}.changed", "peeked", "before"),
    (f"{REPLICATION}.changed", "look_at", "after"),
    (COMMIT, "write_commit", "before"),
    (COMMIT, "write_commit", "after"),
    (f"{REPLICATION}.settled", "advance", "before"),
    (f"{REPLICATION}.settled", "advance", "after"),
]


@pytest.mark.timeout(3600 if SOAK else 300)
def test_killed_between_peek_commit_and_advance_nothing_is_lost_or_doubled(postgres_url: str, tmp_path: Path) -> None:
    chance = random.Random(7)
    with World(postgres_url, tmp_path) as world, psycopg.connect(postgres_url) as long:
        world.put(0, "x", "first", 0.0)
        world.look()
        counter = 0.0
        command = [sys.executable, "-c", LOOKING, postgres_url, str(tmp_path), world.slot]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, cwd=ROOT, **pipes) as looking:
            assert looking.stdin is not None
            assert looking.stdout is not None
            for number in range(200 if SOAK else len(POINTS)):
                counter += 1
                put(long, 9, "x", "long", counter)  # its transaction is open meanwhile
                print(*POINTS[number % len(POINTS)], file=looking.stdin, flush=True)
                while not select.select([looking.stdout], [], [], 0)[0]:
                    counter += 1
                    change(world, chance, counter)
                assert looking.stdout.readline() == f"{signal.SIGKILL:d}\n"
                long.commit()
                require_slot_not_ahead(world)
            looking.stdin.close()
        while world.look():
            pass
        assert world.held() == world.state()
        require_each_change_once(world)


def change(world: World, chance: random.Random, counter: float) -> None:
    with world.connection.transaction():
        for _ in range(chance.randrange(1, 4)):
            part, place = chance.randrange(5), chance.choice("xy")
            if chance.random() < 0.3:
                world.do("DELETE FROM things WHERE part = %s", part)
            else:
                world.put(part, place, None, counter)
    world.do("SELECT pg_sleep(0.01)")


def require_slot_not_ahead(world: World) -> None:
    committed = world.resume()
    resume = ResumeMemory.of(world.env.settings, "things").resume(committed)
    assert resume is not None
    assert world.confirmed() <= resume.lsn


def require_each_change_once(world: World) -> None:
    """Each value of a key is newer than the one before, and a row comes and goes in turn."""
    rows = world.env.lake.table("raw/things").scan().sort("partition_key", "_row_number").collect()
    there: dict[tuple[int, str], float] = {}
    for part, place, price, kind in rows.select("part", "place", "price", "_change").iter_rows():
        key = part, place
        assert (kind == "insert") == (key not in there)
        if kind == "delete":
            assert there.pop(key) == price
        else:
            assert price > there.get(key, -1.0)
            there[key] = price
    assert rows["partition_key"].n_unique() > 1


@pytest.mark.parametrize("create", [False, True] if SOAK else [False])
def test_a_first_reading_while_the_table_changes_takes_each_change_once(
    create: bool, postgres_url: str, tmp_path: Path
) -> None:
    with World(postgres_url, tmp_path, batch_size=400) as world:
        world.do("CREATE SEQUENCE counter")
        world.do("INSERT INTO things SELECT part, 'x', NULL, nextval('counter') FROM generate_series(0, 499) AS part")
        if not create:
            world.do(f"CREATE PUBLICATION {world.slot} FOR TABLE things")
            world.do("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", world.slot)
        over = threading.Event()
        writers = [threading.Thread(target=write, args=(postgres_url, over, seed)) for seed in range(3)]
        for writer in writers:
            writer.start()
        try:
            while not world.look():
                pass
            for _ in range(3):
                world.look()
        finally:
            over.set()
            for writer in writers:
                writer.join()
        resume = world.resume()
        while world.look():
            pass
        assert world.held() == world.state()
        require_each_change_once(world)
        assert resume is not None
        assert not resume.snapshot or Resume.of_text(resume.to_text()) == resume


def write(url: str, over: threading.Event, seed: int) -> None:
    chance = random.Random(seed)
    with psycopg.connect(url) as connection:
        while not over.is_set():
            # Always in the order of the keys: two writers never wait for each other in a circle.
            for part in sorted(chance.sample(range(500), 5)):
                if chance.random() < 0.3:
                    connection.execute("DELETE FROM things WHERE part = %s", (part,))
                else:
                    connection.execute(
                        "INSERT INTO things VALUES (%s, 'x', NULL, 0) ON CONFLICT (part, place) DO UPDATE SET price = 0",
                        (part,),
                    )
                    # Drawn while the row is locked: its values increase in the order of the commits.
                    connection.execute("UPDATE things SET price = nextval('counter') WHERE part = %s", (part,))
            connection.commit()


def test_without_leaving_out_what_the_snapshot_saw_that_would_fail(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail: it does where transactions are known by their place alone."""
    monkeypatch.setattr(Resume, "holds", lambda self, lsn, xid: lsn < self.lsn)
    with World(postgres_url, tmp_path, batch_size=1) as world:
        world.do(f"CREATE PUBLICATION {world.slot} FOR TABLE things")
        world.do("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", world.slot)
        world.put(1, "x", None, 1.0)
        world.put(1, "x", None, 2.0)
        while world.look():
            pass
        prices = world.env.lake.table("raw/things").scan().sort("partition_key").select("price").collect()["price"]
        assert prices.equals(pl.Series("price", [2.0, 1.0, 2.0]))
