"""What the address of a graph asks for. The address is the whole state: it can be kept, sent and opened again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, NamedTuple, get_args

from assay.web.html import PageError, link

DEEPEST = 50
STEP = 2  # from a dataset over a run to the next dataset
ACTS = 60

Side = Literal["up", "down"]
SIDES: tuple[Side, ...] = get_args(Side)
_Kind = Literal["up", "down", "open"]


class Act(NamedTuple):
    """What was done to the picture: `up` and `down` show more on that side of a node (of all nodes, with no node named),
    `open` unfolds a node."""

    kind: _Kind
    node: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.node}" if self.node else self.kind


@dataclass(frozen=True, slots=True)
class View:
    """`up` and `down` make the first picture, in edges; `then` is what was done to it, in order: each act leaves in place
    what it finds. `column` is the selected column of the dataset `of`."""

    focus: str
    up: int = STEP
    down: int = STEP
    as_of: datetime | None = None
    then: tuple[Act, ...] = ()
    column: str = ""
    of: str = ""

    @property
    def address(self) -> str:
        return link("/graph", **dict(self.fields(hidden=False)), then=[str(act) for act in self.then])

    def fields(self, *, hidden: bool) -> Iterable[tuple[str, str]]:
        """Parameters by name; `hidden`: those that the form above the picture carries along."""
        if hidden:
            yield from (("then", str(act)) for act in self.then)
        else:
            yield from (("up", str(self.up)), ("down", str(self.down)), ("as_of", text_of(self.as_of)))
        yield from (("focus", self.focus), ("column", self.column), ("of", self.of if self.column else ""))

    def on(self, focus: str) -> "View":
        """The first picture around another node."""
        return View(focus, as_of=self.as_of)

    def more(self, side: Side, node: str = "") -> "View":
        return replace(self, then=(*self.then, Act(side, node)))

    def toggled(self, node: str) -> "View":
        act = Act("open", node)
        rest = tuple(item for item in self.then if item != act)
        return replace(self, then=rest if act in self.then else (*rest, act))

    def selecting(self, column: str, of: str) -> "View":
        """With this column selected; with none, where it is already."""
        again = (self.column, self.of) == (column, of)
        return replace(self, column="" if again else column, of="" if again else of)


def parse(given: Mapping[str, str], acts: Sequence[str]) -> View:
    """The view of an address with a focus; `acts` are all its `then`. Raises PageError for what cannot be understood."""
    if len(acts) > ACTS:
        raise PageError(
            400, "Too much at once", f"More than {ACTS} steps were taken.", "Start again around one of the nodes."
        )
    column = given.get("column", "")
    return View(
        focus=given["focus"],
        up=_depth(given, "up"),
        down=_depth(given, "down"),
        as_of=_time(given.get("as_of", "")),
        then=tuple(_act(text) for text in acts),
        column=column,
        of=(given.get("of") or given["focus"]) if column else "",
    )


def _act(text: str) -> Act:
    kind, _, node = text.partition(":")
    if (kind == "open" and node) or kind == "up" or kind == "down":
        return Act(kind, node)
    advice = "A step is up, down, up:NODE, down:NODE or open:NODE. Start again from the search."
    raise PageError(400, "What then?", "A step of this address cannot be understood.", advice)


def _depth(given: Mapping[str, str], name: str) -> int:
    text = given.get(name, str(STEP))
    if not (text.isascii() and text.isdecimal()) or len(text) > 9 or int(text) > DEEPEST:
        raise PageError(
            400, "How far?", f"{name} is not a number from 0 to {DEEPEST}.", "Use the fields above the graph."
        )
    return int(text)


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        advice = "Write it like 2026-09-01T12:00:00; it is UTC unless it says otherwise."
        raise PageError(400, "When?", "as_of is not a date and time.", advice) from None


def text_of(time: datetime | None) -> str:
    """As fields of forms take it, UTC."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat() if time else ""
