"""Outcomes of a rule over several batches are counted each for itself: no sum hides one behind another."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.features.storage.commit_metadata import Commit
from assay.features.storage.verdict import CheckState
from assay.why.outcomes import Outcomes, outcomes_by_rule

START = datetime(2026, 9, 1, tzinfo=UTC)
KINDS: dict[str, dict[str, Any]] = {
    "held": {"passed": True, "severity": "warn", "evaluated": 9, "invalid": 0, "unknown": 0},
    "warned": {"passed": False, "severity": "warn", "evaluated": 9, "invalid": 3, "unknown": 0},
    "warned of the batch": {"passed": False, "severity": "warn", "evaluated": 0, "invalid": 0, "unknown": 0},
    "unknown cells": {"passed": False, "severity": "warn", "evaluated": 9, "invalid": 0, "unknown": 5},
    "not judged": {"passed": True, "severity": "warn", "evaluated": 0, "invalid": 0, "unknown": 1},
    "set aside": {"passed": False, "severity": "quarantine", "evaluated": 9, "invalid": 2, "unknown": 0},
}


def outcomes(kinds: list[str], hourly: bool = False) -> Outcomes:
    commits = []
    for number, kind in enumerate(kinds):
        at = START + timedelta(days=number)
        check = {"table": "clean/x", "name": "rule"} | KINDS[kind]
        partition = f"{at:%Y-%m-%dT%H:00}" if hourly else f"{at:%Y-%m-%d}"
        commits.append(Commit("clean/x", number, at, "WRITE", partition=partition, checks=(check,)))
    return outcomes_by_rule(commits)["clean/x", "rule"]


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        (
            ["not judged"] * 5 + ["warned of the batch"],
            "did not hold on 1 of 6 days (2026-09-06); could not be judged on 5 of 6 days "
            "(2026-09-01, 2026-09-02, 2026-09-03 and 2 more)",
        ),
        (["warned", "held"], "did not hold for 3 rows on 1 of 2 days (2026-09-01)"),
        (["warned", "warned"], "did not hold for 6 rows on 2 of 2 days"),
        (
            ["set aside", "warned"],
            "did not hold for 3 rows on 1 of 2 days (2026-09-02); 2 rows that broke it set aside on 1 of 2 days (2026-09-01)",
        ),
        (["warned"], "did not hold for 3 rows"),
        (["unknown cells"], "could not be judged for 5 rows"),
        (["not judged"], "could not be judged for 1 row"),
        (["held", "held"], ""),
    ],
)
def test_each_outcome_has_its_own_count(kinds: list[str], words: str) -> None:
    assert outcomes(kinds).in_words("row") == words


def test_batches_that_are_no_days_are_called_batches() -> None:
    assert "on 1 of 2 batches (2026-09-01T00:00)" in outcomes(["warned", "held"], hourly=True).in_words()


@given(st.lists(st.sampled_from(sorted(KINDS)), min_size=2, max_size=12))
def test_every_batch_that_ended_so_is_counted(kinds: list[str]) -> None:
    found, words = outcomes(kinds), outcomes(kinds).in_words()
    broke = sum(kind in ("warned", "warned of the batch") for kind in kinds)
    unknown = sum(kind in ("unknown cells", "not judged") for kind in kinds)
    aside = kinds.count("set aside")
    for count, clause in ((broke, "did not hold"), (aside, "set aside"), (unknown, "could not be judged")):
        (part,) = [text for text in words.split("; ") if clause in text] or [None]
        assert (part is None) is (count == 0)
        assert part is None or re.search(rf" on {count} of {len(kinds)} days", part), part
    assert (found.state in (CheckState.WARNED, CheckState.FAILED)) is (broke + kinds.count("unknown cells") > 0)
