"""A table that is compared as a whole: changes and deletes become batches, and what it is now can be read."""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

import assay
from assay.assets.databases.rows import Rows
from assay.errors import AssayError
from assay.features.serving.as_of_join import as_of_join

SHOP = '''
"""A shop's people: a table without a column that tells when a row was changed."""

import polars as pl

from assay import Contract, Entity, Feature, FeatureView, Field, Partitioning, Rows, Source, Files, Timestamp


class People(Contract):
    person: str = Field(key=True)
    city: str = Field(not_empty=True)
    email: str = Field(nullable=True, unique=True)

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "shop"


people = Source(
    name="people",
    reader=Rows("people", connection="erp", mode="snapshot"),
    contract=People,
    key=("person",),
    event_time="_seen_at",
)


class Orders(Contract):
    order_id: str = Field(key=True)
    shopper: str = Field(exists_in="clean/people.person")
    at: Timestamp = Field()

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "shop"


orders = Source(
    name="orders",
    reader=Files("orders/{day}/*", (".csv",)),
    partitioning=Partitioning.daily("2026-03-01"),
    contract=Orders,
    key=("order_id",),
    event_time="at",
)

home = FeatureView(
    "home",
    entity=Entity("shopper", ["person"]),
    event_time="_seen_at",
    source="clean/people",
    features=[Feature("city", pl.col("city")), Feature("has_email", pl.col("email").is_not_null())],
)
'''


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    url = f"sqlite:///{tmp_path / 'crm.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    monkeypatch.setenv("ASSAY_CONNECTIONS__ERP__URL", url)
    address = sa.make_url(url)
    engine = sa.create_engine(
        address if request.param == "sqlite" else address.set(drivername="postgresql+psycopg"), poolclass=sa.NullPool
    )

    def do(*statements: str) -> None:
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))

    do("DROP TABLE IF EXISTS people", "CREATE TABLE people (person TEXT PRIMARY KEY, city TEXT, email TEXT)")
    yield do
    engine.dispose()


@pytest.fixture
def people(new_shop: Any) -> Any:
    new_shop.redeclare(lambda _: SHOP)
    return new_shop


def rows(shop: Any, table: str, *columns: str) -> list[tuple[Any, ...]]:
    wanted = ("partition_key", "_change", "person", *(columns or ("city",)))
    return sorted(shop.frame(table).select(wanted).rows())


def now(shop: Any, table: str = "clean/people", version: int | None = None) -> dict[str, str]:
    return dict(sorted(shop.env.lake.table(table).current(version).select("person", "city").collect().rows()))


def insert(person: str, city: str, email: str = "") -> str:
    return f"INSERT INTO people VALUES ('{person}', '{city}', nullif('{email}', ''))"


def test_a_batch_is_what_was_inserted_changed_and_deleted(people: Any, database: Any) -> None:
    database(insert("Ada", "London"), insert("Bob", "Rome"), insert("Cyd", "Oslo"))
    assert not people.run().failed
    first = people.version("clean/people")
    assert people.run().results == []
    database("UPDATE people SET city = 'Paris' WHERE person = 'Bob'", insert("Dee", "Bern"))
    database("DELETE FROM people WHERE person = 'Cyd'")
    assert not people.run().failed
    for table in ("raw/people", "clean/people"):
        assert rows(people, table)[3:] == [
            ("000002", "delete", "Cyd", "Oslo"),
            ("000002", "insert", "Dee", "Bern"),
            ("000002", "update", "Bob", "Paris"),
        ]
    assert people.frame("quarantine/people").is_empty()
    assert now(people) == now(people, "raw/people") == {"Ada": "London", "Bob": "Paris", "Dee": "Bern"}
    assert now(people, version=first) == {"Ada": "London", "Bob": "Rome", "Cyd": "Oslo"}
    assert people.run().results == []


