"""The logs behind a trace, read as far as needed: first the commits that are in question, and the few that lead to them from the
newest of each table; all commits where these do not prove it."""

from dataclasses import dataclass

from assay.features.tables.lake import Lake
from assay.features.tables.log_replay import replay_log
from assay.lineage.tracing.trace import Trace
from assay.lineage.verification.checkpoint_view import check_checkpoints
from assay.lineage.verification.commits import Logs, changed_tables, check_commits
from assay.lineage.verification.compared import Compared
from assay.lineage.verification.finding import Finding, verdict_of
from assay.lineage.verification.log_walk import Unproven, walk_log
from assay.lineage.verification.moved_rows import check_moved_rows
from assay.lineage.verification.reader_view import check_readers
from assay.lineage.verification.witness import Witness


@dataclass(frozen=True, slots=True)
class LogsRead:
    """By table its log, what was found about the `commits`, and about what `readers` see and rows that were moved; how many
    commits were `read`, `of` how many."""

    logs: Logs
    commits: tuple[Finding, ...]
    readers: tuple[Finding, ...]
    read: int
    of: int

    @property
    def looked_at(self) -> Finding:
        """How many commits were enough."""
        left = self.of - self.read
        detail = f"{self.read:,} of {self.of:,}: those in question, and a way to them from the newest of each table"
        rest = f"; {left:,} on which nothing here depends were not read (--whole-logs reads them)" if left else ""
        return Finding("commits looked at", True, f"{detail}{rest}" if left else f"all {self.of:,}", required=False)


def read_logs(
    lake: Lake, trace: Trace, witness: Witness | None, compared: Compared, *, whole_logs: bool = False
) -> LogsRead:
    """Of a trace with its lookups. `whole_logs`: all commits, whether these are needed or not."""
    few = None if whole_logs else _on_the_way(lake, trace, witness, compared)
    return few or _in_whole_logs(lake, trace, witness)


def _on_the_way(lake: Lake, trace: Trace, witness: Witness | None, compared: Compared) -> LogsRead | None:
    """None where the few commits do not prove that all is well."""
    try:
        logs = {table: walk_log(lake, table) for table in _tables(trace)}
        readers = (*check_checkpoints(lake, trace, logs, compared), *check_moved_rows(lake, trace, logs))
        commits = tuple(check_commits(lake, trace, logs, witness))
    except Unproven:
        return None
    if verdict_of([*commits, *readers]) != "verified" or any(item.ok is False for item in commits):
        return None
    read, of = (sum(numbers) for numbers in zip(*((log.read, log.latest + 1) for log in logs.values()), strict=True))
    return LogsRead(logs, commits, readers, read, of)


def _in_whole_logs(lake: Lake, trace: Trace, witness: Witness | None) -> LogsRead:
    logs = {table: replay_log(lake, table) for table in _tables(trace)}
    commits = tuple(check_commits(lake, trace, logs, witness))
    seen = check_readers(lake, trace, logs, changed_tables(logs, commits))
    readers = (*seen, *check_moved_rows(lake, trace, logs))
    read = sum(len(log.entries) for log in logs.values() if log is not None)
    return LogsRead(logs, commits, readers, read, read)


def _tables(trace: Trace) -> list[str]:
    return sorted({node.table for node in trace.nodes})
