"""Rows of predictions that plain Delta clients change, take away, add, copy and move."""

from dataclasses import replace
from typing import Any

import polars as pl
from deltalake import Field
from deltalake.schema import PrimitiveType

from assay.lineage.predictions.prediction_log import prediction_ids
from tests.lineage.mutations.cases import ROW, Case, cases, commit, either, judge, several
from tests.lineage.mutations.edits import append, chain, delta, overwrite, stored_rows, update
from tests.lineage.mutations.world import TABLE, World, day

OURS, OTHERS = "parcel = 'p4-2'", "parcel <> 'p4-2'"
NEXT = commit(TABLE, 4)  # what a plain client's first commit becomes
KEYS = ["parcel", "depot"]

CHANGED = {
    "answer": {"late": "NOT late"},
    "confidence": {"confidence": "0.99"},
    "event time": {"event_time": "event_time + INTERVAL '1 second'"},
    "key": {"depot": "'D1'"},
    "model version": {"model_version": "'2'"},
    "feature digest": {"feature_digest": "'00'"},
    "id": {"prediction_id": "'019cb6c9-bb80-75b9-8e7e-95f481b034a8'"},
}


def own_rows(world: World) -> pl.DataFrame:
    return stored_rows(world).filter(pl.col("parcel") == "p4-2")


def flipped(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(late=~pl.col("late"))


def merge(world: World) -> None:
    rows = flipped(own_rows(world)).to_arrow()
    on = "s.prediction_id = t.prediction_id"
    delta(world).merge(rows, on, source_alias="s", target_alias="t").when_matched_update_all().execute()


def overwrite_day(world: World, change: Any = flipped) -> None:
    rows = stored_rows(world).filter(pl.col("partition_key") == day(4))
    overwrite(world, change(rows), f"partition_key = '{day(4)}'")


def forged(world: World, run: int, **changes: Any) -> pl.DataFrame:
    """A prediction that nobody made, a second after one that somebody did, so that its features are right: with the id that the
    public rule gives it, and the run of a day's commit."""
    values = {"run_id": world.row(run)["run_id"], **changes}
    row = own_rows(world).with_columns(
        pl.col("event_time").dt.offset_by("1s"), *(pl.lit(value).alias(name) for name, value in values.items())
    )
    world.prediction = prediction_ids("late", "1", row, KEYS)[0]
    return row.with_columns(prediction_id=pl.lit(world.prediction))


def forge(run: int = 4, *, metadata: bool = False, **changes: Any) -> Any:
    def do(world: World) -> None:
        info = world.info(TABLE, run - 2) if metadata else {}
        append(world, forged(world, run, **changes), **{key: info[key] for key in info if key.startswith("assay.")})

    return do


def copy_into_another_table(world: World) -> None:
    rows = flipped(own_rows(world)).drop("partition_key")
    (world.lake / "predictions/other").mkdir()
    append(world, rows, "predictions/other")


def compacted(world: World) -> None:
    """A second file in the partition, so that there is something to compact."""
    append(world, own_rows(world).with_columns(prediction_id=pl.lit("019cb6c9-bb80-75b9-8e7e-95f481b034a8")))
    delta(world).optimize.compact()


def vacuum(world: World) -> None:
    delta(world).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)


def add_column(world: World) -> None:
    delta(world).alter.add_columns([Field("note", PrimitiveType("string"))])


def z_order(world: World) -> None:
    delta(world).optimize.z_order(["parcel"])


UPDATED = [
    Case(
        f"update of the {what}",
        update(values, OURS),
        "broken",
        NEXT,
        "the row is not in a file that its run added, and it is another one now",
    )
    for what, values in CHANGED.items()
]
NO_RUN = "no commit of its log is of the run"

