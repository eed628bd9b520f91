"""Columns of a table that is compared: new ones, other types, and values that no type holds."""

from typing import Any

from tests.assets.steps.compared_people import insert, now, rows


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
