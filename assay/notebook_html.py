"""What a notebook shows of an object: a small table of facts, escaped, without a value of any row."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

MOST = 12
"""Rows that are shown."""


def facts_html(title: str, facts: Mapping[str, Any]) -> str:
    """A heading and a table of names and values. What is empty is left out, and lists are cut."""
    shown = [(name, _text(value)) for name, value in facts.items() if value not in (None, "", (), [], {})]
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(text)}</td></tr>'
        for name, text in shown
    )
    return f"<div><strong>{escape(title)}</strong><table>{rows}</table></div>"


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _listed(value) if isinstance(value, Iterable) and not isinstance(value, str) else str(value)
    return f"{value:,}"


def _listed(value: Iterable[Any]) -> str:
    items = (
        [f"{name}: {item}" for name, item in value.items()]
        if isinstance(value, Mapping)
        else [str(item) for item in value]
    )
    more = f" and {len(items) - MOST:,} more" if len(items) > MOST else ""
    return ", ".join(items[:MOST]) + more
