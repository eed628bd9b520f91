"""`Rows`: a database table, read by what has changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from assay.assets.lacking import SETTING, NotConnected
from assay.assets.sources.deliveries import Delivery
from assay.assets.sources.reader import NothingDelivered, Reading, SourceReader
from assay.errors import AssayError, plural
from assay.features.tables.by_time import greatest_time, rows_from
from assay.own_columns import delivered_name
from assay.project_folder import project_folder
from assay.settings import Settings

if TYPE_CHECKING:
    from pydantic import SecretStr

OVERLAP = timedelta(minutes=10)
CLOCK_SKEW = timedelta(minutes=5)  # between the database's clock and this machine's


@dataclass(frozen=True)
class Rows(SourceReader):
    """A database table, read incrementally: rows whose `cursor` column has moved on since the last batch.

    A transaction that takes long commits rows whose cursor is before that of rows which were read already. So each time the last
    `overlap` of what was read is looked at again, and what is new there is taken; what was read before is not. Make it longer
    than the longest transaction that writes the table. A cursor in the future (a typo, a wrong clock) is read like any
    other, and does not move the place where reading goes on. Deletes do not move a cursor, and so are not seen.

    `connection` names the database: its SQLAlchemy URL is the setting `ASSAY_CONNECTIONS__<NAME>__URL`, so that no address
    and no password is in code. `default` makes the URL where the setting is missing.
    """

    table: str
    cursor: str
    connection: str
    overlap: timedelta = field(default=OVERLAP, repr=False)  # decides nothing about the rows that are there
    default: "Callable[[Settings], str | SecretStr] | None" = field(default=None, repr=False, compare=False)

    kinds = ("sql",)  # pyright: ignore[reportAssignmentType]
    extracts = True  # pyright: ignore[reportAssignmentType]

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
            require_usable(self.url(settings), self.table, url_setting(self.connection), there=given)
        except AssayError as problem:
            return str(problem)
        return ""

    def deliveries(self, reading: Reading) -> Sequence[Delivery]:
        from assay.assets.databases.sql import read_changes

        since, seen, state, cursor = None, None, reading.table(), delivered_name(self.cursor)
        if state is not None:
            if cursor not in state.schema:
                raise AssayError(
                    f"raw/{reading.source} has no column {self.cursor!r} to go on from: it was read by another cursor. Name "
                    "that one, or give the source another name."
                )
            latest = greatest_time(state, cursor, datetime.now(UTC) + CLOCK_SKEW)
            since = None if latest is None else latest - self.overlap
            seen = rows_from(state, cursor, since).collect()
        url, setting = self.url(reading.settings), url_setting(self.connection)
        changes = read_changes(url, self.table, self.cursor, reading.key, since, seen, setting=setting)
        if changes.is_empty():
            raise NothingDelivered(f"{reading.source} has no changes since {since or 'it was first read'}.")
        content = changes.drop("_row_number", strict=False).write_ndjson().encode()
        path = f"{reading.source}/extract-{reading.partition}.ndjson"
        ahead = changes.filter(pl.col(cursor) > datetime.now(UTC) + CLOCK_SKEW).height
        remark = (
            f"{plural(ahead, 'row')} with a {self.cursor} in the future; reading goes on where it was." if ahead else ""
        )
        return [Delivery.of_bytes(path, content, reading.partition, frame=changes, remark=remark)]

    def read(self, delivery: Delivery) -> pl.DataFrame:
        """The rows with the types of the database; the bytes that are kept are their JSON lines."""
        if delivery.frame is None:
            raise AssayError(f"{delivery.path} was not made by this reader.")
        return delivery.frame


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


def url_setting(name: str) -> str:
    """The name of the setting that holds a connection's URL."""
    return f"ASSAY_CONNECTIONS__{name.upper()}__URL"


def _from_project(url: str, settings: Settings) -> str:
    """A relative SQLite path is the project's, as its lake and landing folder are, wherever the command is called."""
    scheme, mark, path = url.partition(":///")
    folder = project_folder(settings.project)
    if not mark or not scheme.startswith("sqlite") or folder is None or path.startswith(("/", ":memory:", "file:")):
        return url
    return f"{scheme}:///{folder / path}" if path else url
