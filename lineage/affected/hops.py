"""One step from affected rows to the rows that a commit made from them: by the link to the delivered record, by entity and
window, or, where neither says, to all rows of the commit, and then the answer says so."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from assay.errors import AssayError
from assay.features.embeddings.keys import TEXT_KEY
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.parquet_files import PARTITION
from assay.features.storage.snapshot import Slice
from assay.features.tables.kinds import Kind, kind_of, own_name
from assay.features.tables.serving import Serving
from assay.features.views.timestamps import instant
from assay.features.views.transformation import RowsRead, recorded_rows_read
from assay.lineage.affected.selection import DIGEST, Gone, Rows, Selection, compact
from assay.lineage.commits.graph import Version
from assay.lineage.events.columns import column_lineage

LINK = (DIGEST, "_row_number")
_OF_A_SOURCE = (Kind.RAW, Kind.CLEAN, Kind.QUARANTINE, Kind.RELEASES)  # rows keep their link from one to the other
_EVENT = "__event"


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """Affected rows among those that a commit read: the read, and which rows of one of its writers."""

    read: Slice
    selection: Selection


def by_table(taken: Iterable[Taken]) -> dict[str, list[Taken]]:
    groups: dict[str, list[Taken]] = {}
    for item in taken:
        groups.setdefault(item.read.snapshot.table, []).append(item)
    return groups


def follow(rows: Rows, commit: Commit, taken: Sequence[Taken]) -> Selection:
    """The rows of a commit that were made from affected ones."""
    reader = (commit.table, commit.version)
    parts = [_from_table(rows, commit, table, items) for table, items in by_table(taken).items()]
    parts = [part for part in parts if not part.is_empty]
    notes = frozenset[str]().union(*(part.notes for part in parts))
    frames = [part.by for part in parts if part.by is not None]
    if len(frames) < len(parts):
        return Selection(reader, None, notes)
    if not frames:
        return Selection(reader, pl.DataFrame(schema={LINK[1]: pl.Int64}), notes)
    if len({tuple(frame.columns) for frame in frames}) > 1:
        return Selection(reader, None, notes | {f"{commit.table} keeps its rows' links and times: all its rows count"})
    found = pl.concat(frames, how="vertical_relaxed").unique()
    return Selection(reader, None if found.height == commit.rows else found, notes)  # all need not be kept one by one


def _from_table(rows: Rows, commit: Commit, table: str, taken: Sequence[Taken]) -> Selection:
    reader = (commit.table, commit.version)
    notes = frozenset[str]().union(*(item.selection.notes for item in taken))
    if Kind.MODELS.holds(commit.table):  # a model is made from all rows of its training set
        return Selection(reader, None, notes)
    target = rows.columns(reader)
    if Kind.EMBEDDINGS.holds(commit.table) and TEXT_KEY in target:
        return Selection(reader, None, notes)  # a vector is found by its text: whose text that is, the reader knows
    if any(item.read.lookup for item in taken):
        return _looked_up(rows, commit, table, taken, notes)
    try:
        behind = {item.table: item for item in recorded_rows_read(commit.view or {}, commit.serving or {})}
        if table in behind and commit.serving is not None:
            serving = Serving.from_dict(commit.serving)
            return Selection(reader, _by_window(rows, reader, serving, behind[table], taken), notes)
        if _keeps_links(rows, commit, table, taken):
            return Selection(reader, _by_link(rows, reader, taken), notes)
    except Gone as problem:
        return _all(reader, notes, f"which rows of {commit.table} were made from {table}: {problem}")
    except AssayError:
        return _all(
            reader, notes, f"which rows of {commit.table} were made from {table}: its keys or times do not match"
        )
    if _only_counts(commit, table, set(target) - {PARTITION}):
        return Selection(reader, pl.DataFrame(schema={LINK[1]: pl.Int64}), notes)
    return _all(reader, notes, f"which rows of {commit.table} were made from which of {table}")


def _all(reader: Version, notes: frozenset[str], what: str) -> Selection:
    return Selection(reader, None, notes | {f"it is not recorded {what}: all that a commit wrote count"})


# -- by what was looked up ---------------------------------------------------------------------------------------------


def _looked_up(rows: Rows, commit: Commit, table: str, taken: Sequence[Taken], notes: frozenset[str]) -> Selection:
    """The rows of the commit whose value was found in an affected row, by the columns that the commit says it compared."""
    reader, pairs = (commit.table, commit.version), commit.looked_up.get(table, ())
    unrecorded = f"which rows of {commit.table} were made from what was looked up in {table}"
    target = rows.columns(reader)
    if not pairs or not {own for own, _ in pairs} <= set(target):
        return _all(reader, notes, unrecorded)
    identity = list(LINK) if set(LINK) <= set(target) else [name for name in target if not target[name].is_nested()]
    try:
        found = []
        for own, other in pairs:
            value = pl.col(other).cast(target[own], strict=False).alias(own)
            values = rows.distinct((item.selection for item in taken), [value]).drop_nulls()
            found.append(rows.distinct([Selection(reader, values)], list(map(pl.col, identity))))
    except Gone as problem:
        return _all(reader, notes, f"{unrecorded}: {problem}")
    return Selection(reader, compact(pl.concat(found, how="vertical_relaxed").unique()), notes)


# -- by the link to the delivered record -------------------------------------------------------------------------------


def _keeps_links(rows: Rows, commit: Commit, table: str, taken: Sequence[Taken]) -> bool:
    """Whether a row of the commit comes from the rows of the table that have its link."""
    if not set(LINK) <= set(rows.columns((commit.table, commit.version))):
        return False
    if not all(set(LINK) <= set(rows.columns(item.selection.version)) for item in taken):
        return False
    own = own_name(table) == own_name(commit.table)
    if own and kind_of(table) in _OF_A_SOURCE and kind_of(commit.table) in _OF_A_SOURCE:
        return True
    declared = column_lineage(commit.column_lineage or {}, {item.snapshot.table for item in commit.inputs})
    return all(
        any(edge.direct and (edge.table, edge.source) == (table, name) for edge in declared.of(name)) for name in LINK
    )


def _by_link(rows: Rows, reader: Version, taken: Sequence[Taken]) -> pl.DataFrame:
    links = rows.distinct((item.selection for item in taken), list(map(pl.col, LINK)))
    return compact(rows.distinct([Selection(reader, links)], list(map(pl.col, LINK))))


def _only_counts(commit: Commit, table: str, columns: set[str]) -> bool:
    """Whether a commit declares the sources of all its columns, and none is the table: it was counted, or compared with."""
    declared = column_lineage(commit.column_lineage or {}, {item.snapshot.table for item in commit.inputs})
    return columns <= set(declared.known) and table not in declared.tables


# -- by entity and window ----------------------------------------------------------------------------------------------


def _by_window(
    rows: Rows, reader: Version, serving: Serving, behind: RowsRead, taken: Sequence[Taken]
) -> pl.DataFrame | None:
    """The keys and times of the feature rows that have an affected row in what they were computed from."""
    keys, types = list(serving.keys), rows.columns(reader)
    where = f"the table of the view ({reader[0]})"
    events = []
    for item in taken:
        schema = rows.columns(item.selection.version)
        if not set(keys) <= set(schema):
            raise AssayError(f"{where}: its keys are not in {behind.table}")
        columns = [pl.col(key).cast(types[key], strict=False) for key in keys]
        if behind.time is not None:
            columns.append(instant(schema, behind.time, where).alias(_EVENT))
        events.append(rows.distinct([item.selection], columns))
    own = [*map(pl.col, keys), instant(types, serving.event_time, where).alias(serving.event_time)]
    targets = rows.distinct([Selection(reader)], own)
    return affected_moments(targets, pl.concat(events).unique(), keys, serving.event_time, behind)


def affected_moments(
    targets: pl.DataFrame, events: pl.DataFrame, keys: Sequence[str], time: str, behind: RowsRead
) -> pl.DataFrame:
    """The feature rows (keys and time) of which one of the events (keys and `__event`) is among the rows they come from."""
    events = events.drop_nulls()
    if behind.time is None:
        return targets.join(events, on=keys, how="semi")
    if behind.width is None:
        return targets.join(events, left_on=[*keys, time], right_on=[*keys, _EVENT], how="semi")
    # The last event before t is in [t − width, t) if any is.
    found = (
        targets.drop_nulls()
        .sort(time)
        .join_asof(
            events.sort(_EVENT).with_columns(pl.col(_EVENT).alias("__last")),
            left_on=time,
            right_on=_EVENT,
            by=list(keys),
            strategy="backward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
    )
    return found.filter(pl.col(time) - pl.col("__last") <= behind.width).select(*keys, time)
