"""Lines about many partitions for people: seventeen of them with the same text are one line."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Group:
    """Partitions with one text (None: of a table that has none). `text` is that of the last one; `alike`: it is the same
    of each of them, so that it is no mere example."""

    what: str
    partitions: tuple[str | None, ...]
    text: str
    alike: bool

    @property
    def example(self) -> str:
        """The text, marked where those of the others differ in the partition that they name."""
        return self.text if self.alike else f"e.g. {self.text}"


def grouped(lines: Iterable[tuple[str | None, str, str]]) -> list[Group]:
    """Lines (partition, what, text) with those in one that say the same but for the partition that they name, in the order of
    the last ones.

    Args:
        lines: In the order in which they would be shown.
    """
    found: dict[tuple[str, str], list[tuple[str | None, str]]] = {}
    for partition, what, text in lines:
        form = (what, text.replace(partition, "\0") if partition else text)
        batches = found.pop(form, [])
        found[form] = [*batches, (partition, text)]
    return [
        Group(
            what, tuple(partition for partition, _ in batches), batches[-1][1], len({text for _, text in batches}) == 1
        )
        for (what, _), batches in found.items()
    ]


def counted(keys: Collection[str | None]) -> str:
    """` 2026-03-01`, or ` in 3 partitions (… to …)`, or nothing."""
    named = sorted(key for key in keys if key is not None)
    if not named:
        return ""
    return f" {named[0]}" if len(named) == 1 else f" in {len(named)} partitions ({named[0]} to {named[-1]})"
