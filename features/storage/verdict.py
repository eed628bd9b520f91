"""What the checks of a commit said of its table, without the counts: what a list of tables shows of all days at once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from assay.features.storage.commit_metadata import Commit


def found_something(check: Mapping[str, Any]) -> bool:
    """Whether a rule did not hold, which more than counts (`info`). `check` is a CheckResult as a dictionary, as commits keep
    it."""
    return not check["passed"] and check["severity"] != "info"


def was_handled(check: Mapping[str, Any]) -> bool:
    """Whether the rows that broke a rule went to quarantine, as agreed: then nothing failed."""
    return not check["passed"] and check["severity"] == "quarantine" and check["invalid"] > 0


def warned(check: Mapping[str, Any]) -> bool:
    """Whether what was found stops nothing and is in no quarantine: somebody should look, and nothing failed."""
    return found_something(check) and check["severity"] != "block" and not was_handled(check)


def not_judged(check: Mapping[str, Any]) -> bool:
    """Whether there is no verdict yet, such as about the usual number of rows before there are enough batches: nothing was
    found, and nothing was held either."""
    return bool(check["passed"] and check.get("unknown") and not check.get("evaluated"))


@dataclass(frozen=True, slots=True)
class Verdict:
    """The names of the checks, of those that found something, and of these the ones that are `open`: their rows are not in
    quarantine as it was agreed; and of those without a verdict."""

    names: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()
    open: frozenset[str] = frozenset()
    unjudged: frozenset[str] = frozenset()

    @classmethod
    def of(cls, commit: Commit) -> Self:
        checks = [check for check in commit.checks if check["table"] == commit.table]
        broken = [check for check in checks if found_something(check)]
        open_ = [check for check in broken if not was_handled(check)]
        unjudged = [check for check in checks if not_judged(check)]
        return cls(*(frozenset(check["name"] for check in some) for some in (checks, broken, open_, unjudged)))

    @classmethod
    def from_text(cls, text: str | None) -> Self:
        return cls(*map(frozenset, json.loads(text))) if text else cls()

    def to_text(self) -> str | None:
        """None where there were no checks."""
        if not self.names:
            return None
        kinds = (self.names, self.broken, self.open, *([self.unjudged] if self.unjudged else []))
        return json.dumps([sorted(some) for some in kinds])
