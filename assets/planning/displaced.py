"""What a call that was about chosen partitions leaves to be judged again: rows of other partitions lost to those that it
published, and stand in both until then."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from assay.assets.planning.held import counted
from assay.assets.steps.step import Resources, Step, look
from assay.features.storage.delta_log import displaced_by


@dataclass(frozen=True, slots=True)
class Displaced:
    """A table, and its partitions that must be judged again."""

    table: str
    partitions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {"table": self.table, "partitions": list(self.partitions)}

    def __str__(self) -> str:
        them = "it" if len(self.partitions) == 1 else "them"
        return (
            f"{self.table}{counted(self.partitions)}: rows lost to rows that were just published, and are in both until "
            f"`assay materialize {self.table}` judges {them} again"
        )


def displaced(steps: Sequence[Step], env: Resources, written: Iterable[str]) -> list[Displaced]:
    """The partitions that some versions displaced, and that are still to be judged again.

    Args:
        steps: Some or all of the pipeline: of others nothing is known.
        env: What steps use.
        written: Versions of any tables, as `clean/orders@12`.

    Returns:
        One for each table with such partitions, in the order of the steps.
    """
    by_table: dict[str, set[str]] = {}
    makers = {step.outputs[0]: step for step in steps}
    for name in written:
        table, _, version = name.rpartition("@")
        if table in makers:
            commit = env.lake.table(table).at(int(version)).last_commit
            by_table.setdefault(table, set()).update(displaced_by(commit.extra))
    left = {
        table: [key for key in makers[table].partitioning.known(sorted(keys)) if look(makers[table], env, key).stale]
        for table, keys in by_table.items()
    }
    return [Displaced(table, tuple(left[table])) for table in makers if left.get(table)]
