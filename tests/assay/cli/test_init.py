"""`assay init`: what it writes runs at once, and nothing that is there is lost."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from assay.cli.init import package_name, project_files
from assay.errors import AssayError


def run(folder: Path, *command: str, code: int = 0) -> str:
    """A command of this environment in a folder, with nothing set."""
    environment: Mapping[str, str] = {**os.environ, "OMP_NUM_THREADS": "1"}
    program = [str(Path(sys.executable).with_name(command[0])), *command[1:]]
    done = subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def test_a_new_project_runs_at_once(tmp_path: Path) -> None:
    run(tmp_path, "assay", "init", "my-shop")
    folder = tmp_path / "my-shop"
    assert "2 runs" in run(folder, "assay", "materialize")
    below = folder / "my_shop" / "declarations"
    tables = {info["name"]: info["rows"] for info in json.loads(run(below, "assay", "tables", "--json"))}
    assert tables == {
        "clean/orders": 6,
        "features/customer_spending": 5,
        "features/order": 6,
        "profiles/orders": 10,
        "quarantine/orders": 2,
        "raw/orders": 8,
    }
    found = json.loads(run(folder, "assay", "quarantine", "list", "--json"))
    assert {row["rule"] for row in found} == {"amount.gt", "channel.isin"}
    assert "class" not in run(folder, "assay", "contract", "export", "my_shop.declarations.orders:Orders")
    assert "2 passed" in run(folder, "python", "-m", "pytest", "-q")
    assert "All definitions loaded successfully." in run(folder, "dg", "check", "defs")
    listed = json.loads(run(folder, "dg", "list", "defs", "--json"))
    assert {sensor["name"] for sensor in listed["sensors"]} == {"my_shop_arrivals"}
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
