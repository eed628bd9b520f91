"""What a table's log says, indexed: which commit wrote a partition, which files a version holds, where bytes came from.

The index is a replay of the log that is kept and carried on, so that a question costs as much as its answer, however long
the table's history is. It is a cache: every use compares the last commit that it knows with the log (by time and inode of
its file, and when these differ by its SHA-256), reads the commits that came after it, and starts anew when the log is
another one. Commits themselves are not in it; one that is asked for is read from the log, and must be the one that was
indexed. What must be proved is therefore never asked here: verification reads the whole log (`assay.features.tables.log_replay`).
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from assay.errors import AssayError
from assay.features.definitions.indexed import (
    Defined,
    defined_at,
    last_whole,
    newest_of,
    partitions_by_definition,
)
from assay.features.storage.commit_metadata import Commit, parse_commit
from assay.features.storage.delta_log import commit_info, commit_path, parse_log, versions
from assay.features.storage.index_store import LIVE, forget, index_store
from assay.features.storage.index_upkeep import Known, carried_on, content_of, has_commit, is_of, known_of
from assay.features.storage.log_entry import DAMAGE, DataFile, Entry, columns_of, read_entry
from assay.features.storage.ranges import files_between, partition_ranges
from assay.features.storage.reads import Span
from assay.features.storage.sections import SectionDamaged
from assay.features.storage.set_digest import digest_at
from assay.features.storage.storage import Storage
from assay.features.storage.verdict import Verdict

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Write:
    """What a commit wrote where; `until`: the version that replaced its partition, None while its rows are live."""

    partition: str | None
    run_id: str | None
    rows: int | None
    until: int | None


@dataclass(frozen=True, slots=True)
class Delivered:
    """A file that a commit took, and where its rows went."""

    version: int
    partition: str | None
    sha256: str
    path: str


@dataclass
class TableIndex:
    """The index of one table, as far as its log went when it was opened. Questions are about a version of it.

    Where the log has gaps or damaged commits (`complete` is False), it does not know what its versions hold.
    """

    storage: Storage
    name: str
    known: Known
    _commits: dict[int, Commit] = field(default_factory=dict, repr=False)

    @property
    def latest(self) -> int:
        return self.known.version

    @property
    def first(self) -> int:
        return self.known.first

    @property
    def table_id(self) -> str:
        return self.known.table_id

    @property
    def complete(self) -> bool:
        return self.known.complete

    # -- commits ---------------------------------------------------------------------------------------------------

    def commit(self, version: int) -> Commit:
        """What a version says about itself, from the log. Raises AssayError where that is gone or damaged."""
        if version not in self._commits:
            content = self.storage.get(commit_path(self.name, version))
            self._require_unchanged(version, content)
            try:
                self._commits[version] = parse_commit(self.name, commit_info(version, parse_log(content)))
            except DAMAGE as problem:
                what = f"what its commit says about itself is damaged ({type(problem).__name__})"
                if isinstance(problem, SectionDamaged):
                    what = f"section {problem.section!r} of its commit is damaged: {problem.problem}"
                path = commit_path(self.name, version)
                raise AssayError(f"{self.name}@{version}: {what}. Restore {path} from a backup.") from None
        return self._commits[version]

    def _require_unchanged(self, version: int, content: bytes) -> None:
        """What was indexed of a commit that was changed since (against the protocol) is not believed any more."""
        indexed = self._column("SELECT sha256 FROM commits WHERE t = :t AND version = :version", version=version)
        if indexed != [hashlib.sha256(content).hexdigest()]:
            index_store(self.storage).write(lambda connection: forget(connection, self.known.id))

    def entry(self, version: int) -> Entry | None:
        """A version as its file in the log describes it now; None where the log does not have it."""
        if not self.first <= version <= self.latest:
            return None
        content = content_of(self.storage, commit_path(self.name, version))
        return read_entry(self.name, version, content) if content is not None else None

    def digests(self, versions: Collection[int]) -> dict[int, str]:
        """The SHA-256 of these versions' commits, as they were when they were indexed; of those that the log had."""
        sql = "SELECT version, sha256 FROM commits WHERE t = :t AND version IN (SELECT value FROM json_each(:versions))"
        return dict(self._rows(sql, versions=json.dumps(list(versions))))

    def adders(self, version: int, paths: Collection[str]) -> dict[str, int]:
        """By path, which version added a data file that a version holds."""
        sql = """SELECT path, since FROM files INDEXED BY files_at WHERE t = :t AND since <= :version AND until > :version
            AND path IN (SELECT value FROM json_each(:paths))"""
        return dict(self._rows(sql, version=version, paths=json.dumps(list(paths))))

    def damaged(self, version: int) -> list[int]:
        """The versions, up to this one, whose commits could not be read when they were indexed."""
        return self._column(
            "SELECT version FROM commits INDEXED BY damage WHERE t = :t AND damaged AND version <= :version",
            version=version,
        )

    def writer_of(self, partition: str | None, version: int) -> int | None:
        """The version that last wrote a partition, at or before this one."""
        sql = "SELECT MAX(version) FROM commits WHERE t = :t AND written AND partition IS :partition AND version <= :version"
        return self._column(sql, partition=partition, version=version)[0]

    def displaced(self, partition: str, version: int) -> int | None:
        """The newest version, up to this one, that says that the partition must be judged again."""
        sql = "SELECT MAX(version) FROM displaced WHERE t = :t AND partition = :partition AND version <= :version"
        return self._column(sql, partition=partition, version=version)[0]

    def writers(self, version: int, partitions: Sequence[str] | None = None, excluded: Sequence[str] = ()) -> list[int]:
        """The versions whose rows a slice holds, oldest first: per partition the last replacement and what was appended
        after it."""
        return self._writers(_WRITERS, version, partitions, excluded)

    def makers(self, version: int, partitions: Sequence[str] | None = None, excluded: Sequence[str] = ()) -> list[int]:
        """The same, and the versions that had written these rows before a later one confirmed them."""
        return self._writers(_WRITERS.replace("until", "seen"), version, partitions, excluded)

    def _writers(
        self, which: str, version: int, partitions: Sequence[str] | None, excluded: Sequence[str]
    ) -> list[int]:
        by = _by(partitions, "written")
        sql = f"SELECT version FROM commits {by} WHERE {which} {_among(partitions, excluded)}"
        return sorted(v for (v,) in self._sliced(sql, version, partitions, excluded))

    def writer_digests(
        self, version: int, partitions: Sequence[str] | None = None, excluded: Sequence[str] = ()
    ) -> list[tuple[int, str]]:
        """The same, each with the SHA-256 of its commit as it was when it was indexed, in no order."""
        by, among = _by(partitions, "written"), _among(partitions, excluded)
        sql = f"SELECT version, sha256 FROM commits {by} WHERE {_WRITERS} {among}"
        return self._sliced(sql, version, partitions, excluded)

    def set_digest(self, version: int, excluded: Sequence[str] = ()) -> str:
        """One digest over the files of a version and the commits that wrote their rows, without the `excluded` partitions."""
        return self._found(lambda connection: digest_at(connection, self.known.id, version, excluded))

    def rows_written(self, version: int, before: str | None = None) -> list[int]:
        """How many rows each of the commits wrote whose rows a version holds, oldest first; of partitions whose key is
        `before` this one only."""
        wanted = "" if before is None else "AND COALESCE(partition, '') < :before"
        sql = f"SELECT version, rows FROM commits WHERE {_WRITERS} {wanted}"
        return [rows for _, rows in sorted(self._rows(sql, version=version, before=before))]

    def held(self, version: int, partitions: Sequence[str] | None, excluded: Sequence[str] = ()) -> tuple[int, int]:
        """How many partitions, and how many commits, the rows of a slice come from. Costs what the named partitions cost."""
        named = partitions if partitions is not None else excluded
        sql = f"""SELECT COUNT(DISTINCT COALESCE(partition, '')), COUNT(*) FROM commits INDEXED BY written
            WHERE {_WRITERS} {_among(named, ())}"""
        found = self._sliced(sql, version, named, ())[0] if named else (0, 0)
        if partitions is not None:
            return found
        total = "SELECT all_written, all_writers FROM commits WHERE t = :t AND version = :version"
        all_partitions, all_commits = self._rows(total, version=version)[0]
        return all_partitions - found[0], all_commits - found[1]

    def verdicts(self, version: int) -> list[tuple[Verdict, int]]:
        """What the checks found of the table in the commits whose rows a version holds: each different verdict, and how
        many of these commits say so."""
        latest = """SELECT checks, number FROM live LEFT JOIN verdicts ON id = verdict WHERE live.t = :t AND number > 0
            AND (SELECT MAX(version) FROM commits WHERE t = :t) = :version"""
        then = f"""SELECT checks, number FROM (SELECT verdict, COUNT(*) AS number FROM commits INDEXED BY held
            WHERE {_WRITERS} GROUP BY verdict) LEFT JOIN verdicts ON id = verdict"""
        found = self._rows(latest, version=version) or self._rows(then, version=version)
        return [(Verdict.from_text(checks), number) for checks, number in found]

    def span(self, version: int) -> Span:
        """Where the rows that a version wrote are seen: until others replace them."""
        return self.spans([version])[0]

    def spans(self, versions: Sequence[int]) -> list[Span]:
        """The same of several versions, in their order."""
        sql = """SELECT version, partition, NULLIF(seen, :live) FROM commits
            WHERE t = :t AND version IN (SELECT value FROM json_each(:versions))"""
        rows = self._rows(sql, versions=json.dumps(list(versions)), live=LIVE)
        found = {version: Span(self.table_id, partition, version, until) for version, partition, until in rows}
        return [found[version] for version in versions]

    def writes(self, versions: Sequence[int]) -> dict[int, Write]:
        """What some versions wrote. No commit is read."""
        sql = """SELECT version, partition, run_id, rows, NULLIF(until, :live) FROM commits
            WHERE t = :t AND version IN (SELECT value FROM json_each(:versions))"""
        found = self._rows(sql, versions=json.dumps(list(versions)), live=LIVE)
        return {version: Write(*write) for version, *write in found}

    def written(self, version: int, partition: str | None = None) -> list[int]:
        """Every version up to this one that a transaction wrote rows with (to a partition), oldest first."""
        index, wanted = ("INDEXED BY written", "AND partition = :partition") if partition is not None else ("", "")
        sql = f"""SELECT version FROM commits {index} WHERE t = :t AND written AND version <= :version {wanted}
            ORDER BY version"""
        return self._column(sql, version=version, partition=partition)

    def newest_written(self, version: int, most: int) -> list[int]:
        """The newest of these versions, at most so many, oldest first."""
        sql = """SELECT version FROM commits WHERE t = :t AND written AND version <= :version
            ORDER BY version DESC LIMIT :most"""
        return self._column(sql, version=version, most=most)[::-1]

    def count_written(self, version: int) -> int:
        """How many there are; costs the same however many they are."""
        return self._column("SELECT writes FROM commits WHERE t = :t AND version = :version", version=version)[0]

    def wrote(self, version: int) -> list[int]:
        """This version, if a transaction wrote rows with it."""
        return self._column(
            "SELECT version FROM commits WHERE t = :t AND written AND version = :version", version=version
        )

    def last_written(self, version: int) -> int | None:
        """The newest version up to this one that a transaction wrote rows with."""
        sql = (
            "SELECT version FROM commits WHERE t = :t AND written AND version <= :version ORDER BY version DESC LIMIT 1"
        )
        return next(iter(self._column(sql, version=version)), None)

    def committed(self, version: int, until: int | None = None, most: int = -1) -> list[int]:
        """The versions up to this one that were committed at or before a time (ms since 1970 UTC), the newest first, at most so
        many (-1: all)."""
        sql = """SELECT version FROM commits WHERE t = :t AND NOT damaged AND version <= :version
            AND (:until IS NULL OR at <= :until) ORDER BY version DESC LIMIT :most"""
        return self._column(sql, version=version, until=until, most=most)

    def with_section(self, name: str, version: int, *, newest: bool = False) -> list[int]:
        """The versions up to this one whose commits have a section (`serving`, `manifest`, …), oldest first; or only the
        newest of them."""
        order = "DESC LIMIT 1" if newest else "ASC"
        sql = f"SELECT version FROM sections WHERE t = :t AND name = :name AND version <= :version ORDER BY version {order}"
        return self._column(sql, name=name, version=version)

    def source(self, sha256: str, version: int, *, before: str | None = None) -> tuple[int, str | None, str] | None:
        """The newest commit whose rows a version holds and which took a file with these bytes, as version, partition and
        path of the file; None if no rows came from them. `before`: of partitions whose key is before this one only."""
        sql = """SELECT s.version, s.partition, s.path FROM sources AS s JOIN commits AS c USING (t, version)
            WHERE s.t = :t AND s.sha256 = :sha256 AND s.version <= :version AND c.until > :version
            AND (:before IS NULL OR COALESCE(s.partition, '') < :before) ORDER BY s.version DESC, s.path DESC LIMIT 1"""
        found = self._rows(sql, sha256=sha256, version=version, before=before)
        return found[0] if found else None

    def delivered(self) -> list[Delivered]:
        """The files that commits took, oldest commit first; a file that is in several batches, or taken again, several times."""
        sql = "SELECT version, partition, sha256, path FROM sources WHERE t = :t ORDER BY version, path"
        return [Delivered(*row) for row in self._rows(sql)]

    def changes(
        self, since: int, until: int, partitions: Sequence[str] | None = None, excluded: Sequence[str] = ()
    ) -> list[tuple[int, str | None]]:
        """Every (version, partition) after `since` and up to `until` that added or removed files (of a slice), in order."""
        among, by = _among(partitions, excluded), _by(partitions)
        came, went = (by or f"INDEXED BY files_{bound}" for bound in ("since", "until"))
        sql = f"""SELECT since, partition FROM files {came} WHERE t = :t AND since > :since AND since <= :version {among}
            UNION SELECT until, partition FROM files {went} WHERE t = :t AND until > :since AND until <= :version {among}"""
        found = self._sliced(sql, until, partitions, excluded, since=since)
        return sorted(found, key=lambda row: (row[0], row[1] or ""))

    def by_runs(self, version: int, most: int) -> list[int]:
        """The newest versions up to this one that a run of ours made, the newest first."""
        sql = """SELECT version FROM commits WHERE t = :t AND run_id IS NOT NULL AND version <= :version
            ORDER BY version DESC LIMIT :most"""
        return self._column(sql, version=version, most=most)

    def count_by_runs(self, version: int) -> int:
        """How many versions up to this one a run of ours made."""
        sql = "SELECT COUNT(*) FROM commits WHERE t = :t AND run_id IS NOT NULL AND version <= :version"
        return self._column(sql, version=version)[0]

    # -- definitions -----------------------------------------------------------------------------------------------

    def defined(self, version: int) -> Defined:
        """The definitions that rows of the table were computed by, up to a version."""
        return self._found(lambda connection: defined_at(connection, self.known.id, version))

    def last_whole(self, definition: str, version: int) -> int | None:
        """The newest version, up to this one, that wrote rows of a definition and after which all rows had it."""
        return self._found(lambda connection: (last_whole(connection, self.known.id, definition, version),))[0]

    def newest_of(self, definition: str, version: int) -> int | None:
        """The newest version, up to this one, that wrote rows of a definition."""
        return self._found(lambda connection: (newest_of(connection, self.known.id, definition, version),))[0]

    def partitions_by_definition(self, version: int, partitions: Sequence[str] | None = None) -> dict[str, list[str]]:
        """The partitions that a version holds (among these) by the definition of their rows ("": none is recorded)."""
        return self._found(lambda connection: partitions_by_definition(connection, self.known.id, version, partitions))

    # -- files -----------------------------------------------------------------------------------------------------

    def files(
        self,
        version: int,
        partitions: Sequence[str] | None = None,
        excluded: Sequence[str] = (),
        *,
        scanned: bool = False,
    ) -> list[DataFile]:
        """The data files of a slice, sorted by path; or in the order in which they are `scanned`, the newest first.
        `excluded` are partitions that are left out."""
        order = "since DESC, place" if scanned else "path"
        sql = f"""SELECT path, size, MAX(rows, 0), partition FROM files {_by(partitions)}
            WHERE {_held(partitions, excluded)} ORDER BY {order}"""
        return [DataFile(*row) for row in self._sliced(sql, version, partitions, excluded)]

    def named(self, version: int) -> list[tuple[str, str | None]]:
        """Path and partition of every data file of a version, in no order."""
        return self._rows(
            "SELECT path, partition FROM files WHERE t = :t AND since <= :version AND until > :version", version=version
        )

    def rows(self, version: int, partitions: Sequence[str] | None = None, excluded: Sequence[str] = ()) -> int:
        if partitions is None and not excluded:
            return self._column("SELECT all_rows FROM commits WHERE t = :t AND version = :version", version=version)[0]
        sql = f"SELECT COALESCE(SUM(MAX(rows, 0)), 0) FROM files {_by(partitions)} WHERE {_held(partitions, excluded)}"
        return self._sliced(sql, version, partitions, excluded)[0][0]

    def partitions(self, version: int, among: Sequence[str] | None = None) -> list[str]:
        """The partitions that a version holds (`among` these), sorted."""
        # Sorted here, and with a sign that takes the condition from the index: else SQLite goes through all partitions.
        sql = f"SELECT DISTINCT partition FROM files {_by(among)} WHERE +partition IS NOT NULL AND {_held(among, ())}"
        return sorted(key for (key,) in self._sliced(sql, version, among, ()))

    def partitions_without_rows(self, version: int) -> list[str]:
        """The partitions that were written and hold no row, sorted."""
        sql = f"""SELECT partition FROM files WHERE partition IS NOT NULL AND {_held(None, ())}
            GROUP BY partition HAVING MAX(rows) = 0 AND MIN(rows) = 0 ORDER BY partition"""
        return [key for (key,) in self._sliced(sql, version, None, ())]

    def count_partitions(self, version: int) -> int:
        return self._column("SELECT all_partitions FROM commits WHERE t = :t AND version = :version", version=version)[
            0
        ]

    def count_files(self, version: int) -> int:
        return self._column("SELECT all_files FROM commits WHERE t = :t AND version = :version", version=version)[0]

    def last_partition(self, version: int) -> str | None:
        sql = f"""SELECT partition FROM files INDEXED BY files_of WHERE partition IS NOT NULL AND {_held(None, ())}
            ORDER BY partition DESC LIMIT 1"""
        return next((key for (key,) in self._sliced(sql, version, None, ())), None)

    def between(
        self, version: int, column: str, low: str | int | None, high: str | int | None
    ) -> list[tuple[DataFile, Any, Any]]:
        """The files of a version that can hold a value of a column from `low` to `high` (None: no bound), each with the
        smallest and largest one that its statistics name (None where they name none), sorted by path.

        Times are µs since 1970 UTC. A file without rows can hold none; one without statistics can hold any.
        """
        found = self._found(lambda connection: files_between(connection, self.known.id, version, column, low, high))
        return sorted(((DataFile(*row[:4]), row[4], row[5]) for row in found), key=lambda item: item[0].path)

    def ranges_of(self, version: int, column: str, partitions: Sequence[str]) -> dict[str, tuple[Any, Any]]:
        """The smallest and largest value of a column in each of the partitions that has rows (None: not known)."""
        found = self._found(lambda connection: partition_ranges(connection, self.known.id, version, column, partitions))
        return {partition: (low, high) for partition, low, high in found}

    def former(self, version: int, column: str, value: str) -> list[tuple[DataFile, int]]:
        """The files that no longer belong to a version and could hold a value of a column, each with the version that removed it,
        the one that was removed last first."""
        sql = """SELECT f.path, f.size, MAX(f.rows, 0), f.partition, f.until FROM files AS f
            WHERE f.t = :t AND f.until <= :version AND f.rows <> 0 AND NOT EXISTS (SELECT 1 FROM ranges AS r
                WHERE r.file = f.id AND r.name = :column AND (r.low > :value OR r.high < :value))
            ORDER BY f.until DESC, f.path"""
        found = self._rows(sql, version=version, column=column, value=value)
        return [(DataFile(*row[:4]), row[4]) for row in found]

    def newest_partitions(
        self,
        version: int,
        column: str,
        low: int | None,
        below: int,
        limit: int,
        partitions: Collection[str] | None = None,
    ) -> list[tuple[str, int]]:
        """For at most `limit` files their partition (one of `partitions`; None: any) and the greatest value of a column that
        their statistics name: at least `low` and less than `below`, the greatest first."""
        among = "" if partitions is None else "AND f.partition IN (SELECT value FROM json_each(:partitions))"
        ranges, files = "ranges AS r", "files AS f ON f.id = r.file"
        if partitions is not None and len(partitions) ** 2 < limit * self.count_files(version):
            # Few of many: each is looked at. Else the greatest values are, until enough are of these partitions.
            ranges, files = "files AS f INDEXED BY files_of", "ranges AS r INDEXED BY ranges_of ON r.file = f.id"
        sql = f"""SELECT f.partition, r.high FROM {ranges} CROSS JOIN {files}
            WHERE r.t = :t AND f.t = :t AND r.name = :column AND r.high < :below {"" if low is None else "AND r.high >= :low"}
            AND f.since <= :version AND f.until > :version AND f.rows <> 0 AND f.partition IS NOT NULL {among}
            ORDER BY r.high DESC, f.partition LIMIT :limit"""
        named = {} if partitions is None else {"partitions": json.dumps(sorted(partitions))}
        return self._rows(sql, version=version, column=column, low=low, below=below, limit=limit, **named)

    def newest_value(self, version: int, column: str, until: int) -> tuple[int | None, int | None, int | None]:
        """The greatest value of a column that is at most `until`, as far as the files' statistics name one; of the files that
        also hold greater ones the greatest of their smallest values, if that is at most `until`; and the greatest of all, if it
        is greater."""
        sql = """SELECT MAX({0}) FROM (SELECT r.high, r.low FROM ranges AS r JOIN files AS f ON f.id = r.file
            WHERE r.t = :t AND r.name = :column AND {1} AND f.since <= :version AND f.until > :version AND f.rows <> 0
            ORDER BY r.high DESC LIMIT {2})"""
        named = {"version": version, "column": column, "until": until}
        (high,) = self._column(sql.format("high", "r.high <= :until", 1), **named)
        (low,) = self._column(sql.format("low", "r.high > :until AND r.low <= :until", -1), **named)
        (beyond,) = self._column(sql.format("high", "r.high > :until", 1), **named)
        return high, low, beyond

    # -- the table -------------------------------------------------------------------------------------------------

    def metadata(self, version: int) -> Mapping[str, Any]:
        """The `metaData` of the table at a version; {} where the log does not say (any more)."""
        return self._last("metadata", version)

    def protocol(self, version: int) -> Mapping[str, Any]:
        """The `protocol` of the table at a version; {} where the log does not say (any more)."""
        return self._last("protocol", version)

    def _last(self, what: str, version: int) -> Mapping[str, Any]:
        sql = f"""SELECT {what} FROM metadata WHERE t = :t AND {what} IS NOT NULL AND version <= :version
            ORDER BY version DESC LIMIT 1"""
        found = self._column(sql, version=version)
        return json.loads(found[0]) if found else {}

    def metadata_since(self, version: int) -> int | None:
        """The version that set the metadata which a version has."""
        sql = "SELECT MAX(version) FROM metadata WHERE t = :t AND metadata IS NOT NULL AND version <= :version"
        return self._column(sql, version=version)[0]

    def columns(self, version: int) -> tuple[str, ...]:
        """The table's columns at a version; none where the log does not say (any more)."""
        metadata = self.metadata(version)
        return columns_of(metadata["schemaString"]) if metadata else ()

    # -- asking ----------------------------------------------------------------------------------------------------

    def _sliced(
        self, sql: str, version: int, partitions: Sequence[str] | None, excluded: Sequence[str], **given: Any
    ) -> list[Any]:
        wanted = {"partitions": None if partitions is None else json.dumps(list(partitions))}
        return self._rows(sql, version=version, excluded=json.dumps(list(excluded)), **wanted, **given)

    def _column(self, sql: str, **given: Any) -> list[Any]:
        return [row[0] for row in self._rows(sql, **given)]

    def _rows(self, sql: str, **given: Any) -> list[Any]:
        return self._found(lambda connection: connection.execute(sql, {"t": self.known.id, **given}).fetchall())

    def _found(self, question: Callable[[sqlite3.Connection], T]) -> T:
        for _ in range(5):
            found = index_store(self.storage).read(lambda connection: self._asked(connection, question))
            if found is not None:
                return found
            # Somebody made the index anew. It is for the same table only if that still has what this one knew.
            again = open_index(self.storage, self.name)
            if again is None or not again._continues(self.known):
                break
            self.known = replace(self.known, id=again.known.id, complete=again.known.complete)
        raise AssayError(f"{self.name} was deleted or made anew while it was read. Run it again.")

    def _continues(self, earlier: Known) -> bool:
        """Whether this is the same log as an earlier one, or the same with more commits."""
        sql = "SELECT sha256 FROM commits WHERE t = :t AND version = :version"
        return self.table_id == earlier.table_id and self._column(sql, version=earlier.version) == [earlier.sha256]

    def _asked(self, connection: sqlite3.Connection, question: Callable[[sqlite3.Connection], T]) -> T | None:
        if connection.execute("SELECT 1 FROM tables WHERE id = ?", (self.known.id,)).fetchone() is None:
            return None
        return question(connection)


