"""Windows over many partitions: computed of parts, which are kept in `partials/<view>`, so that one more partition costs the same
however long they are.

The step of a view stays as it is: what it reads, and so what makes it stale, are the events. The parts only save reading
them again, and are believed for as long as they would be made of the same files.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from assay.features.tables.kinds import Kind
from assay.features.tables.lake import TableMissing, TableState
from assay.features.tables.partitioning import Partitioning
from assay.features.tables.transaction import Transaction
from assay.features.views.columns import ColumnLineage
from assay.features.views.decay import AGE
from assay.features.views.expressions import root_columns
from assay.features.views.feature_view import FeatureView
from assay.features.views.timestamps import INSTANT
from assay.features.views.windowed import TIME, WindowedAggregates, event_scans, without_cells
from assay.features.window_parts.combine import rows_at
from assay.features.window_parts.decompose import Decomposed, decompose
from assay.features.window_parts.partials import BEGIN, BLOCKS, END, LEVEL, MADE_FROM, SOURCE, Partials
from assay.features.window_parts.states import States, states_of

# Windows over fewer partitions are read as they are: that costs little, and no further table is kept.
MANY = 32


def taken_apart(view: FeatureView, partitioning: Partitioning) -> Mapping[str, Decomposed] | None:
    """The features of a view whose windows are computed of parts, taken apart; None for any other view."""
    engine = view.transformation
    if not isinstance(engine, WindowedAggregates) or partitioning.reach(view.lookback()) + 1 < MANY:
        return None
    apart = {feature.name: decompose(feature.expr) for feature in engine.features}
    return {name: one for name, one in apart.items() if one is not None} if all(apart.values()) else None


def rows_of_parts(
    view: FeatureView,
    apart: Mapping[str, Decomposed],
    partitioning: Partitioning,
    tx: Transaction,
    frames: Mapping[str, pl.LazyFrame],
    times: Sequence[datetime],
) -> pl.DataFrame:
    """The rows of a view at each time, and its parts that end with the transaction's partition, which are staged.

    Args:
        view: A windowed view.
        apart: Its features, `taken_apart`.
        partitioning: That of the tables that it reads.
        tx: The work, which has read them.
        frames: What it has read.
        times: Within the partition, in order.

    Raises:
        AssayError: As `FeatureView.compute`.
    """
    engine, own = view.transformation, tx.work.partition or ""
    assert isinstance(engine, WindowedAggregates)
    table = Kind.PARTIALS.table(view.name)
    scans = event_scans(engine, frames, times)
    empty = {name: scan.collect_schema().to_frame() for name, scan in scans.items()}
    states: dict[str, States] = {}
    with without_cells(engine):
        for name, columns in empty.items():
            features = engine.of_table(name)
            aged = columns.with_columns(pl.lit(None, dtype=pl.Float64).alias(AGE))
            of_table = states_of(engine.keys, features, [apart[feature.name] for feature in features], aged)
            if of_table is None:  # parts of such values cannot be kept, and so are not made
                tx.write(table, _EMPTY, extra={BLOCKS: {}})
                return view.compute(frames, at=times)
            states[name] = of_table
        kept = _kept(tx, table)
        partials = {
            name: Partials(
                tx.state(name),
                partitioning,
                engine.of_table(name)[0].time,
                [column for column in empty[name].columns if column != TIME],
                states[name],
                kept,
                times[0] - engine.lookback_of(name),
                partitioning.end_of(own),
            )
            for name in empty
        }
        rows = rows_at(engine, partials, empty, times)
        blocks = {name: one.ending_at(own) for name, one in partials.items()}
    tx.write(
        table,
        pl.concat([frame for frame, _ in blocks.values()], how="diagonal"),
        column_lineage=_column_lineage(engine, states),
        extra={BLOCKS: {name: made_from for name, (_, made_from) in blocks.items()}},
    )
    return rows


_EMPTY = pl.DataFrame(
    schema={SOURCE: pl.String, LEVEL: pl.Int64, BEGIN: INSTANT, END: INSTANT, MADE_FROM: pl.String},
)


def _kept(tx: Transaction, table: str) -> TableState | None:
    """What is kept so far: part of writing it, and no input, since it is believed only as far as the events are the same."""
    try:
        return tx.lake.table(table).open_unasked()
    except TableMissing:
        return None


def _column_lineage(engine: WindowedAggregates, states: Mapping[str, States]) -> ColumnLineage:
    times = {table: engine.of_table(table)[0].time for table in states}
    chosen = [(table, name) for table, time in times.items() for name in (*engine.keys, time)]
    lineage: ColumnLineage = {
        key: {"direct": [(table, key) for table in states], "indirect": chosen} for key in engine.keys
    }
    lineage |= {name: {"direct": [], "indirect": chosen} for name in _EMPTY.columns}
    for table, of_table in states.items():
        indirect = [(table, name) for name in (*engine.keys, times[table])]
        for part in of_table.parts:
            names = [times[table] if name == TIME else name for name in root_columns(part.made) or ()]
            direct = [(table, name) for name in names]
            known: Any = lineage.get(part.column)
            # The same aggregation over two tables is one column.
            lineage[part.column] = {
                "direct": [*(known["direct"] if known else ()), *direct],
                "indirect": [*(known["indirect"] if known else ()), *indirect],
            }
    return lineage
