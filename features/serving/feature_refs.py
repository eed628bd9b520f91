"""Feature references to rows: `view:feature` names, resolved to exact table versions and to the partitions that matter.

A view's table says itself how it is served (in the metadata of its commits), so that reading needs none of the code that
made it. References to an embedding table are looked up by the spine's `text_key`; all others are joined as of its time.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from assay.errors import AssayError
from assay.features.serving.as_of import KnownAt, ViewRead, as_of_join
from assay.features.tables.lake import Lake, TableState
from assay.features.tables.parquet_files import PARTITION
from assay.features.tables.run_record import Work
from assay.features.tables.serving import Serving
from assay.features.tables.transaction import Transaction
from assay.features.views.timestamps import instant

TEXT_KEY = "text_key"

_REFERENCE = re.compile(r"([A-Za-z][A-Za-z0-9_]*):(\*|[A-Za-z][A-Za-z0-9_]*)(?: as ([A-Za-z][A-Za-z0-9_]*))?")
_RANK = "__partition"

Between = tuple[datetime | None, datetime | None]


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
class Lookup:
    """Columns of an append-only table with one row per text, joined by the text's key."""

    name: str
    frame: pl.LazyFrame
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """References, resolved: what to join, and for the record which table at which version gives which column."""

    references: tuple[str, ...]
    views: tuple[ViewRead, ...]
    lookups: tuple[Lookup, ...]
    described: tuple[Mapping[str, Any], ...]


def resolve(
    tx: Transaction,
    references: Sequence[str],
    spine: pl.DataFrame,
    *,
    versions: Mapping[str, int] | None = None,
    bounded: bool = True,
) -> Resolved:
    """Open every view once, at its version in `versions` (table name → version) or the latest, and read, as inputs of the
    transaction, the partitions that can hold a value for the spine: by the times in their files' statistics and the
    view's max_age; for embeddings, those with a text of the spine. `bounded=False` keeps what is too old, too.

    Raises AssayError for a malformed reference, an unknown view, feature or table, or a spine without usable times.
    """
    versions = dict(versions or {})
    for table in versions:
        if not tx.lake.table(table).exists():
            raise AssayError(
                f"There is no table {table} to read at a version (tables: {', '.join(tx.lake.tables()) or 'none'})."
            )
    wanted: dict[str, list[Reference]] = {}
    for reference in map(Reference.parse, references):
        wanted.setdefault(reference.view, []).append(reference)
    if not wanted:
        raise AssayError("No features were asked for: name some, e.g. 'customer_activity:tickets_7d'.")
    between = _times(spine)
    views, lookups, described = [], [], []
    for name, asked in wanted.items():
        table = _table_of(tx.lake, name)
        state = tx.state(table, versions.get(table))
        serving, view = _description(state)
        if serving is None:
            outputs = _outputs(name, asked, [column for column in state.schema if column not in (TEXT_KEY, PARTITION)])
            partitions = _partitions_with(state, spine, name)
            lookups.append(Lookup(name, tx.read(table, partitions), outputs))
        else:
            keys = {*serving.keys, serving.event_time, serving.known_time, PARTITION}
            outputs = _outputs(name, asked, [column for column in state.schema if column not in keys])
            oldest = serving.max_age_us if bounded else None
            partitions = partitions_between(state, serving.event_time, between, oldest, bounded=bounded)
            frame, position = _ranked(tx.read(table, partitions), partitions)
            views.append(ViewRead(name, serving, frame, outputs, position=position))
        described.append(_describe(state, name, outputs, serving, view))
    return Resolved(tuple(references), tuple(views), tuple(lookups), tuple(described))


def join(
    spine: pl.DataFrame, resolved: Resolved, *, known_at: KnownAt = "event", skip_nulls: bool = False
) -> pl.DataFrame:
    """The spine, row for row and in its order, with a column per reference; null where there is no value."""
    rows = as_of_join(spine, resolved.views, known_at=known_at, skip_nulls=skip_nulls)
    for lookup in resolved.lookups:
        rows = look_up(rows, lookup)
    return rows


def join_features(
    lake: Lake,
    spine: pl.DataFrame,
    references: Sequence[str],
    *,
    versions: Mapping[str, int] | None = None,
    pins: Mapping[str, int] | None = None,
    known_at: KnownAt = "event",
    skip_nulls: bool = False,
) -> pl.DataFrame:
    """`join` outside any piece of work: nothing is written or recorded. `pins` is the former name of `versions`."""
    tx = Transaction(lake, Work("as_of_join"))
    return join(
        spine, resolve(tx, references, spine, versions=one_of(versions, pins)), known_at=known_at, skip_nulls=skip_nulls
    )


def one_of(versions: Mapping[str, int] | None, pins: Mapping[str, int] | None) -> Mapping[str, int] | None:
    """Table versions by their name today or by the former one. Raises AssayError when both are given."""
    if versions is not None and pins is not None:
        raise AssayError("Both `versions` and `pins` are given, which mean the same: leave `pins` out.")
    return versions if pins is None else pins


