"""The script that comes with every evidence bundle: the modules of the verifier, joined into one file.

It runs alone, with Python's standard library. Its parts stand in the order in which one reads them: what is used comes before who
uses it.
"""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from assay.lineage.evidence import verifier

NAME = "verify.py"
MODULES = (
    "findings",
    "container",
    "commits",
    "vouching",
    "way",
    "prediction",
    "steps",
    "documents",
    "events",
    "real_files",
    "verify",
    "command",  # its text introduces the whole
)
_WIDTH = 120


@cache
def script() -> bytes:
    """The text of the script, always the same for one version of Assay."""
    folder = Path(verifier.__file__).parent
    sources = {name: (folder / f"{name}.py").read_text(encoding="utf-8") for name in MODULES}
    trees = {name: ast.parse(source) for name, source in sources.items()}
    imports = "\n".join(_imports(trees.values()))
    parts = [
        f'"""{ast.get_docstring(trees[MODULES[-1]], clean=False)}"""',
        f"from __future__ import annotations\n\n{imports}",
    ]
    for name in MODULES:
        title = "all of it" if name == MODULES[-1] else (ast.get_docstring(trees[name]) or "").rstrip(".")
        parts += [f"# -- {title} ".ljust(_WIDTH, "-"), _body(sources[name], trees[name])]
    return ("\n\n\n".join(parts) + "\n").encode()


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _imports(trees: Iterable[ast.Module]) -> Iterator[str]:
    """What the modules import of the standard library, each once."""
    plain: set[str] = set()
    names: dict[str, set[str]] = {}
    for node in (node for tree in trees for node in tree.body):
        if isinstance(node, ast.Import):
            plain |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not _is_own(node):
            names.setdefault(str(node.module), set()).update(alias.name for alias in node.names)
    yield from (f"import {name}" for name in sorted(plain))
    yield from (f"from {module} import {', '.join(sorted(found))}" for module, found in sorted(names.items()))


def _is_own(node: ast.ImportFrom) -> bool:
    return node.module == "__future__" or str(node.module).startswith("assay.")


def _body(source: str, tree: ast.Module) -> str:
    """A module without its docstring and imports."""
    last = max(node.end_lineno or 0 for number, node in enumerate(tree.body) if _is_import(node) or number == 0)
    return "\n".join(source.splitlines()[last:]).strip("\n")
