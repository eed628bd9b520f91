"""The letter: what it must say, and that data does not become markup."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from assay.features.storage.verdict import CheckState
from assay.lineage.verification.finding import Finding, Verification
from assay.why.explanation import RuleResult, ShownRow, StepTaken, Unusual, Why
from assay.why.letter import letter

AT = datetime(2026, 9, 3, 9, 30, tzinfo=UTC)
STEP = StepTaken(
    *("clean/x", "clean", (3,), "2026-09-03", "shop-data", "Orders 1", "run-1", 0, "airflow", AT, "c0de"),
    rules=(RuleResult("a.ge", "a", "is at least 0", "did not hold for 2", CheckState.WARNED),),
    status="readable",
    lookup=False,
    of_training=False,
)
WHY = Why(
    prediction_id="01990b3c-5c00-7abc-8def-0123456789ab",
    model="risk",
    model_version="7",
    answer={"risk": "HIGH"},
    confidence=0.75,
    attached={},
    about={"customer_id": "C0012"},
    event_time=AT,
    made_at=AT,
    run_id="run-2",
    actor="airflow",
    unusual=(),
    rows=(),
    row_count=0,
    file_count=0,
    rows_problem="",
    steps=(STEP,),
)
DAY = date(2026, 9, 4)


def test_it_says_answer_rules_and_who_answers_for_them() -> None:
    text = letter(WHY, DAY)
    assert "4 September 2026" in text
    assert "On 3 September 2026 at 09:30 UTC the model risk gave this answer, about customer\\_id C0012:" in text
    assert "> **risk HIGH**" in text
    assert "found none." in text
    assert "- a is at least 0: did not hold for 2" in text
    assert "| clean/x | @3 | shop-data | airflow | run-1 |" in text
    assert "It has not been verified for this letter." in text


def test_data_becomes_no_markup() -> None:
    hostile = "<img src=x>|[a](http://b)\n# head *b* `c`"
    row = ShownRow("clean/x", hostile, "ab", 1, (hostile,), {"a|b": hostile}, (hostile,))
    changed = replace(
        WHY, answer={"risk": hostile}, unusual=(Unusual("late", hostile),), rows=(row,), row_count=1, file_count=1
    )
    text = letter(changed, DAY)
    bare = text.replace("\\<", "").replace("\\|", "").replace("\\[", "").replace("\\#", "")
    assert "<" not in bare
    assert "[a" not in bare
    assert not [line for line in text.splitlines() if line.startswith("# head")]
    table = [line for line in text.replace("\\|", "").splitlines() if line.startswith("| \\<img")]
    assert [line.count("|") for line in table] == [5]


@pytest.mark.parametrize(
    ("ok", "words"), [(True, "the answer rests on is still there"), (False, "found a contradiction"), (None, "is gone")]
)
def test_it_says_what_verification_found(ok: bool | None, words: str) -> None:
    checked = replace(WHY, verification=Verification((Finding("the data", ok, "of clean/x@3"),)))
    text = letter(checked, DAY)
    assert words in text
    assert ("- the data: of clean/x@3" in text) is (ok is False)