def look_up(rows: pl.DataFrame, lookup: Lookup) -> pl.DataFrame:
    """Add the columns of a lookup by `text_key`; null for a null or unknown key."""
    taken = [name for name in lookup.outputs.values() if name in rows.columns]
    if taken:
        raise AssayError(
            f"{lookup.name} would give column {taken[0]!r}, which is there already: write '… as another_name'."
        )
    keys = rows.select(TEXT_KEY).drop_nulls().unique()
    # A text computed twice (on two machines, say) has the same vector but for rounding; the first one serves always.
    found = lookup.frame.join(keys.lazy(), on=TEXT_KEY, how="semi").collect().sort(PARTITION, maintain_order=True)
    found = found.unique(TEXT_KEY, keep="first", maintain_order=True)
    renamed = found.select(TEXT_KEY, *(pl.col(name).alias(output) for name, output in lookup.outputs.items()))
    return rows.join(renamed, on=TEXT_KEY, how="left", maintain_order="left")


def partitions_between(
    state: TableState, time: str, between: Between, max_age_us: int | None, *, bounded: bool = True
) -> list[str] | None:
    """The partitions with a row that can hold at some moment of [first, last]: one that is not after `last`, and not
    older than `max_age` at `first`. None for a table without partitions. Files without statistics count as relevant."""
    if not state.partitioned:
        return None
    first, last = between
    if last is None:
        return []
    earliest = first - timedelta(microseconds=max_age_us) if bounded and first and max_age_us is not None else None
    actions = state.add_actions
    keep = pl.lit(True)
    low, high = f"min.{time}", f"max.{time}"
    if {low, high, "num_records"} <= set(actions.columns):
        keep = pl.col(low).is_null() | (pl.col(low) <= last)
        if earliest is not None:
            # Delta's statistics may be rounded to milliseconds.
            keep &= pl.col(high).is_null() | (pl.col(high) >= earliest - timedelta(milliseconds=1))
        keep &= pl.col("num_records") != 0
    return sorted(set(actions.filter(keep)[f"partition.{PARTITION}"])) if actions.height else []


def _times(spine: pl.DataFrame) -> Between:
    times = spine.lazy().select(instant(spine.schema, "event_time", "the spine").alias("t")).collect()["t"]
    first, last = times.min(), times.max()
    assert first is None or isinstance(first, datetime)
    assert last is None or isinstance(last, datetime)
    return first, last


def _table_of(lake: Lake, view: str) -> str:
    for table in (f"features/{view}", f"embeddings/{view}"):
        if lake.table(table).exists():
            return table
    known = [name.partition("/")[2] for name in lake.tables() if name.startswith(("features/", "embeddings/"))]
    names = ", ".join(sorted(known)) or "none"
    raise AssayError(f"There is no feature view or embedding {view!r} (there are: {names}).")


def _description(state: TableState) -> tuple[Serving | None, Mapping[str, Any]]:
    """How a version is served, and the definition of its view. None for an embedding table."""
    if state.table.name.startswith("embeddings/"):
        return None, {}
    for commit in reversed(state.commits):
        if commit.serving is not None:
            return Serving.from_dict(commit.serving), commit.view or {}
    raise AssayError(
        f"{state.snapshot} does not say how it is served: write it with sections={{'serving': view.serving()}}, or "
        "declare it as a feature view."
    )


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


def _partitions_with(state: TableState, spine: pl.DataFrame, name: str) -> list[str] | None:
    """The partitions of an embedding table that hold a text of the spine."""
    if spine.schema.get(TEXT_KEY) != pl.String:
        raise AssayError(f"{name!r} is joined by the column 'text_key' (text), which the spine does not have.")
    if not state.partitioned:
        return None
    keys = spine.lazy().select(TEXT_KEY).drop_nulls().unique()
    found = state.scan().select(TEXT_KEY, PARTITION).join(keys, on=TEXT_KEY, how="semi").select(PARTITION).unique()
    return found.collect()[PARTITION].sort().to_list()


def _ranked(frame: pl.LazyFrame, partitions: Sequence[str] | None) -> tuple[pl.LazyFrame, str | None]:
    """Rows that tie in every time are ordered by partition, whatever order the files are read in."""
    if not partitions:
        return frame, None
    rank = pl.col(PARTITION).replace_strict(list(partitions), list(range(len(partitions))), return_dtype=pl.Int64)
    return frame.with_columns(rank.alias(_RANK)), _RANK


def _describe(
    state: TableState, name: str, outputs: Mapping[str, str], serving: Serving | None, view: Mapping[str, Any]
) -> dict[str, Any]:
    definitions = {feature["name"]: feature.get("sha256") for feature in view.get("features", [])}
    return {
        "view": name,
        "table": state.table.name,
        "version": state.version,
        "serving": serving.to_dict() if serving else {"keys": [TEXT_KEY]},
        "features": [
            {"name": feature, "column": column, "definition": definitions.get(feature)}
            for feature, column in outputs.items()
        ],
    }
