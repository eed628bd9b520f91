"""`assay compare`: counts first, examples masked, versions named, exit code 3 for a difference."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

import assay
from assay.cli.tables import compare
from assay.errors import AssayError
from tests.declared import IMPORTS, daily_source


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> assay.Store:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    made = assay.open()
    for name, city in (("a", "London"), ("b", "London"), ("b", "Rome")):
        with made.transaction(f"reference/{name}") as tx:
            tx.write(f"reference/{name}", pl.DataFrame({"person": ["Ada", "Bob"], "city": [city, "Oslo"]}))
    return made


def test_equal_tables_end_with_0(store: assay.Store) -> None:
    version = store.table("reference/b").at().version - 1
    done = CliRunner().invoke(compare, ["reference/a", f"reference/b@{version}", "--key", "person"])
    assert done.exit_code == 0, done.output
    assert str(store.snapshot("reference/b", version)) in done.output


def test_a_difference_is_counted_and_shown_masked(store: assay.Store) -> None:
    done = CliRunner().invoke(compare, ["reference/a", "reference/b", "--key", "person"])
    assert done.exit_code == 3
    assert "city differs in 1 row" in done.output
    assert "London" not in done.output
    assert "Ada" not in done.output
    told = CliRunner().invoke(compare, ["reference/a", "reference/b", "--key", "person", "--json"])
    assert told.exit_code == 3
    answer = json.loads(told.output)
    assert answer["b"] == str(store.snapshot("reference/b"))
    assert (answer["equal"], answer["same"], answer["differ"], answer["columns"]) == (False, 1, 1, {"city": 1})


def test_of_a_table_that_holds_changes_the_rows_are_compared_that_are_there(store: assay.Store) -> None:
    for number, change in enumerate(("insert", "delete"), start=1):
        with store.transaction("reference/c", f"{number:06d}") as tx:
            tx.describe(changes={"keys": ["person"]})
            seen = {"person": ["Eve"], "city": ["Bern"], "_change": [change], "_row_number": [1]}
            tx.write("reference/c", pl.DataFrame(seen))
    told = CliRunner().invoke(compare, ["reference/c", "reference/a", "--json"])
    answer = json.loads(told.output)
    assert (answer["key"], answer["rows"], answer["only"]) == (["person"], [0, 2], [0, 2])


def test_without_a_key_it_says_how_to_give_one(store: assay.Store) -> None:
    done = CliRunner().invoke(compare, ["reference/a", "reference/b"])
    assert isinstance(done.exception, AssayError)
    assert "say it with --key COLUMN" in str(done.exception)


def test_the_declared_key_counts(two_days: Any, cli: Callable[..., Any]) -> None:
    answer = cli("compare", "clean/tickets", "clean/tickets", "--json", place=two_days)
    assert (answer.code, answer.data["key"]) == (0, ["ticket_id"])
    assert answer.data["same"] == answer.data["rows"][0]


def test_what_was_not_compared_is_not_called_equal(store: assay.Store) -> None:
    with store.transaction("reference/c") as tx:
        tx.write("reference/c", pl.DataFrame({"person": ["Ada", "Bob"], "city": ["London", "Oslo"], "age": [1, 2]}))
    done = CliRunner().invoke(compare, ["reference/a", "reference/c", "--key", "person"])
    assert done.exit_code == 3
    assert "equal in the columns that both have" in done.output
    assert "age is not compared: only in B" in done.output


@pytest.fixture
def renamed(store: assay.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[assay.Store]:
    """A project whose source gives two columns other names than an earlier version of its table has."""
    columns = ('person: str = Field(key=True, was="name")', 'city: str = Field(was=("town", "place"))')
    package = tmp_path / "project" / "renamed_people"
    package.mkdir(parents=True)
    (package.parent / "pyproject.toml").write_text('[tool.assay]\ndomains = ["renamed_people"]\n')
    (package / "__init__.py").touch()
    (package / "people.py").write_text(IMPORTS + daily_source("people", *columns, start="2026-09-01"))
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setenv("ASSAY_PROJECT", str(package.parent))
    for names in (("name", "town"), ("person", "city")):
        with store.transaction("clean/people") as tx:
            tx.write("clean/people", pl.DataFrame({names[0]: ["Ada", "Bob"], names[1]: ["London", "Oslo"]}))
    yield store
    for name in [name for name in sys.modules if name.partition(".")[0] == "renamed_people"]:
        del sys.modules[name]


@pytest.mark.parametrize("keys", [(), ("--key", "person"), ("--key", "name")])
def test_renamed_columns_are_compared_under_the_names_of_today(renamed: assay.Store, keys: tuple[str, ...]) -> None:
    newest = renamed.table("clean/people").at().version
    done = CliRunner().invoke(compare, [f"clean/people@{newest - 1}", "clean/people", *keys, "--json"])
    answer = json.loads(done.output)
    assert (answer["key"], answer["same"], answer["not_compared"]) == (["person"], 2, {})
    assert (answer["equal"], done.exit_code) == (True, 0)
