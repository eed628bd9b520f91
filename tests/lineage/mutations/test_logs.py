"""Commits, logs and tables that are gone."""

import shutil
from pathlib import Path

from deltalake import DeltaTable

from tests.lineage.mutations.cases import Case, cases, commit, either, judge, several
from tests.lineage.mutations.edits import Change, remove
from tests.lineage.mutations.test_checkpoints import checkpoint, log
from tests.lineage.mutations.world import TABLE, World

ON_THE_WAY = (
    ("models/late", 1),
    ("training/delays", 1),
    ("features/parcel", 4),
    ("features/parcel", 1),
    ("features/depot", 4),
    ("clean/parcels", 4),
    ("clean/parcels", 2),
    ("raw/parcels", 4),
    ("raw/parcels", 1),
    ("lists/depots", 1),
)
TABLES = (
    "models/late",
    "training/delays",
    "features/parcel",
    "features/depot",
    "clean/parcels",
    "raw/parcels",
    "lists/depots",
)


def gone(table: str, version: int) -> Change:
    return lambda world: world.commit(table, version).unlink()


def cleaned_up(table: str, version: int) -> Change:
    """What Delta's log cleanup does: a checkpoint, and no commit before it."""

    def do(world: World) -> None:
        checkpoint(table, version)(world)
        for number in range(version):
            world.commit(table, number).unlink()

    return do


def without(*names: str) -> Change:
    def do(world: World) -> None:
        for name in names:
            remove(world.lake / name)

    return do


def made_anew(table: str) -> Change:
    """Deleted, and written again by a plain client with the same rows."""

    def do(world: World) -> None:
        rows = DeltaTable(str(world.lake / table)).to_pyarrow_table()
        shutil.rmtree(world.lake / table)
        (world.lake / table).mkdir()
        DeltaTable.create(str(world.lake / table), rows.schema)
        DeltaTable(str(world.lake / table)).merge(rows, "false", "s", "t").when_not_matched_insert_all().execute()

    return do


def leftover(name: str, content: bytes = b"x") -> Change:
    def do(world: World) -> None:
        path: Path = log(world, "clean/parcels") / name
        path.write_bytes(content)

    return do


CASES = [
    *several(
        Case(
            f"commit gone, {table} {version}",
            gone(table, version),
            "incomplete",
            either(commit(table, version), rf"{table}.*commit {version} is missing"),
            "what is gone contradicts nothing",
            cuts=True,
        )
        for table, version in ON_THE_WAY
    ),
    Case(
        "commit gone, of the prediction",
        gone(TABLE, 2),
        "refused",
        f"{TABLE} cannot be opened: its log is damaged",
        "there is no way to follow, and the error says so",
        names=commit(TABLE, 2),
    ),
    Case(
        "newest commit gone",
        gone(TABLE, 3),
        "refused",
        "no prediction|There is no|gone|missing",
        "no version holds the row any more",
        about="tip",
        names=commit(TABLE, 3),
    ),
    Case(
        "later commit gone, clean", gone("clean/parcels", 5), "verified", why="it came later, and the log has no hole"
    ),
    Case("later commit gone, raw", gone("raw/parcels", 5), "verified", why="it came later, and the log has no hole"),
    Case("later commit gone, predictions", gone(TABLE, 3), "verified", why="it came later, and the log has no hole"),
    Case("commit gone, notes", gone("clean/notes", 1), "verified", why="not on the way"),
    Case("commit gone, profiles", gone("profiles/parcels", 3), "verified", why="not on the way"),
    Case(
        "commit gone, predictions of the day before",
        gone(TABLE, 1),
        "refused",
        f"{TABLE} cannot be opened: its log is damaged",
        "no reader can open a table whose log has a hole, and the error says so",
        names=commit(TABLE, 1),
    ),
    Case(
        "first commit gone, clean",
        gone("clean/parcels", 0),
        "incomplete",
        either(commit("clean/parcels", 0), "clean/parcels.*(log|commit 0)"),
        "the log has a hole",
        cuts=True,
    ),
    *several(
        Case(
            f"log cleaned up, {table}",
            cleaned_up(table, version),
            "incomplete",
            rf"(?s){table}.*cleaned up|cleaned up.*{table}",
            "the table is the same; who wrote the rows before that, nobody can know",
            cuts=True,
        )
        for table, version in (("clean/parcels", 4), ("raw/parcels", 4), ("features/parcel", 4), (TABLE, 2))
    ),
    Case(
        "log cleaned up, newest",
        cleaned_up(TABLE, 3),
        "incomplete",
        rf"(?s){TABLE}.*cleaned up|cleaned up.*{TABLE}",
        "the table is the same, and the prediction's own commit is there",
        about="tip",
    ),
    Case("log cleaned up, notes", cleaned_up("clean/notes", 1), "verified", why="not on the way"),
    *several(
        Case(
            f"table gone, {table}",
            without(table),
            "incomplete",
            f"{table}.*(erased|deleted|gone|missing)",
            "nothing is left to contradict",
            cuts=True,
        )
        for table in TABLES
    ),
    *several(
        Case(
            f"log gone, {table}",
            without(f"{table}/_delta_log"),
            "incomplete",
            f"{table}.*(erased|deleted|gone|missing)",
            "nothing is left to contradict",
            cuts=True,
        )
        for table in ("clean/parcels", "models/late")
    ),
    *several(
        Case(
            f"made anew, {table}",
            made_anew(table),
            "incomplete",
            f"{table}.*(erased|deleted|made anew)",
            "it is another table, of which nothing was read",
            cuts=True,
        )
        for table in ("lists/depots", "training/delays")
    ),
    Case("predictions gone", without(TABLE), "refused", "no prediction", "there is nothing to trace", names=TABLE),
    Case("tables of others gone", without("clean/notes", "quarantine", "profiles"), "verified", why="not on the way"),
    Case("leftover of a writer", leftover("_commit_x.json.tmp"), "verified", why="no reader looks at it"),
    Case("file of another program", leftover("00000000000000000004.crc"), "verified", why="no reader looks at it"),
]


@cases(CASES, alike=True)
def test_logs(case: Case, world: World) -> None:
    judge(case, world)
