"""The rooms of the house: imports run one way between and within folders, and each module has its test."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from assay.assets.declarations import pipeline
from assay.assets.project import project_of
from tests.house.tree import FOLDERS, ROOT, circle, circles, faces, files, imports, module_at, modules, name_of

# What is still wrong. These lists only get shorter: a test fails when an entry is not needed any more.
CIRCLES: set[frozenset[str]] = set()
KNOWS_THE_DEMO: dict[str, set[str]] = {}
MOST_FILES = 20
CROWDED: dict[str, int] = {}


def room_of(name: str, folder: str) -> str | None:
    """The sub-package (or module) of a folder that a module is in."""
    parts = name.split(".")
    if folder == "assay":
        inside = len(parts) > 1 and parts[1] not in FOLDERS
        return ".".join(parts[:2]) if inside else None
    return ".".join(parts[:3]) if parts[1:2] == [folder] and len(parts) > 2 else None


@pytest.mark.parametrize("folder", [*FOLDERS, "assay"])
def test_rooms_of_a_folder_import_one_way(folder: str) -> None:
    edges: dict[str, set[str]] = {}
    for name in modules():
        if room := room_of(name, folder):
            targets = (room_of(target, folder) for target in imports(name))
            edges.setdefault(room, set()).update(target for target in targets if target and target != room)
    assert sum(map(len, edges.values())) > 1
    assert circle(edges) == []


def test_no_circle_of_modules_however_hidden() -> None:
    """Also not by imports in functions, or for types alone."""
    shown = faces()
    edges = {name: imports(name) - shown for name in modules() if name not in shown}
    assert {frozenset(found) for found in circles(edges)} == CIRCLES


def test_circles_are_seen() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}
    assert circle({"a": {"b", "c"}, "b": {"c"}}) == []
    assert len(list(circles({"a": {"b"}, "b": {"a"}, "c": {"d"}, "d": {"c"}}))) == 2


def test_no_room_imports_the_face_of_its_own_folder() -> None:
    """The face shows what is below it; who is below imports the neighbour that he means."""
    wrong = {
        (name, face)
        for face in ("assay", *(f"assay.{folder}" for folder in FOLDERS))
        for name in modules()
        if name.startswith(f"{face}.") and not (face == "assay" and name.split(".")[1] in FOLDERS)
        if face in imports(name) and face != "assay"
    }
    assert wrong == set()


def test_only_the_adapter_imports_dagster() -> None:
    users = {
        name
        for name, file in modules().items()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for target in imported(node)
        if target.partition(".")[0].startswith("dagster")
    }
    assert users
    assert {name for name in users if not name.startswith("assay.assets.dagster.")} == set()


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [str(node.module)] if isinstance(node, ast.ImportFrom) else []


# -- the demo --------------------------------------------------------------------------------------------------------


def platform() -> Iterator[Path]:
    """Code and pages of the platform: all but the shipped domain."""
    for folder in (*FOLDERS, "assay"):
        yield from (file for file in files(folder) if not file.is_relative_to(ROOT / "assets" / "support"))
    yield from (file for file in (ROOT / "assay" / "web").rglob("*") if file.suffix in (".html", ".js", ".css"))


def demo_tables() -> set[str]:
    return {table for step in pipeline(project_of(["assay.assets.support"])) for table in step.outputs}


def demo_words(file: Path, tables: set[str]) -> set[str]:
    """What a file knows of the demo: its package, its tables, the output of its model. Examples in docstrings and
    messages may name them, since they are whole sentences."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".py":
        return set(re.findall(r"\bintent\b", text))
    tree = ast.parse(text)
    shown = {id(inner) for node in ast.walk(tree) for inner in examples(node)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in shown:
            found |= {node.value} & (tables | {"intent"})
        if any(target.startswith("assay.assets.support") for target in imported(node)):
            found.add("assay.assets.support")
    return found


def examples(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a call that only show what a value looks like."""
    if isinstance(node, ast.keyword) and node.arg in ("examples", "json_schema_extra", "model_config"):
        yield from ast.walk(node.value)
    if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "model_config" for t in node.targets):
        yield from ast.walk(node.value)


def test_the_platform_knows_nothing_of_the_demo() -> None:
    tables = demo_tables()
    assert {"clean/tickets", "predictions/router"} <= tables
    known = {str(file.relative_to(ROOT)): words for file in platform() if (words := demo_words(file, tables))}
    assert known == KNOWS_THE_DEMO


# -- tests and sizes -------------------------------------------------------------------------------------------------


def own_test(file: Path) -> Path:
    path = file.relative_to(ROOT)
    return ROOT / "tests" / path.parent / f"test_{path.name}"


def listed(name: str) -> list[list[str]]:
    lines = (Path(__file__).parent / name).read_text().splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]


def test_every_module_has_a_test_or_names_the_one_that_covers_it() -> None:
    alone = {name for name, file in modules().items() if name not in faces() and not own_test(file).exists()}
    covered, untested = {line[0] for line in listed("covered_by.txt")}, {line[0] for line in listed("untested.txt")}
    assert alone - covered - untested == set(), "write tests/…/test_<module>.py, or name the test in covered_by.txt"
    assert (covered | untested) - alone == set(), "take them off the list"
    assert covered & untested == set()


def test_a_covering_test_reaches_the_module() -> None:
    """By what it imports, directly or not (a test of commands and pages starts them by name)."""
    wrong = []
    for name, path in listed("covered_by.txt"):
        test = ROOT / path
        assert test.exists(), f"{name}: there is no {path}"
        if not path.startswith(("tests/assay/", "tests/end_to_end/", "tests/docs/")) and name not in reached(test):
            wrong.append((name, path))
    assert wrong == []


def reached(test: Path) -> set[str]:
    """Modules that a test imports, with all that they import and what the faces among them export."""
    helpers = [test, *test.parent.glob("conftest.py"), *test.parent.parent.glob("conftest.py")]
    text = "\n".join(file.read_text() for file in helpers)
    queue = [module for dotted in set(re.findall(r"assay(?:\.\w+)+", text)) if (module := module_at(dotted))]
    seen: set[str] = set()
    while queue:
        module = queue.pop()
        if module not in seen:
            seen.add(module)
            queue += imports(module)
            if module in faces():
                queue += below()[module]
    return seen


@cache
def below() -> dict[str, list[str]]:
    """Modules by the package that they are in."""
    packages: dict[str, list[str]] = {face: [] for face in faces()}
    for name in modules():
        packages.setdefault(name.rpartition(".")[0], []).append(name)
    return packages


def test_folders_stay_small_enough_to_look_over() -> None:
    sizes: dict[Path, int] = {}
    for file in modules().values():
        sizes[file.parent] = sizes.get(file.parent, 0) + (file.name != "__init__.py")
    assert {str(folder.relative_to(ROOT)): size for folder, size in sizes.items() if size > MOST_FILES} == CROWDED


def test_names_of_files_are_names_of_modules() -> None:
    assert all(module_at(name_of(file)) == name_of(file) for file in modules().values())
