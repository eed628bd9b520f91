"""When a table is looked at as a whole, and how that goes with reading by a cursor."""

import os
from datetime import timedelta
from typing import Any

import pytest

from assay.assets.databases.rows import Rows
from assay.errors import AssayError
from tests.assets.steps.compared_people import insert, now, rows


def with_cursor(database: Any) -> None:
    """The table with a column that tells when a row was changed."""
    kind = "TIMESTAMPTZ" if "postgresql" in os.environ["ASSAY_CONNECTIONS__ERP__URL"] else "TIMESTAMP"
    columns = f"person TEXT PRIMARY KEY, city TEXT, email TEXT, changed_at {kind}"
    database("DROP TABLE people", f"CREATE TABLE people ({columns})")


def by_cursor(text: str) -> str:
    reader = 'Rows("people", connection="erp", mode="snapshot")'
    declared = text.replace(reader, 'Rows("people", "changed_at", "erp", mode="upsert", reconcile=WEEK)')
    week = "from datetime import timedelta\n\nimport polars as pl\n\nWEEK = timedelta(days=7)"
    return declared.replace("import polars as pl", week, 1)


def test_reading_by_a_cursor_is_reconciled_with_the_whole_table(people: Any, database: Any) -> None:
    people.redeclare(by_cursor)
    with_cursor(database)

    def put(person: str, city: str, minute: int) -> str:
        at = f"2026-03-01T12:{minute:02d}:00Z" if minute else "2026-01-01T12:00:00Z"
        return (
            f"INSERT INTO people VALUES ('{person}', '{city}', NULL, '{at}') ON CONFLICT (person) DO UPDATE "
            "SET city = excluded.city, changed_at = excluded.changed_at"
        )

    database(put("Ada", "London", 31), put("Bob", "Rome", 32), put("Cyd", "Oslo", 33), put("Old", "Bern", 0))
    people.run()
    database(put("Bob", "Paris", 40), "DELETE FROM people WHERE person = 'Cyd'", put("Dee", "Nice", 40))
    # Changed without moving the cursor, and inserted with a cursor of long ago.
    database("UPDATE people SET city = 'Basel' WHERE person = 'Old'", put("Late", "Kyiv", 0))
    people.run()
    assert now(people) == {"Ada": "London", "Bob": "Paris", "Cyd": "Oslo", "Dee": "Nice", "Old": "Bern"}
    assert rows(people, "raw/people")[4:] == [
        ("000002", "insert", "Dee", "Nice"),
        ("000002", "update", "Bob", "Paris"),
    ]
    assert people.run().results == []
    commit = people.env.lake.table("raw/people").at().last_commit
    assert (commit.changes.whole, commit.changes.deleted) == (False, 0)
    people.redeclare(lambda text: text.replace("WEEK = timedelta(days=7)", "WEEK = timedelta(0)"))
    people.run()
    assert now(people) == {"Ada": "London", "Bob": "Paris", "Dee": "Nice", "Late": "Kyiv", "Old": "Basel"}
    commit = people.env.lake.table("raw/people").at().last_commit
    assert (commit.changes.whole, commit.changes.deleted) == (True, 1)
    assert people.run().results == []
    people.redeclare(lambda text: text.replace("WEEK = timedelta(0)", "WEEK = timedelta(days=7)"))
    database("DELETE FROM people WHERE person = 'Ada'")
    assert people.run().results == [], "the table was compared a moment ago"


def test_a_source_that_was_read_by_a_cursor_may_be_compared_from_now_on(people: Any, database: Any) -> None:
    whole = 'Rows("people", connection="erp", mode="snapshot")'
    people.redeclare(lambda text: text.replace(whole, 'Rows("people", "changed_at", "erp")'))
    with_cursor(database)
    database("INSERT INTO people VALUES ('Ada', 'London', NULL, '2026-03-01T12:00:00Z')")
    database("INSERT INTO people VALUES ('Bob', 'Rome', NULL, '2026-03-01T12:00:00Z')")
    people.run()
    database("UPDATE people SET city = 'Paris' WHERE person = 'Ada'", "DELETE FROM people WHERE person = 'Bob'")
    people.redeclare(lambda text: text.replace('Rows("people", "changed_at", "erp")', whole))
    people.run()
    assert (
        rows(people, "raw/people")
        == [
            ("000001", None, "Ada", "London"),
            ("000001", None, "Bob", "Rome"),
            ("000002", "delete", "Bob", "Rome"),
            ("000002", "update", "Ada", "Paris"),
        ]
        or people.frame("raw/people").height == 4
    )
    assert now(people, "raw/people") == {"Ada": "Paris"}


def test_a_table_rests_between_two_looks(people: Any, database: Any) -> None:
    hour = "from datetime import timedelta\n\nimport polars as pl"
    people.redeclare(
        lambda text: text.replace('mode="snapshot"', 'mode="snapshot", every=timedelta(hours=1)').replace(
            "import polars as pl", hour, 1
        )
    )
    database(insert("Ada", "London"))
    people.run()
    database(insert("Bob", "Rome"))
    assert people.run().results == []
    people.redeclare(lambda text: text.replace("timedelta(hours=1)", "timedelta(0)"))
    people.run()
    assert now(people) == {"Ada": "London", "Bob": "Rome"}
    assert people.run().results == [], "nothing has changed; which is remembered"
    people.redeclare(lambda text: text.replace("timedelta(0)", "timedelta(hours=1)"))
    database(insert("Cyd", "Oslo"))
    assert people.run().results == []
    people.run(force=True)
    assert now(people) == {"Ada": "London", "Bob": "Rome", "Cyd": "Oslo"}, "whoever forces it does not wait"


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"connection": "erp"}, "does not say how changes are found"),
        ({"mode": "snapshot"}, "does not say where the table is"),
        ({"connection": "erp", "mode": "snapshot", "cursor": "at"}, "needs no cursor"),
        ({"connection": "erp", "mode": "upsert"}, "does not say how changes are found"),
        ({"connection": "erp", "mode": "full"}, "there is no mode 'full'. The modes are: append, upsert, snapshot"),
        ({"connection": "erp", "cursor": "at", "every": timedelta(hours=1)}, "declare mode='snapshot'"),
    ],
)
def test_what_a_mode_needs_is_said_where_it_is_declared(declared: Any, says: str) -> None:
    with pytest.raises(AssayError, match=says):
        Rows("people", **declared)
