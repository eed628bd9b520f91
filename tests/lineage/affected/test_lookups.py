"""Rows of look-ups, and rows behind spines that functions made, are followed one by one: against random lakes."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.features.tables.lake import open_lake
from assay.lineage.affected.answer import affected_predictions
from assay.lineage.affected.origin import Origin
from assay.lineage.predictions.find_prediction import ID
from tests.lineage.affected.lookup_lakes import LookupLake, Row, Token

LAKES = range(500 if os.environ.get("SOAK") else 2)
CONDITIONS: dict[str, dict[str, Callable[[Row], bool]]] = {
    "clean/customers": {"customer_id = 'c1'": lambda row: row["customer_id"] == "c1"},
    "clean/tickets": {
        "ticket_id < 't2'": lambda row: row["ticket_id"] < "t2",
        "referrer = 'c0'": lambda row: row["referrer"] == "c0",
    },
    "features/segments": {"customer_id = 'c2'": lambda row: row["customer_id"] == "c2"},
}


def compare(made: LookupLake, origin: Origin, affected: set[Token], lookups: bool) -> None:
    found = affected_predictions(made.lake, origin, lookups=lookups)
    frame = found.frame()
    assert found.complete and frame[ID].is_unique().all()
    sure = {
        name for name, one in made.came.items() if affected & (one.certain | (one.found if lookups else frozenset()))
    }
    maybe = {
        name
        for name, one in made.came.items()
        if affected & (one.perhaps | (one.perhaps_found if lookups else frozenset()))
    }
    assert set(frame.filter("exact")[ID]) == sure, origin
    assert set(frame.filter(~frame["exact"])[ID]) == maybe - sure, origin
    assert bool(found.notes) >= bool(maybe - sure)


@pytest.mark.parametrize("seed", LAKES)
def test_the_list_of_a_random_lake_is_exact_where_keys_allow(seed: int, tmp_path: Path) -> None:
    made = LookupLake(open_lake(tmp_path), random.Random(seed))
    made.live(12)
    for table, conditions in CONDITIONS.items():
        for lookups in (False, True):
            for version in made.held[table]:
                whole = {token for token in made.tokens(table) if token[1] == version}
                compare(made, Origin(table=table, version=version), whole, lookups)
            for condition, holds in conditions.items():
                some = {token for token, row in made.tokens(table).items() if holds(row)}
                compare(made, Origin(table=table, rows=condition), some, lookups)
