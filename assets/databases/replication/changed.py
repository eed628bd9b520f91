"""The next batch of a table that is read by a slot: its changes, or all of it, compared with what the lake holds.

The commit of a batch says which transactions the lake has (`Resume`). Only then the slot is moved on. So a process may die
anywhere: what is seen again is left out. Where the changes alone do not say what the table is (the first time, after its columns
have changed, by a slot that was made anew), the whole table is read in one snapshot, and the transactions that the snapshot sees
are left out afterwards.
"""

import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import DataError

from assay.assets.databases.compared import Look, look_at
from assay.assets.databases.known_rows import known_rows
from assay.assets.databases.replication.applied import Applied, Unclear, apply, described
from assay.assets.databases.replication.declared import Slot, quoted
from assay.assets.databases.replication.last_states import LastStates
from assay.assets.databases.replication.not_sent import NotSent
from assay.assets.databases.replication.pgoutput import UNCHANGED, names
from assay.assets.databases.replication.resume import Resume, ResumeMemory
from assay.assets.databases.replication.slot import Status, connected_to, patiently, peeked, status_of, written_until
from assay.assets.databases.replication.typed import portions, typed
from assay.assets.databases.sql import AskAgain, OpenedTable, reflected_table
from assay.assets.sources.deliveries import Delivery
from assay.assets.sources.reader import NothingDelivered, Reading
from assay.errors import AssayError, plural
from assay.features.storage.scratch import scratch
from assay.features.tables.lake import TableState
from assay.features.tables.row_prints import KnownRows
from assay.own_columns import delivered_names

_OPEN_SECONDS = 5.0
_MORE = 4  # times as many messages, where the lake holds all that were seen


def changed(slot: Slot, reading: Reading, seen_at: datetime, most: int) -> Delivery:
    """What has changed since the last batch.

    Args:
        slot: The slot.
        reading: What is asked for.
        seen_at: When the look at the table began.
        most: After so many messages of the slot a batch ends, at the end of a transaction.

    Raises:
        NothingDelivered: Nothing has changed, or open transactions have to end first.
        AssayError: As `status_of`, and `look_at`.
    """
    batch = _Batch(slot, reading, seen_at)
    return patiently(slot, lambda: batch.delivery(most))


def committed_resume(state: TableState | None) -> Resume | None:
    """Where reading goes on after the last commit of a raw table."""
    last = state.last_partition() if state is not None else None
    commit = state.writer_of(last) if state is not None and last else None
    return Resume.of_text(commit.extra.get("resume")) if commit is not None else None


def unlike(resume: Resume | None, status: Status) -> str | None:
    """Why the changes of the slot do not follow what the lake holds, as the end of a sentence; None where they do, and "" where
    it holds nothing yet."""
    if resume is None:
        return ""
    if resume.origin != status.origin:
        return "the server, the publication, the table or one of its partitions is another one"
    if status.end < resume.lsn:
        return "the server was set back"
    if status.confirmed > resume.lsn:
        return "the slot is ahead of the lake: it was made anew, or somebody else reads it"
    if resume.columns != described(status.columns):
        return "its columns have changed"
    return None


