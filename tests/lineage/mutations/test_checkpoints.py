"""Checkpoints: what delta-rs reads in place of the commits before them. They may be missing; they must not lie."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
from deltalake import DeltaTable

from tests.lineage.mutations.cases import Case, cases, judge, several
from tests.lineage.mutations.edits import Change, chain, empty, remove, truncate
from tests.lineage.mutations.world import TABLE, World

# Versions that are read on the way.
READ = (
    (TABLE, 2),
    ("models/late", 1),
    ("training/delays", 1),
    ("features/parcel", 4),
    ("features/depot", 4),
    ("clean/parcels", 4),
    ("raw/parcels", 4),
    ("lists/depots", 1),
)
OTHER_PARTITION = ("features/depot", 4)  # of which the rows of the day before were read
_FILE = pl.col("add").struct.field("path")


def log(world: World, table: str) -> Path:
    return world.lake / table / "_delta_log"


def checkpoint(table: str, version: int) -> Change:
    """A true one, as delta-rs makes it."""
    return lambda world: DeltaTable(str(world.lake / table), version=version).create_checkpoint()


def file_of(world: World, table: str, version: int) -> Path:
    return log(world, table) / f"{version:020d}.checkpoint.parquet"


def lying(table: str, version: int, change: Callable[[pl.DataFrame, World], pl.DataFrame]) -> Change:
    """The table as delta-rs opens it is another one afterwards, which is asserted: else it were no lie."""

    def do(world: World) -> None:
        checkpoint(table, version)(world)
        before = seen(world, table, version)
        path = file_of(world, table, version)
        change(pl.read_parquet(path), world).write_parquet(path)
        assert seen(world, table, version) != before

    return do


def seen(world: World, table: str, version: int) -> tuple[str, list[str]]:
    opened = DeltaTable(str(world.lake / table), version=version)
    return str(opened.metadata().id), sorted(opened.file_uris())


def without_a_file(actions: pl.DataFrame, world: World) -> pl.DataFrame:
    last = actions.select(_FILE.max()).item()
    return actions.filter((last != _FILE).fill_null(True))


def with_another_file(actions: pl.DataFrame, world: World) -> pl.DataFrame:
    """The newest file is another one, such as a forger has put beside it."""
    last = actions.select(_FILE.max()).item()
    forged = last.replace(".parquet", "-forged.parquet")
    other = pl.col("add").struct.with_fields(pl.lit(forged).alias("path"))
    return actions.with_columns(pl.when(last == _FILE).then(other).otherwise("add").alias("add"))


def with_another_id(actions: pl.DataFrame, world: World) -> pl.DataFrame:
    about = pl.col("metaData")
    other = about.struct.with_fields(pl.lit("00000000-0000-0000-0000-000000000000").alias("id"))
    return actions.with_columns(pl.when(about.struct.field("id").is_not_null()).then(other).alias("metaData"))


def with_hidden_rows(world: World) -> None:
    """A deletion vector takes the first row of a file away."""
    checkpoint("clean/parcels", 4)(world)
    path = file_of(world, "clean/parcels", 4)
    actions = pl.read_parquet(path)
    vector = {"storageType": "i", "pathOrInlineDv": "x", "offset": 1, "sizeInBytes": 40, "cardinality": 1}
    dtype = actions.select(pl.col("add").struct.field("deletionVector")).to_series().dtype
    made = pl.lit(vector).cast(dtype).alias("deletionVector")
    add = pl.when(_FILE.is_not_null()).then(pl.col("add").struct.with_fields(made))
    actions.with_columns(add.alias("add")).write_parquet(path)


def hint(world: World, table: str, **values: int) -> None:
    """What `_last_checkpoint` says."""
    path = log(world, table) / "_last_checkpoint"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def deleted(table: str) -> Change:
    def do(world: World) -> None:
        for path in [*log(world, table).glob("*.checkpoint.parquet"), log(world, table) / "_last_checkpoint"]:
            path.unlink()

    return do


def name(table: str, version: int) -> str:
    return rf"{table}.*(0*{version}\.checkpoint|checkpoint.*@{version}|@{version}.*checkpoint)"


def last(table: str) -> str:
    return f"{table}.*checkpoint|checkpoint.*{table}"


CASES = [
    *several(
        Case(f"true, {table} {version}", checkpoint(table, version), "verified", why="it says the same")
        for table, version in READ
    ),
    Case(
        "true, all of them",
        chain(*(checkpoint(table, version) for table, version in READ)),
        "verified",
        why="they say the same",
    ),
    *several(
        Case(
            f"deleted, {table} {version}",
            chain(checkpoint(table, version), deleted(table)),
            "verified",
            why="the commits are the log; a checkpoint only sums them up",
        )
        for table, version in READ
    ),
    *several(
        Case(
            f"a file less, {table} {version}",
            lying(table, version, without_a_file),
            "broken",
            name(table, version),
            "readers with delta-rs see fewer rows than the commits have",
            also=last(table),
        )
        for table, version in READ
        if (table, version) != OTHER_PARTITION
    ),
    *several(
        Case(
            f"another file, {table} {version}",
            lying(table, version, with_another_file),
            "broken",
            name(table, version),
            "readers with delta-rs see other rows than the commits have",
            also=last(table),
        )
        for table, version in READ
        if (table, version) != OTHER_PARTITION
    ),
    *(
        Case(
            f"{what} of a partition that was not read",
            lying(*OTHER_PARTITION, change),
            "verified",
            why="of the table only the day before was read, and of that readers see what the commits have; all say so",
            said="checkpoint 4 names other files than the commits, of partition 2026-03-04: nothing",
            said_offline=True,
        )
        for what, change in (("another file", with_another_file), ("a file less", without_a_file))
    ),
    Case(
        "a lie that the hint does not name",
        chain(lying("clean/parcels", 3, without_a_file), lambda world: hint(world, "clean/parcels", version=5)),
        "broken",
        name("clean/parcels", 3),
        "readers of version 4 find it all the same, or cannot open the table",
        also=last("clean/parcels"),
    ),
    Case(
        "hidden rows",
        with_hidden_rows,
        "broken",
        name("clean/parcels", 4),
        "readers that know deletion vectors see fewer rows",
        also=last("clean/parcels"),
    ),
    Case(
        "another table",
        lying("clean/parcels", 4, with_another_id),
        "broken",
        name("clean/parcels", 4),
        "readers with delta-rs take it for a table that was made anew",
        also=last("clean/parcels"),
    ),
    Case(
        "a lie of a later version",
        lying("clean/parcels", 5, without_a_file),
        "broken",
        name("clean/parcels", 5),
        "whoever reads the table now sees other rows than it has",
        also=last("clean/parcels"),
    ),
    Case("a lie of another table", lying("clean/notes", 1, with_another_file), "verified", why="not on the way"),
    Case(
        "cut off",
        chain(checkpoint("clean/parcels", 4), lambda world: truncate(file_of(world, "clean/parcels", 4))),
        "broken",
        name("clean/parcels", 4),
        "readers with delta-rs cannot open the table",
        also=last("clean/parcels"),
    ),
    Case(
        "empty",
        chain(checkpoint("clean/parcels", 4), lambda world: empty(file_of(world, "clean/parcels", 4))),
        "broken",
        name("clean/parcels", 4),
        "readers with delta-rs cannot open the table",
        also=last("clean/parcels"),
    ),
    Case(
        "hint gone",
        chain(checkpoint("clean/parcels", 4), lambda world: remove(log(world, "clean/parcels") / "_last_checkpoint")),
        "verified",
        why="readers look for themselves",
    ),
    Case(
        "hint names one that is not there",
        chain(checkpoint("clean/parcels", 3), lambda world: hint(world, "clean/parcels", version=4)),
        "broken",
        last("clean/parcels"),
        "readers with delta-rs cannot open the table, or guess",
    ),
    Case(
        "hint is no JSON",
        chain(
            checkpoint("clean/parcels", 4),
            lambda world: (log(world, "clean/parcels") / "_last_checkpoint").write_text("x"),
        ),
        "verified",
        why="readers pass over it, and look for themselves",
    ),
]


@cases(CASES)
def test_checkpoints(case: Case, world: World) -> None:
    judge(case, world)
