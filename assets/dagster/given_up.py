"""What died so often that nobody requests it any more, and how a person asks for it again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from assay.assets.dagster.run_requests import Asked
from assay.assets.steps.step import Step


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Tables of one partition (None: they have none), of each step the first; and whether they are up to date all the same, so
    that they are computed again only by force."""

    partition: str | None
    tables: tuple[str, ...]
    current: bool = False

    @property
    def command(self) -> str:
        """What asks for it again."""
        partition = f" --partition {self.partition}" if self.partition else ""
        return f"assay materialize {' '.join(self.tables)}{partition}{' --force' if self.current else ''}"

    def __str__(self) -> str:
        what = ", ".join(self.tables)
        return f"{what}{f' {self.partition}' if self.partition else ''} (`{self.command}` asks again)"


def given_up_by_sensor(memory: Mapping[str, Asked], steps: Sequence[Step]) -> list[GivenUp]:
    """What the sensor requested itself, until its last attempt died, too.

    Args:
        memory: What its cursor holds.
        steps: The project's.
    """
    tables = {step.name: step.outputs[0] for step in steps}
    found = []
    for place, asked in memory.items():
        if asked.given_up:
            names = dict.fromkeys(name.partition(" ")[0] for name in asked.content)
            made = tuple(tables.get(name, name.replace("__", "/", 1)) for name in names)
            found.append(GivenUp(place.split(":", 2)[2] or None, made))
    return found


def in_one_line(given_up: Iterable[GivenUp], most: int = 5) -> str:
    """For the sensor's tick; nothing where nothing was given up."""
    texts = list(map(str, given_up))
    more = f"; and {len(texts) - most} more (assay status)" if len(texts) > most else ""
    return f"Given up after runs that died: {'; '.join(texts[:most])}{more}." if texts else ""
