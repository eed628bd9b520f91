"""`Rows`: a database table, read by what has changed, compared as a whole, or followed by its changes."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, get_args

import polars as pl

from assay.assets.databases.look_memory import LookMemory
from assay.assets.lacking import SETTING, NotConnected
from assay.assets.sources.deliveries import Delivery
from assay.assets.sources.reader import NothingDelivered, Reading, SourceReader
from assay.errors import AssayError, plural
from assay.features.storage.sections import Changes
from assay.features.tables.by_time import greatest_time, rows_from
from assay.features.tables.lake import TableState
from assay.features.tables.partitioning import Partitioning
from assay.own_columns import delivered_name, delivered_names
from assay.project_folder import project_folder
from assay.settings import Settings, url_setting
from assay.stable_text import stable_text

if TYPE_CHECKING:
    from pydantic import SecretStr

    from assay.assets.databases.compared import Look
    from assay.assets.databases.replication.declared import Slot

Mode = Literal["append", "upsert", "snapshot", "changes"]
OVERLAP = timedelta(minutes=10)
RECONCILE = timedelta(days=7)
BATCH_SIZE = 100_000
CLOCK_SKEW = timedelta(minutes=5)  # between the database's clock and this machine's


@dataclass(frozen=True)
class Rows(SourceReader):
    """A database table. What is new of it since the last batch is the next one.

    - `mode="append"`: rows whose `cursor` column has moved on. Deletes do not move a cursor, and so are not seen.
    - `mode="snapshot"`: the whole table is read and compared with what raw holds, by key and values. No cursor is needed;
      inserted, changed and deleted rows make the batch. Between two looks it rests for `every`.
    - `mode="upsert"`: as by a cursor; and at least once in `reconcile` the whole table is compared, which finds what was deleted
      and what changed without moving the cursor.
    - `mode="changes"`: the changes that PostgreSQL writes for a logical replication `slot` of this source's own: inserts,
      updates, deletes and TRUNCATE, at once and without looking at the table. The first time, and when its columns have changed,
      the whole table is compared. A batch has whole transactions, and ends after `batch_size` messages of the slot; of several
      changes of a row it has the last.

    The batches of the last three have two columns more: `_change` (`insert`, `update`, `delete`; a deleted row comes with its
    last known values) and `_seen_at`, when the look at the table began that saw it.

    A transaction that takes long commits rows whose cursor is before that of rows which were read already. So each time the last
    `overlap` of what was read is looked at again, and what is new there is taken; what was read before is not. Make it longer
    than the longest transaction that writes the table. A cursor in the future (a typo, a wrong clock) is read like any
    other, and does not move the place where reading goes on.

    `connection` names the database: its SQLAlchemy URL is the setting `ASSAY_CONNECTIONS__<NAME>__URL`, so that no address
    and no password is in code. `default` makes the URL where the setting is missing.

    The changes of a slot are those of a `publication`, which has the slot's name unless it is given. With `create_slot` the
    first run makes both; else the error says the statements. The slot is moved on when a commit holds what it has shown, and
    never by planning.

    Raises:
        AssayError: The mode is not known, or lacks or has a cursor or a slot that it does not need.
    """

    table: str
    cursor: str = ""
    connection: str = ""
    overlap: timedelta = field(default=OVERLAP, repr=False)  # decides nothing about the rows that are there
    default: "Callable[[Settings], str | SecretStr] | None" = field(default=None, repr=False, compare=False)
    mode: Mode = field(default="append", repr=False)
    reconcile: timedelta = field(default=RECONCILE, repr=False)
    every: timedelta = field(default=timedelta(0), repr=False)
    slot: str = field(default="", repr=False)
    publication: str = field(default="", repr=False)
    create_slot: bool = field(default=False, repr=False)
    batch_size: int = field(default=BATCH_SIZE, repr=False)

    kinds = ("sql",)  # pyright: ignore[reportAssignmentType]
    extracts = True  # pyright: ignore[reportAssignmentType]
    numbered = True  # pyright: ignore[reportAssignmentType]

    def __post_init__(self) -> None:
        where = f"Rows({self.table!r})"
        if self.mode not in get_args(Mode):
            raise AssayError(f"{where}: there is no mode {self.mode!r}. The modes are: {', '.join(get_args(Mode))}.")
        if not self.connection:
            raise AssayError(f"{where} does not say where the table is: name its connection=….")
        if not self.cursor and self.mode not in ("snapshot", "changes"):
            raise AssayError(
                f"{where} does not say how changes are found: name the column of times that every change moves (cursor=…), or "
                "declare mode='snapshot', which compares the whole table each time."
            )
        if self.every and self.mode != "snapshot":
            raise AssayError(
                f"{where}: every=… is how long a table rests that is compared as a whole each time: declare mode='snapshot', or "
                "leave it out."
            )
        if self.cursor and self.mode == "snapshot":
            raise AssayError(
                f"{where}: mode='snapshot' reads the whole table each time and needs no cursor. Leave it out, or declare "
                "mode='upsert', which reads by it and compares the whole table now and then."
            )
        self._require_slot(where)

    def _require_slot(self, where: str) -> None:
        if self.mode != "changes":
            if self.slot or self.publication or self.create_slot:
                raise AssayError(f"{where}: a slot has changes: declare mode='changes', or leave slot=… out.")
            return
        if not re.fullmatch("[a-z0-9_]{1,63}", self.slot):
            raise AssayError(
                f"{where}: name the replication slot of this source, slot=…, with small letters, digits and underscores, 63 at "
                "most."
            )
        if self.cursor:
            raise AssayError(f"{where}: mode='changes' needs no cursor. Leave it out, or declare mode='upsert'.")
        if self.batch_size < 1:
            raise AssayError(f"{where}: batch_size must be 1 or more.")

    @property
    def compares(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.mode != "append"

    def identity(self, partitioning: Partitioning) -> str:
        mode = f" mode={self.mode}" if self.compares else ""
        return f"{stable_text(self)}{mode} {partitioning!r}"

    def url(self, settings: Settings) -> str:
        """The database's URL, with its password. Raises AssayError for a connection that is not set."""
        if self.default is not None and self.connection.lower() not in settings.connections:
            made = self.default(settings)
            return made if isinstance(made, str) else made.get_secret_value()
        return connection_url(settings, self.connection)

    def lacks(self, settings: Settings) -> str:
        """The setting that is missing, or leads to no database. None is asked. Where the `default` leads, one may still come."""
        from assay.assets.databases.sql import require_usable

        given = self.default is None or self.connection.lower() in settings.connections
        try:
            url = self.url(settings)
            require_usable(url, self.table, url_setting(self.connection), there=given)
        except AssayError as problem:
            return str(problem)
        if self.mode == "changes" and not url.startswith("postgres"):
            return (
                f"mode='changes' reads PostgreSQL only, and {url_setting(self.connection)} leads to another database. Declare "
                "mode='snapshot'."
            )
        return ""

    def settle(self, settings: Settings, source: str, table: TableState | None) -> None:
        from assay.assets.databases.replication.settled import settle

        if self.mode == "changes":
            settle(self._slot(settings), settings, source, table)

    def warnings(self, settings: Settings) -> Sequence[str]:
        from assay.assets.databases.replication.settled import held_back

        return held_back(self._slot(settings)) if self.mode == "changes" else ()

    def _slot(self, settings: Settings) -> "Slot":
        from assay.assets.databases.replication.declared import Slot

        return Slot(
            self.slot,
            self.publication or self.slot,
            self.table,
            self.url(settings),
            url_setting(self.connection),
            self.create_slot,
        )

    def deliveries(self, reading: Reading) -> Sequence[Delivery]:
        if self.mode == "changes":
            return [self._followed(reading)]
        return [self._compared(reading) if self.compares else self._moved_on(reading)]

    def _moved_on(self, reading: Reading) -> Delivery:
        """The rows whose cursor has moved on."""
        from assay.assets.databases.sql import read_changes

        cursor, state = delivered_name(self.cursor), reading.table()
        since, seen = self._since(reading, state), None
        if state is not None:
            seen = rows_from(state, cursor, since).collect()
        url, setting = self.url(reading.settings), url_setting(self.connection)
        changes = read_changes(url, self.table, self.cursor, reading.key, since, seen, setting=setting)
        if changes.is_empty():
            raise NothingDelivered(f"{reading.source} has no changes since {since or 'it was first read'}.")
        content = changes.drop("_row_number", strict=False).write_ndjson().encode()
        ahead = self._ahead(changes)
        return Delivery.of_bytes(_path(reading), content, reading.partition, frame=changes, remark=ahead)

    def _followed(self, reading: Reading) -> Delivery:
        """What the slot's changes have made of the rows."""
        from assay.assets.databases.replication.changed import changed
        from assay.assets.databases.replication.slot import create

        if self.create_slot and not reading.planning:
            create(self._slot(reading.settings))
        state = reading.table()
        _require_key(reading, state)
        seen_at = _later(datetime.now(UTC), None if state is None else state.changes)
        return changed(self._slot(reading.settings), reading, seen_at, self.batch_size)

    def _compared(self, reading: Reading) -> Delivery:
        """The rows of which raw holds something else."""
        from assay.assets.databases.compared import look_at
        from assay.assets.databases.known_rows import known_rows
        from assay.assets.databases.sql import AskAgain, opened_table

        state, key = reading.table(), delivered_names(reading.key)
        before = None if state is None else state.changes
        _require_key(reading, state)
        memory = LookMemory.of(reading.settings, reading.source, f"{stable_text(self)} {reading.key}")
        last_whole = max((at for at in (memory.whole_at(), _moment(before)) if at is not None), default=None)
        now = datetime.now(UTC)
        rests = last_whole is not None and last_whole <= now < last_whole + self.every
        if last_whole is not None and rests and not reading.forced:
            raise NothingDelivered(
                f"{reading.source} was looked at {last_whole:%Y-%m-%d %H:%M} UTC; next from "
                f"{last_whole + self.every:%Y-%m-%d %H:%M} on."
            )
        # A look that is in the future, by a clock that went back, puts nothing off.
        recent = last_whole is not None and last_whole <= now < last_whole + self.reconcile
        whole = self.mode == "snapshot" or not recent
        since, known = None if whole else self._since(reading, state), known_rows(state, key)
        url, setting = self.url(reading.settings), url_setting(self.connection)
        with opened_table(url, self.table, reading.key, setting) as opened:
            if self.cursor:
                opened.require_times(self.cursor)

            def look() -> "Look":
                return look_at(
                    opened,
                    opened.frames(opened.rows(self.cursor, since, order_by=reading.key), key),
                    key,
                    known,
                    state,
                    reading.declared.union(key, [delivered_name(self.cursor)]),
                    whole=whole or since is None,
                    batch=reading.partition,
                    seen_at=_later(now, before),
                    folder=reading.settings.home,
                )

            try:
                found = look()
            except AskAgain:
                found = look()
        changes = found.changes
        if not changes.total:
            if changes.whole:
                memory.keep(now)
            raise NothingDelivered(
                f"{reading.source} has not changed: {plural(changes.unchanged or 0, 'row')} as they were."
            )
        whole_at = changes.seen_at if changes.whole else (last_whole.isoformat() if last_whole is not None else "")
        changes = replace(changes, whole_at=whole_at)
        remarks = [self._ahead(*found.frames()) if self.cursor else ""]
        if changes.deleted and changes.deleted == len(known.rows) and not changes.inserted:
            remarks.append(f"{self.table} is empty: all {plural(changes.deleted, 'row')} of it count as deleted.")
        return found.delivery(reading.source, changes, remarks)

    def _since(self, reading: Reading, state: TableState | None) -> datetime | None:
        """From where on rows are read by their cursor; None: from the first one on."""
        if state is None:
            return None
        cursor = delivered_name(self.cursor)
        if cursor not in state.schema:
            raise AssayError(
                f"raw/{reading.source} has no column {self.cursor!r} to go on from: it was read by another cursor. Name "
                "that one, or give the source another name."
            )
        latest = greatest_time(state, cursor, datetime.now(UTC) + CLOCK_SKEW)
        return None if latest is None else latest - self.overlap

    def _ahead(self, *frames: pl.DataFrame) -> str:
        """The remark about rows with a cursor in the future."""
        late, cursor = datetime.now(UTC) + CLOCK_SKEW, delivered_name(self.cursor)
        ahead = sum(frame.filter(pl.col(cursor) > late).height for frame in frames)
        return (
            f"{plural(ahead, 'row')} with a {self.cursor} in the future; reading goes on where it was." if ahead else ""
        )

    def read(self, delivery: Delivery) -> pl.DataFrame:
        """The rows with the types of the database; the bytes that are kept are their JSON lines."""
        return pl.concat(self.blocks(delivery))

    def blocks(self, delivery: Delivery) -> Iterator[pl.DataFrame]:
        if delivery.frames is not None:
            yield from delivery.frames()
        elif delivery.frame is not None:
            yield delivery.frame
        else:
            raise AssayError(f"{delivery.path} was not made by this reader.")


