"""What is found in a project's modules: everything declared, at any depth, each once, broken modules named."""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from assay.assets.declarations import declarations, ordered, pipeline, source, sources, steps_of
from assay.assets.project import Project
from assay.errors import AssayError

SOURCE = """
from datetime import date
from assay import Contract, Field, Files, Partitioning, Source, Timestamp

class Rows(Contract):
    row_id: str = Field(key=True)
    at: Timestamp = Field()

def declare(name):
    days = Partitioning.daily(date(2026, 1, 1))
    return Source(name, Files(name + "/{day}/*", (".csv",)), Rows, ("row_id",), "at", partitioning=days)
"""

Make = Callable[[Mapping[str, str]], Project]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    def made(files: Mapping[str, str]) -> Project:
        for name, text in {"kiosk/__init__.py": "", "kiosk/common.py": SOURCE, **files}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return Project("kiosk", ("kiosk",), tmp_path)

    monkeypatch.setattr(sys, "path", list(sys.path))
    yield made
    for name in [name for name in sys.modules if name.partition(".")[0] == "kiosk"]:
        del sys.modules[name]


def declared(name: str, variable: str = "found") -> str:
    return f"from kiosk.common import declare\n{variable} = declare({name!r})\n"


def test_declarations_are_found_at_any_depth_each_once(make: Make) -> None:
    project = make(
        {
            "kiosk/__init__.py": "",
            "kiosk/b.py": declared("second"),
            "kiosk/a.py": declared("first") + "from kiosk.b import found as imported\n",
            "kiosk/erp/__init__.py": declared("of_package"),
            "kiosk/erp/orders/daily.py": declared("deep"),
            "kiosk/many.py": "from kiosk.common import declare\nall_of_them = [declare('x1'), declare('x2')]\n",
        }
    )
    assert sorted(sources(project)) == ["deep", "first", "of_package", "second", "x1", "x2"]
    assert declarations(project).broken == ()
    assert len(declarations(project).items) == 6
    assert {step.outputs[0] for step in pipeline(project)} >= {"raw/deep", "clean/x2"}


def test_tests_inside_a_package_are_not_run(make: Make) -> None:
    project = make({"kiosk/tests/test_all.py": "raise SystemExit\n", "kiosk/test_x.py": "raise SystemExit\n"})
    assert declarations(project).items == ()


def test_a_domain_may_be_one_module(make: Make) -> None:
    project = make({"kiosk/one.py": declared("alone"), "kiosk/two.py": declared("not_asked_for")})
    assert list(sources(Project("kiosk", ("kiosk.one",), project.root))) == ["alone"]


def test_a_broken_module_is_named_and_hides_no_other(make: Make) -> None:
    project = make(
        {
            "kiosk/fine.py": declared("fine"),
            "kiosk/name.py": "\n\nx = no_such_name\n",
            "kiosk/url.py": "raise OSError('postgresql://me:hunter2@host/db')\n",
            "kiosk/syntax.py": "x = 1\ny = = 2\n",
            "kiosk/wrong.py": "from kiosk.common import declare\n" + "bad = declare('no name')\n",
        }
    )
    assert list(sources(project)) == ["fine"]
    told = {broken.module: str(broken) for broken in declarations(project).broken}
    assert told["kiosk.name"] == (
        "kiosk.name cannot be loaded: line 3: NameError: name 'no_such_name' is not defined. Correct it."
    )
    assert "OSError" in told["kiosk.url"] and "hunter2" not in told["kiosk.url"]
    assert told["kiosk.syntax"] == "kiosk.syntax cannot be loaded: line 2: invalid syntax. Correct it."
    assert told["kiosk.wrong"].startswith("kiosk.wrong cannot be loaded: line 2: Source name 'no name': use letters")


def test_of_two_declarations_of_one_table_the_second_is_refused(make: Make) -> None:
    project = make({"kiosk/a.py": declared("same"), "kiosk/b.py": declared("same")})
    assert {table for step in pipeline(project) for table in step.outputs} >= {"raw/same", "clean/same"}
    (broken,) = declarations(project).broken
    assert broken.module == "kiosk.b"
    assert "/same is written by two declarations" in str(broken)
    with pytest.raises(AssayError, match="/same is written by two declarations"):
        ordered(steps_of(declarations(project).items))


def test_an_unknown_source_is_refused_with_those_there_are(make: Make) -> None:
    project = make({"kiosk/a.py": declared("orders")})
    assert source("orders", project).name == "orders"
    with pytest.raises(AssayError, match=r"There is no source 'order'\. Did you mean 'orders'\? There are: orders\."):
        source("order", project)


def test_a_declaration_that_cannot_become_a_step_hides_no_other(make: Make) -> None:
    view = """
from assay import Entity, FeatureView, Feature
import polars as pl
lost = FeatureView("lost", entity=Entity("row", ["row_id"]), event_time="at", source="clean/nowhere",
                   features=[Feature("x", pl.col("row_id").str.len_chars())])
"""
    project = make({"kiosk/fine.py": declared("fine"), "kiosk/view.py": view})
    assert {step.outputs[0] for step in pipeline(project)} == {"raw/fine", "clean/fine"}
    (broken,) = declarations(project).broken
    assert str(broken).startswith("kiosk.view cannot be loaded: View 'lost' reads only clean/nowhere, which nothing")
