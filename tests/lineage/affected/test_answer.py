"""The list of affected predictions is exactly those that have an affected record behind them: against random lakes."""

import os
import random
from pathlib import Path
from typing import Any

import pytest

from assay.features.tables.lake import open_lake
from assay.lineage.affected.answer import affected_predictions
from assay.lineage.affected.origin import Origin
from assay.lineage.predictions.find_prediction import ID
from assay.lineage.tracing.row_provenance import LOOKED_UP, source_rows
from assay.lineage.tracing.trace import trace
from tests.lineage.affected.random_lakes import RandomLake

LAKES = range(500 if os.environ.get("SOAK") else 1)


def listed(lake: Any, origin: Origin) -> set[str]:
    found = affected_predictions(lake, origin)
    frame = found.frame()
    assert found.complete and not found.notes, found.notes
    assert frame["exact"].all() and frame[ID].is_unique().all()
    return set(frame[ID])


@pytest.mark.parametrize("seed", LAKES)
def test_the_list_of_a_random_lake_is_exact(seed: int, tmp_path: Path) -> None:
    made = RandomLake(open_lake(tmp_path), random.Random(seed))
    made.live(14)
    for name in random.Random(seed).sample(sorted(made.predictions), min(4, len(made.predictions))):
        behind = source_rows(made.lake, trace(made.lake, name))
        links = {(row.sha256, row.row_number) for row in behind if not row.because.startswith(LOOKED_UP)}
        assert links == {token[2:] for token in made.predictions[name] if token[2]}
    shas = sorted({token[2] for came in made.predictions.values() for token in came if token[2]})
    for sha in shas:
        truth = {name for name, came in made.predictions.items() if any(token[2] == sha for token in came)}
        assert listed(made.lake, Origin(sha)) == truth
        first = {name for name, came in made.predictions.items() if any(token[2:] == (sha, 1) for token in came)}
        assert listed(made.lake, Origin(sha, rows="_row_number = 1")) == first
    for table in ("raw/tickets", "clean/tickets", "features/last", "features/over"):
        for version in made.held.get(table, {}):
            of = {name for name, came in made.predictions.items() if any(t[:2] == (table, version) for t in came)}
            assert listed(made.lake, Origin(table=table, version=version)) == of
    amounts = {
        (row["_source_sha256"], row["_row_number"])
        for at in made.held["clean/tickets"].values()
        for rows in at.values()
        for row in rows
        if row["amount"] > 6
    }
    of = {name for name, came in made.predictions.items() if any(token[2:] in amounts for token in came)}
    assert listed(made.lake, Origin(table="clean/tickets", rows="amount > 6")) == of
