"""Several changes at once: the verdict is the worst of the single ones, and only the culprits are accused."""

import re
from itertools import combinations
from pathlib import Path

import pytest
from deltalake.exceptions import DeltaError
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.conftest import SOAK
from tests.lineage.mutations import (
    test_checkpoints,
    test_commits,
    test_files,
    test_harmless,
    test_logs,
    test_rows,
    test_seals,
    test_witness,
)
from tests.lineage.mutations.cases import ABOUT, Case, Verdict, pattern_of, verdicts
from tests.lineage.mutations.world import copied

GROUPS = (test_checkpoints, test_commits, test_files, test_harmless, test_logs, test_rows, test_seals, test_witness)
SEVERITY = ("verified", "incomplete", "broken")
CASES = [
    case
    for group in GROUPS
    for case in group.CASES
    if case.about == "middle" and case.verdict in SEVERITY and not (case.alone or case.export_refuses or case.offline)
]


def touched(home: Path, case: Case) -> frozenset[str] | None:
    """What a case changes: files; of a table's log and seals all at once, since their commits depend on each other. None where it
    is about another prediction."""
    with copied(home) as made:
        made.prediction = made.of_day[ABOUT["middle"]]
        before = {path: path.read_bytes() for path in made.home.rglob("*") if path.is_file()}
        asked = made.prediction
        case.change(made)
        made.close()
        after = {path: path.read_bytes() for path in made.home.rglob("*") if path.is_file()}
        changed = [path for path in {*before, *after} if before.get(path) != after.get(path)]
        names = (path.relative_to(made.home).as_posix() for path in changed)
        return None if made.prediction != asked else frozenset(map(resource, names))


def resource(name: str) -> str:
    log = re.fullmatch(
        r"lake/(?:_seals/)?(\w+/\w+)/(?:_delta_log/)?.*\.(?:json|checkpoint\.parquet)|lake/(\w+/\w+)/_delta_log/.*",
        name,
    )
    return f"log of {log[1] or log[2]}" if log else "lineage" if name.startswith("lineage.db") else name


def compatible(chosen: list[Case], home: Path, known: dict[str, frozenset[str] | None]) -> bool:
    for case in chosen:
        if case.name not in known:
            known[case.name] = touched(home, case)
    sets = [known[case.name] for case in chosen]
    apart = all(a is not None and b is not None and not a & b for a, b in combinations(sets, 2))
    # What lies behind something that is gone is not seen any more.
    cut = [case for case in chosen if case.cuts]
    return apart and (not cut or all(case in cut or case.verdict == "verified" for case in chosen))


@pytest.fixture(scope="module")
def known() -> dict[str, frozenset[str] | None]:
    return {}


@pytest.mark.timeout(3600 if SOAK else 300)
@settings(max_examples=150 if SOAK else 4, derandomize=not SOAK)
@given(chosen=st.lists(st.sampled_from(CASES), min_size=2, max_size=4, unique_by=lambda case: case.name))
def test_the_worst_decides(chosen: list[Case], parcels: Path, known: dict[str, frozenset[str] | None]) -> None:
    assume(compatible(chosen, parcels, known))
    worst = max((case.verdict for case in chosen), key=SEVERITY.index)
    with copied(parcels) as world:
        world.prediction = world.of_day[ABOUT["middle"]]
        guilty = [pattern_of(case.culprit, world) for case in chosen if case.verdict == "broken"]
        tolerated = [case.also for case in chosen if case.verdict == "broken" and case.also]
        try:
            for case in chosen:
                case.change(world)
        except (DeltaError, OSError, ValueError, StopIteration):  # after one the other cannot be done any more
            assume(False)
        inside, outside = verdicts(world)
        about = " + ".join(case.name for case in chosen)
        check(inside, worst, guilty, tolerated, f"in the lake: {about}")
        check(outside, worst, guilty, tolerated, f"offline: {about}")


def check(verdict: Verdict, worst: str, guilty: list[str], tolerated: list[str], about: str) -> None:
    assert verdict.outcome == worst, f"{about}: {verdict}"
    accused = [str(item) for item in verdict.findings if item.ok is False and item.required]
    assert not guilty or any(re.search(pattern, text) for pattern in guilty for text in accused), f"{about}: {verdict}"
    innocent = [text for text in accused if not any(re.search(pattern, text) for pattern in (*guilty, *tolerated))]
    assert not innocent, f"{about}: accuses {innocent}"
