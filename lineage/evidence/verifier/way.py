"""The way to the prediction: what every commit read, and the commits that wrote it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from assay.lineage.evidence.verifier.commits import Commit, Log, digest_of, names_its_files
from assay.lineage.evidence.verifier.findings import Finding, Findings, exactly, summed


def slice_problem(logs: dict[str, Log], item: dict[str, Any]) -> Finding | None:
    """What contradicts a slice: another commit, another table, other files, or that the log has no such version."""
    name, log = f"{item['table']}@{item['version']}", logs.get(item["table"])
    commit = log.commits.get(item["version"]) if log else None
    if log is None or commit is None:
        return Finding(name, None, "was read, and its commit is not in the bundle")
    if commit.sha256 != item["commit_sha256"] or log.table_id not in ("", item["table_id"]):
        return Finding(name, False, "is another commit than the one that was read")
    if not names_its_files(item):  # a lookup of a whole table, from before: the version's identity stands for its files
        return None
    if log.holds(item):
        return None
    if not log.whole(item["version"]):
        return Finding(name, None, "earlier commits are not in the bundle: which files it held cannot be known")
    if not log.sound(item["version"]):
        return Finding(name, None, "which files it held is not known: commits before it were changed")
    if item.get("set_digest"):
        return Finding(
            name, False, "its data files, or the commits that wrote their rows, are not those that were read"
        )
    files = digest_of(log.files(item["version"], item["partitions"], item.get("except", ())))
    what = "its data files are not those that were read"
    return Finding(
        name, False, what if files != item["digest"] else "its rows are not of the commits that their reader recorded"
    )


def check_slices(
    logs: dict[str, Log], way: list[Commit], shown: set[tuple[str, int]], seen: Collection[str] = ()
) -> Findings:
    """The reads that commits in the trace record agree with the log. None may be missing on the path to the prediction. What a
    changed commit says that it read proves nothing."""
    on_way = {(commit.table, commit.version) for commit in way}
    problems: dict[Finding, None] = {}
    lookups: dict[Finding, None] = {}
    count = 0
    for commit in (commit for log in logs.values() for commit in log.commits.values()):
        known = (commit.table, commit.version) in on_way | shown and commit.version not in logs[commit.table].changed
        for item in commit.inputs if known else ():
            problem = slice_problem(logs, item)
            count += problem is None
            if problem is not None and (problem.ok is False or (commit.table, commit.version) in on_way):
                looked_up = item["reference"] and problem.ok is None
                if not (looked_up and item["table"] == commit.table):  # "is this row new?" proves nothing
                    (lookups if looked_up else problems)[problem] = None
    problems.update(dict.fromkeys(written_by_others(logs, way, seen)))
    yield from summed("slices that were read: commit and data files as recorded", count, list(problems))
    if lookups:
        detail = f"of {len(lookups)} versions that were only looked things up in, the commits are not all in the bundle"
        yield Finding("lookups", None, detail, required=False)


def written_by_others(logs: dict[str, Log], way: list[Commit], seen: Collection[str] = ()) -> Findings:
    """Rows that another tool wrote into a table that runs of Assay write: nothing says what they were made from. Of one that only
    put them into other files the lake says whether they are the same (`seen`)."""
    for item in (item for commit in way for item in commit.inputs if not item["reference"]):
        log = logs.get(item["table"])
        if log is None or not log.written or not (log.some or log.whole(item["version"])):
            continue
        for path, version in log.held(item["version"], item["partitions"], item.get("except", ())).items():
            commit = log.commits[version]
            if "run_id" not in commit.ours:
                detail = "another tool, no run of Assay, wrote rows that were read: what they come from is not known"
                name = f"{commit.table}@{commit.version}"
                yield Finding(name, None, detail, commit.operation != "OPTIMIZE" or name not in seen)
            elif path in commit.hidden:
                detail = (
                    "its deletion vectors take away rows of files that were read: which rows were read is not known"
                )
                yield Finding(f"{commit.table}@{commit.version}", None, detail)


def follow(logs: dict[str, Log], start: Commit, claimed: set[tuple[str, int]]) -> list[Commit]:
    """Every commit on the path to the start: its reads, the writers of those, their reads. A table of models also holds other
    models: of its commits only the claimed ones are followed."""
    way, waiting = {(start.table, start.version): start}, [start]
    while waiting:
        for item in waiting.pop().inputs:
            if item["reference"] or item["table"] not in logs:
                continue
            for commit in logs[item["table"]].writers(item["version"], item["partitions"], item.get("except", ())):
                key = (commit.table, commit.version)
                if key not in way and (key in claimed or not commit.table.startswith("models/")):
                    way[key] = commit
                    waiting.append(commit)
    return list(way.values())


def deciding(logs: dict[str, Log], way: list[Commit], trace: dict[str, Any]) -> Callable[[str, int], bool]:
    """Whether anything in question depends on a version of a table: it was read or wrote what was read, or files and columns
    follow from it. Where the files that were read, or who wrote them, do not follow from the log any more, and where nobody
    recorded that, all versions up to that one decide."""
    on_way = {(commit.table, commit.version) for commit in way} | shown_commits(trace)
    unproven: dict[str, int] = {}
    root = [item for node in trace["nodes"] if node["id"] == trace["root"] for item in node["slices"]]
    read = [item for commit in way for item in commit.inputs]
    for item in [*read, *(item for node in trace["nodes"] for item in node["slices"])]:
        table, version, log = item["table"], item["version"], logs.get(item["table"])
        if log is None or log.table_id not in ("", item["table_id"]):
            continue
        named = [number for number, commit in log.commits.items() if commit.table_id and number <= version]
        added = log.held(version, item["partitions"], item.get("except", ())).values()
        on_way |= {(table, number) for number in (version, *named[-1:], *added)}
        if not named or not (
            item in root
            or ((item.get("writers") or item.get("set_digest") or table.startswith("predictions/")) and log.holds(item))
        ):
            unproven[table] = max(version, unproven.get(table, -1))
    return lambda table, version: (table, version) in on_way or version <= unproven.get(table, -1)


def only_looked_up(trace: dict[str, Any]) -> set[tuple[str, int]]:
    """The commits that the trace names for look-ups alone: of a table of models, another one than that of the prediction."""
    named: dict[bool, set[tuple[str, int]]] = {True: set(), False: set()}
    for node in trace["nodes"]:
        named[bool(node["reference"])].update((node["table"], version) for version in node["commits"])
    return named[True] - named[False]


def shown_commits(trace: dict[str, Any]) -> set[tuple[str, int]]:
    """The commits that the trace names."""
    return {(node["table"], version) for node in trace["nodes"] for version in node["commits"]}


def check_runs(claims: list[dict[str, Any]], logs: dict[str, Log], way: list[Commit]) -> Findings:
    """runs.json agrees with the commits on code, contracts and checks, and leaves out no commit of the path."""
    problems, claimed = [], set()
    for claim in claims:
        commit = logs[claim["table"]].commits.get(claim["version"]) if claim["table"] in logs else None
        claimed.add((claim["table"], claim["version"]))
        if commit is None or not exactly(commit.claim(), claim):
            problems.append(
                Finding("runs.json", False, f"{claim['table']}@{claim['version']} is not what its commit says")
            )
    left = [
        item for item in way if (item.table, item.version) not in claimed and logs[item.table].tells([item.version])
    ]
    problems += [Finding("runs.json", False, f"{item.table}@{item.version} is left out") for item in left]
    for item in (item for commit in way for item in commit.inputs if not item["reference"]):
        models = [key for key in claimed if key[0] == item["table"] and key[1] <= item["version"]]
        log = logs.get(item["table"])
        if item["table"].startswith("models/") and not models and log is not None and log.sound(item["version"]):
            problems.append(Finding("runs.json", False, f"the commit of the model in {item['table']} is left out"))
    yield from summed("runs: code, contracts and check results as committed", len(claims), problems)
