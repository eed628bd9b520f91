"""Lists and counts over the whole store, as Marquez's web UI and client ask for them: jobs of all namespaces, sources, tags,
and how much there is over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from assay.lineage.api.records import Key
from assay.lineage.store.facet_index import DATASET, JOB
from assay.lineage.store.labels import SOURCE, TAG
from assay.lineage.store.schema import datasets, events, jobs, labels, mentions, runs

Period = Literal["DAY", "WEEK"]
Asset = Literal["jobs", "datasets", "sources"]
_KINDS = ("FAIL", "START", "COMPLETE", "ABORT")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def jobs_by_state(
    connection: sa.Connection, namespace: str | None, states: Sequence[str], limit: int, offset: int
) -> tuple[list[Key], int]:
    """Jobs, of all namespaces or of one: those whose last run is in one of these states (none: all), the latest run first."""
    own = sa.select(runs.c.state).where(runs.c.job_id == jobs.c.id)
    last = own.order_by(runs.c.first_us.desc(), runs.c.run_id.desc()).limit(1).scalar_subquery()
    newest = sa.select(sa.func.max(runs.c.first_us)).where(runs.c.job_id == jobs.c.id).scalar_subquery()
    query = sa.select(jobs.c.namespace, jobs.c.name).where(jobs.c.name != "")
    query = query if namespace is None else query.where(jobs.c.namespace == namespace)
    query = query.where(last.in_(states)) if states else query
    total = connection.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0
    order = (sa.func.coalesce(newest, 0).desc(), jobs.c.namespace, jobs.c.name)
    rows = connection.execute(query.order_by(*order).limit(limit).offset(offset)).all()
    return [(row.namespace, row.name) for row in rows], total


@dataclass(frozen=True, slots=True)
class Source:
    """What datasets come from: the name in their `dataSource` facet, or else their namespace. Times in µs."""

    name: str
    first_us: int
    last_us: int


def sources(connection: sa.Connection, limit: int, offset: int, name: str | None = None) -> tuple[list[Source], int]:
    named = sa.select(labels.c.text).where(labels.c.kind == SOURCE).distinct()
    named = named if name is None else named.where(labels.c.text == name)
    total = connection.scalar(sa.select(sa.func.count()).select_from(named.subquery())) or 0
    page = list(connection.scalars(named.order_by(labels.c.text).limit(limit).offset(offset)))
    times = (sa.func.min(mentions.c.first_us), sa.func.max(mentions.c.last_us))
    of_source = _datasets_of_sources(labels.c.text, *times).where(labels.c.text.in_(page)).group_by(labels.c.text)
    rows: list[Any] = list(connection.execute(of_source))
    spans = {text: (first, last) for text, first, last in rows}
    return [Source(text, *spans[text]) for text in page if text in spans], total


def _datasets_of_sources(*columns: sa.ColumnElement[Any]) -> sa.Select[*tuple[Any, ...]]:
    same = sa.and_(datasets.c.namespace == labels.c.namespace, datasets.c.name == labels.c.name)
    joined = labels.join(datasets, same).join(
        mentions, sa.and_(mentions.c.kind == DATASET, mentions.c.entity == datasets.c.id)
    )
    return sa.select(*columns).select_from(joined).where(labels.c.kind == SOURCE)


def tags(connection: sa.Connection, limit: int, offset: int) -> list[str]:
    query = sa.select(labels.c.text).where(labels.c.kind == TAG).distinct().order_by(labels.c.text)
    return list(connection.scalars(query.limit(limit).offset(offset)))


# -- over time ---------------------------------------------------------------------------------------------------------


def intervals(period: Period, zone: ZoneInfo, now: datetime) -> list[tuple[datetime, datetime]]:
    """The last 24 hours by the hour, or the last 7 days by the day of a time zone; the present one last."""
    local = now.astimezone(zone)
    if period == "DAY":
        hour = local.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return [(hour - timedelta(hours=n), hour - timedelta(hours=n - 1)) for n in range(23, -1, -1)]
    today = local.date()
    starts = [datetime.combine(today - timedelta(days=n), datetime.min.time(), zone) for n in range(6, -2, -1)]
    return [(a.astimezone(UTC), b.astimezone(UTC)) for a, b in pairwise(starts)]


def event_counts(connection: sa.Connection, spans: Sequence[tuple[datetime, datetime]]) -> list[dict[str, int]]:
    """By interval: how many events of each type happened in it."""
    counts = []
    for start, end in spans:
        query = sa.select(events.c.event_type, sa.func.count()).group_by(events.c.event_type)
        query = query.where(events.c.event_us >= _micros(start), events.c.event_us < _micros(end))
        found = {row[0]: row[1] for row in connection.execute(query)}
        counts.append({kind.lower(): found.get(kind, 0) for kind in _KINDS})
    return counts


def asset_counts(connection: sa.Connection, asset: Asset, spans: Sequence[tuple[datetime, datetime]]) -> list[int]:
    """By interval: how many there were at its end."""
    first = sa.func.min(mentions.c.first_us).label("first_us")
    if asset == "sources":
        born = _datasets_of_sources(labels.c.text, first).group_by(labels.c.text).subquery()
    else:
        kind = DATASET if asset == "datasets" else JOB
        born = sa.select(mentions.c.entity, first).where(mentions.c.kind == kind).group_by(mentions.c.entity).subquery()
    ends = [sa.func.sum(sa.case((born.c.first_us < _micros(end), 1), else_=0)) for _, end in spans]
    row = connection.execute(sa.select(*ends)).one()
    return [count or 0 for count in row]


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)