def test_the_counts_stand_in_the_commit_the_check_and_dagsters_metadata(people: Any, database: Any) -> None:
    database(insert("Ada", "London"), insert("Bob", "Rome"), insert("Cyd", "Oslo"))
    people.run()
    database("UPDATE people SET city = 'Paris' WHERE person = 'Bob'", "DELETE FROM people WHERE person = 'Cyd'")
    people.run()
    commit = people.env.lake.table("raw/people").at().last_commit
    changes = commit.changes
    assert (changes.inserted, changes.updated, changes.deleted, changes.unchanged) == (0, 1, 1, 1)
    assert (changes.whole, changes.keys, changes.whole_at) == (True, ("person",), changes.seen_at)
    (check,) = [check for check in commit.checks if check["name"] == "delivery"]
    assert (check["passed"], check["message"]) == (True, "0 inserted, 1 changed, 1 deleted, 1 unchanged.")
    import dagster as dg

    (record, *_) = people.instance.fetch_materializations(dg.AssetKey(["raw", "people"]), limit=1).records
    metadata = record.asset_materialization.metadata
    assert [metadata[name].value for name in ("inserted", "updated", "deleted", "unchanged")] == [0, 1, 1, 1]
    seen = people.frame("clean/people").filter(pl.col("partition_key") == "000002")["_seen_at"].unique().to_list()
    assert seen == [datetime.fromisoformat(changes.seen_at)]


def test_a_row_that_goes_and_comes_back_as_it_was_is_seen_each_time(people: Any, database: Any) -> None:
    for _ in range(2):
        database(insert("Ada", "London"))
        people.run()
        assert now(people) == {"Ada": "London"}
        database("DELETE FROM people")
        people.run()
        assert now(people) == {}
    assert [change for _, change, _, _ in rows(people, "clean/people")] == ["insert", "delete", "insert", "delete"]
    assert people.run().results == []


