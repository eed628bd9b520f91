"""Tables' commits, parsed and replayed."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple
from urllib.parse import unquote

from assay.lineage.evidence.verifier.findings import UNREADABLE, Files, Finding, Findings, sha256

_COMMIT = re.compile(r"lake/(.+)/_delta_log/([0-9]{20})\.json")


_JSON = ("inputs", "sources", "contract", "checks", "extra", "previous", "predictions", "model", "code")


class Commit(NamedTuple):
    """A version of a table, parsed from its file in the log; `ours` is Assay's metadata in it."""

    table: str
    version: int
    sha256: str
    ours: dict[str, Any]
    timestamp: int
    table_id: str | None
    added: list[dict[str, Any]]
    removed: list[str]
    operation: str
    columns: list[str] | None = None
    hidden: Collection[str] = ()  # added files of which a deletion vector takes rows away

    @property
    def wrote(self) -> bool:
        return "run_id" in self.ours and "rows" in self.ours

    @property
    def sources(self) -> list[dict[str, Any]]:
        """The delivered files that its rows came from."""
        return self.ours.get("sources", [])

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """The slices that its run read."""
        return self.ours.get("inputs", [])

    @property
    def predictions(self) -> dict[str, Any]:
        """Which model predicted: name, version, keys, features, outputs. Commits before format 1 have it under `extra`."""
        if "predictions" in self.ours:
            section = self.ours["predictions"]
            named = (section.get("model", ""), section.get("version", ""))
        else:
            extra = self.ours["extra"]
            section = {**extra["model"], "features": extra.get("features", []), "outputs": extra.get("outputs", [])}
            named = (section["name"], section["version"])
        return {
            "name": named[0],
            "version": named[1],
            "keys": section.get("keys", []),
            "features": section.get("features", []),
            "outputs": section.get("outputs", []),
        }

    def claim(self) -> dict[str, Any]:
        """The entry of runs.json: who wrote it when, by what code, under which contract, with which check results."""
        plain = {name: self.ours.get(name) for name in ("run_id", "asset", "partition", "code_version", "rows")}
        checked = {"contract": self.ours.get("contract"), "checks": self.ours.get("checks", [])}
        code = self.ours.get("code") or self.ours.get("extra", {}).get("code")
        own = {"table": self.table, "version": self.version, "sha256": self.sha256, "timestamp_ms": self.timestamp}
        return {**own, **plain, **checked, "code": code}


def parse_commit(table: str, version: int, content: bytes) -> Commit:
    """Raises ValueError, KeyError, TypeError or AttributeError for what is not a commit."""
    actions = [json.loads(line) for line in content.splitlines() if line.strip()]
    info = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    ours = {key[len("assay.") :]: value for key, value in info.items() if key.startswith("assay.")}
    ours.update({key: json.loads(ours[key]) for key in _JSON if key in ours})
    about = next((action["metaData"] for action in actions if "metaData" in action), None)
    table_id = about["id"] if about else None
    columns = [field["name"] for field in json.loads(about["schemaString"])["fields"]] if about else None
    added = [action["add"] for action in actions if "add" in action]
    removed = [unquote(action["remove"]["path"]) for action in actions if "remove" in action]
    made = str(info.get("operation", ""))
    hidden = [unquote(action["path"]) for action in added if action.get("deletionVector")]
    moment = info.get("timestamp", 0)
    return Commit(table, version, sha256(content), ours, moment, table_id, added, removed, made, columns, hidden)


Wanted = tuple[int, Any, tuple[str, ...]]  # a version, partitions (None: all), and partitions that are left out


