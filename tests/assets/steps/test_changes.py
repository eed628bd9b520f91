"""A database table, read incrementally: only new and changed rows, on SQLite and on a real PostgreSQL."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from assay.assets.decisions.review import Decision, RowSelection, decide
from assay.errors import AssayError
from assay.features.tables.lake import TableState

PEOPLE = '''
"""A shop's people: a database table."""

from assay.assets.databases.rows import Rows
from assay.assets.sources.source import Source
from assay.checks import Contract, Field, Timestamp


class People(Contract):
    person: str = Field(key=True)
    city: str = Field(not_empty=True)
    changed_at: Timestamp = Field(key=True)

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "shop"


people = Source(
    name="people",
    reader=Rows("people", cursor="changed_at", connection="erp"),
    contract=People,
    key=("person",),
    event_time="changed_at",
)
'''


@pytest.fixture
def database(erp: sa.Engine) -> sa.Engine:
    """A table with a column that tells when a row was changed."""
    kind = "TIMESTAMP" if erp.dialect.name == "sqlite" else "TIMESTAMPTZ"
    with erp.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE people (person TEXT PRIMARY KEY, city TEXT, changed_at {kind})"))
    return erp


def put(database: sa.Engine, **cities: tuple[str, int]) -> None:
    """Insert or update people: name=(city, minute at which it changed)."""
    statement = sa.text(
        "INSERT INTO people VALUES (:person, :city, :at) "
        "ON CONFLICT (person) DO UPDATE SET city = excluded.city, changed_at = excluded.changed_at"
    )
    moments = {name: datetime(2026, 3, 1, 12, minute, tzinfo=UTC) for name, (_, minute) in cities.items()}
    text = database.dialect.name == "sqlite"
    with database.begin() as connection:
        for person, (city, _) in cities.items():
            at = moments[person]
            connection.execute(statement, {"person": person, "city": city, "at": at.isoformat() if text else at})


@pytest.fixture
def people(new_shop: Any) -> Any:
    new_shop.redeclare(lambda _: PEOPLE)
    return new_shop


def rows(shop: Any, table: str) -> list[tuple[str, str, str]]:
    return sorted(shop.frame(table).select("partition_key", "person", "city").rows())


def test_only_new_and_changed_rows_make_a_batch(people: Any, database: sa.Engine) -> None:
    put(database, Ada=("London", 1), Bob=("Rome", 2))
    assert not people.run().failed
    assert rows(people, "clean/people") == [("000001", "Ada", "London"), ("000001", "Bob", "Rome")]
    assert people.run().results == []

    put(database, Bob=("Paris", 3), Cyd=("", 3), Dee=("Oslo", 2))
    assert not people.run().failed
    # Dee shares the moment of the last row that was read before, and is not missed.
    assert rows(people, "raw/people")[2:] == [
        ("000002", "Bob", "Paris"),
        ("000002", "Cyd", ""),
        ("000002", "Dee", "Oslo"),
    ]
    assert rows(people, "clean/people")[2:] == [("000002", "Bob", "Paris"), ("000002", "Dee", "Oslo")]
    assert rows(people, "quarantine/people") == [("000002", "Cyd", "")]
    assert people.run().results == []


def test_a_transaction_that_commits_late_is_read_within_the_overlap(people: Any, database: sa.Engine) -> None:
    put(database, Ada=("London", 10), Bob=("Rome", 12))
    people.run()
    put(database, Late=("Oslo", 3), Lost=("Bern", 1))  # nine and eleven minutes before the last one that was read
    people.run()
    assert rows(people, "raw/people")[2:] == [("000002", "Late", "Oslo")]
    put(database, Eva=("Kyiv", 13), Later=("Nice", 4))
    people.run()
    assert rows(people, "clean/people")[3:] == [("000003", "Eva", "Kyiv"), ("000003", "Later", "Nice")]
    assert people.run().results == []


def test_a_cursor_in_the_future_does_not_end_reading(people: Any, database: sa.Engine) -> None:
    put(database, Ada=("London", 1))
    people.run()
    with database.begin() as connection:
        connection.execute(sa.text("INSERT INTO people VALUES ('Typo', 'Rome', '2062-03-01T12:00:00Z')"))
    people.run()
    commit = people.env.lake.table("raw/people").at().last_commit
    (check,) = [check for check in commit.checks if check["name"] == "delivery"]
    assert (check["passed"], check["severity"]) == (False, "warn")
    assert check["message"] == "1 row with a changed_at in the future; reading goes on where it was."
    for number, city in enumerate(("Paris", "Nice"), start=3):
        put(database, Ada=(city, number))
        people.run()
        assert people.run().results == []
    assert rows(people, "raw/people") == [
        ("000001", "Ada", "London"),
        ("000002", "Typo", "Rome"),
        ("000003", "Ada", "Paris"),
        ("000004", "Ada", "Nice"),
    ]


def test_a_value_that_cannot_be_read_leaves_alone(people: Any, database: sa.Engine) -> None:
    put(database, Ada=("London", 1))
    people.run()
    with database.begin() as connection:
        if database.dialect.name == "sqlite":
            connection.execute(sa.text("INSERT INTO people VALUES ('Bob', X'ff', '2026-03-01T12:02:00Z')"))
        else:
            connection.execute(sa.text("ALTER TABLE people ADD COLUMN since date"))
            connection.execute(sa.text("INSERT INTO people VALUES ('Bob', 'Rome', '2026-03-01T12:02:00Z', 'infinity')"))
    put(database, Cyd=("Oslo", 3))
    assert not people.run().failed
    (bad,) = people.frame("quarantine/people").to_dicts()
    assert (bad["_rules"], bad["person"]) == (["row.unparsable"], None)
    assert '"Bob"' in bad["_line"]
    assert ("000002", "Cyd", "Oslo") in rows(people, "clean/people")
    assert people.run().results == []


def test_a_tick_opens_as_many_files_after_many_batches(
    people: Any, database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    real = TableState.scan_files
    monkeypatch.setattr(TableState, "scan_files", lambda state, files: opened.append(len(files)) or real(state, files))

    def counted() -> int:
        opened.clear()
        assert people.run().results == []
        return sum(opened)

    found = []
    for minute in range(0, 60, 12):
        put(database, Ada=("London", minute))
        people.run()
        found.append(counted())
    assert found[1:] == [found[1]] * 4


def test_a_quarantined_row_of_a_database_is_released_with_values_of_its_types(people: Any, database: sa.Engine) -> None:
    put(database, Ada=("London", 1), Cyd=("", 2))
    people.run()
    source, choice = people.package.orders.people, RowSelection(rule="city.not_empty")
    fix = Decision("release", "asked her", "kim", {"city": "Oslo", "changed_at": "2026-03-01T13:00:00Z"})
    with pytest.raises(AssayError, match="value for 'changed_at' cannot be read"):
        decide(source, people.env, choice, replace(fix, edits={"changed_at": "at tea"}))
    decide(source, people.env, choice, fix, dry_run=False)
    assert not people.run().failed
    assert rows(people, "clean/people") == [("000001", "Ada", "London"), ("000001", "Cyd", "Oslo")]
    assert people.frame("clean/people")["changed_at"].max() == datetime(2026, 3, 1, 13, tzinfo=UTC)
    assert people.run().results == []


def test_the_extract_is_kept_by_its_digest_as_evidence(people: Any, database: sa.Engine) -> None:
    put(database, Ada=("London", 1))
    people.run()
    (commit,) = people.env.lake.table("raw/people").at().writers(None)
    (source,) = commit.sources
    kept = (Path(people.env.lake.storage.root) / source.kept).read_bytes()
    assert source.rows == 1
    assert b'"Ada"' in kept
    assert people.frame("clean/people")["_source_sha256"].to_list() == [source.sha256]


def test_an_unchanged_table_keeps_its_version_in_the_ui_too(people: Any, database: sa.Engine) -> None:
    """A click where nothing has changed: the same data version again, and no new table version."""
    put(database, Ada=("London", 1))
    people.materialize()
    before = people.version("raw/people"), people.version("clean/people")
    assert not people.materialize(force=True).failed
    assert (people.version("raw/people"), people.version("clean/people")) == before
    keys = [dg.AssetKey(["raw", "people"]), dg.AssetKey(["clean", "people"])]
    for key in keys:
        records = people.instance.fetch_materializations(key, limit=10).records
        assert len({record.asset_materialization.tags["dagster/data_version"] for record in records}) == 1
        assert len(records) == 2


def test_a_database_that_is_not_there_stops_its_own_source_without_its_password(
    people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_CONNECTIONS__ERP__URL", "postgresql://reader:s3cret@127.0.0.1:1/crm")
    (failed,) = people.run().failed
    (problem,) = failed.problems
    assert "PostgreSQL 127.0.0.1:1/crm, table people does not answer" in problem
    assert "correct host and port in ASSAY_CONNECTIONS__ERP__URL" in problem
    assert "s3cret" not in problem
    assert "reader" not in problem
    assert people.env.lake.tables() == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('"people", cursor', '"persons", cursor'), "table persons does not exist; check the table's name and schema"),
        (('cursor="changed_at"', 'cursor="moved_at"'), "has no column 'moved_at'; it has person, city, changed_at"),
        (('connection="erp"', 'connection="web"'), "no connection 'web': set ASSAY_CONNECTIONS__WEB__URL"),
    ],
)
def test_what_is_wrong_with_a_table_stops_its_own_source_only(
    people: Any, database: sa.Engine, change: tuple[str, str], says: str
) -> None:
    put(database, ada=("Berlin", 1))
    people.redeclare(lambda text: text.replace(*change))
    people.drop(1, people.csv(1, 10.0))
    summary = people.run()
    (failed,) = summary.failed
    assert says in failed.problems[0]
    assert failed.failed == ("raw/people",)
    assert "raw/people" not in people.env.lake.tables()
    assert people.frame("clean/orders").height == 1


def test_a_password_is_nowhere_in_what_is_kept(people: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASSAY_CONNECTIONS__ERP__URL", "postgresql://reader:s3cret@127.0.0.1:1/crm")
    people.drop(1, people.csv(1, 10.0))
    assert people.materialize().failed
    for run in people.instance.get_runs():
        assert "s3cret" not in "".join(map(str, people.instance.all_logs(run.run_id)))
    for file in (file for file in tmp_path.rglob("*") if file.is_file()):
        assert b"s3cret" not in file.read_bytes(), file
