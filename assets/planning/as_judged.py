"""What stays as an earlier contract judged it, although the present one may take more of its rows: it is named, so that somebody
can ask for it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from assay.assets.planning.grouped import counted
from assay.assets.planning.plan import Chosen
from assay.assets.steps.hold import Earlier
from assay.assets.steps.step import Resources, Step, look
from assay.errors import AssayError, plural
from assay.features.tables.kinds import Kind
from assay.features.tables.lake import TableMissing


@dataclass(frozen=True, slots=True)
class AsJudged:
    """A table, and its partitions (or batches) that stay. In quarantine they hold at most `rows` that the present contract may
    take: they broke `rules`. `not_looked_at`: how many earlier partitions have rows in quarantine of which this is unknown."""

    table: str
    partitions: tuple[str, ...]
    rows: int
    rules: tuple[str, ...]
    not_looked_at: int = 0

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def __str__(self) -> str:
        more = f"; {plural(self.not_looked_at, 'earlier partition')} not looked at (`assay status`)"
        return (
            f"{self.table}{counted(self.partitions)}: the changed contract may take {plural(self.rows, 'quarantined row')} "
            f"({', '.join(self.rules)}); `assay materialize {self.table} --judge-again` judges "
            f"{'it' if len(self.partitions) == 1 else 'them'} again{more if self.not_looked_at else ''}"
        )


def as_judged(
    steps: Sequence[Step], env: Resources, chosen: Chosen | None = None, *, latest: int | None = None
) -> list[AsJudged]:
    """What stays as judged, and would not if somebody asked. A lake without declarations that were loosened since is only
    asked for those it keeps.

    Args:
        steps: Some or all of the pipeline.
        env: What steps use.
        chosen: Partitions to look at. Default: all with rows in quarantine.
        latest: Of these only the last ones.
    """
    env = replace(env, lake=env.lake.remembering(), judge_again=False)
    found: list[AsJudged] = []
    for step in steps:
        if step.earlier is None or not step.earlier.any(env.lake):
            continue
        keys = _with_quarantine(step, env)
        if chosen is not None and step.partitioning.is_partitioned:
            keys = [key for key in keys if key in {*chosen(step.partitioning)}]
        looked_at = _may_take_more(step, step.earlier, env, keys[-latest if latest else None :])
        takes = {key: takes for key in looked_at if (takes := look(step, env, key).takes).rows}
        if takes:
            rules = frozenset[str]().union(*(one.rules for one in takes.values()))
            rows = sum(one.rows for one in takes.values())
            left_out = max(0, len(keys) - latest) if latest else 0
            found.append(AsJudged(step.outputs[0], tuple(takes), rows, tuple(sorted(rules)), left_out))
    return found


def _may_take_more(step: Step, earlier: Earlier, env: Resources, keys: Sequence[str]) -> list[str]:
    """The partitions of which the present declaration may take more, going by how they were made: a tenth of what it costs to
    look at what they would be made from now."""
    try:
        state = env.lake.table(step.outputs[0]).at()
    except TableMissing:
        return []

    def may(key: str) -> bool:
        try:
            made = state.writer_of(key)
        except AssayError:  # a damaged commit: looking at it says what is wrong
            return True
        takes = earlier.takes(env.lake, made) if made is not None else None
        return takes is not None and takes.rows > 0

    return [key for key in keys if may(key)]


def _with_quarantine(step: Step, env: Resources) -> list[str]:
    """The partitions of a step of which rows are in quarantine."""
    (table,) = (name for name in step.outputs if Kind.QUARANTINE.holds(name))
    try:
        files = env.lake.table(table).at().files
    except TableMissing:
        return []
    return sorted({file.partition for file in files if file.rows and file.partition is not None})
