"""The script's own replay of a log: which files a version holds, and who wrote them."""

import json
from typing import Any

import pytest

from assay.lineage.evidence.verifier.commits import Log, parse_commit
from assay.lineage.evidence.verifier.documents import check_rows

ABOUT = {"metaData": {"id": "t", "schemaString": json.dumps({"fields": [{"name": "n"}]})}}


def add(path: str, partition: str = "a") -> dict[str, Any]:
    return {"add": {"path": path, "partitionValues": {"partition_key": partition}}}


def remove(path: str) -> dict[str, Any]:
    return {"remove": {"path": path}}


def log(*commits: list[dict[str, Any]]) -> Log:
    contents = ("\n".join(json.dumps(action) for action in actions).encode() + b"\n\n" for actions in commits)
    return Log([parse_commit("t", version, content) for version, content in enumerate(contents)])


def wrote(partition: str, mode: str = "replace", **more: str) -> dict[str, Any]:
    named = {"run_id": "r", "rows": "1", "partition": partition, "mode": mode, **more}
    return {"commitInfo": {f"assay.{key}": value for key, value in named.items()} | {"operation": "WRITE", "user": "u"}}


def test_a_file_lives_from_its_addition_to_its_first_removal() -> None:
    made = log([ABOUT], [add("x")], [remove("x")], [remove("x")], [add("x")], [add("x"), add("y", "b")])
    held = [sorted(made.held(version, None).items()) for version in range(6)]
    assert held == [[], [("x", 1)], [], [], [("x", 4)], [("x", 5), ("y", 5)]]
    assert made.files(5, ["b"]) == made.files(5, None, ["a"]) == ["y"]
    assert made.columns(5) == ["n"] and log([add("x")]).columns(0) is None


def test_who_wrote_is_the_last_replacement_and_what_was_appended_after_it() -> None:
    made = log(
        [ABOUT], [wrote("a")], [wrote("a")], [wrote("a", "append")], [wrote("b", "append")], [wrote("b", "append")]
    )
    assert sorted(commit.version for commit in made.writers(5, None)) == [2, 3, 4, 5]
    assert [commit.version for commit in made.writers(1, ["a"])] == [1]
    assert sorted(commit.version for commit in made.writers(5, None, ["b"])) == [2, 3]


@pytest.mark.parametrize("missing", ["assay.run_id", "assay.rows"])
def test_who_says_no_run_or_no_rows_wrote_none(missing: str) -> None:
    info = {key: value for key, value in wrote("a")["commitInfo"].items() if key != missing}
    made = log([ABOUT], [wrote("a")], [{"commitInfo": info}])
    assert [commit.version for commit in made.writers(2, None)] == [1]


def test_rows_that_are_no_list_are_not_taken_for_none() -> None:
    none: Any = {}
    assert [item.ok for item in check_rows([], {})] == [True]
    assert [item.ok for item in check_rows(none, {})] == [False]
