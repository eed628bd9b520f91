"""Where it begins: a delivered file, or a table, a version or a partition of it, and of these all rows or some."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from assay.errors import AssayError
from assay.features.storage.table_index import Delivered
from assay.features.tables.kinds import Kind
from assay.lineage.affected.hops import LINK
from assay.lineage.affected.selection import Gone, Rows, Selection
from assay.lineage.commits.graph import CommitGraph, Version
from assay.lineage.tracing.impact import origin_versions

_SHA256 = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True)
class Origin:
    """What is asked about: a `file` (its path as delivered, its path here, or its SHA-256 or at least eight digits of that), or
    a `table`; of these a `version`, a `partition`, a `column`, and the `rows` for which an SQL expression is true."""

    file: str | None = None
    table: str | None = None
    version: int | None = None
    partition: str | None = None
    column: str | None = None
    rows: str | None = None

    def __post_init__(self) -> None:
        if (self.file is None) == (self.table is None):
            raise AssayError("Name a file or a table: one of them.")
        if self.file is not None and self.version is not None:
            raise AssayError("A version is that of a table: leave it out, or name the table instead of the file.")

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def __str__(self) -> str:
        what = self.file or f"{self.table}{'' if self.version is None else f'@{self.version}'}"
        parts = (self.partition, f"column {self.column}" if self.column else None, "some rows" if self.rows else None)
        return " ".join((what, *(part for part in parts if part)))


def selected(commits: CommitGraph, origin: Origin) -> dict[Version, Selection]:
    """The rows that are asked about, by the version that wrote them.

    Raises:
        AssayError: There is no such file, table, version, partition or column; or the expression for the rows cannot be used.
            Its message quotes neither the expression nor a value.
    """
    rows = Rows(commits)
    found = _of_file(commits, origin) if origin.file is not None else _of_table(commits, origin)
    if origin.rows is None:
        return found
    return {version: _those(rows, item, origin.rows) for version, item in found.items()}


def _of_table(commits: CommitGraph, origin: Origin) -> dict[Version, Selection]:
    table = origin.table or ""
    numbers = origin_versions(commits, table, origin.version, origin.partition, origin.column)
    return {(table, number): Selection((table, number)) for number in numbers}


def _of_file(commits: CommitGraph, origin: Origin) -> dict[Version, Selection]:
    asked = origin.file or ""
    found: dict[Version, set[str]] = {}
    for table in commits.lake.tables(Kind.RAW.folder):
        log = commits.log(table)
        for item in log.index.delivered() if log is not None else ():
            if _is_meant(item, asked) and origin.partition in (None, item.partition):
                found.setdefault((table, item.version), set()).add(item.sha256)
    if not found and (content := _content(asked)) is not None:
        digest = hashlib.sha256(content).hexdigest()
        return _of_file(commits, Origin(digest, partition=origin.partition, column=origin.column))
    if not found:
        raise AssayError(
            f"No raw table has rows of {asked!r}"
            + (f" in {origin.partition}" if origin.partition else "")
            + ". Name the file as it was delivered, such as tickets/2026-09-01/drop.csv, or its SHA-256."
        )
    for table, number in found if origin.column is not None else ():
        commits.origin(table, number, origin.column)
    return {version: Selection(version, _links(digests)) for version, digests in found.items()}


def _is_meant(item: Delivered, asked: str) -> bool:
    by_digest = _SHA256.fullmatch(asked) is not None and item.sha256.startswith(asked)
    return by_digest or item.path == asked or item.path.endswith(f"/{asked}")


def _content(asked: str) -> bytes | None:
    try:
        return Path(asked).read_bytes() if Path(asked).is_file() else None
    except OSError:
        return None


def _links(digests: set[str]) -> pl.DataFrame:
    return pl.DataFrame({LINK[0]: sorted(digests)}, schema={LINK[0]: pl.String})


def _those(rows: Rows, selection: Selection, predicate: str) -> Selection:
    """The rows of a selection for which an expression is true."""
    table, _ = selection.version
    try:
        frame = rows.scan(selection)
        kept = frame.filter(pl.sql_expr(predicate))
        schema = frame.collect_schema()
        link = [name for name in LINK if name in schema]
        # Rows without a link are told apart by all that they hold.
        return Selection(
            selection.version, kept.select(link if len(link) == len(LINK) else list(schema)).unique().collect()
        )
    except Gone as problem:
        raise AssayError(f"The rows cannot be looked through: {problem}.") from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as problem:
        raise AssayError(
            f"--rows cannot be asked of {table} ({type(problem).__name__}): write an SQL condition over its columns, such as "
            f"\"amount > 100 AND channel = 'web'\". It has: {', '.join(_names(rows, selection))}."
        ) from None


def _names(rows: Rows, selection: Selection) -> Iterator[str]:
    yield from rows.columns(selection.version)
