"""Freshness is of the data: of the newest partition's end or the newest event, whenever it was computed."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from assay.assets.dagster.definitions import definitions_of
from assay.assets.dagster.freshness import changed_freshness
from assay.assets.steps.freshness import freshness_of
from assay.assets.steps.step import Step

CHECK = dg.AssetCheckKey(dg.AssetKey(["clean", "orders"]), "data_freshness")


def clean(shop: Any) -> Step:
    (step,) = [step for step in shop.steps if step.outputs[0] == "clean/orders"]
    return step


def at(shop: Any, when: str) -> Any:
    instant = datetime.fromisoformat(when).replace(tzinfo=UTC)
    return replace(shop.env, now=lambda: instant)


@pytest.mark.parametrize(
    ("when", "fresh"), [("2026-03-04", True), ("2026-03-05", True), ("2026-03-05T00:00:01", False)]
)
def test_the_end_of_the_newest_partition_decides(shop: Any, when: str, fresh: bool) -> None:
    found = freshness_of(clean(shop), at(shop, when))
    assert (found.fresh, found.newest) == (fresh, datetime(2026, 3, 4, tzinfo=UTC))


def test_computing_an_old_day_again_does_not_make_a_dead_source_fresh(shop: Any) -> None:
    shop.run(force=True)
    assert not freshness_of(clean(shop), at(shop, "2026-06-01")).fresh


def test_a_source_that_has_ended_is_not_old_and_one_without_data_neither(shop: Any, new_home: Any) -> None:
    ended = replace(clean(shop), partitioning=replace(clean(shop).partitioning, end="2026-03-03"))
    assert freshness_of(ended, at(shop, "2030-01-01")).fresh
    with new_home(shop):
        assert freshness_of(clean(shop), at(shop, "2030-01-01")).newest is None


def test_a_table_without_partitions_is_as_new_as_its_newest_event(shop: Any) -> None:
    whole = replace(clean(shop), partitioning=type(clean(shop).partitioning)())
    assert freshness_of(whole, at(shop, "2026-03-05")).newest == datetime(2026, 3, 3, 4, tzinfo=UTC)


def test_a_change_is_reported_once_and_shown_as_a_check(shop: Any) -> None:
    def report(when: str) -> list[bool]:
        events = changed_freshness(shop.steps, at(shop, when), shop.instance)
        for event in events:
            shop.instance.report_runless_asset_event(event)
        return [event.passed for event in events]

    days = ("2026-03-04", "2026-03-05", "2026-03-06", "2026-03-07", "2026-03-04")
    assert [report(when) for when in days] == [[True], [], [False], [], [True]]
    graph = definitions_of(shop.steps).resolve_asset_graph()
    assert CHECK in graph.asset_check_keys
