"""What became of a delivered file: which raw table took it, whether another delivery replaced it, and who refused it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from assay.errors import nearest
from assay.features.storage.table_index import Delivered
from assay.features.tables.kinds import Kind, kind_of, own_name
from assay.features.tables.refusals import find_refusal, refusals
from assay.lineage.affected.origin import NotDelivered, Origin, names_file
from assay.lineage.commits.graph import CommitGraph
from assay.lineage.outline import Outline, Span, leaf, line
from assay.lineage.queries.failed_runs import FailedRun, failed_readers, failed_with_file, of_refusal
from assay.lineage.store.lineage_store import LineageStore

DESCRIBED = 100  # files: one name may be that of a file of every hour
_SIDE = (None, Kind.RAW, Kind.PROFILES, Kind.RELEASES)  # what reads a raw table and has none of its rows
_NEAR = 5_000  # newest paths among which a name is looked for that was misspelt


@dataclass(frozen=True, slots=True)
class File:
    """A file that was delivered to a raw table: path, SHA-256 of its bytes, and the partition that it is in.

    `versions` of the table took it, the first one at `at` with `rows` rows; none where it was refused. `replaced_by`: the version
    with which, at `replaced_at`, another delivery took its place in the partition; None where none did. `failed` are the last
    runs that failed with it, by table: the raw table's, and those of tables that had read its rows. `entered`: whether any
    table took rows of it from the raw one.
    """

    path: str
    sha256: str
    table: str
    partition: str | None
    versions: tuple[int, ...] = ()
    at: datetime | None = None
    rows: int | None = None
    replaced_by: int | None = None
    replaced_at: datetime | None = None
    entered: bool = False
    failed: tuple[FailedRun, ...] = ()

    @property
    def outcome(self) -> str:
        """In one sentence, where it went no further."""
        if not self.versions:
            since = (
                f" Another delivery of the same place is in {self._replaced}." if self.replaced_by is not None else ""
            )
            return f"Nothing of it entered a table, so no prediction took any of it.{since}"
        if self.entered:
            return ""
        why = "it was refused" if self.failed else "no run has taken its rows further yet"
        return f"No row of it went beyond {self.table}: {why}, so no prediction took any."

    def to_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        moments = {name: at.isoformat() if (at := values[name]) else None for name in ("at", "replaced_at")}
        failed = [item.to_dict() for item in self.failed]
        return values | moments | {"versions": list(self.versions), "failed": failed, "outcome": self.outcome}

    def outline(self) -> Outline:
        """Path and beginning of the SHA-256, and below what became of it."""
        return Outline((line(Span(self.path, "strong"), Span(f"  SHA-256 {self.sha256[:12]}…", "dim")),), self._below())

    def _below(self) -> tuple[Outline, ...]:
        refused = [leaf(Span(f"{run.table} {run}", "warning")) for run in self.failed]
        taken = [leaf(self.taken)] if self.taken else []
        outcome = [leaf(Span(self.outcome, "strong"))] if self.outcome else []
        return (*taken, *refused, *outcome)

    @property
    def taken(self) -> str:
        """Which version of the raw table took it when, and whether its rows are still there; empty where none did."""
        if not self.versions or self.at is None:
            return ""
        place = f"{self.table}@{self.versions[0]}{f' {self.partition}' if self.partition else ''}"
        rows = "" if self.rows is None else f", {self.rows:,} row{'' if self.rows == 1 else 's'}"
        gone = f"; replaced by {self._replaced}" if self.replaced_by is not None else ""
        return f"delivered to {place} on {self.at:%Y-%m-%d %H:%M} UTC{rows}{gone}"

    @property
    def _replaced(self) -> str:
        when = f" since {self.replaced_at:%Y-%m-%d %H:%M} UTC" if self.replaced_at else ""
        return f"{self.table}@{self.replaced_by}{when}"


def files_meant(commits: CommitGraph, origin: Origin, store: LineageStore | None) -> list[File]:
    """The files that the origin's `file` names, by partition and time, without a description. `store`: the index of runs, which
    knows of files that were refused earlier; None: only the lake is asked, which knows of those that are refused now.

    Raises NotDelivered where there is none, with names that are near.
    """
    asked, partition = origin.file or "", origin.partition
    found: dict[tuple[str, str | None, str, str], File] = {}
    for table, item in _delivered(commits):
        if names_file(asked, item.path, item.sha256) and partition in (None, item.partition):
            key = (table, item.partition, item.path, item.sha256)
            file = found.setdefault(key, File(item.path, item.sha256, table, item.partition))
            found[key] = replace(file, versions=(*file.versions, item.version))
    for path, sha256, run in _refused(commits, asked, store):
        if partition in (None, run.partition):
            key = (run.table, run.partition, path, sha256)
            file = found.setdefault(key, File(path, sha256, run.table, run.partition))
            found[key] = replace(file, failed=(*file.failed, run))
    if not found:
        of = f" in {partition}" if partition else ""
        raise NotDelivered(
            f"No raw table has rows of {asked!r}{of}, and none is known to have refused it.{_near(commits, asked, partition)}"
            " Name the file as it was delivered, such as tickets/2026-09-01/drop.csv, or its SHA-256."
        )
    return sorted(found.values(), key=lambda file: (file.partition or "", file.versions, file.path))


def described(commits: CommitGraph, files: Iterable[File], store: LineageStore | None) -> tuple[File, ...]:
    """The files with when they were taken and replaced, and which tables refused what had been taken of them."""
    return tuple(_described(commits, file, store) if file.versions else _never_taken(commits, file) for file in files)


def _never_taken(commits: CommitGraph, file: File) -> File:
    """A file that was refused, and whether its partition was delivered again afterwards."""
    log = commits.log(file.table)
    version = log.index.writer_of(file.partition, log.latest) if log is not None and file.partition else None
    made = commits.commit((file.table, version)) if version is not None else None
    if made is None or made.timestamp < max(run.at for run in file.failed):
        return file
    return replace(file, replaced_by=version, replaced_at=made.timestamp)


def _described(commits: CommitGraph, file: File, store: LineageStore | None) -> File:
    log = commits.log(file.table)
    assert log is not None  # the versions come from it
    first, last = file.versions[0], file.versions[-1]
    until = log.index.writes([last])[last].until
    made, gone = commits.commit((file.table, first)), until and commits.commit((file.table, until))
    readers = commits.readers_of([(file.table, version) for version in file.versions])
    return replace(
        file,
        at=made.timestamp if made else None,
        rows=next((item.rows for item in made.sources if item.sha256 == file.sha256), None) if made else None,
        replaced_by=until,
        replaced_at=gone.timestamp if gone else None,
        entered=any(kind_of(table) not in _SIDE for table, _ in readers),
        failed=(*file.failed, *_stopped(commits, file, log.table_id, until, store)),
    )


def _stopped(
    commits: CommitGraph, file: File, table_id: str, until: int | None, store: LineageStore | None
) -> Iterator[FailedRun]:
    """The last runs that failed when they had read what was taken of the file."""
    known: set[str] = set()
    if store is not None:
        for run in failed_readers(store, file.table, table_id, file.partition, file.versions[0], until):
            known.add(run.run_id)
            yield run
    kept = find_refusal(commits.lake, Kind.CLEAN.table(own_name(file.table)), file.partition)
    if kept is not None and kept.run_id not in known and _within(kept.read.get(file.table), file, until):
        yield of_refusal(kept)


def _within(version: int | None, file: File, until: int | None) -> bool:
    return version is not None and file.versions[0] <= version and (until is None or version < until)


def _delivered(commits: CommitGraph) -> Iterator[tuple[str, Delivered]]:
    for table in commits.lake.tables(Kind.RAW.folder):
        log = commits.log(table)
        for item in log.index.delivered() if log is not None else ():
            yield table, item


def _refused(commits: CommitGraph, asked: str, store: LineageStore | None) -> Iterator[tuple[str, str, FailedRun]]:
    """Path and SHA-256 of the files with which a run of a raw table failed."""
    known: set[tuple[str, str, str]] = set()
    if store is not None:
        for path, sha256, run in failed_with_file(store, asked):
            if names_file(asked, path, sha256):
                known.add((path, sha256, run.table))
                yield path, sha256, run
    for kept in refusals(commits.lake, Kind.RAW.folder):
        for path, sha256 in kept.files:
            if names_file(asked, path, sha256) and (path, sha256, kept.table) not in known:
                yield path, sha256, of_refusal(kept)


def _near(commits: CommitGraph, asked: str, partition: str | None) -> str:
    """Files that were delivered and that may be meant: of the same name in another place, or with a similar path."""
    if partition is not None:
        try:
            return f" It was delivered in: {', '.join(_partitions(files_meant(commits, Origin(asked), None)))}."
        except NotDelivered:
            pass
    paths = list(dict.fromkeys(item.path for _, item in _delivered(commits)))[-_NEAR:]
    name = PurePosixPath(asked).name
    same = [path for path in paths if PurePosixPath(path).name == name]
    return nearest(asked, same or paths, most=3) or (f" Did you mean {same[-1]!r}?" if same else "")


def _partitions(files: Iterable[File]) -> list[str]:
    return list(dict.fromkeys(file.partition or "no partition" for file in files))[-DESCRIBED:]


def file_outlines(files: Iterable[File], count: int, asked: str) -> list[Outline]:
    """The files one by one; of several it is plain that all of them count, and how to choose one."""
    listed = [file.outline() for file in files]
    if count < 2:
        return listed
    left = f" The newest {len(listed)} are listed." if len(listed) < count else ""
    text = f"{asked} names {count:,} files, and this answer is about all of them.{left}"
    how = "To choose one: --partition, its whole path, or its SHA-256."
    return [Outline((line(Span(text, "warning"), f" {how}"),), tuple(listed))]
