"""A rule that broke and was handled is not open; the checks of other tables are not of this one."""

from datetime import UTC, datetime

from assay.features.storage.commit_metadata import Commit
from assay.features.storage.verdict import CheckState, Verdict, by_state, together, worst
from assay.features.tables.run_record import CheckResult


def test_what_was_quarantined_as_agreed_is_not_open() -> None:
    checks = (
        CheckResult("fine", "clean/t", True),
        CheckResult("handled", "clean/t", False, "quarantine", invalid=2),
        CheckResult("no_rows", "clean/t", False, "quarantine"),
        CheckResult("warned", "clean/t", False, "warn", invalid=1),
        CheckResult("counted", "clean/t", False, "info", invalid=1),
        CheckResult("elsewhere", "raw/t", False, "warn"),
        CheckResult("volume", "clean/t", True, "warn", unknown=1),
        CheckResult("partly", "clean/t", True, evaluated=3, unknown=1),
    )
    commit = Commit("clean/t", 3, datetime(2026, 9, 1, tzinfo=UTC), "WRITE", checks=tuple(c.to_dict() for c in checks))
    verdict = Verdict.of(commit)
    assert verdict == Verdict(
        frozenset({"fine", "handled", "no_rows", "warned", "counted", "volume", "partly"}),
        frozenset({"handled", "no_rows", "warned"}),
        frozenset({"no_rows", "warned"}),
        frozenset({"volume"}),
    )
    assert Verdict.from_text(verdict.to_text()) == verdict
    assert Verdict.from_text('[["a"], [], []]') == Verdict(frozenset({"a"})), "as earlier versions kept it"
    assert Verdict().to_text() is None and Verdict.from_text(None) == Verdict()
    assert together([verdict]) == {
        CheckState.HELD: ["counted", "fine", "partly"],
        CheckState.SET_ASIDE: ["handled"],
        CheckState.WARNED: ["no_rows", "warned"],
        CheckState.NOT_JUDGED: ["volume"],
    }


def test_one_function_says_what_became_of_a_check() -> None:
    checks = {
        "held": (True, "block", 0, 0),
        "counted": (False, "info", 3, 0),
        "aside": (False, "quarantine", 2, 0),
        "no row left": (False, "quarantine", 0, 1),
        "warned": (False, "warn", 1, 0),
        "blocked": (False, "block", 9, 0),
        "elsewhere": (False, "", 1, 0),
        "volume": (True, "warn", 0, 1),
    }
    found = by_state(
        {"name": name, "passed": passed, "severity": severity, "invalid": invalid, "unknown": unknown, "evaluated": 0}
        for name, (passed, severity, invalid, unknown) in checks.items()
    )
    assert found == {
        CheckState.HELD: ["held", "counted"],
        CheckState.SET_ASIDE: ["aside"],
        CheckState.WARNED: ["no row left", "warned"],
        CheckState.FAILED: ["blocked", "elsewhere"],
        CheckState.NOT_JUDGED: ["volume"],
    }
    assert worst(found) is CheckState.FAILED
    assert worst([CheckState.NOT_JUDGED, CheckState.HELD]) is CheckState.HELD
    assert worst([]) is None


def test_a_day_that_broke_a_rule_is_not_outweighed_by_others() -> None:
    names = frozenset({"a", "b"})
    days = [Verdict(names, frozenset({"a"})), Verdict(names), Verdict(names, frozenset({"a", "b"}), frozenset({"a"}))]
    assert together(days) == {CheckState.WARNED: ["a"], CheckState.SET_ASIDE: ["b"]}
    assert together(days[:2]) == {CheckState.SET_ASIDE: ["a"], CheckState.HELD: ["b"]}
