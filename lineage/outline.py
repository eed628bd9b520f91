"""Answers as plain text: an outline of lines below lines, and short forms of long lists.

Values describe themselves in these terms and know nothing of how they are drawn: `str` gives plain text, the command line
draws the same outline with colours (`assay.cli.trees`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple

# What a part of a line is, for whoever draws it.
Style = Literal["", "strong", "dim", "code", "good", "bad", "warning"]

LISTED = 8  # names or files shown of a long list; `to_dict` has them all
_DIGEST = 12  # characters shown of a digest


class Span(NamedTuple):
    """A part of a line."""

    text: str
    style: Style = ""


Line = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    """Lines of text with what stands below them."""

    lines: tuple[Line, ...]
    children: tuple["Outline", ...] = ()

    def __str__(self) -> str:
        return "\n".join(_plain_lines(self))


def line(*spans: Span | str) -> Line:
    """A line of spans; plain texts have no style, and empty ones are left out."""
    made = (item if isinstance(item, Span) else Span(item) for item in spans)
    return tuple(item for item in made if item.text)


def leaf(*spans: Span | str) -> Outline:
    """An outline of one line."""
    return Outline((line(*spans),))


def _plain_lines(outline: Outline) -> Iterator[str]:
    yield from ("".join(span.text for span in item) for item in outline.lines)
    for number, child in enumerate(outline.children, 1):
        last = number == len(outline.children)
        first, rest = ("└── ", "    ") if last else ("├── ", "│   ")
        for at, text in enumerate(_plain_lines(child)):
            yield (first if at == 0 else rest) + text


def shorten(partitions: Sequence[str] | None) -> str:
    """`30 days 2026-08-25 … 2026-09-23` for consecutive days, else `3 partitions a … c`; one is named, None is `all of it`."""
    if partitions is None:
        return "all of it"
    if len(partitions) <= 1:
        return " ".join(partitions) or "nothing"
    days = [_day(item) for item in partitions]
    if None not in days and days == [days[0] + timedelta(n) if days[0] else None for n in range(len(days))]:
        return f"{len(days)} days {partitions[0]} … {partitions[-1]}"
    return f"{len(partitions)} partitions {partitions[0]} … {partitions[-1]}"


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def short_digest(value: Any) -> str:
    """The first characters of a SHA-256; any other value as it is."""
    text = str(value)
    return text[:_DIGEST] if len(text) == 64 else text


def listed(names: Sequence[str]) -> str:
    """Names with commas: the first eight, and how many more there are."""
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
