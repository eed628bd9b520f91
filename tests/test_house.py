"""The house: imports run one way, the front door is light, and wheel and editable install are the same package."""

import ast
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("assets", "checks", "features", "lineage")
# What a folder's code may import of the others, and of the modules of `assay/`, which itself composes them all.
ALLOWED = {
    "assets": {"assets", "checks", "features", "lineage", "settings", "store"},
    "checks": {"checks"},
    "features": {"features"},
    "lineage": {"lineage", "features", "settings"},
}
# Modules of `assay/` that import nothing of Assay but each other, so that everybody may import them.
LEAVES = {
    "asgi",
    "durations",
    "errors",
    "lazy",
    "notebook_html",
    "optional",
    "own_columns",
    "project_folder",
    "row_source",
    "stable_text",
}
# What still crosses. This list only gets shorter.
CROSSING: set[tuple[str, str]] = set()
# What those that are started by themselves may import of `assay/`: the code location, and the lineage service.
COMPOSED = {"assets": {"settings", "store"}, "lineage": {"settings"}}
# `lineage` may speak HTTP (it delivers events and serves its API); the others never do.
HTTP = {"http", "urllib", "requests", "httpx", "aiohttp", "fastapi", "starlette", "uvicorn", "socket"}


def modules(folder: str) -> Iterator[Path]:
    return (file for file in sorted((ROOT / folder).rglob("*.py")) if "__pycache__" not in file.parts)


def name_of(file: Path) -> str:
    """The name under which a file of the tree is imported."""
    parts = list(file.relative_to(ROOT).with_suffix("").parts)
    parts = parts if parts[0] == "assay" else ["assay", *parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path) -> Iterator[str]:
    """Everything a file imports, wherever in it, also only for types."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def crossings(folder: str) -> set[tuple[str, str]]:
    """(module, what of assay it imports that the folder may not)."""
    found = set()
    for file in modules(folder):
        for name in imports(file):
            parts = name.split(".")
            if parts[0] != "assay" or len(parts) < 2:
                continue
            other = parts[1]
            # The example is a project: it may use what any other may, also the look of the command line.
            project = {"cli"} if name_of(file).startswith("assay.assets.support") else set()
            if other not in ALLOWED[folder] | LEAVES | COMPOSED.get(folder, set()) | project:
                found.add((name_of(file), name))
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_run_one_way(folder: str) -> None:
    assert crossings(folder) <= CROSSING


def test_the_platform_knows_no_project() -> None:
    """The shipped example is found like any other project: no module of the platform imports or names it."""
    for folder in (*FOLDERS, "assay"):
        for file in modules(folder):
            if not name_of(file).startswith("assay.assets.support"):
                found = [name for name in imports(file) if name.startswith("assay.assets.support")]
                assert found == [], name_of(file)


def test_the_test_of_imports_sees_them() -> None:
    names = {name for file in modules("assets") for name in imports(file)}
    assert {
        "assay.features.tables.lake.Lake",
        "assay.checks.Contract",
        "assay.lineage.delivery.recorder.run_id",
    } <= names
    assert not any(name.partition(".")[0] in FOLDERS for file in modules("assay") for name in imports(file))


def test_what_still_crosses_is_still_there() -> None:
    assert set().union(*(crossings(folder) for folder in FOLDERS)) == CROSSING, "take it off the list"


@pytest.mark.parametrize("leaf", [*sorted(LEAVES - {"asgi"}), "settings"])
def test_leaves_import_nothing_of_assay_but_each_other(leaf: str) -> None:
    names = [name for name in imports(ROOT / "assay" / f"{leaf}.py") if name.startswith("assay")]
    assert [name for name in names if name.split(".")[1] not in LEAVES] == []


def test_only_assets_knows_dagster() -> None:
    users = {
        name_of(file)
        for folder in (*FOLDERS, "assay")
        for file in modules(folder)
        if any(name.partition(".")[0].startswith("dagster") for name in imports(file))
    }
    assert users
    assert {name for name in users if not name.startswith("assay.assets")} == set()


@pytest.mark.parametrize("folder", ["checks", "features"])
def test_the_libraries_know_no_http(folder: str) -> None:
    for file in modules(folder):
        used = {name.partition(".")[0] for name in imports(file)} & HTTP
        # `urllib.parse` only takes strings apart.
        used -= {"urllib"} if all(not n.startswith("urllib.request") for n in imports(file)) else set()
        assert used == set(), name_of(file)


def test_the_front_door_is_light() -> None:
    """Less than half a second of CPU, and nothing heavy behind it."""
    code = (
        "import sys, time, assay\n"
        "print(time.process_time())\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    seconds, loaded = done.stdout.splitlines()
    assert float(seconds) < 0.5
    heavy = {"torch", "dagster", "polars", "deltalake", "sqlalchemy", "sklearn", "pandera", "duckdb", "openlineage"}
    assert heavy & set(loaded.split()) == set()


def test_the_wheel_holds_exactly_the_trees_modules(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    code = {name for name in names if name.endswith(".py")}
    expected = {"/".join(name_of(file).split(".")) for folder in (*FOLDERS, "assay") for file in modules(folder)}
    assert {name.removesuffix(".py").removesuffix("/__init__") for name in code} == expected
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"assay"}, "no bare `features`"
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for package, patterns in data.items():
        folder = ROOT / "assay" / package.removeprefix("assay").lstrip(".").replace(".", "/")
        for pattern in patterns:
            assert list(folder.glob(pattern)), f"{package}: nothing is {pattern}"
            for file in folder.glob(pattern):
                assert f"{package.replace('.', '/')}/{file.relative_to(folder)}" in names


FIND = """
import importlib, importlib.util, sys
for name in sys.argv[1:]:
    print(importlib.util.find_spec(name).origin)
for name in ("assay.assets.project", "assay.checks", "assay.features.tables.lake", "assay.lineage.tracing.trace", "assay.cli"):
    importlib.import_module(name)
"""


def test_wheel_and_editable_install_expose_the_same(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    names = [name_of(file) for folder in (*FOLDERS, "assay") for file in modules(folder)]

    def found(path: str | None) -> list[Path]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"PYTHONPATH": path} if path else {}
        done = subprocess.run(
            [sys.executable, "-c", FIND, *names], capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        assert done.returncode == 0, done.stderr
        return [Path(line) for line in done.stdout.splitlines()]

    of_wheel, of_tree = found(str(target)), found(None)
    assert [file.relative_to(target).parts[-1] for file in of_wheel] == [file.name for file in of_tree]
    assert [file.read_bytes() for file in of_wheel] == [file.read_bytes() for file in of_tree]
    assert all(file.is_relative_to(ROOT) for file in of_tree)
