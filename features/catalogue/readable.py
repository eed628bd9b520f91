"""The tables of a kind that the actor may read, and which of their columns are features."""

from collections.abc import Iterator

from assay.features.serving.by_definition import other_features
from assay.features.storage.parquet_files import PARTITION
from assay.features.tables.guard import Denied
from assay.features.tables.kinds import Kind
from assay.features.tables.lake import Lake, TableState
from assay.features.tables.serving import Serving

SERVED = (Kind.FEATURES, Kind.LABELS, Kind.EMBEDDINGS)
"""The kinds of tables that hold features, or labels."""


def readable(lake: Lake, kind: Kind) -> Iterator[TableState]:
    """The latest version of each table of a kind, by name, of features the one that is served; without those that the actor may
    not read."""
    for table in lake.tables(kind.folder):
        try:
            state = lake.table(table).served()
        except Denied:
            continue
        yield state


def served_features(state: TableState, serving: Serving) -> tuple[str, ...]:
    """The columns of a table that are features: not its keys and times, nor Assay's own columns, nor features that only other
    definitions of the view have."""
    taken = {*serving.columns(), PARTITION, *other_features(state, state.defined.definition)}
    return tuple(name for name in state.schema if name not in taken and not name.startswith("_"))
