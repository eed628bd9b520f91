"""What a validation found: counts per rule, never values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from assay.checks.contract.field import Block, Severity

Status = Literal["passed", "warned", "failed", "blocked", "unknown"]


@dataclass(frozen=True, slots=True)
class RuleResult:
    """The verdicts of one rule over one batch.

    evaluated: rows (for a rule about the whole batch: 1) with a verdict; a null value is evaluated and valid.
    invalid: rows that break the rule. unknown: rows without a verdict. share: invalid of all rows, 0 to 1.
    status: passed; warned, failed (rows left) or blocked (the batch stops); unknown when nothing could be evaluated.
    engine: who evaluated it: polars, pandera, or the reader that delivered the rows. note: why it is unknown, what the
    texts that break it look like, or in which other batches the rows are that stay in place of these.
    """

    name: str
    column: str | None
    severity: Severity
    evaluated: int
    invalid: int
    unknown: int
    share: float
    status: Status
    engine: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """One batch against one contract. rows_elsewhere: how many of the quarantined rows are there only because other batches have
    their keys. These never stop a batch."""

    contract: str
    version: str
    digest: str
    rows_in: int
    rows_clean: int
    rows_quarantined: int
    rules: tuple[RuleResult, ...]
    rows_elsewhere: int = 0

    @property
    def blocked(self) -> bool:
        """Whether a rule stops the batch: nothing of it may be published."""
        return any(rule.status == "blocked" for rule in self.rules)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {**asdict(self), "rules": [asdict(rule) for rule in self.rules], "blocked": self.blocked}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Report":
        """The inverse of `to_dict`."""
        results: list[dict[str, Any]] = [{**rule, "severity": Severity(rule["severity"])} for rule in data["rules"]]
        rules = tuple(RuleResult(**result) for result in results)
        return cls(**{name: value for name, value in data.items() if name not in ("rules", "blocked")}, rules=rules)


def rule_result(
    name: str,
    column: str | None,
    severity: Severity,
    *,
    evaluated: int,
    invalid: int,
    unknown: int,
    engine: str,
    block: Block | None = None,
    note: str = "",
    stopping: int | None = None,
) -> RuleResult:
    """Counts to a result: what the severity makes of them. stopping: how many of the invalid rows may stop the batch."""
    total = evaluated + unknown
    stopping = invalid if stopping is None else stopping
    share = invalid / total if total else 0.0
    status: Status = "passed"
    if unknown and not evaluated:
        status = "unknown"
    elif invalid and severity is Severity.WARN:
        status = "warned"
    elif stopping and severity is Severity.BLOCK and (block or Block()).exceeded(stopping, stopping / total):
        status = "blocked"
    elif invalid and severity.removes_row:
        status = "failed"
    return RuleResult(name, column, severity, evaluated, invalid, unknown, share, status, engine, note)
