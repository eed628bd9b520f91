"""The steps of a walk: who wrote the rows that were read, and who read the rows that were written. One query a level.

Rows live on lines (see `store/schema.py`): a version holds, per partition, what the last replacement at or before it wrote, and
what was added after that.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from assay.lineage.store import bulk
from assay.lineage.store.schema import ADDS, ALL, READS, REPLACES

Point = tuple[int, int]  # a dataset version: its line and its number there

# `+ 0`: found by their run, not by an index that also holds the flow, which a database without statistics may prefer.
_USES = """
SELECT e.run_key, e.line, e.number, e.partition, e.role, e.flow
FROM $rows CROSS JOIN edges e WHERE e.run_key = $0i AND e.flow + 0 BETWEEN {low} AND {high}"""

_WROTE = f"""w.line = $0i AND w.flow IN ({ADDS}, {REPLACES}) AND w.number <= $2i AND w.number >= coalesce((
  SELECT max(x.number) FROM edges x
  WHERE x.line = $0i AND x.partition = w.partition AND x.flow = {REPLACES} AND x.number <= $2i), 0)"""

# Two questions, since an index range is one partition, or all of them. `$1` is ALL in the second.
_HELD = f"""
SELECT $0i AS line, $1 AS partition, $2i AS number, w.number AS wrote, w.partition AS part, w.run_key, w.role
FROM $rows CROSS JOIN edges w{{runs}} WHERE {_WROTE} AND w.partition = $1{{present}}"""
_HELD_BY_ALL = _HELD.replace("w.partition = $1", "w.partition > $1")

_UNTIL = f"""coalesce((
  SELECT min(x.number) FROM edges x
  WHERE x.line = $0i AND x.partition = $1 AND x.flow = {REPLACES} AND x.number > $2i), 9223372036854775807)"""
_SEEN = f"""
SELECT $0i AS line, $2i AS wrote, w.number, w.run_key
FROM $rows CROSS JOIN edges w{{runs}}
WHERE w.line = $0i AND w.flow = {READS} AND w.partition IN ($1, '{ALL}') AND w.number >= $2i AND w.number < {_UNTIL}{{present}}"""

_AT = f"""
SELECT w.line, w.number, w.partition, w.run_key, w.role, w.flow
FROM dataset_versions v JOIN edges w ON w.version_id = v.id{{runs}}
WHERE v.line = :line AND v.number = :number AND w.flow BETWEEN {READS} AND {REPLACES}{{present}}"""


@dataclass(frozen=True, slots=True)
class Write:
    """Rows of a partition that a run wrote at a version, or found there already (`unchanged`)."""

    number: int
    partition: str
    run: int
    role: str


class Steps:
    """Reads the index for one walk. `as_of`: runs that ended later (or began later and never ended) are not there."""

    def __init__(self, connection: sa.Connection, as_of: int | None) -> None:
        self._connection, self._as_of = connection, as_of

    def uses(self, runs: Iterable[int], low: int, high: int) -> Iterator[Any]:
        """What runs that are there read (flows from `low` to `high`) or wrote."""
        return iter(bulk.execute(self._connection, _USES.format(low=low, high=high), [[run] for run in runs]).all())

    def held(self, reads: Iterable[tuple[int, str, int]]) -> dict[tuple[int, str, int], list[Write]]:
        """By read (line, partition or ALL, number): the writes whose rows it sees."""
        found: dict[tuple[int, str, int], list[Write]] = defaultdict(list)
        wanted = list(reads)
        for statement, rows in ((_HELD, wanted), (_HELD_BY_ALL, [read for read in wanted if read[1] == ALL])):
            for row in self._ask(statement, rows):
                found[row[0], row[1], row[2]].append(Write(*row[3:]))
        return found

    def seen(self, writes: Iterable[tuple[int, str, int]]) -> list[Any]:
        """(line, number written, number read, run) of those who read rows that were written as (line, partition, number)."""
        return self._ask(_SEEN, list(writes))

    def at(self, point: Point) -> list[Any]:
        """All edges of a version."""
        statement = sa.text(self._present(_AT))
        return list(self._connection.execute(statement, {"line": point[0], "number": point[1]}))

    def _ask(self, statement: str, rows: list[Any]) -> list[Any]:
        return list(bulk.execute(self._connection, self._present(statement), rows)) if rows else []

    def _present(self, statement: str) -> str:
        if self._as_of is None:
            return statement.format(runs="", present="")
        known = f" AND coalesce(r.ended_us, r.started_us, 0) <= {self._as_of:d}"
        return statement.format(runs=" JOIN runs r ON r.id = w.run_key", present=known)
