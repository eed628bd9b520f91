"""A table that is compared as a whole: changes and deletes become batches, and what it is now can be read."""

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

import assay
from assay.errors import AssayError
from assay.features.serving.as_of_join import as_of_join
from tests.assets.steps.compared_people import insert, now, rows


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
    people.materialize()
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
