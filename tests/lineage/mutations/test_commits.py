"""Commits that were edited, alone and together with whoever vouches for them."""

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import polars as pl

from tests.lineage.mutations.cases import ROW, Case, cases, commit, either, in_lake, judge, offline, several
from tests.lineage.mutations.edits import (
    Change,
    chain,
    edit_actions,
    edit_info,
    edit_json,
    empty,
    extend,
    replace_data,
    seal_again,
    sha256,
    sql,
    swap,
    truncate,
    vouch_again,
)
from tests.lineage.mutations.world import TABLE, World

# Who is on the way to the prediction of day 4, and why its commit cannot be changed unseen.
ON_THE_WAY = {
    (TABLE, 2): "the next commit vouches for it, its seal and the lineage store",
    ("models/late", 1): "the prediction's commit has its digest, its seal and the lineage store",
    ("training/delays", 1): "the model's commit has its digest, its seal and the lineage store",
    ("features/parcel", 4): "the prediction's commit has its digest, and the next one vouches for it",
    ("features/depot", 4): "the prediction's commit has its digest, and the next one vouches for it",
    ("clean/parcels", 4): "three commits that read it have its digest, and the next one vouches for it",
    ("clean/parcels", 2): "read for the training set, and vouched for by the next one",
    ("raw/parcels", 4): "the clean table's commit has its digest, and the next one vouches for it",
    ("lists/depots", 1): "only looked up, and its digest is recorded all the same",
    ("clean/parcels", 0): "it made the table; the next one vouches for it",
    (TABLE, 0): "it made the table; the next one vouches for it",
}
# Readers of the table cannot open it, or the row is in no file that its log knows.
NO_RUN = "no commit of its log is of the run|cannot be opened: its log is damaged|There is no prediction"
LOST = "there is no way to follow, and the error says so"
TIP = (TABLE, 3)
TIP_SAYS = "nobody came after it: its seal and the lineage store have its digest"


def edited(table: str, version: int, key: str, value: Any) -> Change:
    return lambda world: edit_info(world.commit(table, version), key, value)


def in_json(table: str, version: int, key: str, change: Any) -> Change:
    return lambda world: edit_json(world.commit(table, version), f"assay.{key}", change)


def on_file(table: str, version: int, change: Any) -> Change:
    return lambda world: change(world.commit(table, version))


def in_actions(table: str, version: int, change: Any) -> Change:
    return lambda world: edit_actions(world.commit(table, version), change)


def flip_operation(path: Path) -> None:
    """One bit, in what the commit says was done."""
    content = path.read_bytes()
    place = content.index(b'"operation":"') + len(b'"operation":"')
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])


def first_add(change: Any) -> Any:
    return lambda items: change(next(item["add"] for item in items if "add" in item))


def statistics(add: dict[str, Any]) -> None:
    add["stats"] = json.dumps(json.loads(add["stats"]) | {"numRecords": 7})


def digest_in(table: str) -> Any:
    return lambda inputs: [
        item | {"commit_sha256": "0" * 64} if item["table"] == table and not item["reference"] else item
        for item in inputs
    ]


