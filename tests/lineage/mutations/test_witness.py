"""The lineage store, the second witness: it may be missing, but what it says must not contradict the lake."""

import json
import sqlite3
from collections.abc import Callable
from typing import Any

from assay.lineage.delivery.rebuild import rebuild
from tests.lineage.mutations.cases import Case, cases, judge, several
from tests.lineage.mutations.edits import Change, sha256, sql, without_store
from tests.lineage.mutations.world import TABLE, World

STORE = "lineage store|events/"
TIP = (TABLE, 3)
ON_THE_WAY = (
    (TABLE, 2),
    ("models/late", 1),
    ("training/delays", 1),
    ("features/parcel", 4),
    ("features/depot", 4),
    ("clean/parcels", 4),
    ("raw/parcels", 4),
)
READ_ONLY = (
    "features/depot",
    4,
)  # it was read, but of its rows only those of the day before: its run is not on the way
ELSEWHERE = (("clean/notes", 1), ("raw/parcels", 5), TIP)
AGREE = "the lake's own chain agrees about the commit, so that the store was changed"
_VERSION = "version = ? AND dataset_id = (SELECT id FROM datasets WHERE table_name = ?)"


def index_digest(table: str, version: int) -> Change:
    """Another digest in the index."""
    return sql(f"UPDATE dataset_versions SET commit_sha256 = ? WHERE {_VERSION}", "0" * 64, str(version), table, rows=1)


def in_event(table: str, version: int, change: Callable[[dict[str, Any]], object], kind: str = "COMPLETE") -> Change:
    """Another text of an event of the run that made a version."""

    def do(world: World) -> None:
        run = world.info(table, version)["assay.run_id"]
        world.close()
        connection = sqlite3.connect(world.lineage)
        ((key, body),) = connection.execute(
            "SELECT id, body FROM events WHERE run_id = ? AND event_type = ?", (run, kind)
        )
        event = json.loads(body)
        change(event)
        content = json.dumps(event).encode()
        assert content != body
        connection.execute("UPDATE events SET body = ? WHERE id = ?", (content, key))
        connection.commit()
        connection.close()

    return do


def output(table: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def found(event: dict[str, Any]) -> dict[str, Any]:
        return next(item for item in event["outputs"] if item["facets"].get("assay_snapshot", {}).get("table") == table)

    return found


def event_digest(table: str, version: int) -> Change:
    return in_event(
        table, version, lambda event: output(table)(event)["facets"]["assay_snapshot"].update(commit_sha256="0" * 64)
    )


def event_rows(table: str, version: int) -> Change:
    return in_event(
        table, version, lambda event: output(table)(event)["outputFacets"]["outputStatistics"].update(rowCount=7)
    )


def event_version(table: str, version: int) -> Change:
    def change(event: dict[str, Any]) -> None:
        facets = output(table)(event)["facets"]
        facets["assay_snapshot"]["version"] = version + 1
        facets["version"]["datasetVersion"] = str(version + 1)

    return in_event(table, version, change)


def index_and_event(table: str, version: int) -> Change:
    """The digest wherever the store has it."""

    def do(world: World) -> None:
        before, after = sha256(world.commit(table, version)), "0" * 64
        sql("UPDATE dataset_versions SET commit_sha256 = ? WHERE commit_sha256 = ?", after, before)(world)
        sql("UPDATE events SET body = CAST(replace(body, ?, ?) AS BLOB) WHERE instr(body, ?)", before, after, before)(
            world
        )

    return do


def without_run(table: str, version: int) -> Change:
    def do(world: World) -> None:
        run = world.info(table, version)["assay.run_id"]
        sql("DELETE FROM edges WHERE run_key = (SELECT id FROM runs WHERE run_id = ?)", run)(world)
        sql("DELETE FROM events WHERE run_id = ?", run)(world)

    return do


def written(content: bytes) -> Change:
    def do(world: World) -> None:
        without_store(world)
        world.lineage.write_bytes(content)

    return do


def rebuilt(world: World) -> None:
    without_store(world)
    vars(world.store).pop("lineage_store", None)
    rebuild(world.store.lineage_store, world.store.lake)


def of_another_lake(world: World) -> None:
    """As when the setting names the store of another project."""
    sql("UPDATE datasets SET table_id = 'x' || table_id")(world)
    sql("DELETE FROM events")(world)


CASES = [
    *several(
        Case(f"{what}, {table} {version}", change(table, version), "broken", STORE, AGREE)
        for what, change in (("index digest", index_digest), ("event digest", event_digest), ("both", index_and_event))
        for table, version in ON_THE_WAY
        if change is index_digest or (table, version) != READ_ONLY
    ),
    *(
        Case(f"{what}, newest", change(*TIP), "broken", STORE, "its seal agrees with the commit", about="tip")
        for what, change in (
            ("index digest", index_digest),
            ("event digest", event_digest),
            ("both", index_and_event),
            ("row count", event_rows),
            ("version", event_version),
        )
    ),
    *(
        Case(f"row count, {table} {version}", event_rows(table, version), "broken", STORE, AGREE)
        for table, version in ((TABLE, 2), ("clean/parcels", 4), ("models/late", 1))
    ),
    *(
        Case(f"version, {table} {version}", event_version(table, version), "broken", STORE, AGREE)
        for table, version in ((TABLE, 2), ("clean/parcels", 4))
    ),
    *(
        Case(f"elsewhere, {table} {version}", index_and_event(table, version), "verified", why="not on the way")
        for table, version in ELSEWHERE
    ),
    Case(
        "run forgotten", without_run(TABLE, 2), "verified", why="the lake's own vouchers suffice", said="lineage|events"
    ),
    Case(
        "newest run forgotten",
        without_run(*TIP),
        "verified",
        why="its seal vouches for it",
        about="tip",
        said="lineage|events",
        alone=True,
    ),
    Case(
        "all runs forgotten", sql("DELETE FROM events"), "verified", why="the lake's own vouchers suffice", alone=True
    ),
    Case("gone", without_store, "verified", why="the lake's own vouchers suffice", said="lineage|events", alone=True),
    Case(
        "gone, newest",
        without_store,
        "verified",
        why="its seal vouches for it",
        about="tip",
        said="lineage|events",
        alone=True,
    ),
    Case(
        "empty file", written(b""), "verified", why="the lake's own vouchers suffice", said="lineage|events", alone=True
    ),
    Case("no database", written(b"x" * 5000), "verified", why="nobody can read it", said="lineage|events", alone=True),
    Case(
        "database cut off", written(b"SQLite format 3\0" + b"x" * 90), "verified", why="nobody can read it", alone=True
    ),
    Case("rebuilt", rebuilt, "verified", why="it is an index of the lake, made anew from it", alone=True),
    Case("rebuilt, newest", rebuilt, "verified", why="as before", about="tip", alone=True),
    Case("of another lake", of_another_lake, "verified", why="it knows nothing of these tables", alone=True),
    Case("completeness mark", sql("DELETE FROM complete", rows=0), "verified", why="it decides only what is recovered"),
    Case(
        "check flipped in the index",
        sql("UPDATE checks SET passed = 1 - passed"),
        "verified",
        why="of the store only versions, digests and counts are asked: checks are shown from the commits",
    ),
]


@cases(CASES)
def test_witness(case: Case, world: World) -> None:
    judge(case, world)
