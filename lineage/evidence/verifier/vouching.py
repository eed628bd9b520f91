"""Who recorded what a commit was: later commits, readers, seals, the lineage store, events."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from assay.lineage.evidence.verifier.commits import Commit, Log
from assay.lineage.evidence.verifier.findings import UNREADABLE, Files, Finding, Findings, summed

_SEAL = re.compile(r"lake/_seals/(.+)/([^/]+)/([0-9]{20})\.json")

# How much a record of a commit counts: of a commit for which nobody vouches, of a file, of a commit with vouchers.
ALONE, KEPT, VOUCHED = 1, 2, 3
STORE = "the lineage store"
NOTHING_DEPENDS = "nothing that this prediction read depends on it"


class Record(NamedTuple):
    """Somebody's record of a commit: `by` names who, `sha256` what it was; `rows` how many it wrote, if that was recorded."""

    by: str
    sha256: str
    strength: int
    rows: int | None = None


Records = dict[tuple[str, int], list[Record]]  # by table and version
Decides = Callable[[str, int], bool]


def check_vouching(
    files: Files, logs: dict[str, Log], way: list[Commit], stored: list[dict[str, Any]], decides: Decides
) -> Findings:
    """Every commit is what others recorded of it: later commits, commits that read it, its seal, the lineage store and the
    events of runs. A commit that all of them contradict was changed; a record that better ones contradict was changed itself.
    On the way to the prediction nothing may stand for which nobody but itself vouches. A change on which nothing in question
    depends is reported, and does not decide (`decides`, by table and version)."""

    def finding(what: str, detail: str, table: str, version: int) -> Finding:
        required = decides(table, version)
        return Finding(what, False, detail if required else f"{detail} ({NOTHING_DEPENDS})", required)

    records: Records = {}
    problems: dict[Finding, None] = {}
    for table, version, record in sealed_records(files):
        if isinstance(record, str):
            problems[finding(f"seal of {table}@{version}", record, table, version)] = None
        else:
            records.setdefault((table, version), []).append(record)
    for key, record in [*stored_records(stored), *event_records(files)]:
        records.setdefault(key, []).append(record)
    on_way = {(commit.table, commit.version) for commit in way}
    count = 0
    for table in readers_first(logs):
        for version, commit in sorted(logs[table].commits.items(), reverse=True):
            name, known = f"lake/{table}/_delta_log/{version:020d}.json", records.get((table, version), [])
            count += len(known)
            vouched, changed, accused = judge(name, commit.sha256, known)
            problems.update({finding(what, detail, table, version): None for what, detail in accused})
            if changed:  # it vouches for nobody
                logs[table].changed.add(version)
                continue
            if not vouched and (table, version) in on_way:
                detail = "nobody vouches for it: no later commit, no seal, no reader, no event, nor the lineage store"
                problems[Finding(name, None, detail)] = None
            for item in known if commit.wrote else ():
                if item.rows is not None and item.rows != int(commit.ours["rows"]):
                    detail = f"recorded {item.rows} rows of {name}, which says {commit.ours['rows']}"
                    problems[finding(item.by, detail, table, version)] = None
            strength = VOUCHED if vouched else ALONE
            previous = commit.ours.get("previous")
            for before, sha in previous.items() if isinstance(previous, dict) else ():
                if isinstance(sha, str) and before.isascii() and before.isdecimal() and len(before) < 19:
                    records.setdefault((table, int(before)), []).append(Record(name, sha, strength))
            for item in commit.inputs:
                key = (item["table"], item["version"])
                if key[0] in logs and logs[key[0]].table_id not in ("", item["table_id"]):
                    continue  # it read another table, which had this name
                if item["table"] != table or item["version"] < version:
                    records.setdefault(key, []).append(Record(name, item["commit_sha256"], strength))
    notes = [item for item in problems if not item.required]
    yield from summed("commits are what others recorded of them", count, [item for item in problems if item.required])
    yield from notes


