"""Answers drawn for a terminal: their outlines as trees with colours. Only the command line draws with rich."""

from rich.text import Text
from rich.tree import Tree

from assay.lineage.outline import Outline, Style

_STYLES: dict[Style, str] = {
    "": "",
    "strong": "bold",
    "dim": "dim",
    "code": "cyan",
    "good": "green",
    "bad": "bold red",
    "warning": "yellow",
}


def tree(outline: Outline) -> Tree:
    """An outline as a tree for the terminal.

    Args:
        outline: what an answer's `outline()` gives.
    """
    drawn = Tree(_text(outline))
    _add_children(drawn, outline)
    return drawn


def _add_children(drawn: Tree, outline: Outline) -> None:
    for child in outline.children:
        _add_children(drawn.add(_text(child)), child)


def _text(outline: Outline) -> Text:
    lines = (Text.assemble(*((span.text, _STYLES[span.style]) for span in line)) for line in outline.lines)
    return Text("\n").join(lines)
