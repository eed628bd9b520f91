"""Checkpoints in other forms than ours, and what else readers take from one: statistics, columns. Later commits that change what
readers see of a prediction, of which no row was touched."""

import json
from collections.abc import Callable
from typing import Any

import polars as pl

from tests.lineage.mutations.cases import Case, cases, judge
from tests.lineage.mutations.edits import Change, write_actions
from tests.lineage.mutations.test_checkpoints import checkpoint, file_of, last, log, name, without_a_file
from tests.lineage.mutations.world import TABLE, World, actions

CLEAN = "clean/parcels"
_ADD, _ABOUT = pl.col("add").struct, pl.col("metaData").struct


def in_form(table: str, version: int, names: list[str]) -> Change:
    """A lying checkpoint under other names (in so many parts), and no hint to it."""

    def do(world: World) -> None:
        checkpoint(table, version)(world)
        path = file_of(world, table, version)
        rows = without_a_file(pl.read_parquet(path), world)
        path.unlink()
        (log(world, table) / "_last_checkpoint").unlink()
        size = -(-rows.height // len(names))
        for number, part in enumerate(names):
            rows[number * size : (number + 1) * size].write_parquet(
                path.with_name(f"{version:020d}.checkpoint.{part}.parquet")
            )

    return do


PARTS = ["0000000001.0000000002", "0000000002.0000000002"]


def changed(table: str, version: int, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Change:
    def do(world: World) -> None:
        checkpoint(table, version)(world)
        path = file_of(world, table, version)
        change(pl.read_parquet(path)).write_parquet(path)

    return do


def other_statistics(rows: pl.DataFrame) -> pl.DataFrame:
    """The newest file holds nothing, by its statistics."""
    newest = rows.select(_ADD.field("path").max()).item()
    lie = _ADD.with_fields(pl.lit('{"numRecords":0,"minValues":{},"maxValues":{},"nullCount":{}}').alias("stats"))
    return rows.with_columns(pl.when(_ADD.field("path") == newest).then(lie).otherwise("add").alias("add"))


def typed(field: str, of_newest: pl.Expr) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """The newest file also has this in columns of their own types, as other writers' checkpoints do."""

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        newest = _ADD.field("path") == rows.select(_ADD.field("path").max()).item()
        more = pl.when(_ADD.field("path").is_not_null()).then(
            _ADD.with_fields(pl.when(newest).then(of_newest).alias(field))
        )
        return rows.with_columns(more.alias("add"))

    return change


ROWS = _ADD.field("stats").str.json_path_match("$.numRecords").cast(pl.Int64)
DAY = pl.lit("2026-03-05").alias("partition_key")


def without_column(column: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    def change(rows: pl.DataFrame) -> pl.DataFrame:
        schema = json.loads(rows.select(_ABOUT.field("schemaString").drop_nulls()).item())
        schema["fields"] = [field for field in schema["fields"] if field["name"] != column]
        lie = _ABOUT.with_fields(pl.lit(json.dumps(schema)).alias("schemaString"))
        return rows.with_columns(
            pl.when(_ABOUT.field("id").is_not_null()).then(lie).otherwise("metaData").alias("metaData")
        )

    return change


def described_anew(table: str, change: Callable[[dict[str, Any]], object], *more: dict[str, Any]) -> Change:
    """Another tool commits another `metaData`."""

    def do(world: World) -> None:
        versions = world.versions(table)
        named = [
            item["metaData"]
            for version in versions
            for item in actions(world.commit(table, version))
            if "metaData" in item
        ]
        about = json.loads(json.dumps(named[-1]))
        change(about)
        info = {"commitInfo": {"timestamp": 1796069999000, "operation": "SET"}}
        write_actions(world.commit(table, versions[-1] + 1), [info, *more, {"metaData": about}])

    return do


def dropped(*names: str) -> Callable[[dict[str, Any]], object]:
    def change(about: dict[str, Any]) -> None:
        schema = json.loads(about["schemaString"])
        schema["fields"] = [field for field in schema["fields"] if field["name"] not in names]
        about["schemaString"] = json.dumps(schema)

    return change


def mapped(about: dict[str, Any]) -> None:
    """Readers that know column mapping take `late` from another column of the files."""
    schema = json.loads(about["schemaString"])
    for number, field in enumerate(schema["fields"], 1):
        physical = "run_id" if field["name"] == "late" else field["name"]
        field["metadata"] = {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": physical}
    about["schemaString"] = json.dumps(schema)
    about["configuration"] = {**about["configuration"], "delta.columnMapping.mode": "name"}


CASES = [
    Case("lie in parts", in_form(CLEAN, 4, PARTS), "broken", name(CLEAN, 4), "readers begin with it", also=last(CLEAN)),
    Case(
        "lie under a name of the second format",
        in_form(CLEAN, 5, ["80a083e8-7026-4e79-81be-64bd76c43a11"]),
        "broken",
        name(CLEAN, 5),
        "readers begin with it",
        also=last(CLEAN),
    ),
    Case(
        "other statistics of what was read",
        changed(CLEAN, 4, other_statistics),
        "broken",
        name(CLEAN, 4),
        "readers pass its rows over",
        also=last(CLEAN),
    ),
    Case(
        "typed statistics",
        changed(CLEAN, 4, typed("stats_parsed", pl.struct(ROWS.alias("numRecords")))),
        "verified",
        why="they say what the commits say",
    ),
    Case(
        "other typed statistics of what was read",
        changed(CLEAN, 4, typed("stats_parsed", pl.struct((ROWS - 1).alias("numRecords")))),
        "broken",
        name(CLEAN, 4),
        "readers pass its rows over",
        also=last(CLEAN),
    ),
    Case(
        "another typed partition of what was read",
        changed(CLEAN, 4, typed("partitionValues_parsed", pl.struct(DAY))),
        "broken",
        name(CLEAN, 4),
        "readers look for its rows in another partition",
        also=last(CLEAN),
    ),
    Case(
        "other statistics of another day",
        changed("features/depot", 4, other_statistics),
        "verified",
        why="of the table only the day before was read",
    ),
    Case(
        "a column less",
        changed(CLEAN, 4, without_column("grams")),
        "broken",
        name(CLEAN, 4),
        "readers do not see the column",
        also=last(CLEAN),
    ),
    Case(
        "a column of models less",
        changed("models/late", 1, without_column("artifact")),
        "broken",
        name("models/late", 1),
        "readers do not see the model",
        also=last("models/late"),
    ),
    Case(
        "answer dropped",
        described_anew(TABLE, dropped("late")),
        "broken",
        f"{TABLE}@4.*late",
        "readers get no answer",
        alone=True,
    ),
    Case(
        "answer mapped to another column",
        described_anew(TABLE, mapped, {"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}}),
        "broken",
        f"{TABLE}@4.*late",
        "readers get another answer",
        alone=True,
    ),
    Case(
        "predictions with another id",
        described_anew(TABLE, lambda about: about.update(id="another")),
        "broken",
        f"{TABLE}@4",
        "readers take it for another table",
        alone=True,
    ),
    Case(
        "clean rows with another id",
        described_anew(CLEAN, lambda about: about.update(id="another")),
        "broken",
        f"{CLEAN}@6",
        "readers take it for another table",
        alone=True,
    ),
]


@cases(CASES)
def test_forms(case: Case, world: World) -> None:
    judge(case, world)
