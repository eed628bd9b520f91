"""The script that ships in a bundle: the verifier's modules in one file, by itself, on any Python."""

import ast
import sys
from collections import Counter
from pathlib import Path

from assay.lineage.evidence import verifier
from assay.lineage.evidence.script import MODULES, script


def names(tree: ast.Module) -> list[str]:
    """What a module defines at its top."""
    targets = (
        node
        for item in tree.body
        if isinstance(item, ast.Assign)
        for target in item.targets
        for node in ast.walk(target)
    )
    found = [node.id for node in targets if isinstance(node, ast.Name)]
    return found + [item.name for item in tree.body if isinstance(item, ast.FunctionDef | ast.ClassDef)]


def test_it_needs_only_the_standard_library_of_python_3_9() -> None:
    tree = ast.parse(script(), feature_version=(3, 9))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names


def test_it_has_everything_of_every_module_once() -> None:
    folder = Path(verifier.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} == {*MODULES, "__init__"}
    defined = [name for path in folder.glob("*.py") for name in names(ast.parse(path.read_text()))]
    assert [name for name, count in Counter(defined).items() if count > 1] == [], "one would hide the other"
    assert sorted(names(ast.parse(script()))) == sorted(defined)


def test_what_is_used_comes_first() -> None:
    """So that one can read it from the top, and nothing at the top of a module is missing when it runs."""
    known: set[str] = set()
    for module in MODULES:
        tree = ast.parse((Path(verifier.__file__).parent / f"{module}.py").read_text())
        taken = [node for node in tree.body if isinstance(node, ast.ImportFrom) and "verifier" in str(node.module)]
        assert {alias.name for node in taken for alias in node.names} <= known, module
        known |= set(names(tree))
