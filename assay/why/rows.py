"""The rows behind a prediction with their values, masked by the contracts that judged them, and what is unusual about each."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any

import polars as pl

from assay.assets.steps.apply_decisions import DECISION, LINK, SCHEMA
from assay.checks.validation.masking import mask_classes
from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.tables.freshness import in_words
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake, TableState
from assay.lineage.predictions.attachments import EXPLANATION, PROMPT
from assay.lineage.tracing.row_provenance import LINKS, RowsBehind, rows_read_for
from assay.lineage.tracing.trace import Trace
from assay.own_columns import PARTITION_KEY, is_link
from assay.why.items import ShownRow
from assay.why.judged_by import Declared, DeclaredNow, declared_by, personal_classes

_LONGEST = 80  # characters of a value
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


def classes_in(state: TableState, writers: Sequence[Commit], declared: Declared | None = None) -> dict[str, str | None]:
    """The classes of personal data of a table's columns, by the contracts that judged what was read, by the newest one, and by
    the one that is declared, though it has judged nothing: what has come to be called personal since is masked, too."""
    storage = state.table.lake.storage
    newest = state.table.open_unasked().last_commit
    by_digest = {str((commit.contract or {}).get("digest")): commit for commit in [*writers, newest]}
    return personal_classes([*(declared_by(storage, commit) for commit in by_digest.values()), declared])


def rows_of(lake: Lake, trace: Trace, declared: DeclaredNow = MappingProxyType({})) -> list[TableRows]:
    """The rows behind a prediction, by reason. Raises AssayError when a version is gone."""
    found = []
    for rows in rows_read_for(lake, trace):
        state = lake.table(rows.read.snapshot.table).at(rows.read.snapshot.version)
        frame = state.scan(rows.read.partitions, rows.read.excluded).filter(rows.condition).collect()
        clean = Kind.CLEAN.table(own_name(state.table.name))
        found.append(TableRows(rows, state, frame, declared.get(clean)))
    return found


def shown_rows(
    behind: Sequence[TableRows], notes: dict[Link, list[str]], about: Mapping[str, Any] = MappingProxyType({})
) -> list[ShownRow]:
    """Every delivered row once, with all reasons why it counts: first those that are about the prediction's own keys (`about`),
    then those with something unusual, then by table, file and number."""
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
    return sorted(
        found.values(), key=lambda row: (bool(row.differs), not row.notes, row.table, row.file, row.row_number)
    )


def masked(frame: pl.DataFrame, classes: dict[str, str | None]) -> list[dict[str, str | None]]:
    """The data of each row as text, masked; Assay's own columns are left out."""
    data = frame.select(name for name in frame.columns if not is_link(name))
    return [{name: in_text(value) for name, value in row.items()} for row in mask_classes(data, classes).to_dicts()]


def in_text(value: Any) -> str | None:
    """A value in short; times to the second."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S").removesuffix(" 00:00:00")
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def prediction_in_text(
    lake: Lake, trace: Trace, declared: DeclaredNow = MappingProxyType({})
) -> tuple[dict[str, str | None], dict[str, str | None], dict[str, str | None]]:
    """The answer, the keys and the attached texts of a prediction, masked by the contracts of every table on the way. A key that
    none of them knows may be personal, and shows how long it is only; of answers and attached texts addresses and card
    numbers are redacted."""
    classes = classes_on_the_way(lake, trace, declared)
    frame = trace.prediction.frame
    keys = [key for key in keys_of(trace) if key in frame.columns]
    attached = [name for name in (PROMPT, EXPLANATION) if name in frame.columns]
    outputs = [name for name in trace.root.details["outputs"] if name in frame.columns and name not in keys]
    own = dict.fromkeys((*outputs, *attached)) | classes

    def text(names: Sequence[str], known: dict[str, str | None]) -> dict[str, str | None]:
        (row,) = masked(frame.select(names), known) if names else ({},)
        return {name: value for name, value in row.items() if value is not None}

    return text(outputs, own), text(keys, classes), text(attached, own)


def keys_of(trace: Trace) -> tuple[str, ...]:
    """The columns that say whom or what a prediction is about."""
    described = trace.root.commits[-1].predictions
    return described.keys if described else ()


def classes_on_the_way(lake: Lake, trace: Trace, declared: DeclaredNow = MappingProxyType({})) -> dict[str, str | None]:
    """The classes of personal data of all columns that the contracts on the way know: those that judged what was read, and
    today's."""
    commits = [commit for node in trace.nodes for commit in node.commits]
    clean = [table for table in dict.fromkeys(node.table for node in trace.nodes) if Kind.CLEAN.holds(table)]
    return _classes_of(lake, commits, clean, declared)


def classes_of_lake(lake: Lake, declared: DeclaredNow = MappingProxyType({})) -> dict[str, str | None]:
    """The same of all that today's contracts know."""
    return _classes_of(lake, [], lake.tables(Kind.CLEAN.folder), declared)


def _classes_of(
    lake: Lake, commits: list[Commit], clean: Iterable[str], declared: DeclaredNow
) -> dict[str, str | None]:
    today = []
    for table in clean:
        today.append(declared.get(table))
        with suppress(AssayError):
            commits.append(lake.table(table).at().last_commit)
    by_digest = {str((commit.contract or {}).get("digest")): commit for commit in commits}
    return personal_classes([*(declared_by(lake.storage, commit) for commit in by_digest.values()), *today])


def personal_columns(lake: Lake, trace: Trace, declared: DeclaredNow = MappingProxyType({})) -> list[str]:
    """The columns of a prediction that a contract on the way calls personal."""
    classes = classes_on_the_way(lake, trace, declared)
    return [name for name in trace.prediction.frame.columns if classes.get(name) is not None]


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
