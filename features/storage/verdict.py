"""What became of a check and of the rows that broke it, and what all checks of a table come to: the one place that decides."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from assay.features.storage.commit_metadata import Commit


class CheckState(StrEnum):
    """What became of a check. Of several, the last in this order stands for all."""

    NOT_JUDGED = "not judged"  #: there is too little to compare with yet
    HELD = "held"  #: or it only counts
    SET_ASIDE = "set aside"  #: the rows that broke it are in quarantine, as agreed
    WARNED = "warned"  #: it stopped nothing, and somebody should look
    FAILED = "failed"  #: it stopped the batch: a rule that blocks, or a threshold


Names = Mapping[CheckState, Collection[str]]  # of checks


def check_state(check: Mapping[str, Any]) -> CheckState:
    """What became of one check, given as commits keep it. What another tool calls a failure without a severity of ours failed."""
    if not_judged(check):
        return CheckState.NOT_JUDGED
    if not found_something(check):
        return CheckState.HELD
    if was_handled(check):
        return CheckState.SET_ASIDE
    return CheckState.WARNED if check["severity"] in ("warn", "quarantine") else CheckState.FAILED


_ORDER = list(CheckState)


def worst(states: Iterable[CheckState]) -> CheckState | None:
    """What several come to; None where there are none."""
    return max(states, key=_ORDER.index, default=None)


def by_state(checks: Iterable[Mapping[str, Any]]) -> Names:
    """The names of checks by what became of them; those states that none has are left out."""
    found: dict[CheckState, list[str]] = defaultdict(list)
    for check in checks:
        found[check_state(check)].append(check["name"])
    return found


def found_something(check: Mapping[str, Any]) -> bool:
    """Whether a rule did not hold, which more than counts (`info`). `check` is a CheckResult as a dictionary, as commits keep
    it."""
    return not check["passed"] and check["severity"] != "info"


def was_handled(check: Mapping[str, Any]) -> bool:
    """Whether the rows that broke a rule went to quarantine, as agreed: then nothing failed."""
    return not check["passed"] and check["severity"] == "quarantine" and check["invalid"] > 0


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

    def state(self, name: str) -> CheckState:
        """What became of one check. Of what is published a check that found something has only warned, or its rows are aside."""
        if name in self.unjudged:
            return CheckState.NOT_JUDGED
        if name not in self.broken:
            return CheckState.HELD
        return CheckState.WARNED if name in self.open else CheckState.SET_ASIDE


def together(verdicts: Iterable[Verdict]) -> Names:
    """The names of the checks of several commits by what they come to: what one day broke is not forgotten when the next keeps
    it."""
    states: dict[str, set[CheckState]] = defaultdict(set)
    for verdict in verdicts:
        for name in verdict.names:
            states[name].add(verdict.state(name))
    return named(states)


def named(states: Mapping[str, Iterable[CheckState]]) -> Names:
    """Names by the worst of what is known of each, in order."""
    found: dict[CheckState, list[str]] = defaultdict(list)
    for name, several in sorted(states.items()):
        found[max(several, key=_ORDER.index)].append(name)
    return found
