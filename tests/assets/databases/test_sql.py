import json
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from polars.testing import assert_frame_equal

from assay.assets.databases.sql import AskAgain, opened_table, read_changes, reflected_table
from assay.errors import AssayError

T0 = datetime(2026, 9, 1, 12, tzinfo=UTC)
SECRET = "s3cret-word"
TABLE = "people"
ROWS = [
    # Same instants in other notations, ties on the cursor, and a fraction that sorts before "Z" as text.
    {"id": "b", "name": "Zoë", "age": 3, "score": 1.5, "active": True, "updated_at": "2026-09-01T12:00:00Z"},
    {"id": "a", "name": None, "age": None, "score": None, "active": None, "updated_at": "2026-09-01T14:00:00+02:00"},
    {"id": "c", "name": "", "age": -1, "score": 0.1, "active": False, "updated_at": "2026-09-01T12:00:00.5Z"},
    {"id": "d", "name": "x", "age": 2**40, "score": 2.0, "active": True, "updated_at": "2026-09-01 11:59:59.999999Z"},
    {"id": "e", "name": "y", "age": 5, "score": -2.0, "active": True, "updated_at": "2026-08-31T23:30:00-12:30"},
]


class Database:
    """One of the two databases, with the same table in it."""

    def __init__(self, url: str, timestamp: str) -> None:
        self.url, self.timestamp = url, timestamp
        self.execute(f"DROP TABLE IF EXISTS {TABLE}")
        self.execute(
            f"CREATE TABLE {TABLE} (id TEXT PRIMARY KEY, name VARCHAR(9), age BIGINT, score DOUBLE PRECISION, "
            f"active BOOLEAN, updated_at {timestamp})"
        )
        for row in ROWS:
            self.insert(row)

    def execute(self, statement: str, values: Mapping[str, object] | None = None) -> None:
        engine = sa.create_engine(self.url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.execute(sa.text(statement), values or {})

    def insert(self, row: Mapping[str, object]) -> None:
        names = ", ".join(row)
        self.execute(f"INSERT INTO {TABLE} ({names}) VALUES ({', '.join(f':{name}' for name in row)})", row)

    def read(self, since: datetime | None = None, seen: pl.DataFrame | None = None) -> pl.DataFrame:
        return read_changes(self.url, TABLE, "updated_at", "id", since, seen)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path / 'a.db'}", "TIMESTAMP")
    return Database(request.getfixturevalue("postgres_url"), "TIMESTAMPTZ")


def test_rows_come_typed_in_the_order_of_instants_then_keys(database: Database) -> None:
    frame = database.read()
    assert frame.schema == {
        "id": pl.String,
        "name": pl.String,
        "age": pl.Int64,
        "score": pl.Float64,
        "active": pl.Boolean,
        "updated_at": pl.Datetime("us", "UTC"),
        "_row_number": pl.Int64,
    }
    assert frame["id"].to_list() == ["d", "a", "b", "e", "c"]
    assert frame.row(0) == ("d", "x", 2**40, 2.0, True, T0 - timedelta(microseconds=1), 1)
    assert frame.row(1) == ("a", None, None, None, None, T0, 2)
    assert frame["updated_at"].to_list()[2:] == [T0, T0, T0 + timedelta(milliseconds=500)]


@pytest.mark.parametrize(
    ("since", "ids"),
    [
        (T0, ["a", "b", "e", "c"]),
        (T0 + timedelta(microseconds=1), ["c"]),
        (T0 - timedelta(days=400), ["d", "a", "b", "e", "c"]),
        (T0 + timedelta(seconds=1), []),
    ],
)
def test_since_is_inclusive_and_exact(database: Database, since: datetime, ids: list[str]) -> None:
    frame = database.read(since)
    assert frame["id"].to_list() == ids
    assert frame["_row_number"].to_list() == list(range(1, len(ids) + 1))
    assert frame.schema == database.read().schema


