"""`assay training-sets compare`: counts, definitions and versions, exit code 3 for a difference, no cell of a personal column."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

import assay
from assay.cli.training_sets import training_sets
from tests.declared import IMPORTS, daily_source


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> assay.Store:
    """Two versions of a training set: one row more, and one of another plan."""
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    made = assay.open()
    when = datetime(2026, 1, 1, tzinfo=UTC)
    people = pl.DataFrame({"person": ["Ada", "Bob"], "event_time": [when] * 2, "age": [36, 40]})
    with made.transaction("features/people") as tx:
        serving = {
            "entity": "p",
            "keys": ["person"],
            "event_time": "event_time",
            "known_time": None,
            "max_age_us": None,
        }
        tx.describe(serving=serving)
        tx.write("features/people", people)
    for plan in ("free", "paid"):
        spine = pl.DataFrame({"person": ["Ada", "Bob"], "event_time": [when] * 2, "plan": ["free", plan],
                              "phone": [4915112345, 4915167890]})  # fmt: skip
        made.training_set("plans", spine=spine, features=["people:age"])
    return made


def test_two_versions_are_compared_and_nobody_is_named(store: assay.Store) -> None:
    store.recorder.close()
    done = CliRunner().invoke(training_sets, ["compare", "plans@1", "plans@2"])
    assert done.exit_code == 3, done.output
    assert "plan differs in 1 row" in done.output
    assert "2 values" in done.output, "texts that no contract knows are counted"
    assert not any(value in done.output for value in ("Ada", "paid", "free"))
    answer = json.loads(CliRunner().invoke(training_sets, ["compare", "plans@1", "plans@2", "--json"]).output)
    assert (answer["rows"]["same"], answer["rows"]["differ"], answer["key"]) == (1, 1, ["person", "event_time"])
    assert answer["distributions"]["plan"]["shift"] == 0.5
    same = CliRunner().invoke(training_sets, ["compare", "plans@2", "plans@2", "--key", "person"])
    assert same.exit_code == 0
    assert "by person" in same.output


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One whose contract knows two of the columns."""
    columns = ('person: str = Field(key=True, pii="name")', "plan: str = Field()", 'phone: int = Field(pii="phone")')
    package = tmp_path / "project" / "people_with_plans"
    package.mkdir(parents=True)
    (package.parent / "pyproject.toml").write_text('[tool.assay]\ndomains = ["people_with_plans"]\n')
    (package / "__init__.py").touch()
    (package / "people.py").write_text(IMPORTS + daily_source("people", *columns, start="2026-09-01"))
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setenv("ASSAY_PROJECT", str(package.parent))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "people_with_plans"]:
        del sys.modules[name]


def test_contracts_say_what_may_be_shown(store: assay.Store, project: None) -> None:
    store.recorder.close()
    answer = json.loads(CliRunner().invoke(training_sets, ["compare", "plans@1", "plans@2", "--json"]).output)
    assert answer["distributions"]["plan"]["b"]["shares"] == {"free": 0.5, "paid": 0.5}
    assert answer["distributions"]["phone"]["a"].keys() == {"rows", "nulls", "distinct"}
    assert "49151" not in json.dumps(answer)
