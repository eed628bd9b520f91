"""Seals: the digests of the newest commits, kept beside the tables."""

import json
from typing import Any

from tests.lineage.mutations.cases import Case, cases, commit, either, judge
from tests.lineage.mutations.edits import Change, chain, edit_info, empty, extend, remove, swap, truncate, without_store
from tests.lineage.mutations.world import TABLE, World

TIP = (TABLE, 3)
SEAL = r"_seals/|seal"
ON_THE_WAY = ((TABLE, 2), ("models/late", 1), ("training/delays", 1))


def edited(table: str, version: int, /, **values: Any) -> Change:
    def change(world: World) -> None:
        path = world.seal(table, version)
        path.write_text(json.dumps(json.loads(path.read_text()) | values, sort_keys=True))

    return change


def on_seal(table: str, version: int, change: Any) -> Change:
    return lambda world: change(world.seal(table, version))


def without_seals(world: World) -> None:
    remove(world.lake / "_seals")


def accused(table: str, version: int) -> str:
    return rf"_seals/{table}.*0*{version}\.json|seal of {table}@{version}"


CASES = [
    *(
        Case(
            f"{table} {version} other digest",
            edited(table, version, sha256="0" * 64),
            "broken",
            accused(table, version),
            "everybody else agrees with the commit, so that the seal was changed",
        )
        for table, version in ON_THE_WAY
    ),
    Case(
        "newest, other digest",
        edited(*TIP, sha256="0" * 64),
        "broken",
        accused(*TIP),
        "the lineage store agrees with the commit, so that the seal was changed",
        about="tip",
    ),
    Case(
        "newest, other row count",
        edited(*TIP, rows=7),
        "broken",
        accused(*TIP),
        "the commit, whose bytes it vouches for, has another count",
        about="tip",
    ),
    Case(
        "newest, other version", edited(*TIP, version=2), "broken", accused(*TIP), "no seal of this place", about="tip"
    ),
    Case("newest, other table", edited(*TIP, table="x"), "broken", accused(*TIP), "no seal of this place", about="tip"),
    Case("newest, other id", edited(*TIP, table_id="x"), "broken", accused(*TIP), "no seal of this place", about="tip"),
    Case("newest, cut off", on_seal(*TIP, truncate), "broken", accused(*TIP), "it is no seal any more", about="tip"),
    Case("newest, empty", on_seal(*TIP, empty), "broken", accused(*TIP), "it is no seal any more", about="tip"),
    Case("newest, no JSON", on_seal(*TIP, lambda path: path.write_text("x")), "broken", accused(*TIP), about="tip"),
    Case("newest, a list", on_seal(*TIP, lambda path: path.write_text("[]")), "broken", accused(*TIP), about="tip"),
    Case("newest, a space", on_seal(*TIP, extend), "verified", why="it says the same", about="tip"),
    Case(
        "two swapped",
        lambda world: swap(world.seal(TABLE, 2), world.seal(*TIP)),
        "broken",
        either(accused(TABLE, 2), accused(*TIP)),
        "each is that of another version",
        about="tip",
    ),
    Case("of another version changed", edited(*TIP, sha256="0" * 64), "verified", why="it came later"),
    Case("of another version gone", on_seal(*TIP, remove), "verified", why="it came later"),
    Case("gone", on_seal(TABLE, 2, remove), "verified", why="the next commit vouches for it"),
    Case(
        "newest gone",
        on_seal(*TIP, remove),
        "verified",
        why="the lineage store has its digest",
        about="tip",
        alone=True,
    ),
    Case("all gone", without_seals, "verified", why="the next commit vouches for it", alone=True),
    Case(
        "all gone, newest",
        without_seals,
        "verified",
        why="the lineage store has its digest; readers have those of the others",
        about="tip",
        alone=True,
    ),
    Case(
        "gone with the lineage store",
        chain(on_seal(TABLE, 2, remove), without_store),
        "verified",
        why="the next commit vouches for it",
        alone=True,
    ),
    Case(
        "newest gone with the lineage store",
        chain(on_seal(*TIP, remove), without_store),
        "incomplete",
        commit(*TIP),
        "nobody else knows the newest commit's digest",
        about="tip",
        alone=True,
    ),
    Case(
        "all gone with the lineage store, newest",
        chain(without_seals, without_store),
        "incomplete",
        commit(*TIP),
        "nobody else knows the newest commit's digest; readers have those of the others",
        about="tip",
        alone=True,
    ),
    Case(
        "newest changed without the lineage store",
        chain(edited(*TIP, sha256="0" * 64), without_store),
        "broken",
        either(accused(*TIP), commit(*TIP)),
        "two disagree, and nobody else is there: one of them lies",
        about="tip",
        alone=True,
    ),
    Case(
        "commit changed without the lineage store",
        chain(lambda world: edit_info(world.commit(*TIP), "assay.actor", "x"), without_store),
        "broken",
        either(accused(*TIP), commit(*TIP)),
        "two disagree, and nobody else is there: one of them lies",
        about="tip",
        alone=True,
    ),
]


@cases(CASES)
def test_seals(case: Case, world: World) -> None:
    judge(case, world)
