"""Freshness is of the data, not of the run, and Dagster shows the verdict from the first run on and after each."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from assay.assets.dagster import freshness
from assay.assets.dagster.definitions import definitions_of, partitions_by_table
from assay.assets.dagster.freshness import changed_freshness
from assay.assets.dagster.to_dagster import build_asset

CHECK = dg.AssetCheckKey(dg.AssetKey(["clean", "orders"]), "data_freshness")


def at(shop: Any, when: str) -> Any:
    instant = datetime.fromisoformat(when).replace(tzinfo=UTC)
    return replace(shop.env, now=lambda: instant)


def shown(shop: Any) -> tuple[dg.AssetCheckEvaluation | None, bool]:
    """The last evaluation, and whether Dagster takes it for one of the latest materialization: else it is "Not evaluated"."""
    record = shop.instance.event_log_storage.get_latest_asset_check_execution_by_key([CHECK]).get(CHECK)
    if record is None or record.evaluation is None:
        return None, False
    newest = [record.storage_id for record in shop.instance.fetch_materializations(CHECK.asset_key, limit=1).records]
    target = record.evaluation.target_materialization_data
    return record.evaluation, newest == ([target.storage_id] if target else [])


def test_each_run_evaluates_it_in_one_sentence_about_the_newest_event(new_shop: Any) -> None:
    known = partitions_by_table(new_shop.steps)
    assets = [build_asset(step, known) for step in new_shop.steps]
    for number in (1, 2):
        new_shop.drop(number, new_shop.csv(number, 1.0, 2.0))
        assert dg.materialize(assets, partition_key=new_shop.day(number), instance=new_shop.instance).success
        evaluation, current = shown(new_shop)
        assert evaluation is not None and current
        assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert (evaluation.description or "").startswith(
            f"clean/orders: newest event {new_shop.day(number)} 02:00 UTC, "
        ), evaluation.description
        assert (evaluation.description or "").endswith(" days old, allowed 1 day.")
    assert dg.materialize(assets, partition_key=new_shop.day(1), instance=new_shop.instance).success
    evaluation, current = shown(new_shop)
    assert evaluation is not None and current, "unchanged, but materialized again"
    assert f"newest event {new_shop.day(2)} 02:00" in (evaluation.description or "")


def test_a_change_is_reported_once_and_shown_as_a_check(shop: Any, monkeypatch: Any) -> None:
    def report(when: str) -> list[bool]:
        events = changed_freshness(shop.steps, at(shop, when), shop.instance)
        for event in events:
            shop.instance.report_runless_asset_event(event)
        return [event.passed for event in events]

    days = ("2026-03-04", "2026-03-03", "2026-03-05", "2026-03-06", "2026-03-04")
    assert [report(when) for when in days] == [[True], [], [False], [], [True]]
    evaluation, current = shown(shop)
    assert evaluation is not None and current
    assert evaluation.description == "clean/orders: newest event 2026-03-03 04:00 UTC, 20 hours old, allowed 1 day."
    monkeypatch.setattr(freshness, "SHOWN", timedelta(days=-(10**6)))
    assert report("2026-03-04") == [True], "the age that it says is an old one"
    graph = definitions_of(shop.steps).resolve_asset_graph()
    assert CHECK in graph.asset_check_keys


def test_the_command_does_not_warn_of_old_days_at_each_of_them(new_shop: Any) -> None:
    new_shop.drop(1, new_shop.csv(1, 1.0, 2.0))
    assert [text for result in new_shop.materialize().results for text in result.warnings] == []


def test_a_source_that_has_delivered_nothing_has_a_verdict_too(new_shop: Any) -> None:
    (event,) = changed_freshness(new_shop.steps, new_shop.env, new_shop.instance)
    assert (event.passed, event.description) == (True, "clean/orders: no data yet.")
    new_shop.instance.report_runless_asset_event(event)
    assert changed_freshness(new_shop.steps, new_shop.env, new_shop.instance) == []
