"""The rows that look-ups on the way to a prediction found are exactly those that its rows name: against random lakes."""

import os
import random
from pathlib import Path

import pytest

from assay.features.tables.lake import open_lake
from assay.lineage.tracing.row_provenance import LOOKED_UP, rows_read_for
from assay.lineage.tracing.trace import trace
from tests.lineage.affected.lookup_lakes import LookupLake

LAKES = range(200 if os.environ.get("SOAK") else 2)


@pytest.mark.parametrize("seed", LAKES)
def test_rows_of_look_ups_are_those_that_the_rows_behind_name(seed: int, tmp_path: Path) -> None:
    made = LookupLake(open_lake(tmp_path), random.Random(seed))
    made.live(10)
    rows = made.tokens("clean/customers")
    tokens = {(row["customer_id"], row["country"]): token for token, row in rows.items()}
    exact = sorted(name for name, came in made.came.items() if not came.perhaps)
    for name in random.Random(seed).sample(exact, min(6, len(exact))):
        found: set[tuple[str, int, int]] = set()
        for one in rows_read_for(made.lake, trace(made.lake, name)):
            if one.because.startswith(LOOKED_UP):
                state = made.lake.table(one.read.snapshot.table).at(one.read.snapshot.version)
                frame = state.scan(one.read.partitions, one.read.excluded).filter(one.condition)
                found |= {tokens[key] for key in frame.select("customer_id", "country").collect().rows()}
        assert found == {token for token in made.came[name].found if token[0] == "clean/customers"}, name


def test_some_rows_are_found_by_another_column_than_a_key(tmp_path: Path) -> None:
    made = LookupLake(open_lake(tmp_path), random.Random(1))
    made.live(10)
    reasons = {one.because for name in made.came for one in rows_read_for(made.lake, trace(made.lake, name))}
    assert f"{LOOKED_UP}referrer" in reasons
    assert any(came.found and not came.perhaps for came in made.came.values())
