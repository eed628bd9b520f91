"""Data files, kept deliveries and contracts whose bytes changed, or which are gone."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from assay.features.retention.vacuum import vacuum
from tests.lineage.mutations.cases import ROW, Case, Text, cases, either, judge, several
from tests.lineage.mutations.edits import Change, chain, empty, extend, flip, remove, rewrite, swap, truncate
from tests.lineage.mutations.world import TABLE, World, delivery

DATA = (
    ("models/late", 1),
    ("training/delays", 1),
    ("features/parcel", 4),
    ("features/parcel", 1),
    ("features/depot", 3),  # of the day before: what was known when the day began
    ("clean/parcels", 4),
    ("clean/parcels", 3),
    ("raw/parcels", 4),
    ("raw/parcels", 1),
    ("lists/depots", 1),
)
CHANGES = {"a bit": flip, "cut off": truncate, "empty": empty, "a byte more": extend}
REWRITTEN = {
    "models/late": pl.col("metrics").replace_strict({}, default="{}", return_dtype=pl.String),
    "training/delays": ~pl.col("late"),
    "features/parcel": pl.col("weight") + 1,
    "features/depot": pl.col("sent_1d") + 1,
    "clean/parcels": pl.col("grams") + 1,
    "raw/parcels": pl.col("grams") + "0",
    "lists/depots": pl.col("depot").reverse(),
}


def on_data(table: str, version: int, change: Any) -> Change:
    return lambda world: change(world.data(table, version))


def on_kept(number: int, change: Any) -> Change:
    return lambda world: change(world.kept(number))


def named(table: str, version: int) -> Text:
    return lambda world: world.data(table, version).name


def kept(number: int) -> Text:
    """The lake's copy, or the delivery that it is a copy of."""
    return lambda world: either(world.kept(number).name, f"parcels/2026-03-0{number}/a.csv")


def redelivered(world: World) -> None:
    """Another delivery for the prediction's day: its rows are replaced everywhere, and old versions are free to be vacuumed."""
    world.deliver(4, heavier=7)
    world.run()


def vacuumed(*tables: str) -> Change:
    def do(world: World) -> None:
        redelivered(world)
        for table in tables:
            freed = vacuum(world.store.lake, table, keep_days=0, dry_run=False, grace=timedelta(0))
            assert freed.files

    return do


def removed_by_hand(table: str) -> Change:
    return lambda world: (path := world.data(table, 4), redelivered(world), path.unlink())


