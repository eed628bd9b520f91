"""Carrying the index of a table on: is it still of this log, and what came after it?"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from assay.errors import AssayError
from assay.features.definitions.recorded import definition_of
from assay.features.storage.commit_metadata import Commit, FormatTooNew, parse_commit
from assay.features.storage.delta_log import commit_info, commit_path, displaced_by, parse_log, read_files
from assay.features.storage.index_store import LIVE, forget
from assay.features.storage.log_entry import DAMAGE, DataFile, added, metadata_in
from assay.features.storage.ranges import add_ranges, keep_columns, kept_columns
from assay.features.storage.reads import add_reads
from assay.features.storage.sections import NAMES
from assay.features.storage.set_digest import carry_sets_on
from assay.features.storage.storage import Storage
from assay.features.storage.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Known:
    """The row of a table in the index: what it knows of which log."""

    id: int
    name: str
    table_id: str
    first: int
    version: int
    sha256: str
    mark: str
    complete: bool


def known_of(connection: sqlite3.Connection, name: str) -> Known | None:
    columns = "id, name, table_id, first, version, sha256, mark, complete"
    found = connection.execute(f"SELECT {columns} FROM tables WHERE name = ?", (name,)).fetchone()
    return Known(*found[:-1], complete=bool(found[-1])) if found else None


def is_of(storage: Storage, known: Known, *, by_mark: bool = False) -> bool:
    """Whether the log still is the one that was indexed: has the same file for the last version that is known."""
    if by_mark and known.mark and _mark(storage, known.name, known.version) == known.mark:
        return True
    content = content_of(storage, commit_path(known.name, known.version))
    return content is not None and hashlib.sha256(content).hexdigest() == known.sha256


def carried_on(connection: sqlite3.Connection, storage: Storage, name: str) -> Known | None:
    known = known_of(connection, name)
    if known is not None and not is_of(storage, known):
        forget(connection, known.id)
        known = None
    if known is None:
        number = uuid4().int >> 66  # never one that was used before: who knows the old one notices
        contents, first, version, sha256, complete = read_files(storage, name), -1, -1, "", True
    else:
        number, first, version, sha256, complete = known.id, known.first, known.version, known.sha256, known.complete
        contents = _after(storage, name, version)
    for following, content in contents:
        complete &= following == version + 1
        complete &= _add(connection, number, name, following, content)
        version, sha256, first = following, hashlib.sha256(content).hexdigest(), following if first < 0 else first
    if first < 0:
        return None
    carry_sets_on(connection, number, version)
    mark = _mark(storage, name, version)
    found = Known(number, name, _own_id(connection, number), first, version, sha256, mark, complete)
    if not is_of(storage, found):
        found = replace(found, mark="")  # changed at this moment: compared again at the next use
    row = tuple(getattr(found, column) for column in Known.__slots__)
    connection.execute("INSERT OR REPLACE INTO tables VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    return found


def _after(storage: Storage, name: str, version: int) -> Iterator[tuple[int, bytes]]:
    """The commits after a version. They are asked for one by one: a long log is not listed."""
    while (content := content_of(storage, commit_path(name, version + 1))) is not None:
        version += 1
        yield version, content


def _own_id(connection: sqlite3.Connection, t: int) -> str:
    sql = "SELECT metadata FROM metadata WHERE t = ? AND metadata IS NOT NULL ORDER BY version LIMIT 1"
    found = connection.execute(sql, (t,)).fetchone()
    return str(json.loads(found[0])["id"]) if found else ""


def _add(connection: sqlite3.Connection, t: int, name: str, version: int, content: bytes) -> bool:
    """Index one commit. False where its actions cannot be read, so that what the table holds is not known."""
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        actions = parse_log(content)
        info = commit_info(version, actions)
        metadata = metadata_in(actions)
        removed = [unquote(item["remove"]["path"]) for item in actions if "remove" in item]
        files = [(added(item["add"]), _statistics(item["add"])) for item in actions if "add" in item]
        protocol = next((item["protocol"] for item in actions if "protocol" in item), None)
    except DAMAGE:
        _insert_commit(connection, t, version, sha256, None, (0, 0, 0))
        return False
    total = _end_files(connection, t, version, removed, [file for file, _ in files])
    _add_commit(connection, t, name, version, sha256, info, total)
    if metadata is not None or protocol is not None:
        texts = [json.dumps(item) if item is not None else None for item in (metadata, protocol)]
        connection.execute("INSERT INTO metadata VALUES (?, ?, ?, ?)", (t, version, *texts))
        if metadata is not None:
            keep_columns(connection, t, version, metadata["schemaString"])
    columns = kept_columns(connection, t)
    for place, (file, statistics) in enumerate(files):
        made = connection.execute(
            "INSERT INTO files (t, path, partition, size, rows, since, until, place) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (t, file.path, file.partition, file.size, statistics.get("numRecords", -1), version, LIVE, place),
        )
        assert made.lastrowid is not None
        add_ranges(connection, t, made.lastrowid, statistics, columns)
    return True


def _end_files(
    connection: sqlite3.Connection, t: int, version: int, removed: Sequence[str], files: Sequence[DataFile]
) -> tuple[int, int, int]:
    """End the files that a version does not hold any more. How many rows, partitions and files it holds: carried on, since
    counting them would take longer with every day."""
    ends = json.dumps(
        [*removed, *(file.path for file in files)]
    )  # of a file that is added again, the later entry counts
    live = "t = :t AND +until = :live AND path IN (SELECT value FROM json_each(:ends))"
    given = {"t": t, "live": LIVE, "ends": ends, "version": version}
    gone = connection.execute(f"SELECT partition, MAX(rows, 0) FROM files WHERE {live}", given).fetchall()
    touched = {partition for partition, _ in gone} | {file.partition for file in files}
    before = _held(connection, t, touched)
    connection.execute(f"UPDATE files SET until = :version WHERE {live}", given)
    after = _held(connection, t, touched) | {file.partition for file in files}
    sql = "SELECT all_rows, all_partitions, all_files FROM commits WHERE t = ? ORDER BY version DESC LIMIT 1"
    rows, partitions, held = connection.execute(sql, (t,)).fetchone() or (0, 0, 0)
    rows += sum(file.rows for file in files) - sum(count for _, count in gone)
    return rows, partitions + len(after - {None}) - len(before - {None}), held + len(files) - len(gone)


def _held(connection: sqlite3.Connection, t: int, partitions: Iterable[str | None]) -> set[str | None]:
    """Those of the partitions that hold something."""
    sql = "SELECT 1 FROM files INDEXED BY files_of WHERE t = ? AND partition IS ? AND until = ? LIMIT 1"
    return {key for key in partitions if connection.execute(sql, (t, key, LIVE)).fetchone()}


def _add_commit(
    connection: sqlite3.Connection,
    t: int,
    name: str,
    version: int,
    sha256: str,
    info: Mapping[str, Any],
    total: tuple[int, int, int],
) -> None:
    try:
        commit = parse_commit(name, info)
    except FormatTooNew:  # whoever asks for it gets the error; as a writer it counts as far as it can be understood
        commit = parse_commit(name, {key: info[key] for key in _PLAIN if key in info})
    except DAMAGE:
        _insert_commit(connection, t, version, sha256, None, total)
        return
    _insert_commit(connection, t, version, sha256, commit, total)
    names = [section for section in NAMES if getattr(commit, section) is not None]
    connection.executemany("INSERT INTO sections VALUES (?, ?, ?)", [(t, section, version) for section in names])
    if _wrote(commit):
        taken = [(t, item.sha256, version, commit.partition, item.path) for item in commit.sources]
        connection.executemany("INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?, ?)", taken)
        add_reads(connection, t, commit)
        again = [(t, key, version) for key in displaced_by(commit.extra)]
        connection.executemany("INSERT OR REPLACE INTO displaced VALUES (?, ?, ?)", again)


def _wrote(commit: Commit) -> bool:
    """Whether a transaction wrote rows with it."""
    return bool(commit.run_id) and commit.rows is not None


def _insert_commit(
    connection: sqlite3.Connection,
    t: int,
    version: int,
    sha256: str,
    commit: Commit | None,
    total: tuple[int, int, int],
) -> None:
    """One that is damaged is None."""
    facts, verdict, definition = (0, None, None, "", None, "", "", 0), None, None
    sql = "SELECT all_written, all_writers, writes, definitions FROM commits WHERE t = ? ORDER BY version DESC LIMIT 1"
    partitions, writers, writes, definitions = connection.execute(sql, (t,)).fetchone() or (0, 0, 0, 0)
    if commit is not None:
        with suppress(*DAMAGE):  # checks that are not what they must be say nothing
            verdict = _verdict(connection, t, Verdict.of(commit).to_text())
        at, written = int(commit.timestamp.timestamp() * 1000), int(_wrote(commit))
        facts = (
            at,
            commit.run_id,
            commit.rows,
            commit.mode,
            commit.partition,
            commit.asset,
            commit.fingerprint,
            written,
        )
        if written:
            partitions += not _is_written(connection, t, commit.partition)
            writers, writes = writers + 1, writes + 1
            if commit.mode == "replace":
                writers -= _end_commits(connection, t, version, commit.partition)
                if commit.confirms is None:
                    _end_rows(connection, t, version, commit.partition)
            _count(connection, t, verdict, 1)
            definition = definition_of(commit.view) or None
            _count_definition(connection, t, definition, 1, version)
            definitions = _definitions(connection, t)
    counts = (*total, partitions, writers, writes)
    row = (t, version, sha256, int(commit is None), *facts, LIVE, LIVE, verdict, *counts, definition, definitions)
    connection.execute(f"INSERT INTO commits VALUES ({', '.join('?' * len(row))})", row)


_LIVE_COMMITS = "commits INDEXED BY written WHERE t = ? AND written AND partition IS ? AND until = ?"


def _is_written(connection: sqlite3.Connection, t: int, partition: str | None) -> bool:
    """Whether the latest version has rows, or at least a commit, of a partition."""
    sql = f"SELECT 1 FROM {_LIVE_COMMITS} LIMIT 1"
    return connection.execute(sql, (t, partition, LIVE)).fetchone() is not None


def _end_commits(connection: sqlite3.Connection, t: int, version: int, partition: str | None) -> int:
    """A partition was replaced: what others wrote to it is not held any more. How many commits that were."""
    ended = connection.execute(f"SELECT verdict, definition FROM {_LIVE_COMMITS}", (t, partition, LIVE)).fetchall()
    for verdict, definition in ended:
        _count(connection, t, verdict, -1)
        _count_definition(connection, t, definition, -1, version)
    sql = f"UPDATE {_LIVE_COMMITS.replace(' WHERE', ' SET until = ? WHERE')}"
    connection.execute(sql, (version, t, partition, LIVE))
    return len(ended)


def _end_rows(connection: sqlite3.Connection, t: int, version: int, partition: str | None) -> None:
    """Other rows are in a partition now."""
    sql = f"UPDATE {_LIVE_COMMITS.replace('until', 'seen').replace(' WHERE', ' SET seen = ? WHERE')}"
    connection.execute(sql, (version, t, partition, LIVE))


def _count(connection: sqlite3.Connection, t: int, verdict: int | None, more: int) -> None:
    """Carry on how many commits that the latest version holds have a verdict: counting them would take longer with every day."""
    sql = "INSERT INTO live VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET number = number + excluded.number"
    connection.execute(sql, (t, verdict or 0, more))


def _count_definition(connection: sqlite3.Connection, t: int, definition: str | None, more: int, version: int) -> None:
    """Likewise how many of them have a definition, and which version was the first that had it."""
    if definition is not None:
        sql = "INSERT INTO definitions VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET number = number + excluded.number"
        connection.execute(sql, (t, definition, more, version))


def _definitions(connection: sqlite3.Connection, t: int) -> int:
    """How many different definitions the rows of the latest version have. A table has few, ever."""
    sql = "SELECT COUNT(*) FROM definitions WHERE t = ? AND number > 0"
    return connection.execute(sql, (t,)).fetchone()[0]


def _verdict(connection: sqlite3.Connection, t: int, checks: str | None) -> int | None:
    """The row of a verdict, of which there are few different ones."""
    if checks is None:
        return None
    connection.execute("INSERT OR IGNORE INTO verdicts (t, checks) VALUES (?, ?)", (t, checks))
    return connection.execute("SELECT id FROM verdicts WHERE t = ? AND checks = ?", (t, checks)).fetchone()[0]


_PLAIN = ("version", "timestamp", "assay.run_id", "assay.rows", "assay.mode", "assay.partition", "assay.fingerprint")


def _statistics(action: Mapping[str, Any]) -> Mapping[str, Any]:
    return json.loads(action.get("stats") or "{}")


# -- the log's files ---------------------------------------------------------------------------------------------------


def content_of(storage: Storage, path: str) -> bytes | None:
    try:
        return storage.get(path)
    except AssayError:
        return None


def has_commit(storage: Storage, name: str, version: int) -> bool:
    return storage.size(commit_path(name, version)) is not None


def _mark(storage: Storage, name: str, version: int) -> str:
    """What tells a commit's file from another of the same name without reading it; "" where only its bytes do."""
    if not storage.is_local:
        return ""
    try:
        found = Path(storage.root, commit_path(name, version)).stat()
    except FileNotFoundError:
        return ""
    return f"{found.st_mtime_ns} {found.st_ino} {found.st_size}"
