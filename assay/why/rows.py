"""The rows behind a prediction with their values, masked by the contracts that judged them, and what is unusual about each."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any

import polars as pl

from assay.assets.steps.apply_decisions import DECISION, LINK, SCHEMA
from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.tables.freshness import in_words
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake, TableState
from assay.lineage.tracing.row_provenance import LINKS, LOOKED_UP, OWN, RowsBehind, rows_behind, rows_read_for
from assay.lineage.tracing.trace import Trace
from assay.own_columns import PARTITION_KEY
from assay.why.items import ShownRow
from assay.why.judged_by import Declared, DeclaredNow
from assay.why.shown import classes_in, masked

Link = tuple[str, int]  # SHA-256 of the file, number of the row in it


@dataclass(frozen=True)
class TableRows:
    """Rows of one table behind the prediction, unmasked: for looking at, not for showing."""

    rows: RowsBehind
    state: TableState
    frame: pl.DataFrame
    declared: Declared | None = None

    @property
    def table(self) -> str:
        return self.state.table.name

    @property
    def links(self) -> list[Link]:
        return list(self.frame.select(LINK).rows()) if set(LINK) <= set(self.frame.columns) else []

    @cached_property
    def writers(self) -> list[Commit]:
        return self.state.writers(self.rows.read.partitions, self.rows.read.excluded)

    @cached_property
    def classes(self) -> dict[str, str | None]:
        return classes_in(self.state, self.writers, self.declared)

    @property
    def partitions(self) -> list[str]:
        """Those that the rows lie in."""
        return self.frame[PARTITION_KEY].unique().sort().to_list() if PARTITION_KEY in self.frame.columns else []


def rows_of(lake: Lake, trace: Trace, declared: DeclaredNow = MappingProxyType({})) -> list[TableRows]:
    """The rows behind a prediction, by reason. Raises AssayError when a version is gone."""
    found = []
    for rows in rows_read_for(lake, trace):
        state = lake.table(rows.read.snapshot.table).at(rows.read.snapshot.version)
        frame = rows_behind(lake, rows, trace).collect()
        clean = Kind.CLEAN.table(own_name(state.table.name))
        found.append(TableRows(rows, state, frame, declared.get(clean)))
    return found


def shown_rows(
    behind: Sequence[TableRows], notes: dict[Link, list[str]], about: Mapping[str, Any] = MappingProxyType({})
) -> list[ShownRow]:
    """Every delivered row once, with all reasons why it counts: first the prediction's own, then those with something unusual,
    then the others about its keys (`about`), then those about others, last what was only looked up; each by table, file and
    number."""
    found: dict[tuple[str, str, str, int], ShownRow] = {}
    for one in behind:
        if not set(LINKS) <= set(one.frame.columns):
            continue
        shown = masked(one.frame, one.classes)
        keys = [key for key in about if key in one.frame.columns]
        agrees = one.frame.select(
            pl.col(key).cast(pl.String).eq_missing(pl.lit(about[key]).cast(pl.String)) for key in keys
        )
        for place, ((file, sha256, number), values) in enumerate(
            zip(one.frame.select(LINKS).rows(), shown, strict=True)
        ):
            agreed = dict(zip(keys, agrees.row(place), strict=True)) if keys else {}
            key = (one.table, file, sha256, number)
            before = found[key].because if key in found else ()
            found[key] = ShownRow(
                one.table,
                file,
                sha256,
                number,
                tuple(dict.fromkeys((*before, one.rows.because))),
                values,
                tuple(notes.get((sha256, number), ())),
                same=tuple(name for name in keys if agreed[name]),
                differs=tuple(name for name in keys if not agreed[name]),
            )
    return sorted(found.values(), key=lambda row: (_place(row), row.table, row.file, row.row_number))


def _place(row: ShownRow) -> int:
    if any(reason.startswith(OWN) for reason in row.because) and not row.differs:
        return 0
    if row.notes:
        return 1
    if all(reason.startswith(LOOKED_UP) for reason in row.because):
        return 4
    return 3 if row.differs else 2


# -- what is unusual about single rows ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Released:
    """Rows that a person let in again. `edits` are columns that got other values. Where the decision cannot be read, `at` is None
    and `reason` says why."""

    table: str
    links: tuple[Link, ...]
    by: str
    at: datetime | None
    reason: str
    exceptions: tuple[str, ...] = ()
    until: str = ""
    edits: tuple[str, ...] = ()


def released(lake: Lake, behind: Sequence[TableRows]) -> Iterator[Released]:
    """The releases by which rows are here, each once per table."""
    by_table: dict[str, dict[Link, str]] = {}
    for one in behind:
        if DECISION in one.frame.columns and one.links:
            decided = one.frame.filter(pl.col(DECISION).is_not_null())
            by_table.setdefault(one.table, {}).update(
                {(sha256, number): decision for sha256, number, decision in decided.select(*LINK, DECISION).rows()}
            )
    for table, decisions in by_table.items():
        if not decisions:
            continue
        try:
            rows = lake.table(Kind.RELEASES.table(own_name(table))).at().scan()
            ids = list(set(decisions.values()))
            wanted = rows.filter(pl.col("decision_id").is_in(ids)).select(list(SCHEMA)).collect()
        except AssayError as problem:
            yield Released(table, tuple(decisions), "somebody", None, str(problem))
            continue
        for row in wanted.unique("decision_id", maintain_order=True).iter_rows(named=True):
            links = tuple(link for link, decision in decisions.items() if decision == row["decision_id"])
            edits = tuple(sorted(json.loads(row["edits"])))
            until = row["until"].isoformat() if row["until"] else ""
            yield Released(
                table,
                links,
                row["decided_by"],
                row["decided_at"],
                row["reason"],
                tuple(row["exceptions"]),
                until,
                edits,
            )


@dataclass(frozen=True, slots=True)
class Late:
    """Rows of a file that came after their partition had first been taken in."""

    table: str
    partition: str
    links: tuple[Link, ...]
    at: datetime
    after: str


def late(lake: Lake, behind: Sequence[TableRows]) -> Iterator[Late]:
    """The files behind the rows that came late, by table and partition."""
    seen: set[tuple[str, str, str]] = set()
    for one in behind:
        if not Kind.CLEAN.holds(one.table) or not one.links or PARTITION_KEY not in one.frame.columns:
            continue
        try:
            raw = lake.table(Kind.RAW.table(own_name(one.table))).at()
        except AssayError:  # gone or damaged, which its step says
            continue
        rows = one.frame.select(PARTITION_KEY, *LINK).unique(maintain_order=True).rows()
        for partition, sha256 in dict.fromkeys((partition, sha256) for partition, sha256, _ in rows):
            if (one.table, partition, sha256) in seen:
                continue
            seen.add((one.table, partition, sha256))
            commits = [raw.index.commit(version) for version in raw.index.written(raw.version, partition)]
            came = next((c for c in commits if any(item.sha256 == sha256 for item in c.sources)), None)
            if came is not None and came is not commits[0]:
                links = tuple((sha, number) for key, sha, number in rows if (key, sha) == (partition, sha256))
                yield Late(one.table, partition, links, came.timestamp, in_words(came.timestamp - commits[0].timestamp))
