"""The trace as people read it: its steps, and what each read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from assay.lineage.evidence.verifier.commits import Commit, Log
from assay.lineage.evidence.verifier.findings import Finding, Findings, exactly, summed

Node = dict[str, Any]
Problems = Iterator[tuple[Node, str]]


def check_trace(trace: dict[str, Any], logs: dict[str, Log], way: list[Commit], row: dict[str, Any]) -> Findings:
    """The trace shows every commit of the path, and its edges are the reads that each commit records, and no others."""
    nodes = {node["id"]: node for node in trace["nodes"]}
    root = nodes[trace["root"]]
    problems = [*root_problems(trace, root, logs, way, row)]
    for node in nodes.values():
        problems += name_problems(node, root)
        problems += detail_problems(node, logs, row)
        problems += writer_problems(node, logs)
        problems += read_problems(node, nodes, logs, row)
    reached = {root["id"], *(name for node in nodes.values() for name in node["inputs"])}
    problems += [(node, "leads nowhere") for name, node in nodes.items() if name not in reached]
    findings = [Finding("trace.json", False, f"{node['table']} ({node['id']}) {detail}") for node, detail in problems]
    findings += left_out(trace, logs, way)
    yield from summed("trace: every commit on the way, and what each read", len(nodes), findings)


def root_problems(
    trace: dict[str, Any], root: Node, logs: dict[str, Log], way: list[Commit], row: dict[str, Any]
) -> Problems:
    """It begins with the commit of the prediction."""
    table_id = logs[row["table"]].table_id or root["slices"][0]["table_id"]  # unknown where the first commits are gone
    start = {"table": row["table"], "version": row["version"], "commit_sha256": way[0].sha256, "table_id": table_id}
    start.update({"partitions": [way[0].ours.get("partition") or row["partition"]], "reference": False})
    slices = [{name: item[name] for name in start} for item in root["slices"]]
    if slices != [start] or root["reference"]:
        yield root, "is not the commit of the prediction"
    if (trace["prediction_id"], root["name"]) != (row["prediction_id"], row["prediction_id"]):
        yield root, "is another prediction"


def name_problems(node: Node, root: Node) -> Problems:
    folder = node["table"].split("/")[0]
    if node["kind"] != {"predictions": "prediction", "models": "model"}.get(folder, folder):
        yield node, "is of another kind"
    if node is not root and not f"{node['name']} ".startswith(f"{node['table']} "):
        yield node, "has the name of another table"


def detail_problems(node: Node, logs: dict[str, Log], row: dict[str, Any]) -> Problems:
    """Of a model it shows what its commit says of it. Metrics, parameters and times are in the table's rows only."""
    details, log = node["details"], logs.get(node["table"])
    if node["kind"] != "model" or node["reference"]:  # what was only looked up is no model that answered
        if details:
            yield node, "shows details that such a step has none of"
        return
    if "row" in details:
        identity = {name: value for name, _, value in row["identity"]}
        if details != {"model_version": identity["model_version"], "row": "gone"}:
            yield node, "is another model than that of the prediction"
        return
    if log is None or not log.tells(node["commits"]):
        return
    for version in node["commits"]:
        said = log.commits[version].ours.get("model")
        if said is None:  # a commit from before
            continue
        known = {"model_version": said.get("version", ""), "split": said.get("split")}
        known.update({name: said[name] for name in ("sha256", "training_set", "outputs") if name in said})
        split = details.get("split")
        shown = {**details, "split": json.loads(split) if isinstance(split, str) else split}
        wrong = [name for name, value in known.items() if not exactly(shown.get(name), value)]
        if wrong:
            yield node, f"says something else of the model than its commit: {', '.join(sorted(wrong))}"


def writer_problems(node: Node, logs: dict[str, Log]) -> Problems:
    """It names the commits that wrote its rows. Of models and predictions it shows the one that is meant."""
    log = logs.get(node["table"])
    if log is None or not log.sound(newest_of(node)):
        return
    slices = (log.writers(item["version"], item["partitions"], item.get("except", ())) for item in node["slices"])
    wrote, named = {item.version for items in slices for item in items}, set(node["commits"])
    if not named <= wrote or (named != wrote and node["kind"] not in ("prediction", "model")):
        yield node, "does not name the commits that wrote its rows"


def read_problems(node: Node, nodes: dict[str, Node], logs: dict[str, Log], row: dict[str, Any]) -> Problems:
    """Its inputs are what its commits read. What a changed commit has read, nobody knows."""
    for name in node["inputs"]:
        if any(item["reference"] != nodes[name]["reference"] for item in nodes[name]["slices"]):
            yield nodes[name], "was looked up where it says read, or the other way round"
    log = logs.get(node["table"])
    if log is None or not log.tells(node["commits"]):
        return
    if not (node["commits"] or log.sound(newest_of(node)) or node["table"] == row["table"]):
        return
    read = [item for version in node["commits"] for item in log.commits[version].inputs]
    read = [{name: value for name, value in item.items() if name != "uri"} for item in read]
    for name in node["inputs"]:
        if any(item not in read for item in nodes[name]["slices"]):
            yield nodes[name], f"was not read like this for {node['table']}"
    shown = [item for name in node["inputs"] for item in nodes[name]["slices"]]
    if not node["reference"] and any(item not in shown for item in read):
        yield node, "does not show everything that its commits read"


def left_out(trace: dict[str, Any], logs: dict[str, Log], way: list[Commit]) -> Findings:
    """No commit of the path and no delivered file is missing in it."""
    met = {(node["table"], version) for node in trace["nodes"] for version in node["commits"]}
    known = [item for item in way if logs[item.table].tells([item.version])]
    for item in (item for item in known if (item.table, item.version) not in met):
        yield Finding("trace.json", False, f"{item.table}@{item.version} is left out")
    delivered = [item for commit in way for item in commit.sources]
    missing = any(item not in trace["files"] for item in delivered)
    if known == way and (missing or any(item not in delivered for item in trace["files"])):
        yield Finding("trace.json", False, "its delivered files are not those that the commits name")


def newest_of(node: Node) -> int:
    return max(item["version"] for item in node["slices"])
