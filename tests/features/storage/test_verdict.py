"""A rule that broke and was handled is not open; the checks of other tables are not of this one."""

from datetime import UTC, datetime

from assay.features.storage.commit_metadata import Commit
from assay.features.storage.verdict import Verdict
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
