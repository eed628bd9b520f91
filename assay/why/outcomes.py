"""What became of one rule in each of the batches that it judged, in words that keep the outcomes apart."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.errors import plural
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.verdict import CheckState, check_state, worst

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NAMED = 3  # batches in a clause
Judged = tuple[Commit, Mapping[str, Any]]  # a batch, and a CheckResult as its commit keeps it


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Every outcome of one rule over some batches. A sum over them would lose which is which: a rule that warned on one day and
    could not be judged on five others is not one that could not be judged."""

    judged: tuple[Judged, ...]

    @property
    def state(self) -> CheckState:
        """What they come to: one day that was not handled is not outweighed by the others."""
        return worst(check_state(check) for _, check in self.judged) or CheckState.NOT_JUDGED

    def in_words(self, noun: str = "") -> str:
        """What was not as it should be, the gravest first: `did not hold for 3 on 1 of 6 days (2026-09-03); could not be judged
        on 5 of 6 days`. Of a single batch its rows alone are named; nothing where the rule held everywhere.

        Args:
            noun: What is counted, such as `row`; without it a number stands alone.
        """
        broke = [
            one
            for one in self._ended(CheckState.FAILED, CheckState.WARNED)
            if one[1]["invalid"] or not one[1]["unknown"]
        ]
        aside = self._ended(CheckState.SET_ASIDE)
        unknown = [one for one in self.judged if one[1]["unknown"] and check_state(one[1]) is not CheckState.HELD]
        rows = sum(check["invalid"] for _, check in aside)
        clauses = [
            f"did not hold{_for(broke, 'invalid', noun)}{self._on(broke)}" if broke else "",
            f"{plural(rows, 'row')} that broke it set aside{self._on(aside)}" if aside else "",
            f"could not be judged{_for(unknown, 'unknown', noun)}{self._on(unknown)}" if unknown else "",
        ]
        return "; ".join(filter(None, clauses))

    def partitions(self, *states: CheckState) -> list[str]:
        """The partitions in which the rule ended so."""
        return [commit.partition for commit, _ in self._ended(*states) if commit.partition]

    def _ended(self, *states: CheckState) -> list[Judged]:
        return [one for one in self.judged if check_state(one[1]) in states]

    def _on(self, some: Sequence[Judged]) -> str:
        """On how many of all batches, and on which, if it is not on all."""
        if len(self.judged) == 1:
            return ""
        partitions = [commit.partition or "" for commit, _ in self.judged]
        are_days = all(map(_DAY.fullmatch, partitions)) and len(set(partitions)) == len(partitions)
        names = [commit.partition for commit, _ in some if commit.partition]
        named = f" ({in_short(names)})" if names and len(some) < len(self.judged) else ""
        return f" on {len(some):,} of {len(self.judged):,} {'days' if are_days else 'batches'}{named}"


def _for(some: Sequence[Judged], count: str, noun: str) -> str:
    """For how many rows. What is judged once a batch has no rows to count."""
    number = sum(check[count] for _, check in some)
    if not number or (len(some) > 1 and all(check[count] == 1 for _, check in some)):
        return ""
    return f" for {plural(number, noun)}" if noun else f" for {number:,}"


def in_short(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def outcomes_by_rule(commits: Iterable[Commit]) -> dict[tuple[str, str], Outcomes]:
    """The outcomes of every rule in some commits, by table and rule."""
    found: dict[tuple[str, str], list[Judged]] = {}
    for commit in commits:
        for check in commit.checks:
            found.setdefault((check["table"], check["name"]), []).append((commit, check))
    return {rule: Outcomes(tuple(judged)) for rule, judged in found.items()}
