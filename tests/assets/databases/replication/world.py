"""A table of a real PostgreSQL that is read by a slot, and a lake that is filled from it."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import psycopg

from assay.assets.databases.replication.changed import committed_resume
from assay.assets.databases.replication.pgoutput import position
from assay.assets.databases.replication.resume import Resume
from assay.assets.databases.rows import Rows
from assay.assets.sources.source import Source
from assay.assets.steps.clean import batches_of, clean_step
from assay.assets.steps.raw import raw_step
from assay.assets.steps.step import NotReady, Resources, execute
from assay.checks import Contract, Field
from assay.features.tables.lake import TableMissing, open_lake
from assay.features.tables.run_record import NullRecorder
from assay.settings import Settings


class Things(Contract):
    part: int = Field(key=True)
    place: str = Field(key=True)
    name: str = Field(nullable=True)
    price: float = Field(nullable=True)


COLUMNS = ("part", "place", "name", "price")
State = Mapping[tuple[int, str], tuple[str | None, float | None]]


class World:
    """`slot` is the name of the slot, and of its publication. Names: those of another world that goes on."""

    def __init__(
        self, url: str, home: Path, slot: str = "", batch_size: int = 100_000, *, identity: str = "DEFAULT"
    ) -> None:
        self.url, self.home = url, home
        self.connection = psycopg.connect(url, autocommit=True)
        if not slot:
            self.drop()
            self.do("CREATE TABLE things (part BIGINT, place TEXT, name TEXT, price FLOAT8, PRIMARY KEY (part, place))")
            self.do("ALTER TABLE things ALTER name SET STORAGE EXTERNAL")
            self.do(f"ALTER TABLE things REPLICA IDENTITY {identity}")
        self.slot = slot or f"s_{uuid.uuid4().hex}"
        reader = Rows(
            "things", connection="erp", mode="changes", slot=self.slot, create_slot=True, batch_size=batch_size
        )
        self.source = Source(
            name="things", reader=reader, contract=Things, key=("part", "place"), event_time="_seen_at"
        )
        made = Settings(home=home, connections={"erp": {"url": url}})  # pyright: ignore[reportArgumentType]
        self.env = Resources(made, open_lake(home / "lake"), NullRecorder())

    def drop(self) -> None:
        """What tests have left on this database."""
        self.do(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()"
        )
        for (name,) in self.do("SELECT pubname FROM pg_publication"):
            self.do(f'DROP PUBLICATION "{name}"')
        self.do("DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC")

    def do(self, statement: str, *values: object) -> list[Any]:
        cursor = self.connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()

    def put(self, part: int, place: str, name: str | None, price: float | None) -> None:
        put(self.connection, part, place, name, price)

    def state(self) -> State:
        return {
            (part, place): (name, price)
            for part, place, name, price in self.do("SELECT part, place, name, price FROM things")
        }

    def look(self) -> bool:
        """Run the raw step once. Whether there was anything new."""
        step = raw_step(self.source)
        assert step.batches is not None
        (batch,) = step.batches(self.env)
        try:
            execute(step, self.env, batch)
        except NotReady:
            return False
        return True

    def clean(self) -> None:
        for batch in batches_of("raw/things", self.env):
            execute(clean_step(self.source), self.env, batch)

    def held(self, table: str = "raw/things") -> State:
        try:
            state = self.env.lake.table(table).at()
        except TableMissing:
            return {}
        if not state.partitions():  # killed before its first commit
            return {}
        frame = state.current().select(COLUMNS).collect()
        return {(part, place): (name, price) for part, place, name, price in frame.iter_rows()}

    def resume(self) -> Resume | None:
        try:
            return committed_resume(self.env.lake.table("raw/things").at())
        except TableMissing:
            return None

    def confirmed(self) -> int:
        """Where the slot is; 0: there is none."""
        found = self.do("SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = %s", self.slot)
        return position(found[0][0]) if found else 0

    def end(self) -> int:
        """Where the server's log is."""
        return position(self.do("SELECT pg_current_wal_insert_lsn()::text")[0][0])


def put(connection: psycopg.Connection, part: int, place: str, name: str | None, price: float | None) -> None:
    statement = (
        b"INSERT INTO things (part, place, name, price) VALUES (%s, %s, %s, %s) ON CONFLICT (part, place) DO UPDATE "
        b"SET name = excluded.name, price = excluded.price"
    )
    connection.execute(statement, (part, place, name, price))