def _path(reading: Reading) -> str:
    return f"{reading.source}/extract-{reading.partition}.ndjson"


def _require_key(reading: Reading, state: TableState | None) -> None:
    if state is not None and (lacking := [name for name in delivered_names(reading.key) if name not in state.schema]):
        raise AssayError(
            f"raw/{reading.source} has no column {lacking[0]!r} to compare by: it was read by another key. Name that one, or "
            "give the source another name."
        )


def _moment(before: Changes | None) -> datetime | None:
    return datetime.fromisoformat(before.whole_at) if before is not None and before.whole_at else None


def _later(now: datetime, before: Changes | None) -> datetime:
    """Now, or just after the look before, by a clock that went back: looks are in order."""
    if before is None or not before.seen_at:
        return now
    return max(now, datetime.fromisoformat(before.seen_at) + timedelta(microseconds=1))


def connection_url(settings: Settings, name: str) -> str:
    """The URL of a connection, with its password. Raises AssayError for a name that is not set."""
    connection = settings.connections.get(name.lower())
    if connection is None or not connection.url.get_secret_value():
        names = f" There are: {', '.join(sorted(settings.connections))}." if settings.connections else ""
        raise NotConnected(
            f"There is no connection {name!r}: set {url_setting(name)} to its SQLAlchemy URL, in the "
            f"environment, in the project's .env, or in a file of that name in ASSAY_SECRETS_DIR.{names}",
            SETTING,
        )
    return _from_project(connection.url.get_secret_value(), settings)


def _from_project(url: str, settings: Settings) -> str:
    """A relative SQLite path is the project's, as its lake and landing folder are, wherever the command is called."""
    scheme, mark, path = url.partition(":///")
    folder = project_folder(settings.project)
    if not mark or not scheme.startswith("sqlite") or folder is None or path.startswith(("/", ":memory:", "file:")):
        return url
    return f"{scheme}:///{folder / path}" if path else url