CASES = [
    *several(UPDATED),
    Case(
        "update of the run",
        update({"run_id": "'00000000-0000-0000-0000-000000000000'"}, OURS),
        "refused",
        NO_RUN,
        "there is no way to follow, and the error says so",
        lost="broken",
        names=NEXT,
    ),
    Case("update of the newest answer", update({"late": "NOT late"}, "parcel = 'p5-2'"), "broken", NEXT, about="tip"),
    Case("update of all answers", update({"late": "NOT late"}, "true"), "broken", NEXT, "the row is among them"),
    Case(
        "update that was put back",
        chain(update({"late": "NOT late"}, OURS), update({"late": "NOT late"}, OURS)),
        "verified",
        why="it was moved twice; what is there now is what its run wrote",
    ),
    Case(
        "update of the neighbours",
        update({"late": "NOT late"}, f"{OTHERS} AND partition_key = '{day(4)}'"),
        "verified",
        why="the row was copied to another file as it was",
        said="moved",
    ),
    Case("update of another day", update({"late": "NOT late"}, "parcel = 'p5-2'"), "verified", why="another file"),
    Case("merge of another answer", merge, "broken", NEXT, "as an update"),
    Case("overwritten day with other answers", overwrite_day, "broken", NEXT, "as an update"),
    Case(
        "overwritten day with the same rows",
        lambda world: overwrite_day(world, lambda rows: rows),
        "verified",
        why="the row is the same in another file",
        said="moved",
    ),
    Case(
        "overwritten day without the row",
        lambda world: overwrite_day(world, lambda rows: rows.filter(pl.col("parcel") != "p4-2")),
        "broken",
        NEXT,
        "the row was deleted",
    ),
    Case(
        "overwritten table with the same rows",
        lambda world: overwrite(world, stored_rows(world)),
        "verified",
        why="the row is the same in another file",
        said="moved",
    ),
    Case(
        "deleted row", lambda world: delta(world).delete(OURS), "broken", NEXT, "no run of Assay deletes a prediction"
    ),
    Case(
        "deleted day",
        lambda world: delta(world).delete(f"partition_key = '{day(4)}'"),
        "broken",
        NEXT,
        "its file was taken away whole",
    ),
    Case("deleted rows", lambda world: delta(world).delete(), "broken", NEXT, "all files were taken away"),
    Case(
        "deleted newest row",
        lambda world: delta(world).delete("parcel = 'p5-2'"),
        "broken",
        NEXT,
        "found in the version before",
        about="tip",
    ),
    Case(
        "deleted neighbours",
        lambda world: delta(world).delete(f"{OTHERS} AND partition_key = '{day(4)}'"),
        "verified",
        why="the row was copied to another file as it was",
        said="moved",
    ),
    Case("deleted other day", lambda world: delta(world).delete("parcel = 'p5-2'"), "verified", why="another file"),
    Case(
        "deleted and appended again",
        lambda world: (rows := own_rows(world), delta(world).delete(OURS), append(world, rows)),
        "verified",
        why="what is there now is what its run wrote",
        said="moved",
    ),
    Case(
        "deleted and appended with another answer",
        lambda world: (rows := own_rows(world), delta(world).delete(OURS), append(world, flipped(rows))),
        "broken",
        either(NEXT, commit(TABLE, 5)),
        "another row in its place",
    ),
    Case("restored to before it", lambda world: delta(world).restore(2), "broken", NEXT, "deleted", about="tip"),
    Case("restored to just after it", lambda world: delta(world).restore(2), "verified", why="its file stayed"),
    Case("made up, with the run of its day", forge(), "broken", NEXT, "no run of Assay made the commit that added it"),
    Case("made up, with the run of another day", forge(5), "broken", NEXT, "as before"),
    Case("made up, with the newest run", forge(5), "broken", NEXT, "as before", about="tip"),
    Case(
        "made up, with a run that nobody knows",
        forge(run_id="00000000-0000-0000-0000-000000000000"),
        "refused",
        NO_RUN,
        "there is no way to follow, and the error says so",
        lost="broken",
        names=NEXT,
    ),
    Case(
        "made up, with all metadata of its day",
        forge(metadata=True),
        "broken",
        NEXT,
        "the run wrote another version: so its seal and the lineage store say",
        alone=True,
    ),
    Case(
        "made up, with all metadata of the newest",
        forge(5, metadata=True),
        "broken",
        NEXT,
        "the run wrote another version: so its seal and the lineage store say",
        alone=True,
    ),
    Case("the same row twice", lambda world: append(world, own_rows(world)), "broken", NEXT, "two rows have one id"),
    Case(
        "the same id with another answer",
        lambda world: append(world, flipped(own_rows(world))),
        "broken",
        NEXT,
        "two rows have one id",
    ),
    Case(
        "the same id in another day",
        lambda world: append(world, flipped(own_rows(world)).with_columns(partition_key=pl.lit(day(5)))),
        "broken",
        NEXT,
        "two rows have one id",
    ),
    Case(
        "the same id in another table", copy_into_another_table, "broken", "predictions/other", "two rows have one id"
    ),
    Case(
        "rows of others appended",
        lambda world: append(
            world, own_rows(world).with_columns(prediction_id=pl.lit("019cb6c9-bb80-75b9-8e7e-95f481b034a8"))
        ),
        "verified",
        why="another row in another file, of which nothing is asked",
    ),
    Case("compacted", compacted, "verified", why="the same rows in another file", said="moved"),
    Case("z-ordered", z_order, "verified", why="the same rows in another file", said="moved"),
    Case("z-ordered, newest", z_order, "verified", why="the same rows in another file", about="tip", said="moved"),
    Case(
        "z-ordered and vacuumed by a plain client",
        chain(z_order, vacuum),
        "incomplete",
        lambda world: either(world.data(TABLE, 2).name, "row|moved"),
        "the file that its run wrote is gone, so that nobody can say whether the row is the same",
        alone=True,
    ),
    Case("column added", add_column, "verified", why="no row was touched"),
    Case(
        "property set",
        lambda world: delta(world).alter.set_table_properties({"delta.appendOnly": "true"}),
        "verified",
        why="no row was touched",
    ),
    Case(
        "constraint added",
        lambda world: delta(world).alter.add_constraint({"sure": "confidence >= 0"}),
        "verified",
        why="no row was touched",
    ),
    Case("vacuumed by a plain client", vacuum, "verified", why="nothing of it was in the way of anybody"),
]


# A row that was changed or made up is accused itself, too.
CASES = [replace(case, also=ROW) if case.verdict == "broken" else case for case in CASES]


@cases(CASES)
def test_rows(case: Case, world: World) -> None:
    judge(case, world)
