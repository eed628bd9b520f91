"""Reads the console's pages."""

import re
from html.parser import HTMLParser


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def addresses(self) -> list[str]:
        names = ("href", "src", "action", "xlink:href")
        return [value for _, given in self.tags for name, value in given.items() if name in names]

    def links(self, **having: str) -> list[dict[str, str]]:
        """The links with these attributes; a `_` in a name stands for `-`."""
        wanted = {name.replace("_", "-"): value for name, value in having.items()}
        return [given for tag, given in self.tags if tag == "a" and wanted.items() <= given.items()]

    # -- of a picture ----------------------------------------------------------------------------------------------

    @property
    def cards(self) -> dict[str, str]:
        """What stands on each card, by the id of its node."""
        return {given["data-node"]: given["aria-label"] for _, given in self.tags if "data-node" in given}

    @property
    def boxes(self) -> dict[str, tuple[float, float, float, float]]:
        """Of each card: left, top, right, bottom."""
        found = {}
        for (_, link), (inner, _), (_, box) in zip(self.tags, self.tags[1:], self.tags[2:], strict=False):
            if "data-node" in link:
                assert inner == "title"
                x, y, width, height = (float(box[name]) for name in ("x", "y", "width", "height"))
                found[link["data-node"]] = (x, y, x + width, y + height)
        return found

    @property
    def places(self) -> dict[str, tuple[float, float]]:
        """The corner of each card."""
        return {name: box[:2] for name, box in self.boxes.items()}

    @property
    def more(self) -> dict[tuple[str, str], tuple[int, str]]:
        """By node and side: how many more there are, and where."""
        return {
            (given["data-anchor"], given["data-more"]): (int(number[1]), given["href"])
            for tag, given in self.tags
            if tag == "a"
            and "data-more" in given
            and (number := re.match(r"Show (\d+)(?: or)? more", given["aria-label"]))
        }

    @property
    def columns(self) -> dict[tuple[str, str], dict[str, str]]:
        """The links on the columns of open cards, by node and column."""
        return {(given["data-anchor"], given["data-column"]): given for _, given in self.tags if "data-column" in given}

    @property
    def lines(self) -> list[tuple[str, str, set[str]]]:
        """Lines between cards and between columns: from, to, classes."""
        return [
            (given["data-from"], given["data-to"], set(given["class"].split()))
            for tag, given in self.tags
            if tag == "path" and "data-from" in given
        ]
