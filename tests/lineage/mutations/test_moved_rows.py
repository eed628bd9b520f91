"""Rows in other files than those that a run wrote: put together by another tool, hidden by deletion vectors, named again."""

import copy
import struct
from typing import Any
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable

from assay.assets.planning.plan import planned_runs, stages
from assay.assets.steps.step import execute
from tests.lineage.mutations.cases import Case, cases, judge
from tests.lineage.mutations.edits import Change, chain, edit_info, rewrite, write_actions
from tests.lineage.mutations.world import TABLE, World, actions, day

CLEAN, NEW = "clean/parcels", 7  # the version that another tool makes, of what was delivered on day 6
_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def vector(rows: list[int]) -> dict[str, Any]:
    """A deletion vector of rows (a roaring bitmap with one array container), inline, as the Delta protocol describes it."""
    bitmap = struct.pack("<IIHHI", 12346, 1, 0, len(rows) - 1, 16) + b"".join(struct.pack("<H", row) for row in rows)
    raw = struct.pack("<iqi", 1681511377, 1, 0) + bitmap
    padded, text = raw + bytes(-len(raw) % 4), ""
    for at in range(0, len(padded), 4):
        (number,) = struct.unpack(">I", padded[at : at + 4])
        text += "".join(_Z85[number // 85**power % 85] for power in (4, 3, 2, 1, 0))
    return {"storageType": "i", "pathOrInlineDv": text, "sizeInBytes": len(raw), "cardinality": len(rows)}


def named_again(table: str, version: int, **values: Any) -> Change:
    """Another tool names the file of a version again."""

    def do(world: World) -> None:
        (add,) = (item["add"] for item in actions(world.commit(table, version)) if "add" in item)
        items: list[dict[str, Any]] = [{"commitInfo": {"timestamp": 1796069999000, "operation": "DELETE"}}]
        if "deletionVector" in values:
            features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
            items += [{"protocol": {"minReaderVersion": 3, "minWriterVersion": 7} | features}]
        items += [{"remove": {"path": add["path"], "dataChange": True, "deletionTimestamp": 1796069999000}}]
        write_actions(
            world.commit(table, world.versions(table)[-1] + 1), [*items, {"add": copy.deepcopy(add) | values}]
        )

    return do


def place_of(world: World, parcel: str) -> int:
    rows = pl.read_parquet(world.data(TABLE, 2), hive_partitioning=False)
    return rows["parcel"].to_list().index(parcel)


def hidden(parcel: str) -> Change:
    """Of the predictions of day 4."""
    return lambda world: named_again(TABLE, 2, deletionVector=vector([place_of(world, parcel)]))(world)


def delivered(world: World) -> None:
    """Day 6, as far as clean rows."""
    world.deliver(6)
    for stage in stages(world.steps):
        for unit in planned_runs(stage, world.store.env()):
            for step in unit.steps:
                if step.outputs[0].partition("/")[0] in ("raw", "clean", "quarantine", "profiles"):
                    execute(step, world.store.env(), unit.partition)


def predicted(world: World) -> None:
    world.run()
    world.prediction = world.row(6)["prediction_id"]


def put_together(world: World) -> None:
    DeltaTable(str(world.lake / CLEAN)).optimize.z_order(["parcel"])


def updated(world: World) -> None:
    DeltaTable(str(world.lake / CLEAN)).update(updates={"grams": "grams * 10"}, predicate=f"partition_key = '{day(6)}'")


def called_optimize(world: World) -> None:
    edit_info(world.commit(CLEAN, NEW), "operation", "OPTIMIZE")


def rewritten(world: World) -> None:
    """The file that it made of day 6, under the same name."""
    (path,) = (path for path in world.added(CLEAN, NEW) if day(6) in unquote(str(path)))
    rewrite(path.parent.parent / unquote(path.parent.name) / path.name, (pl.col("hours") * 10).alias("hours"))


CASES = [
    Case("row hidden", hidden("p4-2"), "broken", f"{TABLE}@4", "readers do not see it any more", alone=True),
    Case("neighbour hidden", hidden("p4-3"), "verified", why="its own row is there", alone=True),
    Case(
        "file named again in another partition",
        named_again(TABLE, 2, partitionValues={"partition_key": day(9)}),
        "broken",
        f"{TABLE}@4",
        "readers see it as a prediction of another day",
        alone=True,
    ),
    Case(
        "put together, then predicted",
        chain(delivered, put_together, predicted),
        "verified",
        why="they are the same rows",
        said=f"{CLEAN}@{NEW} OPTIMIZE by another tool.*the same",
        said_offline=True,
        alone=True,
    ),
    Case(
        "changed and called OPTIMIZE, then predicted",
        chain(delivered, updated, called_optimize, predicted),
        "incomplete",
        f"{CLEAN}@{NEW}",
        "nobody knows what the rows come from",
        alone=True,
    ),
    Case(
        "put together, predicted, bytes changed",
        chain(delivered, put_together, predicted, rewritten),
        "incomplete",
        f"{CLEAN}@{NEW}",
        "the file's name promises no bytes",
        alone=True,
    ),
]


@cases(CASES)
def test_moved_rows(case: Case, world: World) -> None:
    judge(case, world)