def test_reading_on_gives_each_version_once(database: Database) -> None:
    first = database.read()
    last = first["updated_at"].max()
    assert isinstance(last, datetime)
    assert database.read(last, first).is_empty()
    # Another row and another version of a row, both at the very instant that was read last.
    database.insert(ROWS[2] | {"id": "f"})
    database.execute(f"UPDATE {TABLE} SET name = NULL WHERE id = 'c'")
    database.execute(f"UPDATE {TABLE} SET updated_at = :at WHERE id = 'a'", {"at": "2026-09-02T00:00:00Z"})
    assert database.read(last, first).select("id", "name").rows() == [("c", None), ("f", ""), ("a", None)]


def test_a_change_of_columns_makes_no_row_new_and_hides_none(database: Database) -> None:
    first = database.read()
    since = T0 + timedelta(milliseconds=500)
    database.execute(f"ALTER TABLE {TABLE} ADD COLUMN city TEXT DEFAULT 'Oslo'")
    retyped = first.with_columns(pl.col("age").cast(pl.String), pl.col("id").cast(pl.Categorical))
    older = first.with_columns(_line=pl.lit("an upstream's"))
    for seen in (first, retyped, older):
        assert database.read(since, seen).is_empty()
    database.insert(ROWS[2] | {"id": "new"})
    for seen in (first, retyped, older):
        assert database.read(since, seen)["id"].to_list() == ["new"]


def test_an_empty_table_keeps_its_schema(database: Database) -> None:
    schema = database.read().schema
    database.execute(f"DELETE FROM {TABLE}")
    frame = database.read()
    assert frame.is_empty()
    assert frame.schema == schema


@pytest.mark.parametrize("since", [None, T0 + timedelta(days=9)])
def test_a_row_without_cursor_is_reported_not_skipped(database: Database, since: datetime | None) -> None:
    database.insert(ROWS[0] | {"id": "z", "updated_at": None})
    with pytest.raises(AssayError, match="table people has 1 rows without updated_at"):
        database.read(since)


def test_what_is_not_there_is_named(database: Database) -> None:
    with pytest.raises(AssayError, match="table nothing does not exist"):
        read_changes(database.url, "nothing", "updated_at", "id")
    with pytest.raises(AssayError, match="no column 'changed'; it has id, name"):
        read_changes(database.url, TABLE, "changed", "id")
    with pytest.raises(AssayError, match="no column 'key'"):
        read_changes(database.url, TABLE, "updated_at", ["id", "key"])
    with pytest.raises(AssayError, match="column name is not a timestamp"):
        read_changes(database.url, TABLE, "name", "id")


@pytest.mark.parametrize("name", ["*", "^n.*$"])
def test_a_name_that_means_several_columns_is_refused(tmp_path: Path, name: str) -> None:
    with sqlite3.connect(tmp_path / "a.db") as made:
        made.execute(f'CREATE TABLE things (id TEXT, "{name}" TEXT)')
    refusal = r"column 2 has a name that means several columns .*; rename it, or read a view that does not have it"
    with pytest.raises(AssayError, match=refusal), opened_table(f"sqlite:///{tmp_path / 'a.db'}", "things", ["id"]):
        pass


def test_a_naive_start_is_refused(database: Database) -> None:
    with pytest.raises(AssayError, match="time zone"):
        database.read(datetime(2026, 9, 1))  # noqa: DTZ001 -- the naive time is what is tested


def test_a_timestamp_without_zone_is_refused(postgres_url: str) -> None:
    with pytest.raises(AssayError, match=r"column updated_at has no time zone: declare it `timestamptz`"):
        Database(postgres_url, "TIMESTAMP").read()


