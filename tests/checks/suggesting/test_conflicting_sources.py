"""Several sources report one thing."""

import random

import numpy as np
import polars as pl

from assay.checks.suggesting.conflicting_sources import conflicting_sources, reports_in, weighted_votes
from assay.checks.suggesting.dependencies import codes_of
from assay.checks.suggesting.text_column import text_columns
from tests.checks.suggesting.columns import doubted_cells
from tests.checks.suggesting.planted import departures

Table = dict[str, list[str | None]]


def test_wrong_reports_are_found_where_half_are_wrong() -> None:
    planted = departures(9)
    table: Table = planted.dirty.to_dict(as_series=False)
    found = {cell for cell, finding in doubted_cells(conflicting_sources, table).items() if finding.confidence >= 0.5}
    assert len(planted.errors) > 0.4 * 4 * planted.dirty.height
    assert len(found & planted.errors) >= 0.95 * len(planted.errors)
    assert len(found - planted.errors) <= 0.01 * len(found)


def test_reports_that_agree_are_not_doubted() -> None:
    assert doubted_cells(conflicting_sources, departures(9).clean.to_dict(as_series=False)) == {}


def test_the_source_and_the_thing_are_told_apart() -> None:
    columns = text_columns(departures(9).dirty)
    reports = reports_in(columns, codes_of(columns))
    assert reports is not None
    assert [columns[i].name for i in (reports.source, reports.thing)] == ["site", "train"]
    assert [columns[i].name for i in reports.reported] == [
        "planned_departure",
        "departure",
        "planned_arrival",
        "arrival",
    ]


def test_measurements_by_shop_and_month_are_no_reports() -> None:
    chosen = random.Random(1)
    rows = [
        (f"shop {shop}", f"month {month}", str(chosen.randrange(1000))) for shop in range(20) for month in range(24)
    ]
    table: Table = {name: [row[i] for row in rows] for i, name in enumerate(("shop", "month", "sales"))}
    assert doubted_cells(conflicting_sources, table) == {}


def test_properties_of_a_shop_make_no_reports_of_its_months() -> None:
    chosen = random.Random(1)
    rows = [(shop, month) for shop in range(20) for month in range(24)]
    managers = [f"manager {shop * 2 + (month > 8 + shop % 12)}" for shop, month in rows]
    table: Table = {
        "shop": [f"shop {shop}" for shop, _ in rows],
        "month": [f"month {month}" for _, month in rows],
        "town": [f"town {shop}" for shop, _ in rows],
        "street": [f"street {shop}" for shop, _ in rows],
        "manager": list(managers),
        "sales": [str(chosen.randrange(1000)) for _ in rows],
    }
    assert doubted_cells(conflicting_sources, table) == {}


def test_a_reliable_source_outweighs_several_that_are_mostly_wrong() -> None:
    chosen = random.Random(2)
    things, sources = 60, 7
    rows = [(thing, source) for thing in range(things) for source in range(sources)]
    # Three sources are right; four are mostly wrong, and copy the same wrong value for the last thing.
    value = [
        thing if source < 3 else 900 if thing == things - 1 else chosen.randrange(100, 800) for thing, source in rows
    ]
    arrays = [np.array(numbers, dtype=np.int64) for numbers in ([t for t, _ in rows], value, [s for _, s in rows])]
    votes = weighted_votes(arrays[0], pl.Series(value).rank("dense").to_numpy().astype(np.int64), arrays[2])
    last = [row for row, (thing, source) in enumerate(rows) if thing == things - 1 and source < 3]
    assert all(votes.own[row] > votes.other[row] for row in last)
