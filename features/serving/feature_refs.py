"""Feature references to rows: `view:feature` names, resolved to exact table versions and to the partitions that matter.

A view's table says itself how it is served (in the metadata of its commits), so that reading needs none of the code that
made it: joined as of the spine's time, or looked up by keys.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from assay.errors import AssayError
from assay.features.embeddings.keys import TEXT_KEY
from assay.features.serving.as_of import KnownAt, ViewRead, point_in_time_join
from assay.features.serving.lookup import Lookup, look_up
from assay.features.serving.relevant_partitions import (
    Between,
    partitions_as_of,
    partitions_with,
)
from assay.features.storage.parquet_files import PARTITION
from assay.features.tables.kinds import Kind, kind_of, own_name
from assay.features.tables.lake import Lake, TableState
from assay.features.tables.reader import Reader
from assay.features.tables.serving import Serving
from assay.features.tables.transaction import Transaction
from assay.features.views.timestamps import instant

_SERVED = (Kind.FEATURES, Kind.EMBEDDINGS)

_REFERENCE = re.compile(r"([A-Za-z][A-Za-z0-9_]*):(\*|[A-Za-z][A-Za-z0-9_]*)(?: as ([A-Za-z][A-Za-z0-9_]*))?")
_RANK = "__partition"


@dataclass(frozen=True, slots=True)
class Reference:
    """`view:feature`, `view:*` (all of them) or `view:feature as name` (under another column name)."""

    view: str
    feature: str
    output: str

    @classmethod
    def parse(cls, text: str) -> "Reference":
        match = _REFERENCE.fullmatch(text)
        if match is None or (match[2] == "*" and match[3]):
            raise AssayError(
                f"{text!r} is not a feature reference: write 'view:feature', 'view:*' or 'view:feature as name'."
            )
        return cls(match[1], match[2], match[3] or match[2])


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """References, resolved: what to join, and for the record which table at which version gives which column."""

    references: tuple[str, ...]
    views: tuple[ViewRead, ...]
    lookups: tuple[Lookup, ...]
    described: tuple[Mapping[str, Any], ...]


def resolve(
    reader: Reader | Transaction,
    references: Sequence[str],
    spine: pl.DataFrame,
    *,
    versions: Mapping[str, int] | None = None,
    known_at: KnownAt = "event",
    skip_nulls: bool = False,
    bounded: bool = True,
) -> Resolved:
    """Open every view once, at its version in `versions` (table name → version) or the latest, and read, as inputs of the
    reader (or transaction), the partitions that can hold a value for the spine: by the times in their files' statistics, the
    view's max_age and the spine's keys; of lookups, those with a key of the spine. `known_at` and `skip_nulls` are those
    of the `join`. `bounded=False` keeps what is too old, too.

    Raises AssayError for a malformed reference, an unknown view, feature or table, or a spine without usable times.
    """
    versions = dict(versions or {})
    for table in versions:
        if not reader.lake.table(table).exists():
            raise AssayError(
                f"There is no table {table} to read at a version (tables: {', '.join(reader.lake.tables()) or 'none'})."
            )
    wanted: dict[str, list[Reference]] = {}
    for reference in map(Reference.parse, references):
        wanted.setdefault(reference.view, []).append(reference)
    if not wanted:
        raise AssayError("No features were asked for: name some, e.g. 'customer_activity:tickets_7d'.")
    views, lookups, described = [], [], []
    for name, asked in wanted.items():
        table = _table_of(reader.lake, name)
        state = reader.state(table, versions.get(table))
        serving, view = serving_of(state)
        outputs = _outputs(name, asked, [name for name in state.schema if name not in (*serving.columns(), PARTITION)])
        if serving.kind == "lookup":
            partitions = partitions_with(state, serving, spine, name)
            lookups.append(Lookup(name, serving, reader.read(table, partitions), outputs))
        else:
            needed, known = tuple(outputs) if skip_nulls else (), known_at == "known"
            times = _times(spine)
            partitions = partitions_as_of(state, serving, spine, times, bounded=bounded, known=known, features=needed)
            frame, position = ranked(reader.read(table, partitions), partitions)
            states = states_of(state, serving)
            views.append(ViewRead(name, serving, frame, outputs, position=position, states=states))
        described.append(_describe(state, name, outputs, serving, view))
    return Resolved(tuple(references), tuple(views), tuple(lookups), tuple(described))


def join(
    spine: pl.DataFrame, resolved: Resolved, *, known_at: KnownAt = "event", skip_nulls: bool = False
) -> pl.DataFrame:
    """The spine, row for row and in its order, with a column per reference; null where there is no value."""
    rows = spine
    if resolved.views or "event_time" in spine.columns:
        rows = point_in_time_join(spine, resolved.views, known_at=known_at, skip_nulls=skip_nulls)
    for lookup in resolved.lookups:
        rows = look_up(rows, lookup)
    return rows


def spine_columns(lake: Lake, references: Sequence[str], versions: Mapping[str, int]) -> set[str]:
    """The key columns that a spine must have for these references, at these versions."""
    tables = {_table_of(lake, Reference.parse(reference).view) for reference in references}
    return {key for table in tables for key in serving_of(lake.table(table).at(versions.get(table)))[0].keys}


def _times(spine: pl.DataFrame) -> Between:
    times = spine.lazy().select(instant(spine.schema, "event_time", "the spine").alias("t")).collect()["t"]
    first, last = times.min(), times.max()
    assert first is None or isinstance(first, datetime)
    assert last is None or isinstance(last, datetime)
    return first, last


def _table_of(lake: Lake, view: str) -> str:
    for table in (kind.table(view) for kind in _SERVED):
        if lake.table(table).exists():
            return table
    served = [own_name(name) for name in lake.tables() if kind_of(name) in _SERVED]
    names = ", ".join(sorted(served)) or "none"
    raise AssayError(f"There is no feature view or embedding {view!r} (there are: {names}).")


def serving_of(state: TableState) -> tuple[Serving, Mapping[str, Any]]:
    """How a version is served, and the definition of its view ({} where it has none). Raises AssayError if it does not say."""
    described = find_serving(state)
    if described is None:
        raise AssayError(
            f"{state.snapshot} does not say how it is served: write it with sections={{'serving': view.serving()}}, or "
            "declare it as a feature view."
        )
    return described


def find_serving(state: TableState) -> tuple[Serving, Mapping[str, Any]] | None:
    """`serving_of`, or None if the table does not say how it is served."""
    for version in state.index.with_section("serving", state.version, newest=True):
        commit = state.index.commit(version)
        return Serving.from_dict(commit.serving or {}), commit.view or {}
    # Embedding tables say so only since their commits have a format.
    if TEXT_KEY in state.schema:
        return Serving.lookup([TEXT_KEY]), {}
    return None


def _outputs(view: str, asked: Sequence[Reference], features: Sequence[str]) -> dict[str, str]:
    """Feature → column name."""
    outputs: dict[str, str] = {}
    for reference in asked:
        if reference.feature == "*":
            outputs |= {name: outputs.get(name, name) for name in features if not name.startswith("_")}
        elif reference.feature not in features:
            raise AssayError(f"{view!r} has no feature {reference.feature!r} (it has: {', '.join(sorted(features))}).")
        elif outputs.get(reference.feature, reference.output) != reference.output:
            raise AssayError(f"{view}:{reference.feature} is asked for under two names: use one.")
        else:
            outputs[reference.feature] = reference.output
    return outputs


def states_of(state: TableState, serving: Serving) -> tuple[int, ...]:
    """The times of all states that a table has, from the statistics of its files: all rows of a state have its time. Of a
    state without rows the commit that wrote it says when it began. () where rows are no states."""
    if not serving.states:
        return ()
    if state.checkpointed is not None:
        column = state.scan().select(pl.col(serving.event_time).dt.epoch("us").unique()).collect().to_series()
        times = set(column.drop_nulls())
    else:
        ranges = state.ranges_between(serving.event_time, None, None)
        times = {low for _, low, _ in ranges if low is not None}
    emptied = state.partitions_without_rows()
    began = [(commit.serving or {}).get("holds_from_us") for commit in state.writers(emptied)] if emptied else []
    return tuple(sorted(times.union(at for at in began if at is not None)))


def ranked(frame: pl.LazyFrame, partitions: Sequence[str] | None) -> tuple[pl.LazyFrame, str | None]:
    """Rows that tie in every time are ordered by partition, whatever order the files are read in."""
    if not partitions:
        return frame, None
    rank = pl.col(PARTITION).replace_strict(list(partitions), list(range(len(partitions))), return_dtype=pl.Int64)
    return frame.with_columns(rank.alias(_RANK)), _RANK


def _describe(
    state: TableState, name: str, outputs: Mapping[str, str], serving: Serving, view: Mapping[str, Any]
) -> dict[str, Any]:
    definitions = {feature["name"]: feature.get("sha256") for feature in view.get("features", [])}
    return {
        "view": name,
        "table": state.table.name,
        "version": state.version,
        "serving": serving.to_dict(),
        "features": [
            {"name": feature, "column": column, "definition": definitions.get(feature)}
            for feature, column in outputs.items()
        ],
    }
