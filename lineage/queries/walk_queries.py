"""The queries of a walk: which runs wrote the rows that were read, and which read the rows that were written. One query a level.

Rows are carried along timelines (see `store/schema.py`): per partition, a version holds the rows of the last replacement at or
before it, and the rows added since.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, cast

import sqlalchemy as sa

from assay.lineage.store import bulk
from assay.lineage.store.parse_event import DECLARED
from assay.lineage.store.schema import ADDS, ALL, READS, REPLACES

Point = tuple[int, int]  # a dataset version: its timeline and its position there

# `+ 0`: found by their run, not by an index that also holds the flow, which a database without statistics may prefer.
_USES = """
SELECT e.run_key, e.line, e.number, e.partition, e.flow, e.excluded,
CASE WHEN e.role = '{declared}' THEN 'input' ELSE e.role END
FROM $rows CROSS JOIN edges e WHERE e.run_key = $0i AND e.flow + 0 BETWEEN {low} AND {high}"""

_WROTE = f"""w.line = $0i AND w.flow IN ({ADDS}, {REPLACES}) AND w.number <= $2i AND w.number >= coalesce((
  SELECT max(x.number) FROM edges x
  WHERE x.line = $0i AND x.partition = w.partition AND x.flow = {REPLACES} AND x.number <= $2i), 0)"""

# Two questions, since an index range is one partition, or all of them. `$1` is ALL in the second.
_HELD = f"""
SELECT $0i AS timeline, $1 AS partition, $2i AS position, w.number AS wrote, w.partition AS part, w.run_key, w.role
FROM $rows CROSS JOIN edges w{{runs}} WHERE {_WROTE} AND w.partition = $1{{present}}"""
_HELD_BY_ALL = _HELD.replace("w.partition = $1", "w.partition > $1")

# The same for one read of all partitions: the newest first, and no more than are wanted.
_NEWEST_HELD = (
    _HELD_BY_ALL.replace("SELECT $0i AS timeline, $1 AS partition, $2i AS position, ", "SELECT ")
    .replace("$rows CROSS JOIN ", "")
    .replace("$0i", ":timeline")
    .replace("$1", ":partition")
    .replace("$2i", ":position")
    + " ORDER BY w.partition DESC, w.number DESC LIMIT :most"
)

_UNTIL = f"""coalesce((
  SELECT min(x.number) FROM edges x
  WHERE x.line = $0i AND x.partition = $1 AND x.flow = {REPLACES} AND x.number > $2i), 9223372036854775807)"""
_SEEN = f"""
SELECT $0i AS timeline, $2i AS wrote, w.number AS position, w.run_key
FROM $rows CROSS JOIN edges w{{runs}}
WHERE w.line = $0i AND w.flow = {READS} AND w.partition IN ($1, '{ALL}') AND w.number >= $2i AND w.number < {_UNTIL}
AND (w.excluded IS NULL OR replace(w.excluded, '"' || $1 || '"', '') = w.excluded){{present}}"""

_AT = f"""
SELECT w.line AS timeline, w.number AS position, w.partition, w.run_key, w.role, w.flow
FROM dataset_versions v JOIN edges w ON w.version_id = v.id{{runs}}
WHERE v.line = :timeline AND v.number = :position AND w.flow BETWEEN {READS} AND {REPLACES}{{present}}"""


# What a run read or wrote: run, timeline, position, partition, flow, excluded, role. A walk meets thousands of these and of the
# following, and takes them apart at once.
Use = tuple[int, int, int, str, int, str | None, str]
# Rows of a partition that a run wrote at a version, or found there already (`unchanged`): position, partition, run, role.
Write = tuple[int, str, int, str]


_DERIVED = (
    "SELECT d.run_key, d.dataset_id, d.namespace, d.name FROM $rows CROSS JOIN derivations d WHERE d.run_key = $0i"
)
_LINKED = f"""
SELECT e.run_key, e.line AS timeline, e.number AS position, e.flow, e.role, d.id, d.namespace, d.name
FROM $rows CROSS JOIN edges e JOIN dataset_versions v ON v.id = e.version_id JOIN datasets d ON d.id = v.dataset_id
WHERE e.run_key = $0i AND e.flow + 0 IN ({READS}, {ADDS}, {REPLACES})"""
_ALSO_CALLED = "SELECT l.dataset_id, l.namespace, l.name FROM $rows CROSS JOIN symlinks l WHERE l.dataset_id = $0i"


class WalkQueries:
    """Reads the index for one walk. `as_of`: without runs that ended later, or began later and never ended. A version that
    holds rows of more than `most` writes gives its newest ones, and `cut` is set."""

    def __init__(self, connection: sa.Connection, as_of: int | None, most: int) -> None:
        self._connection, self._as_of, self._most = connection, as_of, most
        self.cut = False
        self._none_declared: bool | None = None
        self._made_from: dict[int, dict[Point, set[Point]]] = {}  # by run and output
        self._only_declared: dict[int, set[Point]] = defaultdict(set)  # by run

    def uses(self, runs: Iterable[int], low: int, high: int) -> list[Use]:
        """What runs read or wrote, by flow from `low` to `high`."""
        statement = _USES.format(low=low, high=high, declared=DECLARED)
        return cast("list[Use]", bulk.fetch(self._connection, statement, [(run,) for run in runs]))

    def learn_derivations(self, runs: Iterable[int]) -> None:
        """What the outputs of these runs were made from, where producers say so. Before `feeds` is asked about them."""
        new = [[run] for run in dict.fromkeys(runs) if run not in self._made_from]
        self._made_from |= {run: {} for (run,) in new}
        if self._none_declared is None:
            self._none_declared = self._connection.scalar(sa.text("SELECT 1 FROM derivations LIMIT 1")) is None
        if self._none_declared:
            return
        names: dict[tuple[int, int], set[tuple[str, str]]] = defaultdict(set)
        for run, dataset, *name in bulk.fetch(self._connection, _DERIVED, new):
            names[run, dataset].add((name[0], name[1]))
        if not names:
            return
        linked = bulk.execute(self._connection, _LINKED, [[run] for run in sorted({run for run, _ in names})]).all()
        read = [row for row in linked if row.flow == READS]
        listed = {(row.run_key, row.timeline, row.position) for row in read if row.role != DECLARED}
        for row in read:
            if (row.run_key, row.timeline, row.position) not in listed:
                self._only_declared[row.run_key].add((row.timeline, row.position))
        called: dict[int, set[tuple[str, str]]] = defaultdict(set)
        for row in read:
            called[row.id].add((row.namespace, row.name))
        for row in bulk.execute(self._connection, _ALSO_CALLED, [[key] for key in sorted(called)]) if called else ():
            called[row.dataset_id].add((row.namespace, row.name))
        for row in linked:
            sources = names.get((row.run_key, row.id))
            if row.flow == READS or sources is None:
                continue
            points = {
                (item.timeline, item.position)
                for item in read
                if item.run_key == row.run_key and not called[item.id].isdisjoint(sources)
            }
            if points or sources == {
                ("", "")
            }:  # else the names are others than those of the inputs, and decide nothing
                self._made_from[row.run_key].setdefault((row.timeline, row.position), set()).update(points)

    def is_declared(self, run: int) -> bool:
        """Whether anybody says which outputs a run made from which inputs. Of most runs nobody does: all feeds all."""
        return bool(self._made_from[run]) or run in self._only_declared

    def feeds(self, run: int, source: Point, target: Point) -> bool:
        """Whether a run made this output from this input."""
        if (
            not self._made_from[run] and run not in self._only_declared
        ):  # nobody says what it made from what, as of most
            return True
        made_from = self._made_from[run].get(target)
        return source not in self._only_declared[run] if made_from is None else source in made_from

    def held(self, reads: Iterable[tuple[int, str, int]]) -> dict[tuple[int, str, int], list[Write]]:
        """By read (timeline, partition or ALL, position): the writes whose rows it sees."""
        found: dict[tuple[int, str, int], list[Write]] = defaultdict(list)
        wanted = list(reads)
        if len(wanted) == 1 and wanted[0][1] == ALL:
            return {wanted[0]: self._newest_held(wanted[0])}
        for statement, rows in ((_HELD, wanted), (_HELD_BY_ALL, [read for read in wanted if read[1] == ALL])):
            for row in self._ask(statement, rows):
                found[row[:3]].append(row[3:])
        return found

    def _newest_held(self, read: tuple[int, str, int]) -> list[Write]:
        given = {"timeline": read[0], "partition": read[1], "position": read[2], "most": self._most + 1}
        held: list[Any] = [tuple(row) for row in self._connection.execute(sa.text(self._present(_NEWEST_HELD)), given)]
        whole = [row[3:] for row in self._ask(_HELD, [read])]  # those of a table without partitions
        self.cut |= len(held) > self._most
        return [*whole, *held[: self._most]]

    def seen(self, writes: Iterable[tuple[int, str, int]]) -> list[Any]:
        """(timeline, position written, position read, run) of the reads of rows written as (timeline, partition, position)."""
        return self._ask(_SEEN, list(writes))

    def at(self, point: Point) -> list[Any]:
        """All edges of a version."""
        statement = sa.text(self._present(_AT))
        return list(self._connection.execute(statement, {"timeline": point[0], "position": point[1]}))

    def _ask(self, statement: str, rows: list[Any]) -> list[Any]:
        return bulk.fetch(self._connection, self._present(statement), rows)

    def _present(self, statement: str) -> str:
        if self._as_of is None:
            return statement.format(runs="", present="")
        known = f" AND coalesce(r.ended_us, r.started_us, 0) <= {self._as_of:d}"
        return statement.format(runs=" JOIN runs r ON r.id = w.run_key", present=known)
