"""The lake as it was built, which every other case starts from."""

from tests.lineage.mutations.cases import ABOUT, Case, cases, judge
from tests.lineage.mutations.world import World

CASES = [
    Case(f"untouched, {about}", lambda world: None, "verified", why="nothing was changed", about=about)
    for about in ABOUT
]


@cases(CASES)
def test_nothing_was_changed(case: Case, world: World) -> None:
    judge(case, world)