@pytest.mark.parametrize("megabytes", [256, 0])
def test_a_delete_takes_effect_although_its_last_values_break_a_rule(
    people: Any, database: Any, megabytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_IN_MEMORY_MB", str(megabytes))
    database(insert("Ada", "London"), insert("Bob", ""))
    people.run()
    database("UPDATE people SET city = '' WHERE person = 'Ada'")
    people.run()
    assert now(people) == {"Ada": "London"}, "what broke a rule is in quarantine; what held before stays"
    database("DELETE FROM people")
    people.run()
    assert now(people) == {}
    assert rows(people, "clean/people")[1:] == [("000003", "delete", "Ada", "London")]
    assert rows(people, "quarantine/people") == [
        ("000001", "insert", "Bob", ""),
        ("000002", "update", "Ada", ""),
        ("000003", "delete", "Bob", ""),
    ]
    commit = people.env.lake.table("clean/people").at().last_commit
    assert (commit.report.rows_in, commit.report.rows_clean, commit.report.rows_quarantined) == (2, 1, 1)


@pytest.mark.parametrize("megabytes", [256, 0])
def test_a_value_has_to_be_unique_among_what_holds(
    people: Any, database: Any, megabytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_IN_MEMORY_MB", str(megabytes))
    database(insert("Ada", "London", "a@x.org"), insert("Bob", "Rome", "b@x.org"))
    people.run()
    database("UPDATE people SET city = 'Paris' WHERE person = 'Ada'", insert("Cyd", "Oslo", "b@x.org"))
    people.run()
    assert rows(people, "quarantine/people", "email") == [("000002", "insert", "Cyd", "b@x.org")]
    database("DELETE FROM people WHERE person = 'Bob'", insert("Dee", "Bern", "b@x.org"))
    people.run()
    database(insert("Eve", "Nice", "b@x.org"))
    people.run()
    assert now(people) == {"Ada": "Paris", "Dee": "Bern"}
    assert rows(people, "quarantine/people", "email")[1:] == [("000004", "insert", "Eve", "b@x.org")]


def test_a_foreign_key_means_what_is_there_now(people: Any, database: Any) -> None:
    database(insert("Ada", "London"), insert("Bob", "Rome"))
    people.run()
    database("DELETE FROM people WHERE person = 'Ada'")
    people.run()
    people.drop(1, b"order_id,shopper,at\n1,Ada,2026-03-01T01:00:00Z\n2,Bob,2026-03-01T01:00:00Z\n")
    people.run()
    assert people.frame("clean/orders")["shopper"].to_list() == ["Bob"]
    assert people.frame("quarantine/orders")["_rules"].to_list() == [["shopper.exists"]]


def test_features_hold_from_when_a_row_was_seen_until_it_was_deleted(people: Any, database: Any) -> None:
    looks: list[datetime] = []

    def look(*statements: str) -> None:
        database(*statements)
        people.run()
        looks.append(datetime.fromisoformat(people.env.lake.table("raw/people").at().last_commit.changes.seen_at))

    look(insert("Ada", "London", "a@x.org"))
    look("UPDATE people SET city = 'Paris', email = NULL WHERE person = 'Ada'", insert("Bob", "Rome"))
    look("DELETE FROM people WHERE person = 'Ada'")
    look(insert("Ada", "Oslo"))
    instant = timedelta(microseconds=1)
    moments = [looks[0] - instant, *looks, looks[3] - instant, looks[1] - instant]
    spine = pl.DataFrame({"person": ["Ada"] * 7, "event_time": moments})
    joined = as_of_join(spine, ["home:city", "home:has_email"], lake=people.env.lake)
    assert joined["city"].to_list() == [None, "London", "Paris", None, "Oslo", None, "London"]
    assert joined["has_email"].to_list() == [None, True, False, None, False, None, True]
    filled = as_of_join(spine, ["home:city"], lake=people.env.lake, skip_nulls=True)
    assert filled["city"].to_list() == joined["city"].to_list(), "a delete is no null to skip"
    store = assay.open()
    for moment, city in zip(moments, joined["city"], strict=True):
        online = store.online("home").get({"person": ["Ada", "Bob"]}, at=moment)
        assert online["city"][0] == city
        assert online["home.state"][0] == ("missing" if city is None else "present")


def test_rows_that_cannot_be_told_apart_refuse_the_batch(people: Any, database: Any) -> None:
    database("DROP TABLE people", "CREATE TABLE people (person TEXT, city TEXT, email TEXT)", insert("Ada", "London"))
    people.run()
    database(insert("Ada", "Rome"))
    (failed,) = people.run().failed
    assert "has several rows with the same person" in failed.problems[0]
    assert "Rome" not in failed.problems[0]
    database("DELETE FROM people WHERE city = 'Rome'", "INSERT INTO people VALUES (NULL, 'Bern', NULL)")
    (failed,) = people.run().failed
    assert "has 1 row without person" in failed.problems[0]
    database("DELETE FROM people WHERE person IS NULL", insert("Bob", "Bern"))
    assert not people.run().failed
    assert now(people) == {"Ada": "London", "Bob": "Bern"}


def test_a_new_column_changes_the_rows_that_have_a_value_in_it(people: Any, database: Any) -> None:
    database(insert("Ada", "London"), insert("Bob", "Rome"))
    people.run()
    database("ALTER TABLE people ADD COLUMN phone TEXT")
    assert people.run().results == []
    database("UPDATE people SET phone = '1' WHERE person = 'Bob'")
    people.run()
    assert rows(people, "raw/people", "phone")[2:] == [("000002", "update", "Bob", "1")]
    database("ALTER TABLE people DROP COLUMN phone")
    people.run()
    assert rows(people, "raw/people", "phone")[3:] == [("000003", "update", "Bob", None)]
    assert people.run().results == []


def test_an_undeclared_column_with_another_type_is_kept_beside_it(people: Any, database: Any) -> None:
    database("ALTER TABLE people ADD COLUMN age INTEGER", "INSERT INTO people VALUES ('Ada', 'London', NULL, 36)")
    people.run()
    recreated = "CREATE TABLE people (person TEXT PRIMARY KEY, city TEXT, email TEXT, age TEXT)"
    database("DROP TABLE people", recreated, "INSERT INTO people VALUES ('Ada', 'London', NULL, 'young')")
    people.run()
    assert rows(people, "raw/people", "age", "age__string") == [
        ("000001", "insert", "Ada", 36, None),
        ("000002", "update", "Ada", None, "young"),
    ]
    assert people.run().results == []
    assert now(people) == {"Ada": "London"}


def test_a_declared_column_with_another_type_says_what_to_do(people: Any, database: Any) -> None:
    database("DROP TABLE people", "CREATE TABLE people (person BIGINT PRIMARY KEY, city TEXT, email TEXT)")
    database("INSERT INTO people VALUES (1, 'London', NULL)")
    people.run()
    database("DROP TABLE people", "CREATE TABLE people (person TEXT PRIMARY KEY, city TEXT, email TEXT)")
    database(insert("1", "London"))
    (failed,) = people.run().failed
    assert "'person' is String now, and raw has it as Int64. Change it back there, or give" in failed.problems[0]


def test_a_declared_column_that_was_text_stays_text(people: Any, database: Any) -> None:
    database(insert("1", "London"))
    people.run()
    database("DROP TABLE people", "CREATE TABLE people (person BIGINT PRIMARY KEY, city TEXT, email TEXT)")
    database("INSERT INTO people VALUES (1, 'London', NULL)")
    assert people.run().results == []


def test_a_value_that_cannot_be_read_is_compared_too(people: Any, database: Any) -> None:
    database("DROP TABLE people", "CREATE TABLE people (person TEXT PRIMARY KEY, city TEXT, email TEXT, born DATE)")
    database("INSERT INTO people VALUES ('Ada', 'London', NULL, 'infinity'), ('Bob', 'Rome', NULL, '2000-01-01')")
    people.run()
    (bad,) = people.frame("quarantine/people").to_dicts()
    assert (bad["person"], bad["_rules"], bad["_change"]) == ("Ada", ["row.unparsable"], "insert")
    assert people.run().results == []
    database("UPDATE people SET born = '1999-01-01' WHERE person = 'Ada'")
    people.run()
    assert now(people) == {"Ada": "London", "Bob": "Rome"}
    database("UPDATE people SET born = 'infinity' WHERE person = 'Ada'")
    people.run()
    database("DELETE FROM people WHERE person = 'Ada'")
    people.run()
    assert now(people) == {"Bob": "Rome"}
    assert rows(people, "raw/people")[2:] == [
        ("000002", "update", "Ada", "London"),
        ("000003", "update", "Ada", None),
        ("000004", "delete", "Ada", None),
    ]


def test_a_table_that_is_empty_all_at_once_is_named(people: Any, database: Any) -> None:
    database(insert("Ada", "London"), insert("Bob", "Rome"))
    people.run()
    database("DELETE FROM people")
    people.run()
    commit = people.env.lake.table("raw/people").at().last_commit
    (check,) = [check for check in commit.checks if check["name"] == "delivery"]
    assert (check["passed"], check["severity"]) == (False, "warn")
    assert "people is empty: all 2 rows of it count as deleted." in check["message"]


def test_handing_over_rows_is_refused(people: Any, database: Any) -> None:
    with pytest.raises(AssayError, match="cannot be handed rows"):
        assay.open().ingest(people.package.orders.people, [{"person": "Ada", "city": "London", "email": None}])


def test_a_table_that_holds_no_changes_has_no_current_state(people: Any, database: Any) -> None:
    people.drop(1, b"order_id,shopper,at\n")
    database(insert("Ada", "London"))
    people.drop(1, b"order_id,shopper,at\n1,Ada,2026-03-01T01:00:00Z\n")
    people.run()
    with pytest.raises(AssayError, match="clean/orders does not hold the changes of a table"):
        people.env.lake.table("clean/orders").current()


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