class Log:
    """A table's commits, replayed: which data files every version holds, and who wrote them. `changed` are the versions whose
    commits are not what was committed: damaged, or as `check_vouching` finds out. Where a bundle has `some` of the commits only,
    `listed` says which files were read."""

    def __init__(self, commits: Iterable[Commit], damaged: Iterable[int] = ()) -> None:
        self.commits = {item.version: item for item in sorted(commits, key=lambda item: item.version)}
        self.changed = set(damaged)
        self.some = False
        self.listed: dict[Wanted, list[str]] = {}
        ids = [item.table_id for item in self.commits.values() if item.table_id]
        self.table_id = ids[0] if ids else ""
        self.lives: dict[str, list[list[Any]]] = {}  # path: partition, first version, version of its removal
        self.written: dict[Any, list[Commit]] = {}
        for version, commit in self.commits.items():
            for path in [*commit.removed, *(unquote(action["path"]) for action in commit.added)]:
                for life in self.lives.get(path, ())[-1:]:
                    life[2] = version if life[2] is None else life[2]
            for action in commit.added:
                partition = (action.get("partitionValues") or {}).get("partition_key")
                self.lives.setdefault(unquote(action["path"]), []).append([partition, version, None])
            if commit.wrote:
                self.written.setdefault(commit.ours.get("partition"), []).append(commit)

    def columns(self, version: int) -> list[str] | None:
        """The table's columns at a version, as far as a commit that is there says."""
        named = [commit.columns for number, commit in self.commits.items() if number <= version and commit.columns]
        return named[-1] if named else None

    def whole(self, version: int) -> bool:
        return all(number in self.commits for number in range(version + 1))

    def sound(self, version: int) -> bool:
        """Whether no commit up to a version is known to be changed, and none is missing that should be there: then it can
        contradict others."""
        return (self.some or self.whole(version)) and not any(number <= version for number in self.changed)

    def tells(self, versions: Iterable[int]) -> bool:
        """The same of these versions alone."""
        return all(number in self.commits and number not in self.changed for number in versions)

    def held(self, version: int, partitions: list[str] | None, excluded: Collection[str] = ()) -> dict[str, int]:
        """The files of a slice, each with the version that added it. Of what is listed those that a commit has added."""
        wanted = None if partitions is None else set(partitions)
        listed = self.listed.get(wanted_of(version, partitions, excluded))
        found = {}
        for path in self.lives if listed is None else listed:
            for partition, start, end in self.lives.get(path, ()):
                inside = partition not in excluded if wanted is None else partition in wanted
                if inside and start <= version and (listed is not None or end is None or version < end):
                    found[path] = start
        return found

    def files(self, version: int, partitions: list[str] | None, excluded: Collection[str] = ()) -> list[str]:
        return list(self.held(version, partitions, excluded))

    def holds(self, item: dict[str, Any]) -> bool:
        """Whether a slice has the files that its reader recorded, each added by a commit, and the writers. Where it did not
        record these, no commit may be missing that could be another one."""
        wanted = (item["version"], item["partitions"], item.get("except", ()))
        files, writers = self.files(*wanted), self.writers(*wanted)
        if sorted(self.listed.get(wanted_of(*wanted), files)) != sorted(files):
            return False
        by = [f"{one.version}:{one.sha256}" for one in writers]
        if item.get("set_digest"):
            return set_digest(files, by) == item["set_digest"]
        if digest_of(files) != item.get("digest"):
            return False
        if item.get("writers"):
            return digest_of(by) == item["writers"]
        if item["table"].startswith("predictions/"):  # the commit of a prediction's own run counts, whoever else wrote
            return True
        replaced = {one.ours.get("partition") for one in writers if one.ours.get("mode", "replace") == "replace"}
        whole = all(one.ours.get("partition") in replaced for one in writers)
        first = min((one.version for one in writers), default=0) if whole else 0
        return all(number in self.commits for number in range(first, item["version"] + 1))

    def writers(self, version: int, partitions: list[str] | None, excluded: Collection[str] = ()) -> list[Commit]:
        """Per partition the last replacement at or before the version, and what was appended after it."""
        writers = []
        for key in [key for key in self.written if key not in excluded] if partitions is None else partitions:
            for commit in reversed([item for item in self.written.get(key, []) if item.version <= version]):
                writers.append(commit)
                if commit.ours.get("mode", "replace") == "replace":
                    break
        return writers


def wanted_of(version: int, partitions: list[str] | None, excluded: Iterable[str]) -> Wanted:
    return version, None if partitions is None else tuple(partitions), tuple(excluded)


def read_logs(files: Files) -> tuple[dict[str, Log], list[Finding]]:
    commits: dict[str, list[Commit]] = {}
    damaged: dict[str, list[int]] = {}
    problems = []
    for name, content in files.items():
        match = _COMMIT.fullmatch(name)
        if match is None:
            continue
        table, version = match.group(1), int(match.group(2))
        commits.setdefault(table, [])
        try:
            commits[table].append(parse_commit(table, version, content))
        except UNREADABLE:
            damaged.setdefault(table, []).append(version)
            problems.append(Finding(name, False, "is not a Delta commit"))
    logs = {}
    for table, items in commits.items():
        try:
            logs[table] = Log(items, damaged.get(table, ()))
        except UNREADABLE:
            problems.append(Finding(f"lake/{table}", False, "its commits cannot be replayed"))
    return logs, problems


def list_files(logs: dict[str, Log], slices: dict[str, Any], trace: dict[str, Any]) -> Findings:
    """Take up which files were read, where a bundle has the commits in question only: of every read in the trace, and of no
    other. That they are these, their digests show, and that they were added, the commits."""
    nodes = [node for node in trace["nodes"] if node["id"] != trace["root"]]
    read = [item for node in nodes for item in node["slices"] if names_its_files(item) and item["table"] in logs]
    needed = {
        (item["table"], *wanted_of(item["version"], item["partitions"], item.get("except", ())))
        for item in read
        if logs[item["table"]].table_id in ("", item["table_id"])
    }
    some = {"all": False, "in question": True}[slices["commits"]]
    keys = [
        (item["table"], *wanted_of(item["version"], item["partitions"], item.get("except", ())))
        for item in slices["files"]
    ]
    for log in logs.values():
        log.some = some
    if sorted(map(str, keys)) != sorted(map(str, needed if some else ())):
        yield Finding("slices.json", False, "does not list the files of every read in the trace, once")
        return
    for number, (table, version, partitions, excluded) in enumerate(keys):
        logs[table].listed[version, partitions, excluded] = slices["files"][number]["paths"]


def names_its_files(item: dict[str, Any]) -> bool:
    """Whether a reader recorded which files it read. Of lookups in whole tables those from before did not."""
    return bool(item.get("digest") or item.get("set_digest"))


def set_digest(files: Iterable[str], commits: Iterable[str]) -> str:
    """What was looked up in: SHA-256 over two set hashes (LtHash). Each is the sum, number by number, of what SHAKE-256 makes of
    each element: 1,024 numbers of 16 bits."""
    state = hashlib.sha256()
    for elements in (files, commits):
        total = [0] * 1024
        for element in elements:
            numbers = struct.unpack("<1024H", hashlib.shake_256(element.encode()).digest(2048))
            total = [total[at] + numbers[at] & 0xFFFF for at in range(1024)]
        state.update(struct.pack("<1024H", *total))
    return state.hexdigest()


def digest_of(items: Iterable[str]) -> str:
    """SHA-256 over strings in order, each after its length in 8 bytes, big-endian: the digest of a slice."""
    state = hashlib.sha256()
    for item in sorted(items):
        state.update(len(item.encode()).to_bytes(8, "big") + item.encode())
    return state.hexdigest()
