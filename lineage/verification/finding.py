"""What a verification found, and the verdict that follows from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from assay.lineage.outline import Outline, Span, Style, leaf, line

Verdict = Literal["verified", "incomplete", "broken"]
ANSWER = "answer"  # the finding about the model's answer
NOTHING_DEPENDS = "nothing that this prediction read depends on it"
STYLES: dict[Verdict, Style] = {"verified": "good", "incomplete": "warning", "broken": "bad"}


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `ok` is None where it could not be made: deleted, not recorded, no model given.

    Only `required` findings decide the verdict.
    """

    what: str
    ok: bool | None
    detail: str
    required: bool = True

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Verification:
    """`verified`: everything required holds. `incomplete`: nothing contradicts the trace, some of it is gone. `broken`."""

    checks: tuple[Finding, ...]

    @property
    def outcome(self) -> Verdict:
        return verdict_of(self.checks)

    @property
    def ok(self) -> bool:
        return self.outcome == "verified"

    @property
    def answer(self) -> Literal["checked", "not checked", "differs"]:
        """Whether the stored model was run again and gave the stored answer."""
        found = next((check.ok for check in self.checks if check.what == ANSWER), None)
        return "not checked" if found is None else "checked" if found else "differs"

    def to_dict(self) -> dict[str, Any]:
        checks = [check.to_dict() for check in self.checks]
        return {"ok": self.ok, "outcome": self.outcome, "answer": self.answer, "checks": checks}

    def outline(self) -> Outline:
        """The verdict, then what contradicts the trace, what could not be checked, and what holds."""
        headline = line(Span(self.outcome, STYLES[self.outcome]), f" · answer: {self.answer}")
        return Outline((headline,), marked(self.checks))

    def __str__(self) -> str:
        return str(self.outline())


def marked(findings: Sequence[Finding]) -> tuple[Outline, ...]:
    """Findings as lines: what contradicts first, then what could not be checked, then what holds."""
    marks = ((False, Span("✗", "bad")), (None, Span("–", "warning")), (True, Span("✓", "good")))
    return tuple(
        leaf(mark, f" {item.what}", Span(f"  {item.detail}", "dim"))
        for ok, mark in marks
        for item in findings
        if item.ok is ok
    )


def verdict_of(findings: Sequence[Finding]) -> Verdict:
    """`broken` if anything required contradicts, `incomplete` if something required could not be checked."""
    required = [item.ok for item in findings if item.required]
    return "broken" if False in required else "incomplete" if None in required else "verified"


def summed(what: str, count: int, problems: Sequence[Finding]) -> Iterator[Finding]:
    """The problems one by one, or one finding that counts what was checked."""
    yield from problems
    if not problems:
        yield Finding(what, True, f"{count} checked")
