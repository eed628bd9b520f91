"""The letter: what it must say, and that data does not become markup."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from assay.features.storage.verdict import CheckState
from assay.lineage.verification.finding import Finding, Verification
from assay.why.explanation import Why
from assay.why.items import RuleResult, ShownRow, StepTaken, Unusual
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
    features=(),
    answers=(),
    every_row=(),
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
        WHY, answer={"risk": hostile}, unusual=(Unusual("late", hostile),), every_row=(row,), row_count=1, file_count=1
    )
    text = letter(changed, DAY)
    bare = text.replace("\\<", "").replace("\\|", "").replace("\\[", "").replace("\\#", "")
    assert "<" not in bare
    assert "[a" not in bare
    assert not [line for line in text.splitlines() if line.startswith("# head")]
    table = [line for line in text.replace("\\|", "").splitlines() if line.startswith("| \\<img")]
    assert [line.count("|") for line in table] == [5]


@pytest.mark.parametrize(
    ("ok", "words"),
    [(True, "the answer rests on is still there"), (False, "Something is not what it was"), (None, "is gone")],
)
def test_it_says_what_verification_found(ok: bool | None, words: str) -> None:
    checked = replace(WHY, verification=Verification((Finding("the data", ok, "of clean/x@3"),)))
    text = letter(checked, DAY)
    assert words in text
    assert ("- the data: of clean/x@3" in text) is (ok is False)


def test_it_claims_no_more_than_was_computed_again() -> None:
    checks = (Finding("feature row", True, ""), Finding("answer", None, "not checked", required=False))
    text = letter(replace(WHY, verification=Verification(checks)), DAY)
    assert "Its features were joined again from the stored feature tables. The stored model was not run again." in text
    assert "The features were not computed again from the delivered rows, and no rule was judged again" in text
    assert "1 check held, none failed, 1 could not be made." in text
    assert "computed it again" not in text


def test_rows_of_others_are_counted_and_not_listed_unless_they_are_asked_for() -> None:
    def row(number: int, same: tuple[str, ...], differs: tuple[str, ...]) -> ShownRow:
        return ShownRow("clean/x", "a.csv", "ab", number, ("x",), {"id": f"id-{number}"}, same=same, differs=differs)

    rows = (row(1, ("customer", "order"), ()), row(2, ("customer",), ("order",)), row(3, ("depot",), ("customer",)))
    why = replace(WHY, every_row=rows, row_count=3, file_count=1)

    def listed(whose: tuple[str, ...]) -> list[int]:
        return [number for number in (1, 2, 3) if f"id-{number}" in letter(why, DAY, whose)]

    assert (listed(()), listed(("customer",)), listed(("depot",))) == ([1], [1, 2], [3])
    assert "3 delivered rows in 1 file." in letter(why, DAY)
    assert "Of them 2 rows are about other people or things" in letter(why, DAY)
