"""What a picture of the graph leaves out, so that nobody takes it for the whole."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from assay.lineage.queries.walk import Subgraph, neighbourhood
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.store.schema import ASIDE, edges, jobs, runs, versions

COUNTED = 10_000  # nodes around a focus


@dataclass(frozen=True, slots=True)
class LeftOut:
    """`at_least`: there may be more of it."""

    what: str
    count: int
    at_least: bool = False


def beyond(
    store: LineageStore, focus: str, up: int, down: int, shown: Subgraph, as_of: datetime | None = None
) -> list[LeftOut]:
    """What lies one step further than a neighbourhood, or did not fit into it."""
    wider = neighbourhood(store, focus, up=up + 1, down=down + 1, as_of=as_of, limit=COUNTED)
    count = len({node.id for node in wider.nodes} - {node.id for node in shown.nodes})
    if not count:
        return []
    limits = f"nodes that are further than {up} edges before or {down} edges after"
    return [LeftOut(f"{limits}, or did not fit" if shown.truncated else limits, count, at_least=True)]


def of_the_whole(store: LineageStore, shown: Subgraph) -> list[LeftOut]:
    """What is stored and not in the whole graph as it is now: it joins runs with the versions that they read and wrote."""
    linked_run = sa.exists().where(edges.c.run_key == runs.c.id, edges.c.flow != ASIDE)
    linked_version = sa.exists().where(edges.c.version_id == versions.c.id, edges.c.flow != ASIDE)
    points = sa.select(versions.c.timeline, versions.c.position).where(linked_version).distinct().subquery()
    unlinked = sa.select(versions.c.timeline, versions.c.position).where(~linked_version).distinct().subquery()
    has_run = sa.exists().where(runs.c.job_id == jobs.c.id)
    with store.reading() as connection:

        def count(query: sa.Select[int]) -> int:
            return connection.scalar(query) or 0

        def rows(table: sa.FromClause) -> sa.Select[int]:
            return sa.select(sa.func.count()).select_from(table)

        drawn = count(rows(points)) + count(rows(runs).where(linked_run))
        left = [
            LeftOut("nodes beyond the limit", max(drawn - len(shown.nodes), 0)),
            LeftOut("runs that name no dataset", count(rows(runs).where(~linked_run))),
            LeftOut("jobs without a run", count(rows(jobs).where(~has_run, jobs.c.name != ""))),
            LeftOut("dataset versions that no run read or wrote", count(rows(unlinked))),
            LeftOut("links that are neither read nor written", count(rows(edges).where(edges.c.flow == ASIDE))),
        ]
    return [item for item in left if item.count]
