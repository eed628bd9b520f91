"""What a changed view has to compute again, and what that costs as far as recorded runs say.

A backfill is nothing of its own: each partition that another definition computed is stale, and is computed by the view's step
like any other. So one that was killed goes on where it was; partitions that are done are not done again. The commit of the last
one is the switch: from it on the new definition is served.
"""

from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from assay.errors import plural
from assay.features.definitions.recorded import definition_of
from assay.features.storage.commit_metadata import Commit
from assay.features.tables.lake import Lake, TableState
from assay.features.views.feature_view import FeatureView

_RUNS = 20  # recorded runs that an estimate rests on, at most


@dataclass(frozen=True, slots=True)
class Backfill:
    """What is left to compute by a view's declared definition.

    Args:
        view: The view's name.
        number: The number of the declared definition: what it has, or will have.
        served: The number of the one that is served; 0: nobody recorded it.
        todo: The partitions whose rows another definition computed (`""`: of a table without partitions, the whole).
        done: How many the declared one has computed.
        rows: How many rows there are now in the partitions that are left.
        bytes: How large they are.
        seconds: How long one partition took, at the median of the recorded runs; None where there are none.
        runs: How many runs that rests on.
        measured_by: The number of the definition that these runs computed by.
    """

    view: str
    number: int
    served: int
    todo: tuple[str, ...]
    done: int
    rows: int
    bytes: int
    seconds: float | None
    runs: int
    measured_by: int

    @property
    def complete(self) -> bool:
        """Whether nothing is left."""
        return not self.todo

    @property
    def total_seconds(self) -> float | None:
        """For all partitions that are left, one after the other."""
        return None if self.seconds is None else self.seconds * len(self.todo)

    def to_dict(self) -> dict[str, Any]:
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        return values | {"todo": list(self.todo), "total_seconds": self.total_seconds, "complete": self.complete}

    def __str__(self) -> str:
        if self.complete:
            return f"Definition {self.number} of {self.view} has computed all of {plural(self.done, 'partition')}."
        size = f"{plural(self.rows, 'row')} and {self.bytes / 1e6:,.1f} MB now"
        took = "nobody recorded how long a partition takes"
        if self.seconds is not None and self.total_seconds is not None:
            basis = f"{plural(self.runs, 'recorded run')} of definition {self.measured_by}"
            took = f"about {self.total_seconds:,.0f} s, at {self.seconds:.2f} s a partition ({basis})"
        span = self.todo[0] if len(self.todo) == 1 else f"{self.todo[0]} … {self.todo[-1]}"
        where = f" ({span})" if any(self.todo) else ""
        return (
            f"Definition {self.number} of {self.view}: {plural(len(self.todo), 'partition')} to compute{where}, "
            f"{self.done:,} done; {size}; {took}."
        )


def plan_backfill(lake: Lake, view: FeatureView) -> Backfill:
    """What a view's declared definition has to compute of the partitions that its table has. No row is read.

    Args:
        lake: Where the table is.
        view: As it is declared.

    Raises:
        TableMissing: It has computed nothing yet, by any definition.
    """
    state = lake.table(view.table).at()
    known, sha256 = state.defined.known, view.digest()
    number = known.index(sha256) + 1 if sha256 in known else len(known) + 1
    held = state.partitions_by_definition()
    todo = tuple(sorted({key for other, keys in held.items() if other != number for key in keys}))
    named = list(todo) if state.partitioned else None
    files = state.files_of(named) if todo else ()
    of_number, seconds = _recorded(state, number)
    served = state.defined.definition
    return Backfill(
        view.name,
        number,
        known.index(served) + 1 if served in known else 0,
        todo,
        len(set(held.get(number, ())) - set(todo)),
        sum(file.rows for file in files),
        sum(file.size for file in files),
        round(median(seconds), 3) if seconds else None,
        len(seconds),
        of_number,
    )


def _recorded(state: TableState, number: int) -> tuple[int, list[float]]:
    """How long the newest runs took, in seconds: those of a definition, or of the one that computed rows last."""
    newest = [state.index.commit(version) for version in state.index.newest_written(state.version, _RUNS)]
    by_number: dict[int, list[float]] = {}
    for commit in newest:
        took = _seconds(commit)
        if took is not None:
            by_number.setdefault(_number(state, commit), []).append(took)
    if number in by_number or not by_number:
        return number, by_number.get(number, [])
    last = max(by_number)
    return last, by_number[last]


def _number(state: TableState, commit: Commit) -> int:
    known = state.defined.known
    sha256 = definition_of(commit.view)
    return known.index(sha256) + 1 if sha256 in known else 0


def _seconds(commit: Commit) -> float | None:
    try:
        started = datetime.fromisoformat(commit.run["started_at"])
    except (KeyError, TypeError, ValueError):
        return None
    took = (commit.timestamp - started).total_seconds()
    return took if took >= 0 else None
