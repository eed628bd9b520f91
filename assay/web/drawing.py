"""A graph as a picture: what stands on each node, and the lines between. Drawn by the macro `picture` of the templates."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from assay.features.tables.kinds import Kind
from assay.web.badges import Badge
from assay.web.layout import Box, Layout

KINDS = (*(kind.singular for kind in Kind), "run", "job")  # each has its colour in console.css
WIDTH, HEIGHT, LINE = 216, 46, 15
LISTED = 40  # columns of an open card
NAMED_COLUMNS = 40  # of a table, in words
_PAD = 6  # above and below what an open card lists
_BEND = 40  # of lines that run back
_TITLE, _NOTE, _ROW = 26, 28, 28  # characters that fit
_GLYPH = 6  # the width of a small one


@dataclass(frozen=True, slots=True)
class Row:
    """A line of an open card: a column, or a note without a name. `lit`: it is on the selected path."""

    name: str
    href: str = ""
    unknown: bool = False
    lit: bool = False
    selected: bool = False
    note: str = ""

    @property
    def short(self) -> str:
        return cut(self.name, _ROW - (8 if self.unknown else 0))


@dataclass(frozen=True, slots=True)
class Card:
    """A node as it is shown. `href` is where it leads; `more_up` and `more_down` count neighbours that are not shown, each
    with where they are. `actions` are words and addresses at the foot of an open card."""

    id: str
    kind: str
    title: str
    href: str
    version: str = ""
    note: str = ""
    also: str = ""  # in words only: there is no room on the card
    badge: Badge | None = None
    opened: bool | None = None  # None: it does not unfold
    rows: tuple[Row, ...] = ()
    actions: tuple[tuple[str, str], ...] = ()
    more_up: tuple[int, str] | None = None
    more_down: tuple[int, str] | None = None
    counted: bool = True  # else there may be more than these
    focus: bool = False
    muted: bool = False
    lit: bool = False
    owner: str | None = None  # in a line of its own, also where nobody is named; None: no such line
    columns: str = ""  # those on the selected path
    path: str = ""  # what the title was shortened from

    @property
    def style(self) -> str:
        """A class of ours: kinds may be anybody's words."""
        return f"kind-{self.kind}" if self.kind in KINDS else "kind-other"

    @property
    def short_title(self) -> str:
        return cut(self.title, _TITLE)

    @property
    def short_note(self) -> str:
        note = self.columns if self.columns and not self.opened else self.note
        return cut(note, _NOTE - len(self.version) - (len(self.badge.short) if self.badge else 0))

    @property
    def head(self) -> int:
        """The height of the card without what it lists."""
        return HEIGHT + (LINE if self.owner is not None else 0)

    @property
    def height(self) -> int:
        listed = LINE * len(self.rows) + _PAD if self.rows else 0
        return self.head + (listed + LINE + _PAD if self.opened else 0)

    def row_y(self, index: int) -> int:
        """The middle of a row, from the card's top."""
        return self.head + _PAD // 2 + LINE * index + LINE // 2 + 1

    @property
    def owner_line(self) -> str:
        return cut(self.owner, _ROW) if self.owner else "no owner named"

    @property
    def foot(self) -> list[tuple[str, str, int]]:
        """The actions, each with how far from the left it begins."""
        starts = [13 + sum(_GLYPH * len(word) + 14 for word, _ in self.actions[:at]) for at in range(len(self.actions))]
        return [(word, href, start) for (word, href), start in zip(self.actions, starts, strict=True)]

    @property
    def says(self) -> str:
        """The card in words."""
        parts = [
            self.title if self.title not in self.path else "",
            self.path,
            f"version {self.version.removeprefix('@')}" if self.version else "",
            self.note,
            self.also,
            f"owner {self.owner or 'not named'}" if self.owner is not None else "",
            f"columns on the path: {self.columns}" if self.columns else "",
        ]
        return ", ".join([part for part in (*parts, self.badge.meaning if self.badge else "") if part])


