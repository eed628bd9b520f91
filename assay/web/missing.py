"""What tables lack because a batch was refused or its work failed: the same marks and words on every page.

A table whose newest partition was refused has a red outline; it is red all over where the work failed. One that lacks an earlier
partition, or keeps an older version of one, is amber, whatever the checks of what it holds say.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from assay.errors import AssayError
from assay.features.tables.lake import Lake, TableState
from assay.features.tables.refusals import Refusal, refusals
from assay.web.badges import Badge
from assay.web.html import link
from assay.web.values import moment

LISTED = 100
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Missing:
    """The refused or failed batches that a table lacks, by partition. `newest`: the last one is later than all that it has."""

    table: str
    refusals: tuple[Refusal, ...]
    newest: bool

    @property
    def last(self) -> Refusal:
        return self.refusals[-1]

    @property
    def own(self) -> bool:
        """Whether the table itself refused them; else the tables that it is made from did."""
        return all(self.table in refusal.tables for refusal in self.refusals)

    @property
    def some_own(self) -> bool:
        return any(self.table in refusal.tables[:1] for refusal in self.refusals)

    @property
    def badge(self) -> Badge:
        text = f"{len(self.refusals)} {self._word}"
        meaning = f"{self.heading}. {self.sentence}"
        if not self.newest:
            return Badge(f"! {text}", "warned", meaning)
        if any(refusal.failed for refusal in self.refusals):
            return Badge(f"✗ {text}", "failed", meaning)
        return Badge(f"⊘ {text}", "refused", meaning)

    @property
    def sentence(self) -> str:
        """The newest problem."""
        refused = self.last
        what = refused.partition or "The newest batch"
        if refused.failed:
            of = "" if self.table in refused.tables else f" of {refused.table}"
            return f"{what}{of} failed: {refused.problem}"
        by = "" if self.table in refused.tables else f" by {refused.table}"
        return f"{what} was refused{by}: {refused.problem}"

    @property
    def href(self) -> str:
        return f"{link(f'/versions/{self.table}')}#refused"

    @property
    def _counted(self) -> str:
        count = len(self.refusals)
        days = all(_DAY.fullmatch(refusal.partition or "") for refusal in self.refusals)
        noun = ("day" if count == 1 else "days") if days else ("batch" if count == 1 else "batches")
        return f"{count:,} {noun}"

    @property
    def heading(self) -> str:
        return f"{self._counted} {self._word}"

    @property
    def _word(self) -> str:
        if not self.own:
            return "missing"
        kinds = {refusal.failed for refusal in self.refusals}
        return "stopped" if len(kinds) > 1 else "failed" if kinds == {True} else "refused"

    def rows(self) -> list[dict[str, Any]]:
        """The newest first."""
        return [
            {
                "partition": refusal.partition or "all",
                "by": refusal.table,
                "how": "failed" if refusal.failed else "refused",
                "at": moment(refusal.at),
                "problem": refusal.problem,
                "run": link(f"/dagster/{refusal.parent_id}") if refusal.parent_id else "",
            }
            for refusal in self.refusals[::-1][:LISTED]
        ]


class MissingBatches:
    """What is missing in each table now, found out as far as it is asked for."""

    def __init__(self, lake: Lake) -> None:
        self._lake, self._refused = lake, refusals(lake)
        self._found: dict[str, dict[tuple[str, str | None], Refusal]] = {}

    def of(self, table: str) -> Missing | None:
        """None for a table that lacks nothing."""
        if not self._refused or not (found := self._lacks(table)):
            return None
        ordered = sorted(found.values(), key=lambda refusal: (refusal.partition or "", refusal.at))
        state = self._state(table)
        last, refused = state.last_partition() if state else None, ordered[-1].partition
        return Missing(table, tuple(ordered), last is None or refused is None or refused > last)

    def at(self, table: str, version: str | None) -> Missing | None:
        """What the table lacks, for its newest version. It is no fault of an older one."""
        state = self._state(table) if version else None
        return None if state is not None and version != str(state.version) else self.of(table)

    def never_made(self) -> list[str]:
        """Tables of which there is no version, since everything was refused."""
        return sorted({refusal.table for refusal in self._refused if self._state(refusal.table) is None})

    def _lacks(self, table: str) -> dict[tuple[str, str | None], Refusal]:
        """Refusals by table and partition: its own, and those of what it is made from whose partition it does not have."""
        if table in self._found:
            return self._found[table]
        self._found[table] = found = {
            (refusal.table, refusal.partition): refusal for refusal in self._refused if table in refusal.tables
        }
        state = self._state(table)
        if state is None or not state.partitioned:
            return found
        inputs = state.last_commit.inputs
        reads = {item.snapshot.table for item in inputs if not item.lookup} - {table}
        lookups = {item.snapshot.table for item in inputs if item.lookup} - {table} - reads
        for parent in (*reads, *lookups):
            lacks = {key: refusal for key, refusal in self._lacks(parent).items() if key[1] is not None}
            there = set(state.partitions([str(key[1]) for key in lacks])) if lacks else set()
            for key, refusal in lacks.items():
                if key[1] not in there and (parent in reads or self._has(reads, str(key[1]))):
                    found.setdefault(key, refusal)
        return found

    def _has(self, tables: Sequence[str] | set[str], partition: str) -> bool:
        """Whether a batch came that only waits for what it is looked up in."""
        states = [self._state(table) for table in tables]
        return any(state is not None and state.partitions([partition]) for state in states)

    def _state(self, table: str) -> TableState | None:
        try:
            return self._lake.table(table).at()
        except AssayError:
            return None