def judge(name: str, sha: str, known: list[Record]) -> tuple[bool, bool, list[tuple[str, str]]]:
    """Of a commit: whether anybody vouches for it, whether it was changed for certain, and who is accused of what."""
    differ = [item for item in known if item.sha256 != sha]
    for_it = max((item.strength for item in known if item.sha256 == sha), default=0)
    against = max((item.strength for item in differ), default=0)
    if not differ:
        return for_it > 0, False, []
    by = sorted({item.by for item in differ})
    names = ", ".join(by)
    if against > for_it:
        certain = against == VOUCHED or len(by) > 1
        detail = f"{names} recorded other bytes" if certain else f"or this record of it was: {names}"
        return False, True, [(name, f"was changed: {detail}" if certain else f"was changed, {detail}")]
    if against == for_it:
        return True, False, [(name, f"was changed, or these records of it were: {names}")]
    return True, False, [(one, f"recorded another commit than {name} is: it was changed") for one in by]


def sealed_records(files: Files) -> Iterator[tuple[str, int, Record | str]]:
    """What seals record of the commit at their place, or what is wrong with them."""
    for name, content in files.items():
        match = _SEAL.fullmatch(name)
        if match is None:
            continue
        table, table_id, version = match.group(1), match.group(2), int(match.group(3))
        path = name[len("lake/") :]
        try:
            seal = json.loads(content)
            if [type(seal[name]) for name in ("version", "sha256", "rows")] != [int, str, int]:
                raise ValueError
            record = Record(f"seal of {table}@{version}", seal["sha256"], KEPT, seal["rows"])
            same = (seal["table"], seal["table_id"], seal["version"]) == (table, table_id, version)
            other = f"{path} was changed: it is the seal of {seal['table']}@{seal['version']}"
            yield table, version, record if same else other
        except UNREADABLE:
            yield table, version, f"{path} is damaged: it is no seal any more"


def stored_records(stored: list[dict[str, Any]]) -> Iterator[tuple[tuple[str, int], Record]]:
    """What the index of the lineage store recorded of commits."""
    for item in stored:
        if item["sha256"] is not None:
            yield (item["table"], item["version"]), Record(STORE, item["sha256"], KEPT)


def event_records(files: Files) -> Iterator[tuple[tuple[str, int], Record]]:
    """What the events of runs recorded of the commits that they read and made."""
    for name in (name for name in files if name.startswith("events/")):
        for event in map(json.loads, files[name].splitlines()):
            for side in ("inputs", "outputs") if event.get("eventType") == "COMPLETE" else ():
                for dataset in event.get(side, []):
                    facet = dataset.get("facets", {}).get("assay_snapshot")
                    if facet is not None:
                        made = side == "outputs" and facet["role"] == "output"
                        statistics = dataset.get("outputFacets", {}).get("outputStatistics", {}) if made else {}
                        rows = statistics.get("rowCount")
                        yield (facet["table"], facet["version"]), Record(name, facet["commit_sha256"], KEPT, rows)


def check_stored(stored: list[dict[str, Any]], logs: dict[str, Log]) -> Findings:
    """lineage.json has every commit of the bundle, once, and no other."""
    named = [(item["table"], item["version"]) for item in stored]
    there = [(table, version) for table, log in logs.items() for version in {*log.commits, *log.changed}]
    same = sorted(named) == sorted(there)
    detail = "has every commit of the bundle" if same else "does not have every commit of the bundle, once"
    yield Finding("lineage.json", same, detail)


def readers_first(logs: dict[str, Log]) -> list[str]:
    """The tables, each before those that its commits read."""
    order: list[str] = []
    seen: set[str] = set()

    def visit(table: str) -> None:
        if table in seen or table not in logs:
            return
        seen.add(table)
        for read in sorted({item["table"] for commit in logs[table].commits.values() for item in commit.inputs}):
            visit(read)
        order.append(table)

    for table in sorted(logs):
        visit(table)
    return order[::-1]
