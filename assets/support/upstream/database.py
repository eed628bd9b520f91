"""The customers table in a real database: made if absent, rows brought up to date, newer ones left alone."""

from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from assay.assets.databases.sql import connected, database_url
from assay.assets.support.upstream.customers import Customer, fields

TABLE = "customers"
_COLUMNS = ("customer_id", "name", "email", "phone", "country", "plan", "signed_up_at", "updated_at")


def sqlite_url(file: Path) -> sa.URL:
    """The address of a SQLite file, whatever signs its path holds."""
    return sa.URL.create("sqlite", database=str(file))


def bring_up_to_date(url: str | sa.URL, rows: tuple[Customer, ...]) -> int:
    """Insert or update the rows by `customer_id` in one transaction; the number that were not there like this before."""
    address = database_url(url)
    sqlite = address.drivername.startswith("sqlite")
    if sqlite and address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    with connected(address, TABLE) as connection:
        connection.execute(sa.text(_create("TIMESTAMP" if sqlite else "TIMESTAMPTZ")))
        stored = connection.execute(sa.text(f"SELECT customer_id, updated_at FROM {TABLE}"))
        present = {row.customer_id: row.updated_at for row in stored}
        values = [_values(row, as_text=sqlite) for row in rows]
        changed = [v for v in values if v["customer_id"] not in present or present[v["customer_id"]] < v["updated_at"]]
        if changed:
            connection.execute(sa.text(_upsert()), changed)
    return len(changed)


def _values(row: Customer, *, as_text: bool) -> dict[str, str | datetime]:
    """Parameters; SQLite has no time type, there times are ISO text in UTC, which sorts by time."""
    values: dict[str, str | datetime] = dict(zip(_COLUMNS, fields(row), strict=True))
    if as_text:
        return {name: iso(value) if isinstance(value, datetime) else value for name, value in values.items()}
    return values


def iso(moment: datetime) -> str:
    """A UTC time as `2026-09-01T08:30:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _create(timestamp: str) -> str:
    columns = ", ".join(f"{name} {timestamp if name.endswith('_at') else 'TEXT'} NOT NULL" for name in _COLUMNS)
    return f"CREATE TABLE IF NOT EXISTS {TABLE} ({columns}, PRIMARY KEY (customer_id))"


def _upsert() -> str:
    names, marks = ", ".join(_COLUMNS), ", ".join(f":{name}" for name in _COLUMNS)
    updates = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[1:])
    return f"INSERT INTO {TABLE} ({names}) VALUES ({marks}) ON CONFLICT (customer_id) DO UPDATE SET {updates}"
