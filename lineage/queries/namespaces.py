"""Everything that events name, by namespace and in pages: also what no run of ours has touched."""

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from assay.lineage.events.naming import LOGICAL
from assay.lineage.store import bulk
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.store.schema import datasets, jobs

Kind = Literal["datasets", "jobs"]
_TABLES = {"datasets": datasets, "jobs": jobs}


@dataclass(frozen=True, slots=True)
class Namespace:
    """How many datasets and jobs it has; tables of the lake, which are listed by their own names, are not counted."""

    name: str
    datasets: int
    jobs: int


@dataclass(frozen=True, slots=True)
class Named:
    """`state` of a job is that of its last run; "" where it has none."""

    name: str
    state: str = ""


def namespaces(store: LineageStore, *, limit: int = 100, offset: int = 0) -> tuple[list[Namespace], int]:
    """Namespaces in the order of their names, and how many there are."""
    names = (
        sa.select(datasets.c.namespace, datasets.c.name).where(datasets.c.namespace != LOGICAL).distinct().subquery()
    )
    parts = [
        sa.select(names.c.namespace, sa.func.count().label("datasets"), sa.literal(0).label("jobs")).group_by(
            names.c.namespace
        ),
        sa.select(jobs.c.namespace, sa.literal(0), sa.func.count()).where(jobs.c.name != "").group_by(jobs.c.namespace),
    ]
    every = sa.union_all(*parts).subquery()
    sums = (sa.func.sum(every.c.datasets), sa.func.sum(every.c.jobs))
    query = sa.select(every.c.namespace, *sums).group_by(every.c.namespace).order_by(every.c.namespace)
    with store.reading() as connection:
        rows = connection.execute(query).all()
    return [Namespace(row[0], int(row[1]), int(row[2])) for row in rows[offset : offset + limit]], len(rows)


def named_in(
    store: LineageStore, namespace: str, kind: Kind, *, limit: int = 100, offset: int = 0
) -> tuple[list[Named], int]:
    """Datasets or jobs of a namespace in the order of their names, and how many there are."""
    table = _TABLES[kind]
    names = sa.select(table.c.name).where(table.c.namespace == namespace, table.c.name != "").distinct()
    with store.reading() as connection:
        total = connection.scalar(sa.select(sa.func.count()).select_from(names.subquery())) or 0
        page = list(connection.scalars(names.order_by(table.c.name).limit(limit).offset(offset)))
        states = _states(connection, namespace, page) if kind == "jobs" else {}
    return [Named(name, states.get(name, "")) for name in page], total


def _states(connection: sa.Connection, namespace: str, names: list[str]) -> dict[str, str]:
    last = "SELECT r.state FROM runs r WHERE r.job_id = j.id ORDER BY r.first_us DESC, r.run_id DESC LIMIT 1"
    query = f"SELECT j.name, ({last}) AS state FROM $rows CROSS JOIN jobs j WHERE j.namespace = $0 AND j.name = $1"
    bulk.by_index(connection)
    rows = bulk.execute(connection, query, [[namespace, name] for name in names])
    return {row.name: row.state or "" for row in rows}