def test_a_schema_may_be_named_and_decimals_and_dates_are_exact(postgres_url: str) -> None:
    database = Database(postgres_url, "TIMESTAMPTZ")
    database.execute("CREATE SCHEMA IF NOT EXISTS shop")
    database.execute("DROP TABLE IF EXISTS shop.bills")
    database.execute("CREATE TABLE shop.bills (id UUID, total NUMERIC(9, 2), due DATE, at TIMESTAMPTZ)")
    database.execute(
        "INSERT INTO shop.bills VALUES ('6b1f9c52-0000-4000-8000-000000000000', 10.10, '2026-09-01', '2026-09-01Z')"
    )
    frame = read_changes(postgres_url, "shop.bills", "at", "id")
    assert frame.schema["total"] == pl.Decimal(9, 2)
    assert frame["id"].to_list() == ["6b1f9c52-0000-4000-8000-000000000000"]
    assert (str(frame["total"][0]), str(frame["due"][0])) == ("10.10", "2026-09-01")


@pytest.mark.parametrize(
    "value",
    [
        "2026-09-31T00:00:00Z",
        "2026-09-01T00:00:00",
        "20260901T000000Z",
        "2026-09-01T00:00:00.1234567Z",
        "",
        1788220800,
    ],
)
@pytest.mark.parametrize("since", [None, datetime(2026, 8, 31, tzinfo=UTC)])
def test_a_cursor_that_is_no_time_is_refused_without_its_value(
    tmp_path: Path, value: object, since: datetime | None
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a.db'}", "TIMESTAMP")
    database.execute(f"UPDATE {TABLE} SET updated_at = :value WHERE id = 'e'", {"value": value})
    with pytest.raises(AssayError, match="table people, column updated_at ") as caught:
        database.read(since)
    message = str(caught.value).replace(str(tmp_path), "")  # the folder's own name may hold a 7
    assert not value or str(value) not in message


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("age", "forty-two", "forty-two"),
        ("age", 1.5, "1.5"),
        ("active", 7, "7"),
        ("score", "high", "high"),
        ("name", b"\xff", "ff"),
    ],
)
@pytest.mark.parametrize("since", [None, datetime(2026, 8, 31, tzinfo=UTC)])
def test_a_value_of_another_type_makes_its_own_record_unreadable(
    tmp_path: Path, column: str, value: object, text: str, since: datetime | None
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a.db'}", "TIMESTAMP")
    untouched = database.read(since).drop("_row_number")
    database.execute(f"UPDATE {TABLE} SET {column} = :value WHERE id = 'e'", {"value": value})
    frame = database.read(since)
    (bad,) = frame.filter(pl.col("_defect") == "unparsable").to_dicts()
    line = json.loads(bad["_line"])
    assert (line["id"], line[column]) == ("e", text)
    assert {bad[name] for name in ("id", "name", "age", "score", "active")} == {None}
    assert_frame_equal(
        frame.filter(pl.col("id") != "e").select(untouched.columns), untouched.filter(pl.col("id") != "e")
    )
    assert database.read(since, frame).is_empty(), "it is read once"


NOT_UTF8 = b"caf\xe9 \xff"


@pytest.mark.parametrize("column", ["name", "age", "notes"])
def test_text_that_is_not_utf8_makes_its_own_record_unreadable(tmp_path: Path, column: str) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a.db'}", "TIMESTAMP")
    database.execute(f"ALTER TABLE {TABLE} ADD COLUMN notes JSON")
    untouched = database.read().drop("_row_number")
    database.execute(f"UPDATE {TABLE} SET {column} = CAST(:value AS TEXT) WHERE id = 'e'", {"value": NOT_UTF8})
    frame = database.read()
    (bad,) = frame.filter(pl.col("_defect").is_not_null()).to_dicts()
    line = json.loads(bad["_line"])
    assert (bad["_defect"], line["id"], line[column]) == ("encoding", "e", r"caf\xe9 \xff")
    assert {bad[name] for name in ("id", "name", "age", "score", "active", "notes")} == {None}
    assert_frame_equal(
        frame.filter(pl.col("id") != "e").select(untouched.columns), untouched.filter(pl.col("id") != "e")
    )
    assert database.read(T0 - timedelta(days=2), frame).is_empty(), "it is read once"


@pytest.mark.parametrize("column", ["updated_at", "name"])
def test_a_column_that_must_hold_text_is_named_where_that_is_not_utf8(tmp_path: Path, column: str) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a.db'}", "TIMESTAMP")
    database.execute(f"UPDATE {TABLE} SET {column} = CAST(:value AS TEXT) WHERE id = 'e'", {"value": NOT_UTF8})
    said = rf"a\.db, table people, column {column} holds text that is not UTF-8; correct it there and read again$"
    with pytest.raises(AssayError, match=said), opened_table(database.url, TABLE, [column]) as opened:
        for _ in range(2):
            with suppress(AskAgain):
                list(opened.frames(opened.rows(), [column]))


def test_what_the_server_cannot_give_is_named_as_such(postgres_url: str) -> None:
    Database(postgres_url, "TIMESTAMPTZ").execute(
        "CREATE OR REPLACE VIEW ungiven AS SELECT 'a'::text AS id, now() AS updated_at, "
        "convert_from('\\xff'::bytea || substr(now()::text, 1, 0)::bytea, 'UTF8') AS v"
    )
    with pytest.raises(
        AssayError, match=r"table ungiven holds a value that the database cannot give \(\w+\); correct it"
    ):
        read_changes(postgres_url, "ungiven", "updated_at", "id")


FAR = [
    ("numeric(10,2)", "NaN", "NaN"),
    ("timestamptz", "infinity", "infinity"),
    ("timestamptz", "-infinity", "-infinity"),
    ("date", "infinity", "infinity"),
    ("date", "0044-03-15 BC", "0044-03-15 BC"),
    ("timestamptz", "20000-01-01Z", "20000-01-01 00:00:00+00"),
]


@pytest.mark.parametrize(("kind", "value", "text"), FAR)
def test_what_python_cannot_hold_makes_its_own_record_unreadable(
    postgres_url: str, kind: str, value: str, text: str
) -> None:
    database = Database(postgres_url, "TIMESTAMPTZ")
    database.execute("DROP TABLE IF EXISTS far")
    database.execute(f"CREATE TABLE far (id text, at timestamptz, v {kind})")
    database.execute(f"INSERT INTO far VALUES ('a', '2026-09-01Z', '{value}'), ('b', '2026-09-01Z', NULL)")
    frame = read_changes(postgres_url, "far", "at", "id")
    assert frame["at"].null_count() == 0
    (bad,) = frame.filter(pl.col("_defect").is_not_null()).to_dicts()
    assert (json.loads(bad["_line"])["v"], bad["v"], bad["id"]) == (text, None, None)
    assert frame["id"].drop_nulls().to_list() == ["b"]


@pytest.mark.parametrize("value", ["infinity", "-infinity", "0044-03-15 BC", "20000-01-01"])
def test_a_cursor_that_python_cannot_hold_is_refused_with_its_place(postgres_url: str, value: str) -> None:
    database = Database(postgres_url, "TIMESTAMPTZ")
    database.execute(f"UPDATE {TABLE} SET updated_at = '{value}' WHERE id = 'e'")
    with pytest.raises(
        AssayError, match=r"table people, column updated_at holds text .*; correct it there and read again"
    ):
        database.read()


def test_what_the_server_cannot_do_keeps_its_name(postgres_url: str) -> None:
    database = Database(postgres_url, "TIMESTAMPTZ")
    database.execute(
        "CREATE OR REPLACE VIEW broken AS SELECT 'a'::text AS id, now() AS updated_at, 1 / (random() * 0)::int AS v"
    )
    with pytest.raises(
        AssayError, match=r"table broken holds a value that the database cannot give \(DivisionByZero\)"
    ):
        read_changes(postgres_url, "broken", "updated_at", "id")


TEXTS = [
    ("numeric", "1.10", "1.10"),
    ("numeric", "NaN", "NaN"),
    ("numeric", "-Infinity", "-Infinity"),
    ("numeric(50,20)", "12345678901234567890123456789.5", "12345678901234567890123456789.50000000000000000000"),
    ("numeric(5,-2)", "12345", "12300"),
    ("numeric(3,5)", "0.00123", "0.00123"),
    ("timestamp", "2026-09-01 12:00:00.5", "2026-09-01 12:00:00.5"),
    ("timestamp", "infinity", "infinity"),
    ("time", "12:30", "12:30:00"),
    ("time", "24:00", "24:00:00"),
    ("timetz", "24:00+02", "24:00:00+02"),
    ("interval", "1 month 1 day 2 seconds", "P1M1DT2S"),
    ("json", '{"a": 1.10, "a": 12345678901234567890.123}', '{"a": 1.10, "a": 12345678901234567890.123}'),
    ("jsonb", '{"a": [1.10, "é"]}', '{"a": [1.10, "é"]}'),
    ("jsonb", "null", "null"),
    ("jsonb", '"123"', '"123"'),
    ("int[]", "{1,NULL,3}", "[1,null,3]"),
    ("real[]", "{1.5,NaN}", '[1.5,"NaN"]'),
    ("date[]", "{2026-09-01}", '["2026-09-01"]'),
    ("bytea", "\\x00ff", "00ff"),
    ("bit(4)", "1010", "1010"),
    ("varbit", "101", "101"),
    ("inet", "10.0.0.1", "10.0.0.1/32"),
    ("mood", "glad", "glad"),
    ("price", "1.5", "1.500"),
    ("price", "NaN", "NaN"),
]


@pytest.mark.parametrize(("kind", "value", "text"), TEXTS)
def test_a_type_without_a_plain_counterpart_comes_as_text(postgres_url: str, kind: str, value: str, text: str) -> None:
    database = Database(postgres_url, "TIMESTAMPTZ")
    database.execute("DROP TABLE IF EXISTS texts")
    database.execute("DROP TYPE IF EXISTS mood")
    database.execute("DROP DOMAIN IF EXISTS price")
    database.execute("CREATE DOMAIN price AS numeric(12, 3)")
    database.execute("CREATE TYPE mood AS ENUM ('glad', 'sad')")
    database.execute(f"CREATE TABLE texts (id text, at timestamptz, v {kind})")
    database.execute(f"INSERT INTO texts VALUES ('a', '2026-09-01Z', '{value}')".replace(":", "\\:"))
    frame = read_changes(postgres_url, "texts", "at", "id")
    assert (frame.schema["v"], frame["v"].to_list()) == (pl.String(), [text])


def test_many_rows_come_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.assets.databases.sql._CHUNK", 7)
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("CREATE TABLE t (id INTEGER, at TIMESTAMP)")
        connection.executemany("INSERT INTO t VALUES (?, '2026-09-01T00:00:00Z')", [(n,) for n in range(50)])
    connection.close()
    assert read_changes(f"sqlite:///{tmp_path / 'a.db'}", "t", "at", "id")["id"].to_list() == list(range(50))


def test_of_a_table_the_named_columns_are_read_in_its_own_order(tmp_path: Path) -> None:
    """A publication may name some of them."""
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'a.db'}", poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE things (id INTEGER PRIMARY KEY, secret TEXT, name TEXT)"))
        connection.execute(sa.text("INSERT INTO things VALUES (1, 'unread', 'a')"))
        opened = reflected_table(connection, "things", "SQLite", ["id"], ["name", "id"])
        assert list(opened.columns) == ["id", "name"]
        assert connection.execute(opened.rows()).all() == [(1, "a")]
        with pytest.raises(AssayError, match="has no column 'secret'; it has id, name"):
            reflected_table(connection, "things", "SQLite", ["secret"], ["name", "id"])
    engine.dispose()