def other_version(inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Day 3's version of the clean table in place of the one that was read."""
    return [item | {"version": item["version"] - 1} if item["table"] == "clean/parcels" else item for item in inputs]


def all_passed(checks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [check | {"passed": True, "evaluated": 6, "unknown": 0} for check in checks]


def flipped_answer(world: World) -> None:
    replace_data(world, *TIP, (~pl.col("late")).alias("late"))


# What a forger might want to change of the newest commit. All of it leaves a commit that can be read.
WISHES: dict[str, Change] = {
    "code version": edited(*TIP, "assay.code_version", "0000000000000000"),
    "actor": edited(*TIP, "assay.actor", "somebody else"),
    "partition": edited(*TIP, "assay.partition", "2026-03-04"),
    "mode": edited(*TIP, "assay.mode", "replace"),
    "rows": edited(*TIP, "assay.rows", "7"),
    "fingerprint": edited(*TIP, "assay.fingerprint", "0" * 64),
    "period": edited(*TIP, "assay.period", None),
    "format": edited(*TIP, "assay.format", "0"),
    "timestamp": edited(*TIP, "timestamp", lambda at: at - 86_400_000),
    "operation": edited(*TIP, "operation", "MERGE"),
    "engine": edited(*TIP, "engineInfo", "delta-rs:py-1.6.6"),
    "git commit": in_json(*TIP, "code", lambda code: code | {"git": "0" * 40}),
    "an input dropped": in_json(*TIP, "inputs", lambda inputs: inputs[1:]),
    "the last input dropped": in_json(*TIP, "inputs", lambda inputs: inputs[:-1]),
    "all inputs dropped": edited(*TIP, "assay.inputs", None),
    "an input of another version": in_json(*TIP, "inputs", other_version),
    "an input that was only looked up": in_json(
        *TIP, "inputs", lambda inputs: [item | {"reference": True} for item in inputs]
    ),
    "an input of other bytes": in_json(*TIP, "inputs", digest_in("models/late")),
    "outputs": in_json(*TIP, "predictions", lambda section: section | {"outputs": []}),
    "model version": in_json(*TIP, "predictions", lambda section: section | {"version": "2"}),
    "features": in_json(*TIP, "predictions", lambda section: section | {"features": []}),
    "keys": in_json(*TIP, "predictions", lambda section: section | {"keys": ["parcel"]}),
    "statistics": in_actions(*TIP, first_add(statistics)),
    "a size": in_actions(*TIP, first_add(lambda add: add.update(size=add["size"] + 1))),
    "a new key": edited(*TIP, "assay.note", "x"),
    "nothing vouched for": edited(*TIP, "assay.previous", None),
    "something else vouched for": in_json(*TIP, "previous", lambda known: dict.fromkeys(known, "0" * 64)),
    "a space": on_file(*TIP, extend),
    "the answer, its file and its size": flipped_answer,
    "all the way": chain(
        flipped_answer,
        edited(*TIP, "assay.code_version", "0000000000000000"),
        in_json(*TIP, "inputs", lambda inputs: inputs[1:]),
    ),
}
# These contradict something besides: the row, what was read, or the commit that is vouched for.
BESIDES = either(ROW, "models/late@1", "clean/parcels@", f"{TABLE}@2", r"^trace", r"^runs")


def of_the_tip(what: str, change: Change) -> Case:
    return Case(f"newest commit, {what}", change, "broken", commit(*TIP), TIP_SAYS, about="tip", also=BESIDES)


def of_the_way(what: str, change: Any, unreadable: Collection[int] = ()) -> list[Case]:
    """`unreadable`: versions of the prediction's own table without which there is no way to follow."""
    return [
        Case(f"{table} {version}, {what}", change(table, version), "broken", commit(table, version), why)
        if table != TABLE or version not in unreadable
        else Case(
            f"{table} {version}, {what}",
            change(table, version),
            "refused",
            NO_RUN,
            LOST,
            lost="broken",
            names=commit(table, version),
        )
        for (table, version), why in ON_THE_WAY.items()
    ]


def with_seal(world: World) -> None:
    edit_info(world.commit(*TIP), "assay.code_version", "0000000000000000")
    seal_again(world, *TIP)


def with_lineage(world: World) -> None:
    """The commit, and the digest of it in the lineage store's index and events."""
    path = world.commit(*TIP)
    before = sha256(path)
    edit_info(path, "assay.code_version", "0000000000000000")
    sql("UPDATE dataset_versions SET commit_sha256 = ? WHERE commit_sha256 = ?", sha256(path), before)(world)
    sql(
        "UPDATE events SET body = CAST(replace(body, ?, ?) AS BLOB) WHERE instr(body, ?)", before, sha256(path), before
    )(world)


def with_next(table: str, version: int) -> Change:
    """The commit, and what the next one says of it."""

    def change(world: World) -> None:
        edit_info(world.commit(table, version), "assay.code_version", "0000000000000000")
        vouch_again(world, table, version)

    return change


PAIRS = [
    Case(
        "newest commit and its seal",
        with_seal,
        "broken",
        either(commit(*TIP), "lineage store"),
        "the lineage store has other bytes: one of them lies",
        about="tip",
    ),
    Case(
        "newest commit and the lineage store",
        with_lineage,
        "broken",
        either(commit(*TIP), "lineage store"),
        "its seal has other bytes: one of them lies",
        about="tip",
    ),
    *(
        Case(
            f"{table} {version} and the next one",
            with_next(table, version),
            "broken",
            either(commit(table, version), commit(table, version + 1)),
            why,
        )
        for (table, version), why in ON_THE_WAY.items()
        if table in (TABLE, "features/parcel", "clean/parcels", "raw/parcels") and version
    ),
    Case(
        "two commits swapped",
        lambda world: swap(world.commit("raw/parcels", 3), world.commit("raw/parcels", 4)),
        "broken",
        either(commit("raw/parcels", 3), commit("raw/parcels", 4)),
        "others have the digests of both",
    ),
    Case(
        "a commit of another table",
        lambda world: world.commit("raw/parcels", 4).write_bytes(world.commit("clean/parcels", 4).read_bytes()),
        "broken",
        commit("raw/parcels", 4),
        "others have its digest",
    ),
    Case(
        "prediction's commit of another day",
        lambda world: world.commit(TABLE, 2).write_bytes(world.commit(TABLE, 1).read_bytes()),
        "refused",
        NO_RUN,
        LOST,
        lost="broken",
        names=commit(TABLE, 2),
    ),
    Case(
        "newest commit, run",
        edited(*TIP, "assay.run_id", "00000000-0000-0000-0000-000000000000"),
        "refused",
        NO_RUN,
        LOST,
        about="tip",
        lost="broken",
        names=commit(*TIP),
    ),
]

# Who vouches falsely, and was certainly changed, vouches for nobody.
FALSE_WITNESSES = [
    Case(
        f"{table} {version} vouches for other bytes",
        in_json(table, version, "previous", lambda known: dict.fromkeys(known, "0" * 64)),
        "verified",
        why="it came later, and its own records show that it was changed, so that what it says counts for nothing",
        said=rf"({commit(table, version)}).*was changed",
    )
    for table, version in (("clean/parcels", 5), ("raw/parcels", 5), ("features/parcel", 5), TIP)
]

ELSEWHERE = [
    Case(f"{table} {version} edited", edited(table, version, "assay.code_version", "0"), "verified", why=why)
    for table, version, why in (
        ("clean/notes", 1, "no part of the prediction's way"),
        ("quarantine/parcels", 4, "no part of the prediction's way"),
        ("profiles/parcels", 4, "no part of the prediction's way"),
        ("clean/parcels", 5, "it came later, and still vouches for the one before it"),
        ("raw/parcels", 5, "it came later, and still vouches for the one before it"),
        (*TIP, "it came later, and still vouches for the one before it"),
    )
]
ELSEWHERE += [
    Case(
        f"{table} {version} vouches for nothing",
        edited(table, version, "assay.previous", None),
        "verified",
        why="it came later; for the one before it others vouch",
    )
    for table, version in (("clean/parcels", 5), ("raw/parcels", 5), TIP)
]
BETWEEN = ("features/parcel", 3)  # neither read, nor on the short way from the newest version to those that were
ELSEWHERE += [
    Case(
        f"{BETWEEN[0]} {BETWEEN[1]}, between",
        edited(*BETWEEN, "assay.code_version", "0"),
        "verified",
        why="nothing in question depends on it; neither the short way nor a bundle looks at it",
    ),
    Case(
        f"{BETWEEN[0]} {BETWEEN[1]}, between, damaged",
        on_file(*BETWEEN, truncate),
        "broken",
        commit(*BETWEEN),
        "nothing in question depends on it, but no reader can open the versions after it",
    ),
    Case(
        f"{BETWEEN[0]} {BETWEEN[1]}, between, gone",
        lambda world: world.commit(*BETWEEN).unlink(),
        "incomplete",
        commit(*BETWEEN),
        "nothing in question depends on it, but no reader can open the versions after it",
        cuts=True,
    ),
    Case("clean/notes damaged", on_file("clean/notes", 1, truncate), "verified", why="no part of the prediction's way"),
    Case(
        "later commit damaged", on_file("raw/parcels", 5, truncate), "verified", why="no part of the prediction's way"
    ),
]

CASES = [
    *several(of_the_way("code version", lambda table, version: edited(table, version, "assay.code_version", "0000"))),
    *several(of_the_way("a space", lambda table, version: on_file(table, version, extend))),
    *several(of_the_way("a bit", lambda table, version: on_file(table, version, flip_operation))),
    *several(of_the_way("cut off", lambda table, version: on_file(table, version, truncate), {0, 2})),
    *several(of_the_way("empty", lambda table, version: on_file(table, version, empty), {2})),
    *several(of_the_tip(what, change) for what, change in WISHES.items()),
    Case(
        "checks that failed passed",
        in_json("clean/parcels", 4, "checks", all_passed),
        "broken",
        commit("clean/parcels", 4),
        ON_THE_WAY["clean/parcels", 4],
    ),
    Case(
        "another contract",
        in_json("clean/parcels", 4, "contract", lambda contract: contract | {"version": "2.0.0"}),
        "broken",
        commit("clean/parcels", 4),
        ON_THE_WAY["clean/parcels", 4],
    ),
    Case(
        "another delivery",
        in_json("raw/parcels", 4, "sources", lambda files: [file | {"path": "parcels/other.csv"} for file in files]),
        "broken",
        commit("raw/parcels", 4),
        ON_THE_WAY["raw/parcels", 4],
    ),
    Case(
        "deliveries dropped",
        edited("raw/parcels", 4, "assay.sources", None),
        "broken",
        commit("raw/parcels", 4),
        ON_THE_WAY["raw/parcels", 4],
    ),
    Case(
        "a model of another training set",
        in_json("models/late", 1, "model", lambda model: model | {"training_set": "delays@7"}),
        "broken",
        commit("models/late", 1),
        ON_THE_WAY["models/late", 1],
    ),
    *PAIRS,
    *FALSE_WITNESSES,
    *ELSEWHERE,
]


@cases(CASES)
def test_commits(case: Case, world: World) -> None:
    judge(case, world)


@cases(
    [
        Case(what, change, "verified", why="nothing in question depends on it")
        for what, change in {
            "edited": edited(*BETWEEN, "assay.code_version", "0"),
            "other rows": edited(*BETWEEN, "assay.rows", "7"),
            "of the day in question": edited(*BETWEEN, "assay.partition", "2026-03-04"),
            "vouches for other bytes": in_json(*BETWEEN, "previous", lambda known: dict.fromkeys(known, "0" * 64)),
        }.items()
    ]
)
def test_in_whole_logs_both_say_what_was_changed_between(case: Case, world: World) -> None:
    """And all ways come to the same verdict."""
    world.prediction = world.of_day[4]
    case.change(world)
    traced = world.store.trace(world.prediction)
    inside = world.store.verify(traced, embed=False, whole_logs=True)
    found = [in_lake(world, traced), offline(world, traced), offline(world, traced, whole_logs=True)]
    assert [inside.outcome, *(verdict.outcome for verdict in found)] == ["verified"] * 4, [str(one) for one in found]
    for findings in (inside.checks, found[2].findings):
        said = [
            str(item) for item in findings if item.ok is not True and "nothing that this prediction read" in str(item)
        ]
        assert any(re.search(commit(*BETWEEN), text) for text in said), findings
