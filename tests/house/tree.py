"""The tree as the house tests see it: modules, their names, and what they import, wherever in a file."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("assets", "checks", "features", "lineage")


def files(folder: str) -> list[Path]:
    """Modules of a folder. The links in `assay/` to the four folders are not walked."""
    return [file for file in sorted((ROOT / folder).rglob("*.py")) if "__pycache__" not in file.parts]


def name_of(file: Path) -> str:
    parts = list(file.relative_to(ROOT).with_suffix("").parts)
    parts = parts if parts[0] == "assay" else ["assay", *parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> Mapping[str, Path]:
    """Every module of Assay, by its name."""
    return {name_of(file): file for folder in (*FOLDERS, "assay") for file in files(folder)}


@cache
def faces() -> frozenset[str]:
    """Packages' own modules (`__init__`): they show what lies below, so all may point down from there."""
    return frozenset(name for name, file in modules().items() if file.name == "__init__.py")


@cache
def imports(name: str) -> frozenset[str]:
    """The modules of Assay that a module imports: at its top, in functions, and only for types."""
    found = set()
    for node in ast.walk(ast.parse(modules()[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(target for target in map(module_at, found) if target and target != name)


def module_at(dotted: str) -> str | None:
    """The module that `from … import …` reaches: the name itself if it is one, else what holds it."""
    while dotted.startswith("assay"):
        if dotted in modules():
            return dotted
        dotted = dotted.rpartition(".")[0]
    return None


def circle(edges: Mapping[str, Iterable[str]]) -> list[str]:
    """A circle of the graph, or nothing."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as found:
        return list(found.args[1])
    return []


def circles(edges: Mapping[str, Iterable[str]]) -> Iterator[list[str]]:
    """Circles, each after the last edge of the one before was taken away."""
    left = {node: set(targets) for node, targets in edges.items()}
    while found := circle(left):
        yield found
        # graphlib names a circle against its arrows: each is a predecessor of the next.
        left[found[1]].discard(found[0])
