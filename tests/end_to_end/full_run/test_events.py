"""The events of all runs: valid by the official schemas, with the versions that were really read and written."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest


@pytest.fixture(scope="module")
def events(full_run: Any) -> list[Mapping[str, Any]]:
    return [event.data for event in full_run.store.lineage_store.events()]


def test_every_event_is_valid_by_the_official_schemas(events: Any, official: Callable[[Any], list[str]]) -> None:
    assert len(events) > 300
    for event in events:
        assert official(event) == []


def test_every_run_starts_once_and_ends_once(full_run: Any, events: Any) -> None:
    kinds: dict[str, Counter[str]] = {}
    for event in events:
        kinds.setdefault(event["run"]["runId"], Counter())[event["eventType"]] += 1
    ends = Counter(tuple(sorted(kind.items())) for kind in kinds.values())
    assert ends.keys() == {(("COMPLETE", 1), ("START", 1)), (("FAIL", 1), ("START", 1))}
    refused = sum(phase["failed"] for phase in full_run.phases)
    assert ends[("FAIL", 1), ("START", 1)] == refused == 3


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
                if "version" in data["facets"] and data["namespace"] == "file"
            }
            assert (full_run.store.table(table).uri, str(commit.version)) in written
            expected = {(item.snapshot.uri, str(item.snapshot.version)) for item in commit.inputs}
            assert expected <= read
            older += sum(item.snapshot.version < latest[item.snapshot.table] for item in commit.inputs)
    assert older > 100, "most runs read a version that is not the latest any more"
