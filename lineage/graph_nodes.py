"""Nodes of the graph: their ids, what is known of each, and how they are found."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from assay.lineage.graph_tables import batches
from assay.lineage.naming import LOGICAL
from assay.lineage.tables import checks, edges, runs, versions

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class GraphNode:
    """`id` is unique. Facts of a dataset: table, table_id, commit_sha256, run, written_at, checks; of a run: job,
    job_namespace, state, started_at, ended_at, parent_id, checks; of a job: runs, state, run (the last one's).
    `checks` is {"passed": count, "failed": [names]}. A run's name is its id."""

    id: str
    kind: Literal["dataset", "job", "run"]
    namespace: str
    name: str
    version: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def micros(instant: datetime) -> int:
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def _iso(us: int | None) -> str | None:
    return (_EPOCH + timedelta(microseconds=us)).isoformat() if us is not None else None


class NodeReader:
    """Keys inside the store: v<row of dataset_versions>, r<run id>, or the id of a job."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    # -- finding ---------------------------------------------------------------------------------------------------

    def find(self, node_id: str) -> GraphNode | None:
        key = self.key(node_id)
        return self.nodes([key])[key] if key is not None else None

    def key(self, node_id: str) -> str | None:
        kind, _, rest = node_id.partition(":")
        if kind == "run":
            found = self._connection.scalar(sa.select(runs.c.run_id).where(runs.c.run_id == rest.lower()))
            return f"r{found}" if found else None
        if kind == "job":
            named = [sa.and_(runs.c.namespace == left, runs.c.job == right) for left, right in _splits(rest)]
            row = self._connection.execute(
                sa.select(runs.c.namespace, runs.c.job).where(sa.or_(*named)).limit(1)
            ).first()
            return f"job:{row[0]}:{row[1]}" if row else None
        return self._dataset(rest) if kind == "dataset" else None

    def _dataset(self, rest: str) -> str | None:
        """Namespaces, names and versions may all hold colons and @: the store knows which reading is meant."""
        name, _, table_id = rest.rpartition("#")
        for text, life in ((rest, None), *([(name, table_id)] if name else ())):
            for at in [*reversed([match.start() for match in re.finditer("@", text)]), len(text)]:
                row = self._latest(text[:at], text[at + 1 :] if at < len(text) else None, life)
                if row is not None:
                    return f"v{row}"
        return None

    def _latest(self, text: str, version: str | None, table_id: str | None) -> int | None:
        named = [sa.and_(versions.c.namespace == left, versions.c.name == right) for left, right in _splits(text)]
        named += [versions.c.table_name == right for left, right in _splits(text) if left == LOGICAL and right]
        if not named:
            return None
        query = sa.select(versions.c.id, versions.c.table_id, versions.c.version).where(sa.or_(*named))
        if version is not None:
            query = query.where(versions.c.version == version)
        if table_id is not None:
            query = query.where(versions.c.table_id == table_id)
        rows = self._connection.execute(query).all()
        if not rows:
            return None
        if len({row.table_id for row in rows}) == 1 and rows[0].table_id:
            return max(rows, key=lambda row: (_number(row.version), row.version)).id
        last = self._last_used(row.id for row in rows)
        # The table that was used last; of it the highest version. Where versions are no numbers: the one used last.
        lives: dict[str, int] = defaultdict(int)
        for row in rows:
            lives[row.table_id] = max(lives[row.table_id], last.get(row.id, 0))
        newest = max(lives, key=lambda life: (bool(life), lives[life], life))
        ours = [row for row in rows if row.table_id == newest]
        if newest:
            return max(ours, key=lambda row: (_number(row.version), row.version)).id
        return max(ours, key=lambda row: (last.get(row.id, 0), row.version)).id

    def _last_used(self, ids: Iterable[int]) -> dict[int, int]:
        when = sa.func.max(sa.func.coalesce(runs.c.ended_us, runs.c.started_us, 0))
        query = (
            sa.select(edges.c.version_id, when).join(runs, runs.c.run_id == edges.c.run_id).group_by(edges.c.version_id)
        )
        found: dict[int, int] = {}
        for batch in batches(ids):
            found |= {row[0]: row[1] for row in self._connection.execute(query.where(edges.c.version_id.in_(batch)))}
        return found

    def touched(self, version_id: int, present: sa.ColumnElement[bool]) -> bool:
        query = sa.select(edges.c.run_id).join(runs, runs.c.run_id == edges.c.run_id)
        return self._connection.scalar(query.where(edges.c.version_id == version_id, present).limit(1)) is not None

    def runs_of(self, job_id: str, present: sa.ColumnElement[bool], limit: int) -> list[str]:
        """The runs of a job, latest first; one more than the limit where there are more."""
        query = (
            sa.select(runs.c.run_id).where(_is_job(job_id), present).order_by(runs.c.started_us.desc(), runs.c.run_id)
        )
        return list(self._connection.scalars(query.limit(limit + 1)))

    def search(self, text: str, kinds: set[str], limit: int) -> list[GraphNode]:
        pattern = text.strip().lower()
        if not pattern or limit < 1:
            return []
        keys: dict[str, None] = {}
        if "run" in kinds and _UUID.fullmatch(pattern) and (run := self.key(f"run:{pattern}")):
            keys[run] = None

        def like(column: Any) -> Any:
            return sa.func.lower(column).contains(pattern, autoescape=True)

        if "dataset" in kinds:
            named = (versions.c.namespace, versions.c.name)
            # Tables of the lake by their own names: all of them lie in one folder, whose name would match them all.
            hit = sa.case((versions.c.table_name != "", like(versions.c.table_name)), else_=like(versions.c.name))
            query = sa.select(*named).where(hit).distinct().order_by(*named).limit(limit)
            for namespace, name in self._connection.execute(query):
                if (row := self._latest(f"{namespace}:{name}", None, None)) is not None:
                    keys[f"v{row}"] = None
        if "job" in kinds:
            query = sa.select(runs.c.namespace, runs.c.job).where(like(runs.c.job)).distinct()
            rows = self._connection.execute(query.order_by(runs.c.namespace, runs.c.job).limit(limit))
            keys |= {f"job:{namespace}:{job}": None for namespace, job in rows}
        chosen = list(keys)[:limit]
        nodes = self.nodes(chosen)
        return [nodes[key] for key in chosen]

    # -- describing ------------------------------------------------------------------------------------------------

    def nodes(self, keys: Iterable[str]) -> dict[str, GraphNode]:
        listed = list(keys)
        found: dict[str, GraphNode] = {}
        for batch in batches(int(key[1:]) for key in listed if key[0] == "v"):
            found |= self._datasets(batch)
        for batch in batches(key[1:] for key in listed if key[0] == "r"):
            found |= self._runs(batch)
        found |= {key: self._job(key) for key in listed if key[0] == "j"}
        return found

    def _datasets(self, ids: Iterable[int]) -> dict[str, GraphNode]:
        rows = self._connection.execute(sa.select(versions).where(versions.c.id.in_(ids))).all()
        named = (versions.c.namespace, versions.c.name, versions.c.version)
        twins = sa.select(*named).where(versions.c.name.in_({row.name for row in rows})).group_by(*named)
        doubled = {tuple(row) for row in self._connection.execute(twins.having(sa.func.count() > 1))}
        writers, results = self._writers(ids), self._checks_of_versions(ids)
        found = {}
        for row in rows:
            node_id = f"dataset:{row.namespace}:{row.name}" + (f"@{row.version}" if row.version else "")
            if row.table_id and (row.namespace, row.name, row.version) in doubled:
                node_id += f"#{row.table_id}"  # a table deleted and made anew counts its versions from 0 again
            facts: dict[str, Any] = {
                name: row._mapping[column]
                for name, column in (
                    ("table", "table_name"),
                    ("table_id", "table_id"),
                    ("commit_sha256", "commit_sha256"),
                )
                if row._mapping[column]
            }
            if row.id in writers:
                facts |= {"run": writers[row.id][0], "written_at": _iso(writers[row.id][1])}
            facts |= {"checks": results[row.id]} if row.id in results else {}
            found[f"v{row.id}"] = GraphNode(node_id, "dataset", row.namespace, row.name, row.version or None, facts)
        return found

    def _writers(self, ids: Iterable[int]) -> dict[int, tuple[str, int]]:
        query = sa.select(edges.c.version_id, edges.c.run_id, runs.c.ended_us).join(
            runs, runs.c.run_id == edges.c.run_id
        )
        query = query.where(edges.c.version_id.in_(ids), edges.c.role == "output")
        return {
            row[0]: (row[1], row[2])
            for row in self._connection.execute(query.order_by(runs.c.ended_us, edges.c.run_id))
        }

    def _checks_of_versions(self, ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        """What the runs that wrote a version found out about it."""
        columns = (edges.c.version_id, checks.c.name, checks.c.passed)
        query = sa.select(*columns).join(versions, versions.c.id == edges.c.version_id)
        query = query.join(checks, checks.c.run_id == edges.c.run_id).where(
            edges.c.version_id.in_(ids),
            edges.c.role == "output",
            sa.or_(checks.c.dataset == versions.c.name, checks.c.dataset == versions.c.table_name),
        )
        return _summed(self._connection.execute(query))

    def _runs(self, ids: Iterable[str]) -> dict[str, GraphNode]:
        query = sa.select(checks.c.run_id, checks.c.name, checks.c.passed).where(checks.c.run_id.in_(ids))
        results = _summed(self._connection.execute(query))
        found = {}
        for row in self._connection.execute(sa.select(runs).where(runs.c.run_id.in_(ids))):
            facts = {
                "job": row.job,
                "job_namespace": row.namespace,
                "state": row.state,
                "started_at": _iso(row.started_us),
                "ended_at": _iso(row.ended_us),
                "parent_id": row.parent_id,
            }
            facts |= {"checks": results[row.run_id]} if row.run_id in results else {}
            found[f"r{row.run_id}"] = GraphNode(f"run:{row.run_id}", "run", row.namespace, row.run_id, None, facts)
        return found

    def _job(self, job_id: str) -> GraphNode:
        query = sa.select(runs).where(_is_job(job_id)).order_by(runs.c.started_us.desc(), runs.c.run_id).limit(1)
        last = self._connection.execute(query).one()
        count = self._connection.scalar(sa.select(sa.func.count()).select_from(runs).where(_is_job(job_id)))
        facts = {"runs": count, "state": last.state, "run": last.run_id}
        return GraphNode(job_id, "job", last.namespace, last.job, None, facts)


def _is_job(job_id: str) -> sa.ColumnElement[bool]:
    rest = job_id.removeprefix("job:")
    return sa.or_(*(sa.and_(runs.c.namespace == left, runs.c.job == right) for left, right in _splits(rest)))


def _splits(text: str) -> list[tuple[str, str]]:
    """Every way to read text as namespace:name."""
    return [(text[: match.start()], text[match.end() :]) for match in re.finditer(":", text)] or [("", text)]


def _number(version: str) -> int:
    return int(version) if version.isdecimal() else -1


def _summed(rows: Iterable[Any]) -> dict[Any, dict[str, Any]]:
    passed: dict[Any, int] = defaultdict(int)
    failed: dict[Any, set[str]] = defaultdict(set)
    for key, name, good in rows:
        passed[key] += bool(good)
        if not good:
            failed[key].add(name)
    return {key: {"passed": passed[key], "failed": sorted(failed[key])} for key in passed}