CASES = [
    *several(
        Case(
            f"{what}, {table} {version}",
            on_data(table, version, change),
            "broken",
            named(table, version),
            "its name is the digest of its bytes",
        )
        for what, change in CHANGES.items()
        for table, version in DATA
        if what == "a bit" or version in (1, 4) or table == "features/depot"
    ),
    *several(
        Case(
            f"other rows, {table} {version}",
            on_data(table, version, lambda path, expression=expression: rewrite(path, expression)),
            "broken",
            named(table, version),
            "its name is the digest of its bytes",
        )
        for (table, version), expression in ((item, REWRITTEN[item[0]]) for item in DATA)
    ),
    *several(
        Case(
            f"gone, {table} {version}",
            on_data(table, version, remove),
            "incomplete",
            named(table, version),
            "nobody recorded that it was removed",
            said="nobody recorded",
        )
        for table, version in DATA
    ),
    Case(
        "another answer in the prediction's file",
        lambda world: rewrite(world.data(TABLE, 2), ~pl.col("late")),
        "broken",
        named(TABLE, 2),
        "its name is the digest of its bytes",
        also=ROW,
    ),
    Case(
        "the prediction's file as another writer would write it",
        lambda world: rewrite(world.data(TABLE, 2), compression="snappy"),
        "broken",
        named(TABLE, 2),
        "the rows are the same, the bytes are not those that were committed",
        also=ROW,
    ),
    Case(
        "the prediction's file cut off",
        on_data(TABLE, 2, truncate),
        "refused",
        named(TABLE, 2),
        "nobody can read the row: the error names the file",
        lost="broken",
        names=named(TABLE, 2),
    ),
    Case(
        "the prediction's file gone",
        on_data(TABLE, 2, remove),
        "refused",
        named(TABLE, 2),
        "nobody can read the row: the error names the file",
        names=named(TABLE, 2),
    ),
    Case(
        "two data files swapped",
        lambda world: swap(world.data("clean/parcels", 3), world.data("clean/parcels", 4)),
        "broken",
        lambda world: either(world.data("clean/parcels", 3).name, world.data("clean/parcels", 4).name),
        "neither has the digest in its name",
    ),
    Case(
        "data file and kept delivery agree on another value",
        lambda world: (
            rewrite(world.data("raw/parcels", 4), pl.col("grams") + "0"),
            world.kept(4).write_text(delivery(4, heavier=9)),
        ),
        "broken",
        lambda world: either(world.data("raw/parcels", 4).name, world.kept(4).name, "parcels/2026-03-04/a.csv"),
        "both have other digests than the commit says",
    ),
    *several(
        Case(f"kept file, {what}", on_kept(4, change), "broken", kept(4), "its digest is recorded")
        for what, change in CHANGES.items()
    ),
    Case("kept file of a day that was learnt from", on_kept(1, flip), "broken", kept(1), "its digest is recorded"),
    Case("kept file of a looked-up day", on_kept(3, flip), "broken", kept(3), "its digest is recorded"),
    Case(
        "two kept files swapped",
        lambda world: swap(world.kept(3), world.kept(4)),
        "broken",
        lambda world: either(str(kept(3)(world)), str(kept(4)(world))),  # type: ignore[operator]
        "neither has the digest in its name",
    ),
    *several(
        Case(
            f"kept file gone, day {number}",
            on_kept(number, remove),
            "incomplete",
            kept(number),
            "nobody recorded that it was removed",
            said="nobody recorded",
        )
        for number in (1, 4)
    ),
    Case(
        "all kept files gone",
        lambda world: remove(world.lake / "_landing"),
        "incomplete",
        r"parcels/2026-03-0\d/a.csv|_landing/",
        "nobody recorded that they were removed",
    ),
    Case("kept file of a later day changed", on_kept(5, flip), "verified", why="not on the way"),
    Case("kept file of a later day gone", on_kept(5, remove), "verified", why="not on the way"),
    *several(
        Case(
            f"later data file, {what}, {table}",
            on_data(table, 5, change),
            "verified",
            why="not on the way",
        )
        for what, change in (("a bit", flip), ("gone", remove))
        for table in ("clean/parcels", "raw/parcels", "features/parcel", "features/depot")
    ),
    Case("file of the next predictions changed", on_data(TABLE, 3, flip), "verified", why="another day's rows"),
    Case("file of the next predictions gone", on_data(TABLE, 3, remove), "verified", why="another day's rows"),
    Case("data file of notes changed", on_data("clean/notes", 1, flip), "verified", why="not on the way"),
    *several(
        Case(
            f"contract, {what}",
            lambda world, change=change: change(world.contract),
            "broken",
            lambda world: world.contract.name,
            "its name is the digest of its text",
        )
        for what, change in CHANGES.items()
    ),
    Case(
        "contract, looser",
        lambda world: world.contract.write_text(world.contract.read_text().replace("1.0.0", "1.0.1")),
        "broken",
        lambda world: world.contract.name,
        "its name is the digest of its text",
    ),
    Case(
        "contract gone",
        lambda world: world.contract.unlink(),
        "incomplete",
        lambda world: world.contract.name,
        "the commit has its digest; by which rules the rows were judged, nobody can say any more",
        said="nobody recorded",
    ),
    Case(
        "all contracts gone",
        lambda world: remove(world.lake / "_contracts"),
        "incomplete",
        r"_contracts/",
        "as before",
    ),
    Case(
        "a contract of nobody",
        lambda world: (world.lake / "_contracts" / ("0" * 64 + ".json")).write_text("{}"),
        "verified",
        why="no commit on the way names it",
    ),
    Case("delivered again", redelivered, "verified", why="old versions stay as they were read", alone=True),
    *several(
        Case(
            f"vacuumed, {tables[0]}",
            vacuumed(*tables),
            "incomplete",
            named(tables[0], 4),
            "Assay removed it, and recorded who, when and why",
            said="vacuumed by .* on ",
            alone=True,
        )
        for tables in (("clean/parcels",), ("raw/parcels",), ("features/parcel",))
    ),
    Case(
        "vacuumed, of which nobody is left to tell",
        chain(vacuumed("clean/parcels"), lambda world: remove(world.lake / "_removed")),
        "incomplete",
        named("clean/parcels", 4),
        "the record is gone, too",
        said="nobody recorded",
        alone=True,
    ),
    *several(
        Case(
            f"removed by hand, {table}",
            removed_by_hand(table),
            "incomplete",
            named(table, 4),
            "no live version holds it, and still nobody recorded that it was removed",
            said="nobody recorded",
            alone=True,
        )
        for table in ("clean/parcels", "raw/parcels")
    ),
]


@cases(CASES)
def test_files(case: Case, world: World) -> None:
    judge(case, world)


def test_a_case_names_files_that_are_there(world: World) -> None:
    assert all(
        isinstance(path, Path) and path.is_file() for path in (world.kept(4), world.contract, world.data(TABLE, 2))
    )