_WRITERS = "t = :t AND written AND version <= :version AND until > :version"


def _held(partitions: Sequence[str] | None, excluded: Sequence[str]) -> str:
    """The condition for the files of a slice."""
    return f"t = :t AND since <= :version AND until > :version {_among(partitions, excluded)}"


def _by(partitions: Sequence[str] | None, index: str = "files_of") -> str:
    """The index to use, where partitions are named: SQLite keeps no statistics here, and would go through all that is live."""
    return "" if partitions is None else f"INDEXED BY {index}"


def _among(partitions: Sequence[str] | None, excluded: Sequence[str]) -> str:
    if partitions is not None:
        return "AND partition IN (SELECT value FROM json_each(:partitions))"
    if excluded:
        return "AND (partition IS NULL OR partition NOT IN (SELECT value FROM json_each(:excluded)))"
    return ""


def open_index(storage: Storage, name: str) -> TableIndex | None:
    """The index of a table, up to the newest commit in its log; None where there is no log."""
    if storage.is_local and not Path(storage.root).is_dir():
        return None  # and no place for an index yet
    store = index_store(storage)
    known = store.read(lambda connection: known_of(connection, name))
    if known is None and not versions(storage, name):
        return None
    if known is None or not is_of(storage, known, by_mark=True) or has_commit(storage, name, known.version + 1):
        known = store.write(lambda connection: carried_on(connection, storage, name))
    return TableIndex(storage, name, known) if known is not None else None