@dataclass(slots=True)
class _Batch:
    """One look."""

    slot: Slot
    reading: Reading
    seen_at: datetime

    def delivery(self, most: int) -> Delivery:
        state = self.reading.table()
        committed = committed_resume(state)
        memory = ResumeMemory.of(self.reading.settings, self.reading.source)
        resume = memory.resume(committed)
        with connected_to(self.slot) as connection:
            status = status_of(self.slot, connection, self.reading.key)
            why = unlike(resume, status)
            if resume is not None and why is None:
                try:
                    look, after = self._followed(connection, status, resume, state, most)
                    return self._delivery(look, after, committed, memory, ())
                except Unclear as unclear:
                    why = str(unclear)
        goes_on = resume if resume is not None and not _is_other(resume, status) else None
        look, after = self._whole(state, goes_on)
        remark = f"The whole of {self.slot.table} was compared, since {why}." if why else ""
        return self._delivery(look, after, committed, memory, [remark])

    def _delivery(
        self, look: Look, after: Resume, committed: Resume | None, memory: ResumeMemory, remarks: Sequence[str]
    ) -> Delivery:
        changes = look.changes
        if not changes.total:
            memory.keep(committed, after)
            raise NothingDelivered(f"{self.reading.source} has not changed.")
        state = self.reading.table()
        before = None if state is None else state.changes
        whole_at = changes.seen_at if changes.whole else (before.whole_at if before is not None else "")
        emptied = (
            changes.whole and changes.deleted and not changes.inserted and not (changes.updated or changes.unchanged)
        )
        empty = f"{self.slot.table} is empty: all {plural(changes.deleted or 0, 'row')} of it count as deleted."
        return look.delivery(
            self.reading.source,
            replace(changes, whole_at=whole_at),
            [*remarks, empty if emptied else ""],
            after.to_text(),
        )

    # -- by its changes --

    def _followed(
        self, connection: sa.Connection, status: Status, resume: Resume, state: TableState | None, most: int
    ) -> tuple[Look, Resume]:
        """What the transactions after `resume` have changed."""
        if status.end <= resume.lsn:
            raise NothingDelivered(f"{self.reading.source} has not changed.")
        end = status.end if written_until(connection, status.end) else 0
        columns = described(status.columns)
        while True:
            with scratch(self.reading.settings.home) as folder, LastStates(folder) as states:
                applied = self._applied(connection, status.oid, columns, resume, states, most)
                complete = applied.messages < most
                after = resume.at(max(applied.end, end if complete else 0))
                if complete or after.lsn > resume.lsn:
                    return self._compared(connection, status, states, state), after
            most *= _MORE  # the slot was not moved on after the last commit

    def _applied(
        self, connection: sa.Connection, oid: int, columns: str, resume: Resume, states: LastStates, most: int
    ) -> Applied:
        try:
            with peeked(self.slot, connection, most) as messages:
                return apply(messages, oid, columns, self.reading.key, resume, states)
        except (ValueError, IndexError, struct.error):
            raise AssayError(
                f"{self.slot.place}: the slot {self.slot.name!r} sends messages that cannot be read, or text that is not UTF-8. "
                "Next: see that its database has an encoding (not SQL_ASCII), or declare mode='snapshot'"
            ) from None

    def _compared(
        self, connection: sa.Connection, status: Status, states: LastStates, state: TableState | None
    ) -> Look:
        casts = dict(zip(names(status.columns), status.casts, strict=True))
        opened = reflected_table(connection, self.slot.table, self.slot.place, self.reading.key, list(casts))
        if set(opened.table.columns.keys()) != set(casts):
            raise Unclear("its columns have changed")
        known = known_rows(state, delivered_names(self.reading.key))

        def look() -> Look:
            key = {name: casts[name] for name in self.reading.key}
            not_sent = NotSent.of(states, opened, key, list(casts), known, state)
            rows = _rows(states, opened, casts, self.reading.key, not_sent)
            gone = _gone(states, opened, key)
            return self._look(opened, rows, known, state, gone, whole=states.truncated)

        try:
            try:
                return look()
            except AskAgain:
                return look()
        except DataError:
            raise Unclear("a value of it is no value of its type any more") from None

    # -- as a whole --

    def _whole(self, state: TableState | None, resume: Resume | None) -> tuple[Look, Resume]:
        """All rows in one snapshot. `resume`: what the lake holds of the same slot."""
        self._await_open_transactions()
        with connected_to(self.slot, isolation="REPEATABLE READ") as connection:
            # Before there is a snapshot: of a table that is made anew meanwhile (ALTER, TRUNCATE) it would see nothing.
            connection.execute(sa.text(f"LOCK TABLE {quoted(self.slot.table)} IN ACCESS SHARE MODE"))
            status = status_of(self.slot, connection, self.reading.key)
            snapshot = str(connection.execute(sa.text("SELECT CAST(pg_current_snapshot() AS text)")).scalar())
            opened = reflected_table(
                connection, self.slot.table, self.slot.place, self.reading.key, names(status.columns)
            )
            known = known_rows(state, delivered_names(self.reading.key))
            query = opened.rows(order_by=self.reading.key)

            def look() -> Look:
                frames = opened.frames(query, delivered_names(self.reading.key))
                return self._look(opened, frames, known, state, (), whole=True)

            try:
                found = look()
            except AskAgain:
                found = look()
        lsn = max(status.confirmed, resume.lsn if resume is not None else 0)
        after = Resume(lsn, status.origin, described(status.columns), snapshot, status.end)
        return found, after.at(lsn)

    def _await_open_transactions(self) -> None:
        """Those that began before the slot or the publication was there, and are not over, might be in no change and not in the
        snapshot either."""
        asked = "SELECT CAST(CAST({}(pg_current_snapshot()) AS text) AS bigint)"
        until = time.monotonic() + _OPEN_SECONDS
        with connected_to(self.slot, isolation="AUTOCOMMIT") as connection:
            begun = connection.execute(sa.text(asked.format("pg_snapshot_xmax"))).scalar_one()
            while connection.execute(sa.text(asked.format("pg_snapshot_xmin"))).scalar_one() < begun:
                if time.monotonic() > until:
                    raise NothingDelivered(
                        f"{self.reading.source} waits for a transaction on its server that began before the whole table can be "
                        "read (pg_stat_activity shows it, or pg_prepared_xacts)."
                    )
                time.sleep(0.05)

    def _look(
        self,
        opened: OpenedTable,
        rows: Iterator[pl.DataFrame],
        known: KnownRows,
        state: TableState | None,
        gone: "Iterator[pl.DataFrame] | tuple[()]",
        *,
        whole: bool,
    ) -> Look:
        key = delivered_names(self.reading.key)
        return look_at(
            opened,
            rows,
            key,
            known,
            state,
            self.reading.declared.union(key),
            whole=whole,
            batch=self.reading.partition,
            seen_at=self.seen_at,
            folder=self.reading.settings.home,
            gone=gone,
        )


def _is_other(resume: Resume, status: Status) -> bool:
    """Whether the slot tells nothing of what came after `resume`."""
    return resume.origin != status.origin or not status.confirmed <= resume.lsn <= status.end


def _rows(
    states: LastStates, opened: OpenedTable, casts: dict[str, str], key: Sequence[str], not_sent: NotSent
) -> Iterator[pl.DataFrame]:
    """The rows that are there."""
    for some in portions(state for state in states if state.values is not None):
        rows = [
            [None if value == UNCHANGED else value for value in state.values]
            for state in some
            if state.values is not None
        ]
        frame = typed(opened, casts, rows, delivered_names(key))  # pyright: ignore[reportArgumentType]
        yield not_sent.filled(frame, some)


def _gone(states: LastStates, opened: OpenedTable, key: dict[str, str]) -> Iterator[pl.DataFrame]:
    """The keys of those that are gone."""
    for some in portions(state for state in states if state.values is None):
        try:
            yield typed(opened, key, [state.key for state in some], delivered_names(list(key)))
        except AssayError:  # what nobody could read is gone, and is no fault any more
            raise Unclear("a key that is gone cannot be read") from None
