"""What runs wrote to tables of a folder, as their events say: for what the lake itself does not show any more."""

from dataclasses import dataclass

import sqlalchemy as sa

from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.store.schema import ALL, datasets, edges, runs, versions


@dataclass(frozen=True, slots=True)
class Wrote:
    """A version of a table of ours that a run wrote. `partition` is empty for a table without."""

    table: str
    table_id: str
    version: int
    sha256: str
    partition: str
    run_id: str


def writes_below(store: LineageStore, folder: str, beginning: str) -> list[Wrote]:
    """What runs wrote to tables of a folder (`predictions`), in partitions that begin with a text or to tables without, by table
    and as it came."""
    query = (
        sa.select(datasets.c.table_name, datasets.c.table_id, versions.c.version, versions.c.commit_sha256)
        .add_columns(edges.c.partition, runs.c.run_id)
        .join(versions, versions.c.dataset_id == datasets.c.id)
        .join(edges, edges.c.version_id == versions.c.id)
        .join(runs, runs.c.id == edges.c.run_key)
        .where(datasets.c.table_name.startswith(f"{folder}/", autoescape=True), edges.c.role == "output")
        .where((edges.c.partition == ALL) | edges.c.partition.startswith(beginning, autoescape=True))
        .order_by(datasets.c.table_name, versions.c.id)
    )
    with store.reading() as connection:
        rows = connection.execute(query).all()
    return [Wrote(row[0], row[1], int(row[2]), row[3], row[4], row[5]) for row in rows if row[2].isdecimal()]
