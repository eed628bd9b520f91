"""Outlines drawn for a terminal."""

import io

from rich.console import Console

from assay.cli.trees import tree
from assay.lineage.outline import Outline, Span, leaf, line


def test_a_drawn_outline_says_what_its_text_says() -> None:
    below = Outline((line(Span("b", "strong"), " of [red]c[/]"), line(Span("second", "dim"))), (leaf("d"), leaf("e")))
    outline = Outline((line(Span("a", "bad")), line("more")), (below, leaf(Span("f", "code"))))
    plain = Console(file=io.StringIO(), width=80, no_color=True, highlight=False)
    with plain.capture() as capture:
        plain.print(tree(outline))
    assert [text.rstrip() for text in capture.get().splitlines()] == str(outline).splitlines()
    coloured = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    with coloured.capture() as capture:
        coloured.print(tree(outline))
    assert "\x1b[1;31ma\x1b[0m" in capture.get()
