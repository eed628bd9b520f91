"""What a day adds to the lineage, whatever came before it: bytes of its commits and events, edges, rows of the index of reads."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from assay.features.storage.delta_log import far_back
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import Work
from assay.features.tables.transaction import transaction
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.predictions.prediction_log import stage_predictions
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store
from assay.lineage.store.schema import edges
from assay.lineage.tracing.impact import impact
from assay.lineage.tracing.trace import trace
from assay.lineage.tracing.trace_node import Held

DAYS = 24
LINK = 77  # bytes by which a commit vouches for one far back, of which there are at most log₂ of its number
AT = datetime(2026, 9, 1, tzinfo=UTC)


def _edges(store: LineageStore) -> int:
    with store.reading() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(edges)) or 0


def _shape(lake: Lake, recorder: EventRecorder, day: str) -> list[tuple[str, bool, int, int]]:
    """A prediction's trace: each node with the number of its commits and of its reads."""
    with transaction(lake, recorder, Work(f"predictions/of_{day}", day)) as tx:
        frame = tx.read("clean/t", [day]).select("id", event_time=pl.lit(AT)).collect()
        (prediction,) = stage_predictions(tx, model=f"of_{day}", model_version="1", frame=frame, keys=["id"])
    found = trace(lake, prediction)
    (looked_up,) = (node for node in found.nodes if node.lookup)
    assert looked_up.held == Held(int(day[1:]), int(day[1:])) and looked_up.excluded == (day,)
    assert [node.held for node in trace(lake, prediction, lookups=True).nodes] == [None] * 4
    return [(node.table, node.lookup, len(node.commits), len(node.slices)) for node in found.nodes[1:]]


def test_a_day_adds_as_much_after_many_days_as_after_few(tmp_path: Path) -> None:
    lake, store = open_lake(tmp_path / "lake"), open_lineage_store(tmp_path / "lineage.db")
    recorder = EventRecorder(store)
    added, sizes, shapes = [], [], []
    for number in range(DAYS):
        day, before = f"d{number:02d}", _edges(store)
        with transaction(lake, recorder, Work("raw/t", day)) as tx:
            tx.write("raw/t", pl.DataFrame({"id": [number]}))
        with transaction(lake, recorder, Work("clean/t", day)) as tx:
            rows = tx.read("raw/t", [day]).select("id").collect()
            if lake.table("clean/t").exists():
                published = tx.read("clean/t", lookup=True, excluded=[day]).select("id").collect()
                assert sorted(published["id"]) == list(range(number)), "all that was published before is seen"
            tx.write("clean/t", rows)
        added.append(_edges(store) - before)
        (_, end) = store.events(tx.work.run.id)
        state = lake.table("clean/t").at()
        written = len(lake.storage.get(f"clean/t/_delta_log/{state.version:020d}.json"))
        sizes.append((len(end.body), written - LINK * len(far_back(state.version))))
        if number in (6, DAYS - 1):
            shapes.append(_shape(lake, recorder, day))
    assert len({*added[1:6], *added[8:-1]}) == 1, added
    assert shapes[0] == shapes[1], "a trace has as many nodes, commits and reads, whatever was looked up in"
    assert all(abs(size - sizes[-1][at]) < 40 for pair in sizes[9:] for at, size in enumerate(pair)), sizes
    first = impact(lake, "raw/t", partition="d00")
    assert [(item.table, item.versions) for item in first.affected] == [("clean/t", (1,))], (
        "no prediction is of that day"
    )
    assert first.looked_up_by == {"clean/t": DAYS - 1}
    assert len(first.lookups) == 1 and len(first.lookups[0].versions) == DAYS - 1
    store.close()
