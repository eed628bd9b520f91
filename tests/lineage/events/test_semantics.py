"""The rules that the schemas do not ask notice when they are broken."""

import copy
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from assay.features.tables.lake import Lake
from assay.features.tables.run_record import CheckResult, Work
from assay.features.tables.transaction import transaction
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.store.lineage_store import LineageStore
from tests.lineage.semantics import broken_rules

Events = list[dict[str, Any]]


@pytest.fixture
def events(lake: Lake, store: LineageStore, recorder: EventRecorder) -> Events:
    with transaction(lake, recorder, Work("raw/t")) as tx:
        tx.write("raw/t", pl.DataFrame({"a": [1]}))
    with transaction(lake, recorder, Work("clean/t")) as tx:
        frame = tx.read("raw/t").collect()
        tx.check(CheckResult("a.ge", "clean/t", True, evaluated=1))
        tx.write("clean/t", frame.select("a"), column_lineage={"a": {"direct": [("raw/t", "a")], "indirect": []}})
    return [item.data for item in store.events()]


def verdicts_of(event: dict[str, Any]) -> list[Any]:
    return event["run"]["facets"]["test"]["tests"]


def test_what_is_recorded_keeps_them(events: Events) -> None:
    assert broken_rules(events) == []


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda events: events.pop(), "1 START and 0 terminal"),
        (lambda events: events.append(events[-1] | {"eventType": "ABORT"}), "2 terminal"),
        (lambda events: events[3]["run"].update(runId=events[1]["run"]["runId"]), "2 terminal"),
        (lambda events: events[3]["job"].update(name="other"), "two jobs"),
        (lambda events: events[3].update(eventTime="2020-01-01T00:00:00Z"), "ends before"),
        (lambda events: events[2].update(inputs=events[3]["inputs"]), "before they are known"),
        (lambda events: events[3].update(eventType="FAIL"), "says why it failed"),
        (lambda events: events[3]["run"]["facets"].update(nominalTime={}), "another nominalTime"),
        (lambda events: events[3]["outputs"].append(events[3]["outputs"][0]), "twice among its outputs"),
        (lambda events: events[3]["inputs"][0]["facets"]["version"].update(datasetVersion="9"), "of two versions"),
        (lambda events: events[3]["outputs"][0]["facets"].pop("assay_snapshot"), "without an identity"),
        (lambda events: events[3]["outputs"][0]["facets"].pop("lineage"), "of its columns and not of itself"),
        (lambda events: events[3]["run"]["facets"].pop("test"), "did not test it"),
        (lambda events: verdicts_of(events[3]).append(verdicts_of(events[3])[0]), "one check twice"),
        (lambda events: events[2]["run"]["facets"].update(test={}), "outside its terminal event"),
    ],
)  # fmt: skip
def test_each_rule_notices(events: Events, spoil: Callable[[Events], Any], said: str) -> None:
    spoiled = copy.deepcopy(events)
    spoil(spoiled)
    assert any(said in problem for problem in broken_rules(spoiled)), broken_rules(spoiled)
