"""The events of all runs: valid by the official schemas, with the versions that were really read and written."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.lineage.semantics import broken_rules


@pytest.fixture(scope="module")
def events(full_run: Any) -> list[Mapping[str, Any]]:
    return [event.data for event in full_run.store.lineage_store.events()]


def test_every_event_is_valid_by_the_official_schemas(events: Any, official: Callable[[Any], list[str]]) -> None:
    assert len(events) > 300
    for event in events:
        assert official(event) == []


def test_every_event_keeps_the_rules_that_no_schema_asks(full_run: Any, events: Any) -> None:
    assert broken_rules(events) == []
    kinds = Counter(event["eventType"] for event in events)
    refused = sum(phase["failed"] for phase in full_run.phases)
    assert kinds == {"START": len(events) // 2, "COMPLETE": len(events) // 2 - refused, "FAIL": refused}
    assert refused == 3


def test_events_carry_the_versions_that_were_really_read_and_written(full_run: Any, events: Any) -> None:
    """Against the lake's own commits, which the recorder does not write."""
    complete = {event["run"]["runId"]: event for event in events if event["eventType"] == "COMPLETE"}
    latest, older = full_run.versions(), 0
    for table in latest:
        for commit in full_run.store.table(table).history():
            if commit.run_id is None:
                continue
            event = complete[commit.run_id]
            written = {(data["name"], data["facets"]["version"]["datasetVersion"]) for data in event["outputs"]}
            read = {
                (data["name"], data["facets"]["version"]["datasetVersion"])
                for data in event["inputs"]
                if "version" in data["facets"] and data["namespace"] == "assay"
            }
            assert (table, str(commit.version)) in written
            expected = {(item.snapshot.table, str(item.snapshot.version)) for item in commit.inputs}
            assert expected <= read
            older += sum(item.snapshot.version < latest[item.snapshot.table] for item in commit.inputs)
    assert older > 100, "most runs read a version that is not the latest any more"
