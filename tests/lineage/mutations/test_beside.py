"""What lies beside the tables of a prediction: a copy of its table, a damaged one of another model, seals that are none."""

import json
import shutil

from tests.lineage.mutations.cases import Case, cases, judge
from tests.lineage.mutations.edits import Change
from tests.lineage.mutations.world import TABLE, World


def copied_as(name: str) -> Change:
    return lambda world: shutil.copytree(world.lake / TABLE, world.lake / name)


def damaged_beside(world: World) -> None:
    path = world.lake / "predictions/x/_delta_log" / f"{0:020d}.json"
    path.parent.mkdir(parents=True)
    path.write_text("garbage")


def seal_with(**values: object) -> Change:
    def do(world: World) -> None:
        path = world.seal(TABLE, 2)
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return do


def newest_is(text: str) -> Change:
    return lambda world: world.commit(TABLE, 4).write_text(text)


CASES = [
    Case(
        "copied table", copied_as("predictions/LATE"), "broken", "predictions/LATE", "two rows have the id", alone=True
    ),
    Case("damaged table of another model", damaged_beside, "verified", why="not on the way", alone=True),
    Case("rows of a seal in text", seal_with(rows="6"), "broken", f"seal of {TABLE}@2", "no seal of ours has it"),
    Case("rows of a seal with a point", seal_with(rows=6.0), "broken", f"seal of {TABLE}@2", "no seal of ours has it"),
    Case(
        "newest commit is a number",
        newest_is("5"),
        "refused",
        f"{TABLE} cannot be opened: its log is damaged at version 4",
        "readers cannot open the table",
        lost="broken",
        names=f"{TABLE}/_delta_log/0*4.json",
        alone=True,
    ),
    Case(
        "newest commit adds a number",
        newest_is('{"add":5}'),
        "refused",
        f"{TABLE} cannot be opened: its log is damaged at version 4",
        "readers cannot open the table",
        lost="broken",
        names=f"{TABLE}/_delta_log/0*4.json",
        alone=True,
    ),
]


@cases(CASES)
def test_beside(case: Case, world: World) -> None:
    judge(case, world)
