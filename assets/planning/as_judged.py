"""What stays as an earlier contract judged it, although the present one may take more of its rows: it is named, so that somebody
can ask for it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from assay.assets.planning.held import counted
from assay.assets.planning.plan import Chosen
from assay.assets.steps.step import Resources, Step, look
from assay.errors import plural
from assay.features.tables.kinds import Kind
from assay.features.tables.lake import TableMissing


@dataclass(frozen=True, slots=True)
class AsJudged:
    """A table, and its partitions (or batches) that stay. In quarantine they hold at most `rows` that the present contract may
    take: they broke `rules`."""

    table: str
    partitions: tuple[str, ...]
    rows: int
    rules: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def __str__(self) -> str:
        return (
            f"{self.table}{counted(self.partitions)}: the changed contract may take {plural(self.rows, 'quarantined row')} "
            f"({', '.join(self.rules)}); `assay materialize {self.table} --judge-again` judges "
            f"{'it' if len(self.partitions) == 1 else 'them'} again"
        )


def as_judged(steps: Sequence[Step], env: Resources, chosen: Chosen | None = None) -> list[AsJudged]:
    """What stays as judged, and would not if somebody asked. A lake without declarations that were loosened since is only
    asked for those it keeps.

    Args:
        steps: Some or all of the pipeline.
        env: What steps use.
        chosen: Partitions to look at. Default: all with rows in quarantine.
    """
    env = replace(env, lake=env.lake.remembering(), judge_again=False)
    found: list[AsJudged] = []
    for step in steps:
        if step.earlier is None or not step.earlier.any(env.lake):
            continue
        keys = _with_quarantine(step, env)
        if chosen is not None and step.partitioning.is_partitioned:
            keys = [key for key in keys if key in {*chosen(step.partitioning)}]
        takes = {key: takes for key in keys if (takes := look(step, env, key).takes).rows}
        if takes:
            rules = frozenset[str]().union(*(one.rules for one in takes.values()))
            rows = sum(one.rows for one in takes.values())
            found.append(AsJudged(step.outputs[0], tuple(takes), rows, tuple(sorted(rules))))
    return found


def _with_quarantine(step: Step, env: Resources) -> list[str]:
    """The partitions of a step of which rows are in quarantine."""
    (table,) = (name for name in step.outputs if Kind.QUARANTINE.holds(name))
    try:
        files = env.lake.table(table).at().files
    except TableMissing:
        return []
    return sorted({file.partition for file in files if file.rows and file.partition is not None})
