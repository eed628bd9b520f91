"""What may change without making anything of the trace untrue: caches, notes, pins, profiles, landing files, later work."""

import json
import os
import shutil

import polars as pl

from tests.lineage.mutations.cases import Case, cases, judge
from tests.lineage.mutations.edits import Change, chain, remove
from tests.lineage.mutations.world import World


def without(*names: str) -> Change:
    """Files and folders of the home that are gone."""

    def do(world: World) -> None:
        for name in names:
            assert list(world.home.glob(name)), name
            for path in world.home.glob(name):
                remove(path)

    return do


def garbage(*names: str) -> Change:
    def do(world: World) -> None:
        for name in names:
            found = [path for path in world.home.glob(name) if path.is_file()]
            assert found, name
            for path in found:
                path.write_bytes(b"x" * 100)

    return do


def new(name: str, content: bytes = b"x") -> Change:
    def do(world: World) -> None:
        path = world.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return do


def next_day(world: World) -> None:
    world.deliver(6)
    world.run()


def rewritten_profiles(world: World) -> None:
    with world.store.transaction("profiles/other") as tx:
        tx.write("profiles/other", pl.DataFrame({"x": [1]}))
    remove(world.lake / "profiles/parcels")


def touched(world: World) -> None:
    """As after a copy that keeps no times."""
    for path in world.lake.rglob("*"):
        os.utime(path, (0, 0))


def moved(world: World) -> None:
    """The home is elsewhere; the lineage store came with it."""
    world.close()
    other = world.home / "elsewhere"
    other.mkdir()
    for path in [item for item in world.home.iterdir() if item != other]:
        shutil.move(path, other / path.name)
    world.home = other
    vars(world).pop("store", None)


def pinned(world: World) -> None:
    (path,) = (world.lake / "_pins").glob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": "x"}))


CASES = [
    Case("index gone", without("lake/_index"), "verified", why="made again from the log"),
    Case("index of tables is no database", garbage("lake/_index/tables.db"), "verified", why="made again from the log"),
    Case("index of keys is garbage", garbage("lake/_index/keys/**/*.npy"), "verified", why="only writers ask it"),
    Case("pins gone", without("lake/_pins"), "verified", why="a pin only keeps vacuum away"),
    Case("pin changed", pinned, "verified", why="a pin only keeps vacuum away"),
    Case("pin is garbage", garbage("lake/_pins/*.json"), "verified", why="a pin only keeps vacuum away"),
    Case("note of freshness", new("lake/_fresh/clean/parcels/2026-03-04.json"), "verified", why="a note for planners"),
    Case(
        "note of a refusal", new("lake/_refused/clean/parcels/2026-03-04.json"), "verified", why="a note for planners"
    ),
    Case(
        "note of removals that is garbage", new("lake/_removed/clean/parcels/x.json"), "verified", why="nothing is gone"
    ),
    Case("plans gone", without("plans.db"), "verified", why="a note for planners"),
    Case("hashes of deliveries gone", without("file-hashes.db"), "verified", why="made again from the files"),
    Case("profiles gone", without("lake/profiles"), "verified", why="no part of the way"),
    Case("profiles changed", rewritten_profiles, "verified", why="no part of the way", alone=True),
    Case("quarantine gone", without("lake/quarantine"), "verified", why="no part of the way"),
    Case(
        "landing file changed", garbage("landing/parcels/2026-03-04/a.csv"), "verified", why="the lake keeps the bytes"
    ),
    Case("landing file gone", without("landing/parcels/2026-03-04/a.csv"), "verified", why="the lake keeps the bytes"),
    Case("landing folder gone", without("landing"), "verified", why="the lake keeps the bytes"),
    Case("new landing file", new("landing/parcels/2026-03-04/b.csv"), "verified", why="nobody has read it"),
    Case(
        "landing and kept of a later day", chain(garbage("landing/parcels/2026-03-05/a.csv")), "verified", why="later"
    ),
    Case("next day delivered and predicted", next_day, "verified", why="later versions", alone=True),
    Case("next day, newest before it", next_day, "verified", why="later versions", about="tip", alone=True),
    Case("stray file in a table", new("lake/clean/parcels/stray.parquet"), "verified", why="no commit names it"),
    Case(
        "stray file in a partition",
        new("lake/clean/parcels/partition_key=2026-03-04/_x.tmp"),
        "verified",
        why="as before",
    ),
    Case("stray folder in the lake", new("lake/other/thing.txt"), "verified", why="no table"),
    Case("spool beside the lineage store", new("lineage.spool.ndjson", b""), "verified", why="nothing waits"),
    Case("times of all files", touched, "verified", why="only bytes count"),
    Case("lake moved", moved, "verified", why="addresses in commits are relative", alone=True),
]


@cases(CASES, alike=True)
def test_harmless(case: Case, world: World) -> None:
    judge(case, world)
