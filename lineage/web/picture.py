"""A graph as a picture: what stands on each node, and where it stands. Drawn by `templates/_picture.html`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from assay.lineage.web.layout import Box, Layout, Route, arrange

KINDS = ("raw", "clean", "quarantine", "features", "embeddings", "training", "model", "prediction", "run", "job")
WIDTH, HEIGHT, LINE = 224, 46, 15
_TITLE, _NOTE = 26, 28  # characters that fit


@dataclass(frozen=True, slots=True)
class Badge:
    """`state` is ok, failed, unknown or plain; the sign says the same without colour."""

    text: str
    state: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Card:
    """A node as it is shown. `href` is where it leads; `more_up` and `more_down` count neighbours that are not shown."""

    id: str
    kind: str
    title: str
    href: str
    version: str = ""
    note: str = ""
    badge: Badge | None = None
    columns: tuple[str, ...] = ()
    more_up: int = 0
    more_down: int = 0
    focus: bool = False
    muted: bool = False
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
        return cut(self.note, _NOTE - len(self.version) - (len(self.badge.text) if self.badge else 0))

    @property
    def shown_columns(self) -> tuple[str, ...]:
        return tuple(cut(name, _TITLE) for name in self.columns)

    @property
    def height(self) -> int:
        return HEIGHT + (LINE * len(self.columns) + 6 if self.columns else 0)

    @property
    def says(self) -> str:
        """The card in words."""
        parts = [
            self.path or self.title,
            f"version {self.version.removeprefix('@')}" if self.version else "",
            self.note,
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


@dataclass(frozen=True)
class Picture:
    """Cards in reading order: column by column, from top to bottom."""

    cards: tuple[Placed, ...]
    lines: tuple[Line, ...]
    width: int
    height: int
    focus: Box | None


def draw(
    cards: Sequence[Card],
    edges: Iterable[tuple[str, str]],
    *,
    dashed: frozenset[tuple[str, str]] = frozenset(),
    steps: Sequence[frozenset[str]] = (),
) -> Picture:
    """Lay the cards out. `steps` are growing sets of ids: each is laid out on top of the one before, so that a picture that
    grows does not move what it had."""
    edges = tuple(edges)
    layout: Layout | None = None
    for ids in (*steps, frozenset(card.id for card in cards)):
        layout = arrange(((card.id, WIDTH, card.height) for card in cards if card.id in ids), edges, layout)
    assert layout is not None  # the last step is always there
    boxes = {box.id: box for box in layout.boxes}
    placed = [Placed(card, boxes[card.id]) for card in cards]
    placed.sort(key=lambda item: (item.box.column, item.box.y))
    lines = tuple(
        Line(_curve(route), route.source, route.target, (route.source, route.target) in dashed)
        for route in layout.routes
    )
    focus = next((item.box for item in placed if item.card.focus), None)
    return Picture(tuple(placed), lines, round(layout.width), round(layout.height), focus)


def _curve(route: Route) -> str:
    """An SVG path that leaves and arrives level."""
    (x, y), *rest = route.points
    path = [f"M{x:g} {y:g}"]
    for nx, ny in rest:
        bend = (nx - x) / 2 if not route.back else -40
        path.append(f"L{nx:g} {ny:g}" if ny == y else f"C{x + bend:g} {y:g} {nx - bend:g} {ny:g} {nx:g} {ny:g}")
        x, y = nx, ny
    return " ".join(path)


def cut(text: str, length: int) -> str:
    """The text, or its two ends where it is too long: names differ at either."""
    if len(text) <= length:
        return text
    head = max(length // 3, 1)
    return f"{text[:head]}…{text[len(text) - max(length - head - 1, 1) :]}"


def checks_badge(passed: int, failed: Sequence[str]) -> Badge | None:
    """How many checks there were; None without any."""
    total = passed + len(failed)
    if not total:
        return None
    if failed:
        return Badge(f"✗ {len(failed)}/{total}", "failed", f"{len(failed)} of {total} checks found something")
    return Badge(f"✓ {total}", "ok", f"{total} checks passed" if total > 1 else "its check passed")