@dataclass(frozen=True, slots=True)
class Placed:
    card: Card
    box: Box


@dataclass(frozen=True, slots=True)
class Line:
    path: str
    source: str
    target: str
    dashed: bool
    lit: bool = False


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """A line of the chosen column between rows of cards. A row of -1 is the card itself."""

    source: tuple[str, int]
    target: tuple[str, int]
    dashed: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """Cards in reading order: column by column, from top to bottom."""

    cards: tuple[Placed, ...]
    lines: tuple[Line, ...]
    column_lines: tuple[Line, ...]
    width: int
    height: int


def size_of(card: Card) -> tuple[str, int, int]:
    return card.id, WIDTH, card.height


def draw(
    cards: Iterable[Card],
    layout: Layout,
    *,
    dashed: frozenset[tuple[str, str]] = frozenset(),
    lit: frozenset[tuple[str, str]] = frozenset(),
    column_lines: Sequence[ColumnLine] = (),
) -> Picture:
    """The cards where the layout puts them, with its lines; those `dashed` and `lit` by their ends."""
    boxes = {box.id: box for box in layout.boxes}
    placed = [Placed(card, boxes[card.id]) for card in cards]
    placed.sort(key=lambda item: (item.box.column, item.box.y))
    lines = tuple(
        Line(_curve(points), route.source, route.target, ends in dashed, ends in lit)
        for route, points in layout.points()
        for ends in [(route.source, route.target)]
    )
    by_id = {item.card.id: item for item in placed}
    return Picture(
        tuple(placed),
        tuple(sorted(lines, key=lambda line: line.lit)),  # lit ones on top
        tuple(_column_line(column_line, by_id) for column_line in column_lines),
        round(layout.width),
        round(layout.height),
    )


def _column_line(column_line: ColumnLine, placed: Mapping[str, Placed]) -> Line:
    (source, row), (target, other) = column_line.source, column_line.target
    a, b = placed[source], placed[target]
    start = a.box.port if row < 0 else a.box.y + a.card.row_y(row)
    end = b.box.port if other < 0 else b.box.y + b.card.row_y(other)
    aside = a.box.column == b.box.column
    back = a.box.column > b.box.column
    points = [(a.box.x if back else a.box.right, start), (b.box.right if back or aside else b.box.x, end)]
    return Line(_curve(points), source, target, column_line.dashed, lit=True)


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """An SVG path that leaves and arrives level; one between two right sides goes round."""
    (x, y), *rest = points
    last = points[-1][0]
    path = [f"M{x:g} {y:g}"]
    for nx, ny in rest:
        if ny == y and nx != x:
            path.append(f"L{nx:g} {ny:g}")
        else:
            out, into = (nx - x) / 2, (nx - x) / 2
            if last == points[0][0]:
                out, into = _BEND, -_BEND
            elif last < points[0][0]:
                out, into = -_BEND, -_BEND
            path.append(f"C{x + out:g} {y:g} {nx - into:g} {ny:g} {nx:g} {ny:g}")
        x, y = nx, ny
    return " ".join(path)


def cut(text: str, length: int) -> str:
    """The text, or its two ends where it is too long: names differ at either."""
    if len(text) <= length:
        return text
    head = max(length // 3, 1)
    return f"{text[:head]}…{text[len(text) - max(length - head - 1, 1) :]}"


def few(names: Sequence[str], most: int) -> list[str]:
    """At most so many of them, and how many more there are."""
    return list(names) if len(names) <= most else [*names[:most], f"{len(names) - most:,} more"]


def columns_listed(names: Sequence[str], lit: Collection[str], selected: str = "") -> list[str]:
    """The columns that an open card lists, in their order: the first ones, the first of those on the selected path, and the
    selected one. Of a table with thousands nobody reads all."""
    on_path = set(lit)
    wanted = {*names[:LISTED], *[name for name in names if name in on_path][:LISTED], selected}
    return [name for name in names if name in wanted]
