"""The OpenLineage events of runs say what the commits say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from assay.lineage.evidence.verifier.commits import Log, digest_of
from assay.lineage.evidence.verifier.findings import Files, Finding, Findings, summed


def check_events(files: Files, logs: dict[str, Log], runs: set[str]) -> Findings:
    """The OpenLineage events of a run name the versions that its commits name."""
    problems, silent = [], []
    for run in sorted(runs):
        name = f"events/{run}.ndjson"
        events = [json.loads(line) for line in files.get(name, b"").splitlines()]
        last = [event for event in events if event.get("eventType") == "COMPLETE"]
        if not last:
            silent.append(run)
        problems += [Finding(name, False, detail) for event in last for detail in event_problems(event, run, logs)]
    yield from summed("events: the versions that the commits name", len(runs) - len(silent), problems)
    if silent:
        yield Finding("events", None, f"{len(silent)} runs have no COMPLETE event in the bundle", required=False)


def event_problems(event: dict[str, Any], run: str, logs: dict[str, Log]) -> Iterator[str]:
    used: dict[str, list[dict[str, Any]]] = {"inputs": [], "outputs": []}
    for side, entries in used.items():
        for dataset in event.get(side, []):
            facets = dataset.get("facets", {})
            facet = facets.get("assay_snapshot")
            if facet is None or facet["role"] == "audited":
                continue
            entries.append(facet)
            if facets["version"]["datasetVersion"] != str(facet["version"]):
                yield f"names two versions of {facet['table']}"
    if event["run"]["runId"] != run:
        yield "is about another run"
    inputs = {identity(item) for item in used["inputs"]}
    made = [commit for log in logs.values() for commit in log.commits.values() if commit.ours.get("run_id") == run]
    for commit in (commit for commit in made if commit.wrote and logs[commit.table].tells([commit.version])):
        name, partition = f"{commit.table}@{commit.version}", commit.ours.get("partition")
        own = [item for item in used["outputs"] if identity(item) == (commit.table, commit.version, commit.sha256)]
        about = {"table_id": logs[commit.table].table_id, "mode": commit.ours.get("mode", "replace"), "role": "output"}
        about["partitions"] = None if partition is None else [partition]
        if not own:
            yield f"does not name {name} as an output"
        elif not any(all(item.get(key) == value or value == "" for key, value in about.items()) for item in own):
            yield f"says something else of {name} than its commit"
        read = {identity(item) for item in commit.inputs}
        if not inputs <= read or {item[0] for item in inputs} != {item[0] for item in read}:
            yield f"names other inputs than {name}"
        elif any(not same_read(item, commit.inputs) for item in used["inputs"]):
            yield f"says something else of what {name} read than its commit"


def identity(item: dict[str, Any]) -> tuple[str, int, str]:
    """A version of a table, as commits and events name it."""
    return item["table"], item["version"], item["commit_sha256"]


def same_read(facet: dict[str, Any], inputs: list[dict[str, Any]]) -> bool:
    """Whether what an event says of a read is what the commit says: all slices of one version together."""
    read = [item for item in inputs if identity(item) == identity(facet)]
    whole = any(item["partitions"] is None for item in read)
    digest = read[0]["digest"] if len(read) == 1 else digest_of(item["digest"] for item in read)
    return (
        all(item["table_id"] == facet["table_id"] for item in read)
        and facet.get("partitions") == (None if whole else sorted({key for item in read for key in item["partitions"]}))
        and facet["role"] == ("reference" if all(item["reference"] for item in read) else "input")
        and (facet.get("digest") or "") == (digest or "")
    )
