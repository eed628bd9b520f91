"""`assay init`: what it writes runs at once, and nothing that is there is lost."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.cli.init import package_name, project_files
from assay.errors import AssayError
from tests.forked import run_forked


def test_a_new_project_runs_at_once(cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tests, `dg check defs` and `dg list defs` are run where docs/your-own-project.md is followed."""
    monkeypatch.chdir(tmp_path)
    assert cli("init", "my-shop").code == 0
    folder = tmp_path / "my-shop"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name in ("ASSAY_HOME", "DAGSTER_HOME"):
        environment.pop(name, None)

    def run(where: Path, *command: str) -> str:
        done = run_forked("assay", *command, folder=where, environment=environment)
        assert done.code == 0, f"{command}: {done.code}\n{done.out[-3000:]}{done.err[-3000:]}"
        return done.out

    assert "2 runs" in run(folder, "materialize")
    tables = {
        info["name"]: info["rows"] for info in json.loads(run(folder / "my_shop" / "declarations", "tables", "--json"))
    }
    assert tables == {
        "clean/orders": 6,
        "features/customer_spending": 5,
        "features/order": 6,
        "profiles/orders": 10,
        "quarantine/orders": 2,
        "raw/orders": 8,
    }
    held = json.loads(run(folder, "quarantine", "list", "--json"))
    assert {row["rule"] for row in held} == {"amount.gt", "channel.isin"}
    assert "class" not in run(folder, "contract", "export", "my_shop.declarations.orders:Orders")
    assert {path.name for path in folder.iterdir()} >= {"var", "pyproject.toml", "workspace.yaml", ".gitignore"}
    assert {path.name for path in (folder / "dagster_home").iterdir()} > {"dagster.yaml"}, "runs are kept there"


def test_what_is_there_is_not_written_over(cli: Callable[..., Any], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("mine")
    answer = cli("init", "kiosk", "--dir", ".")
    assert answer.code == 1
    assert answer.err == "Error: . has README.md already, and nothing was written. Choose another --dir, or --force.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert cli("init", "kiosk", "--dir", ".", "--force").code == 0
    assert (tmp_path / "README.md").read_text().startswith("# kiosk")
    again = cli("init", "kiosk", "--dir", ".", "--force", "--json")
    assert set(again.data["files"]) == {str(path) for path, _ in project_files("kiosk", "kiosk")}


@pytest.mark.parametrize("name", ["9lives", "", "my shop", "a.b", "../up"])
def test_a_name_that_cannot_name_a_package_is_refused(name: str) -> None:
    with pytest.raises(AssayError, match="cannot name a project: use letters"):
        package_name(name)


@pytest.mark.parametrize("name", ["json", "polars", "Dagster", "assay"])
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    with pytest.raises(AssayError, match="is installed already"):
        package_name(name)


def test_every_file_is_complete() -> None:
    for path, text in project_files("my-shop", "my_shop"):
        assert "@" not in text.replace("actions/checkout@v4", "").replace("actions/setup-python@v5", ""), path
        assert text.endswith("\n"), path
