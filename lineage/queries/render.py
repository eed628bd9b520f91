"""Differences between two versions as a tree for the terminal."""

from typing import Any

from rich.markup import escape
from rich.tree import Tree

from assay.lineage.queries.diff import Diff

_SHORT = 12  # characters of a digest


def diff_tree(found: Diff) -> Tree:
    """One line for each thing that differs."""
    tree = Tree(f"[bold]{escape(found.a)}[/] → [bold]{escape(found.b)}[/]")
    for name in ("rows", "contract", "code"):
        if (pair := getattr(found, name)) is not None:
            tree.add(f"{name}  {_change(pair)}")
    for name in ("schema", "checks", "inputs"):
        if pairs := getattr(found, name):
            branch = tree.add(name)
            for key, pair in pairs.items():
                branch.add(f"[bold]{escape(key)}[/]  {_change(pair)}")
    if found.same:
        tree.add("nothing that is known differs")
    if found.unknown:
        tree.add(f"[yellow]not known: {', '.join(found.unknown)}[/]")
    return tree


def _change(pair: tuple[Any, Any]) -> str:
    return " → ".join(escape(_text(value)) for value in pair)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "passed" if value else "failed"
    if isinstance(value, tuple):
        return ", ".join(map(_text, value))
    text = str(value)
    return text[:_SHORT] if len(text) == 64 else text
