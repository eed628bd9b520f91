"""Questions about where data came from and where it went, asked of the lake and the index that the settings name.

`assay.open()` gives the same answers as methods of a store; these are for those who have one lake, the configured one.
"""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from assay.features.tables.lake import Lake, open_lake
from assay.lineage.tracing import impact as impacts
from assay.lineage.tracing import trace as traces
from assay.lineage.verification import verify as verification
from assay.lineage.verification.finding import Verification
from assay.lineage.verification.witness import EventsWitness, StoreWitness, Witness
from assay.settings import Settings

if TYPE_CHECKING:
    from assay.lineage.queries.diff import Diff
    from assay.lineage.queries.walk import Subgraph
    from assay.lineage.store.lineage_store import LineageStore


def trace(prediction_id: str, *, lookups: bool = False, lake: Lake | None = None) -> traces.Trace:
    """From a prediction to the source bytes.

    Args:
        prediction_id: The UUID that logging the prediction returned.
        lookups: Also follow tables that something was only looked up in, such as known customers.
        lake: Where the tables are. Default: the lake of the settings (`ASSAY_LAKE`).

    Returns:
        The prediction with every version, run, contract and file behind it.

    Raises:
        AssayError: The text is no id, no table has it, or the file that holds the prediction is gone or damaged.
    """
    return traces.trace(lake or _lake(), prediction_id, lookups=lookups)


def impact(
    table: str,
    version: int | None = None,
    *,
    partition: str | None = None,
    column: str | None = None,
    lake: Lake | None = None,
) -> impacts.Impact:
    """Everything downstream of a table, or of one version, partition or column of it.

    Args:
        table: Name of the table, such as `raw/tickets`.
        version: Only what read rows that this version wrote. Default: whatever the table ever held.
        partition: Only what read this partition.
        column: Only what came from this column.
        lake: Where the tables are. Default: the lake of the settings.

    Returns:
        The tables, training sets, models and predictions that are affected; `complete`, or the reasons why not.

    Raises:
        AssayError: There is no such table, version, partition or column.
    """
    return impacts.impact(lake or _lake(), table, version, partition=partition, column=column)


def verify(
    trace: str | traces.Trace,
    *,
    embed: bool = True,
    landing: str | Path | None = None,
    witness: str | Path | None = None,
    lake: Lake | None = None,
) -> Verification:
    """Recompute everything that a trace claims: digests, the feature row, the vector. The answer is not computed again, which
    needs the project's code: `assay.open().verify(…)` does.

    Args:
        trace: A trace, or the id of a prediction.
        embed: Also embed the text again, which loads the embedding model.
        landing: The folder that files were delivered to. Whether they are still there is reported and decides nothing.
        witness: A file of OpenLineage events that recorded the commits. Default: the lineage store of the settings.
        lake: Where the tables are. Default: the lake of the settings.

    Returns:
        What was checked, with the verdict `verified`, `incomplete` or `broken`.

    Raises:
        AssayError: The prediction or the embedding model is not there.
    """
    settings = Settings()
    lake = lake or _lake(settings)
    of = traces.trace(lake, trace) if isinstance(trace, str) else trace
    second: Witness = StoreWitness(_index(settings)) if witness is None else EventsWitness(Path(witness))
    if not embed:
        return verification.verify(lake, of, landing=landing, witness=second)
    from assay.features.embeddings.engine import Engine
    from assay.features.embeddings.model import resolve_model

    engine = Engine(resolve_model(settings.embedding_model or None), device=settings.device)
    return verification.verify(lake, of, embed=engine.embed, landing=landing, witness=second)


def diff(a: str, b: str, *, store: "LineageStore | None" = None, lake: Lake | None = None) -> "Diff":
    """What differs between two versions, and in how they were made.

    Args:
        a: A version, as `clean/tickets@3` or as an id of the lineage graph.
        b: Another.
        store: The index of lineage events. Default: that of the settings (`ASSAY_LINEAGE_DB`).
        lake: Where the tables are. Default: the lake of the settings.

    Returns:
        The differences in schema, rows, contract, checks, code and inputs.

    Raises:
        AssayError: One of the two is not in the graph.
    """
    from assay.lineage.queries.diff import diff as differences

    return differences(store or _index(), lake or _lake(), a, b)


def graph(as_of: datetime | None = None, *, limit: int = 10_000, store: "LineageStore | None" = None) -> "Subgraph":
    """The lineage graph: runs, the versions they read and the versions they wrote.

    Args:
        as_of: Only runs that had started by then. Default: all.
        limit: At most so many nodes; the answer says where it was cut.
        store: The index of lineage events. Default: that of the settings.

    Returns:
        Nodes and edges.
    """
    from assay.lineage.queries.walk import graph as whole

    return whole(store or _index(), as_of, limit=limit)


def _lake(settings: Settings | None = None) -> Lake:
    settings = settings or Settings()
    return open_lake(settings.lake_uri, settings.lake_options, actor=settings.acting)


def _index(settings: Settings | None = None) -> "LineageStore":
    from assay.lineage.store.lineage_store import open_lineage_store

    settings = settings or Settings()
    return open_lineage_store(settings.lineage_url, settings.home)
