"""Where it begins: a delivered file, or a table, a version or a partition of it, and of these all rows or some."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from assay.errors import AssayError
from assay.features.views.expressions import is_elementwise, may_lengthen
from assay.lineage.affected.hops import LINK
from assay.lineage.affected.selection import Gone, Rows, Selection, compact
from assay.lineage.commits.graph import CommitGraph, Version
from assay.lineage.tracing.impact import origin_versions, rows_asked

_SHA256 = re.compile(r"[0-9a-f]{8,64}")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_OPERATOR = re.compile(r"[-+*/%<>=|&^!~:([{]|\b(?:and|or|not|case|when|between|like|is|div|xor)\b", re.IGNORECASE)
_LONGEST, _MOST_OPERATORS = 100_000, 100  # characters of a condition (a list of ids may be long), and its operators


class NotDelivered(AssayError):
    """No raw table took a file or is known to have refused it."""


class BadRows(AssayError):
    """A condition on rows that cannot be asked."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What is asked about: the rows of a delivered `file` (its path as delivered, or the end of it, or its SHA-256 or at least
    eight digits of that), of a `table`, or those of the file in the table; of these a `version` of the table, a `partition`, a
    `column`, and the `rows` for which an SQL expression is true.

    Raises:
        AssayError: Neither a file nor a table is named, or a version without a table.
    """

    file: str | None = None
    table: str | None = None
    version: int | None = None
    partition: str | None = None
    column: str | None = None
    rows: str | None = None

    def __post_init__(self) -> None:
        if self.file is None and self.table is None:
            raise AssayError("Name a table, such as raw/tickets, or a delivered file.")
        if self.table is None and self.version is not None:
            raise AssayError("A version is that of a table: name the table, too, or leave the version out.")

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def about(self) -> str:
        """Which rows that means, in words."""
        if self.table is None:
            rows = "all rows that were delivered in it" + (f" for {self.partition}" if self.partition else "")
        else:
            rows = rows_asked(self.table, self.version, self.partition)
            rows = rows if self.file is None else f"of the file, {rows}"
        chosen = f"{rows}, of these the ones for which the condition is true" if self.rows else rows
        return f"column {self.column} of {chosen}" if self.column else chosen

    def __str__(self) -> str:
        table = None if self.table is None else f"{self.table}{'' if self.version is None else f'@{self.version}'}"
        column = f"column {self.column}" if self.column else None
        parts = (self.file, table, self.partition, column, "some rows" if self.rows else None)
        return " ".join(part for part in parts if part)


def selected(commits: CommitGraph, origin: Origin, delivered: Mapping[Version, set[str]]) -> dict[Version, Selection]:
    """The rows that are asked about, by the version that wrote them. `delivered`: where a file is asked about, the SHA-256 of
    those that are meant, by the version of a raw table that took them.

    Raises:
        AssayError: There is no such table, version, partition or column. BadRows: the expression for the rows cannot be
            used; the message quotes neither it nor a value.
    """
    rows = Rows(commits)
    found = (
        _of_file(commits, origin, delivered) if origin.table is None else _of_table(commits, rows, origin, delivered)
    )
    if origin.rows is None:
        return found
    return {version: _those(rows, item, origin.rows) for version, item in found.items()}


def _of_table(
    commits: CommitGraph, rows: Rows, origin: Origin, delivered: Mapping[Version, set[str]]
) -> dict[Version, Selection]:
    table = origin.table or ""
    numbers = origin_versions(commits, table, origin.version, origin.partition, origin.column)
    versions = [(table, number) for number in numbers]
    if origin.file is None:
        return {version: Selection(version) for version in versions}
    linked = [version for version in versions if LINK[0] in rows.columns(version)]
    if not linked:
        raise AssayError(f"The rows of {table} do not say which file they are from: leave the file or the table out.")
    links = _links(set().union(*delivered.values()))
    return {version: Selection(version, links) for version in linked}


def _of_file(commits: CommitGraph, origin: Origin, delivered: Mapping[Version, set[str]]) -> dict[Version, Selection]:
    for table, number in delivered if origin.column is not None else ():
        commits.origin(table, number, origin.column)
    return {version: Selection(version, _links(digests)) for version, digests in delivered.items()}


def digest_here(path: str) -> str | None:
    """The SHA-256 of a file on this machine; None where there is none that can be read."""
    try:
        if not Path(path).is_file():
            return None
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None


def names_file(asked: str, path: str, sha256: str) -> bool:
    """Whether a text names a delivered file: its path, the end of that, or the first digits of its SHA-256."""
    by_digest = _SHA256.fullmatch(asked) is not None and sha256.startswith(asked)
    return by_digest or path == asked or path.endswith(f"/{asked}")


def _links(digests: set[str]) -> pl.DataFrame:
    return pl.DataFrame({LINK[0]: sorted(digests)}, schema={LINK[0]: pl.String})


def _those(rows: Rows, selection: Selection, predicate: str) -> Selection:
    """The rows of a selection for which an expression is true."""
    table, _ = selection.version
    try:
        frame = rows.scan(selection)
        kept = frame.filter(_condition(predicate))
        schema = frame.collect_schema()
        # Rows without a link are told apart by all that they hold, but for lists, by which rows are not joined.
        told_by = list(LINK) if set(LINK) <= set(schema) else [name for name in schema if not schema[name].is_nested()]
        return Selection(selection.version, compact(kept.select(told_by).unique().collect()))
    except Gone as problem:
        raise AssayError(f"The rows cannot be looked through: {problem}.") from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as problem:
        raise BadRows(
            f"The rows cannot be chosen in {table} ({type(problem).__name__}): write an SQL condition over the columns of one "
            f"row, with at most {_MOST_OPERATORS} operators and without functions that make texts longer, such as "
            f"\"amount > 100 AND channel = 'web'\". It has: "
            f"{', '.join(_names(rows, selection))}."
        ) from None


def _condition(predicate: str) -> pl.Expr:
    """Raises ValueError for one that looks at other rows than its own: what is affected would depend on how rows are cut into
    commits; and for one that could take this process down: by so many operators that reading it, which recurses, does, or by
    making long texts of short ones."""
    if len(predicate) > _LONGEST or sum(1 for _ in _OPERATOR.finditer(_QUOTED.sub("''", predicate))) > _MOST_OPERATORS:
        raise ValueError("too long")
    condition = pl.sql_expr(predicate)
    if not is_elementwise(condition):
        raise ValueError("looks at other rows")
    if may_lengthen(condition):
        raise ValueError("makes long texts")
    return condition


def _names(rows: Rows, selection: Selection) -> Iterator[str]:
    yield from rows.columns(selection.version)
