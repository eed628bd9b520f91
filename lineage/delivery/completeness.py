"""Up to which commit the lineage of every table is known to be complete, so that only later commits are looked at.

The marks stand in the lineage database itself: whoever loses it, or puts an older one back, loses the marks with it, and all
commits are looked at once more.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import sqlalchemy as sa

from assay.features.storage.commit_metadata import Commit, parse_commit
from assay.features.storage.delta_log import commit_info, commit_path, parse_log, versions
from assay.features.tables.lake import Lake
from assay.lineage.store import bulk
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.store.schema import complete

Marks = Mapping[str, tuple[int, str]]  # by table: the version, and the SHA-256 of its commit


@dataclass(frozen=True, slots=True)
class LaterCommit:
    """A version after its table's mark. A damaged one has no `commit`; only commits of runs that wrote rows have a `run_id`."""

    table: str
    version: int
    sha256: str
    commit: Commit | None

    @property
    def run_id(self) -> str | None:
        return self.commit.run_id if self.commit is not None and self.commit.rows is not None else None


def read_marks(store: LineageStore, lake: Lake) -> Marks:
    """The marks of the tables of a lake."""
    query = sa.select(complete.c.table_name, complete.c.version, complete.c.commit_sha256)
    with store.reading() as connection:
        rows = connection.execute(query.where(complete.c.place == lake.storage.root)).all()
    return {row[0]: (row[1], row[2]) for row in rows}


def later_commits(lake: Lake, tables: Collection[str], marks: Marks) -> list[LaterCommit]:
    """The commits after each table's mark, oldest first; all of a table without a mark, or made anew since. Raises Denied."""
    for table in tables:
        lake.allow("read", table)
    if lake.storage.is_local:
        return [item for table in tables for item in _later(lake, table, marks.get(table))]
    with ThreadPoolExecutor(16) as pool:  # an object store answers slowly, but many requests at once
        return [
            item for found in pool.map(lambda name: list(_later(lake, name, marks.get(name))), tables) for item in found
        ]


def _later(lake: Lake, table: str, mark: tuple[int, str] | None) -> Iterator[LaterCommit]:
    for version in _versions_after(lake, table, mark):
        content = lake.storage.get(commit_path(table, version))
        yield LaterCommit(table, version, hashlib.sha256(content).hexdigest(), _parsed(table, version, content))


def _versions_after(lake: Lake, table: str, mark: tuple[int, str] | None) -> Iterator[int]:
    """Asked for one by one: the list of a log's folder grows with the table."""
    storage = lake.storage
    if mark is None or storage.size(path := commit_path(table, mark[0])) is None:
        yield from versions(storage, table)
        return
    if hashlib.sha256(storage.get(path)).hexdigest() != mark[1]:
        yield from versions(storage, table)
        return
    version = mark[0] + 1
    while storage.size(commit_path(table, version)) is not None:
        yield version
        version += 1


def _parsed(table: str, version: int, content: bytes) -> Commit | None:
    try:
        return parse_commit(table, commit_info(version, parse_log(content)))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def remember(store: LineageStore, lake: Lake, later: Collection[LaterCommit], ended: Collection[str]) -> None:
    """Move each table's mark over the commits whose runs have ended, up to the first one that is damaged or whose run may
    still be missing its end: whatever that run published is after the mark of its table."""
    marks: dict[str, LaterCommit] = {}
    stopped: set[str] = set()
    for item in later:
        if item.commit is None or (item.run_id is not None and item.run_id not in ended):
            stopped.add(item.table)
        elif item.table not in stopped:
            marks[item.table] = item
    if not marks:
        return
    upsert = (
        "INSERT INTO complete (place, table_name, version, commit_sha256) SELECT $0, $1, $2i, $3 FROM $rows WHERE true"
    )
    upsert += " ON CONFLICT (place, table_name) DO UPDATE SET version = excluded.version,"
    upsert += " commit_sha256 = excluded.commit_sha256"
    with store.writing() as connection:
        rows = [[lake.storage.root, item.table, item.version, item.sha256] for item in marks.values()]
        bulk.execute(connection, upsert, sorted(rows))
