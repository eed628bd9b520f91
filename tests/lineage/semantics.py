"""What the OpenLineage schemas do not ask, and lineage needs to be true: rules over all events of some runs."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Event = Mapping[str, Any]
TERMINAL = ("COMPLETE", "FAIL", "ABORT")


def broken_rules(events: Iterable[Event]) -> list[str]:
    """Every rule that some run breaks, with the run."""
    runs: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        runs[event["run"]["runId"]].append(event)
    return [f"{run_id}: {problem}" for run_id, told in runs.items() for problem in _of_run(told)]


def _of_run(told: list[Event]) -> Iterator[str]:
    starts = [event for event in told if event["eventType"] == "START"]
    ends = [event for event in told if event["eventType"] in TERMINAL]
    if (len(starts), len(ends), len(told)) != (1, 1, 2):
        yield f"has {len(starts)} START and {len(ends)} terminal events among {len(told)}"
        return
    start, end = starts[0], ends[0]
    if _job(start) != _job(end):
        yield "is of two jobs"
    if start["eventTime"] > end["eventTime"]:
        yield "ends before it starts"
    if start["inputs"] or start["outputs"]:
        yield "names versions before they are known"
    for name in ("parent", "nominalTime"):
        if start["run"]["facets"].get(name) != end["run"]["facets"].get(name):
            yield f"has another {name} at its end"
    if ("errorMessage" in end["run"]["facets"]) != (end["eventType"] != "COMPLETE"):
        yield "says why it failed, and did not, or the other way round"
    for side in ("inputs", "outputs"):
        places = [(item["namespace"], item["name"], item["facets"]["version"]["datasetVersion"]) for item in end[side]]
        if len(places) != len(set(places)):
            yield f"names one version twice among its {side}"
        yield from (problem for item in end[side] for problem in _of_dataset(item))
    yield from _of_checks(start, end)


def _job(event: Event) -> tuple[str, str]:
    return event["job"]["namespace"], event["job"]["name"]


def _of_dataset(item: Event) -> Iterator[str]:
    facets = item["facets"]
    version = facets.get("version", {}).get("datasetVersion", "")
    snapshot = facets.get("assay_snapshot")
    if (snapshot is not None) != ("storage" in facets):
        yield f"{item['name']} is a table without an identity"
    if not version:
        yield f"{item['name']} has no version"
    elif snapshot is None and len(version) != 64:
        yield f"{item['name']} is a file without its digest"
    elif snapshot is not None and str(snapshot["version"]) != version:
        yield f"{item['name']} is of two versions"
    # Of several inputs and outputs everything would be linked to everything.
    if "columnLineage" in facets and "lineage" not in facets:
        yield f"{item['name']} says of its columns and not of itself where they come from"


def _of_checks(start: Event, end: Event) -> Iterator[str]:
    if "test" in start["run"]["facets"]:
        yield "has checks outside its terminal event"
    tests = end["run"]["facets"].get("test", {}).get("tests", [])
    told = {(item["params"]["table"], item["name"], item["params"].get("column"), item["status"]) for item in tests}
    if len(told) != len(tests):
        yield "says one check twice"
    for item in end["inputs"]:
        for found in item.get("inputFacets", {}).get("dataQualityAssertions", {}).get("assertions", []):
            status = "pass" if found["success"] else "fail"
            table = item["facets"]["assay_snapshot"]["table"]
            if (table, found["name"], found.get("column"), status) not in told:
                yield f"asserts {found['name']} of {table} and did not test it"
