"""Verify an evidence bundle of Assay: offline, with nothing but Python 3.9 or newer.

    python verify.py [BUNDLE] [--lake FOLDER] [--landing FOLDER] [--json]

BUNDLE is the zip file, or the folder that it was unpacked to (default: the folder of this script). It relies on the tables'
own commits: from the commit that wrote the prediction it follows the reads that every commit records, and recomputes each
digest. `--lake` also hashes the data files and kept deliveries in a lake, `--landing` the delivered files where
they were delivered. Exit code 0: everything holds. 1: something does not, or is missing from the bundle.

If you do not trust the bundle, take this script from elsewhere: it is the same in every bundle of an Assay version.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import struct
import sys
import time
import uuid
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

FORMAT = "assay.evidence/1"
SUMS = "SHA256SUMS"
DOCUMENTS = ("manifest.json", "prediction.json", "runs.json", "rows.json", "trace.json", "lake.json", "lineage.json")
ANSWER = "answer"  # the finding about the model's answer
NOT_PROVEN = (
    "when the bundle was made, and by whom: nothing in it is signed or stamped by a third party. Who could write to the lake "
    "could have made it up. Compare the digests above with ones noted elsewhere",
    "what the data files hold: which rows are behind the prediction (rows.json) and what they say, the model and its metrics. "
    "Parquet is not read here, and the model is not run (`assay trace <id> --verify` does both, on the lake)",
    "what the lake showed when the bundle was made (lake.json, the status of tables in trace.json): only the lake can show it",
    "what the rows behind salted digests say: only who has the lake can open them",
)
_COMMIT = re.compile(r"lake/(.+)/_delta_log/(\d{20})\.json")
_SEAL = re.compile(r"lake/_seals/(.+)/([^/]+)/(\d{20})\.json")
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)
_JSON = ("inputs", "sources", "contract", "checks", "extra", "previous", "predictions", "code")


class Finding(NamedTuple):
    """The result of one check. `ok` is None where it could not be made; only `required` ones decide the verdict."""

    what: str
    ok: bool | None
    detail: str
    required: bool = True


Findings = Iterator[Finding]
Files = dict[str, bytes]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def summed(what: str, count: int, problems: list[Finding]) -> Findings:
    """The problems one by one, or one finding that counts what was checked."""
    yield from problems
    if not problems:
        yield Finding(what, True, f"{count} checked")


# -- the files of the bundle -------------------------------------------------------------------------------------------


def read_bundle(path: Path) -> tuple[Files, list[Finding]]:
    """Every file by its name, and what is wrong with the container."""
    if path.is_dir():
        paths = (item for item in path.rglob("*") if item.is_file())
        return {item.relative_to(path).as_posix(): item.read_bytes() for item in paths}, []
    files: Files = {}
    problems: list[Finding] = []
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.filename in files:
                    problems.append(Finding(info.filename, False, "is in the archive twice"))
                try:
                    files[info.filename] = archive.read(info)
                except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as problem:
                    problems.append(Finding(info.filename, False, f"is damaged ({type(problem).__name__})"))
    except (zipfile.BadZipFile, OSError) as problem:
        problems.append(Finding(path.name, False, f"is not a readable bundle ({type(problem).__name__})"))
    return files, problems


def check_sums(files: Files) -> Findings:
    """Every file has the SHA-256 that is listed for it, and no file is unlisted."""
    lines = files.get(SUMS, b"").decode("utf-8", "replace").split("\n")
    problems = [] if lines[-1] == "" and len(lines) > 1 else [Finding(SUMS, False, "is missing or cut off")]
    listed: set[str] = set()
    for number, line in enumerate(lines[:-1], 1):
        match = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if match is None:
            problems.append(Finding(SUMS, False, f"line {number} is no digest and name"))
            continue
        expected, name = match.groups()
        listed.add(name)
        if name not in files:
            problems.append(Finding(name, False, f"is listed in {SUMS} and not readable in the bundle"))
        elif sha256(files[name]) != expected:
            problems.append(Finding(name, False, f"has another SHA-256 than {SUMS} says"))
    unlisted = sorted(set(files) - listed - {SUMS})
    problems += [Finding(name, False, f"is in the bundle and not listed in {SUMS}") for name in unlisted]
    yield from summed(f"files have the sums in {SUMS}", len(listed), problems)


# -- commits -----------------------------------------------------------------------------------------------------------


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
    table_id = next((action["metaData"]["id"] for action in actions if "metaData" in action), None)
    added = [action["add"] for action in actions if "add" in action]
    removed = [unquote(action["remove"]["path"]) for action in actions if "remove" in action]
    made = str(info.get("operation", ""))
    return Commit(table, version, sha256(content), ours, info.get("timestamp", 0), table_id, added, removed, made)


class Log:
    """A table's commits, replayed: which data files every version holds, and who wrote them. `changed` are the versions whose
    commits are not what was committed: damaged, or as `check_vouching` finds out."""

    def __init__(self, commits: Iterable[Commit], damaged: Iterable[int] = ()) -> None:
        self.commits = {item.version: item for item in sorted(commits, key=lambda item: item.version)}
        self.changed = set(damaged)
        ids = [item.table_id for item in self.commits.values() if item.table_id]
        self.table_id = ids[-1] if ids else ""
        self.lives: dict[str, list[Any]] = {}  # path: partition, first version, version of its removal
        self.written: dict[Any, list[Commit]] = {}
        for version, commit in self.commits.items():
            for path in commit.removed:
                if path in self.lives:
                    self.lives[path][2] = version
            for action in commit.added:
                partition = (action.get("partitionValues") or {}).get("partition_key")
                self.lives[unquote(action["path"])] = [partition, version, None]
            if commit.wrote:
                self.written.setdefault(commit.ours.get("partition"), []).append(commit)

    def whole(self, version: int) -> bool:
        return all(number in self.commits for number in range(version + 1))

    def sound(self, version: int) -> bool:
        """Whether all commits up to a version are there and none is known to be changed: then it can contradict others."""
        return self.whole(version) and not any(number <= version for number in self.changed)

    def tells(self, versions: Iterable[int]) -> bool:
        """The same of these versions alone."""
        return all(number in self.commits and number not in self.changed for number in versions)

    def files(self, version: int, partitions: list[str] | None, excluded: Collection[str] = ()) -> list[str]:
        wanted = None if partitions is None else set(partitions)
        return [
            path
            for path, (partition, start, end) in self.lives.items()
            if start <= version
            and (end is None or version < end)
            and (partition not in excluded if wanted is None else partition in wanted)
        ]

    def writers(self, version: int, partitions: list[str] | None, excluded: Collection[str] = ()) -> list[Commit]:
        """Per partition the last replacement at or before the version, and what was appended after it."""
        writers = []
        for key in [key for key in self.written if key not in excluded] if partitions is None else partitions:
            for commit in reversed([item for item in self.written.get(key, []) if item.version <= version]):
                writers.append(commit)
                if commit.ours.get("mode", "replace") == "replace":
                    break
        return writers


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
        except _UNREADABLE:
            damaged.setdefault(table, []).append(version)
            problems.append(Finding(name, False, "is not a Delta commit"))
    logs = {}
    for table, items in commits.items():
        try:
            logs[table] = Log(items, damaged.get(table, ()))
        except _UNREADABLE:
            problems.append(Finding(f"lake/{table}", False, "its commits cannot be replayed"))
    return logs, problems


def digest_of(items: Iterable[str]) -> str:
    """SHA-256 over strings in order, each after its length in 8 bytes, big-endian: the digest of a slice."""
    state = hashlib.sha256()
    for item in sorted(items):
        state.update(len(item.encode()).to_bytes(8, "big") + item.encode())
    return state.hexdigest()


# How much a record of a commit counts: of a commit for which nobody vouches, of a file, of a commit with vouchers.
ALONE, KEPT, VOUCHED = 1, 2, 3
STORE = "the lineage store"


class Record(NamedTuple):
    """Somebody's record of a commit: `by` names who, `sha256` what it was; `rows` how many it wrote, if that was recorded."""

    by: str
    sha256: str
    strength: int
    rows: int | None = None


Records = dict[tuple[str, int], list[Record]]  # by table and version


def check_vouching(files: Files, logs: dict[str, Log], way: list[Commit], stored: list[dict[str, Any]]) -> Findings:
    """Every commit is what others recorded of it: later commits, commits that read it, its seal, the lineage store and the
    events of runs. A commit that all of them contradict was changed; a record that better ones contradict was changed itself.
    On the way to the prediction nothing may stand for which nobody but itself vouches. What came after it decides nothing."""

    def decides(table: str, version: int) -> bool:
        return table != way[0].table or version <= way[0].version

    records: Records = {}
    problems: dict[Finding, None] = {}
    for name in files:
        match = _SEAL.fullmatch(name)
        if match is not None:
            place = (match.group(1), match.group(2), int(match.group(3)))
            record = read_seal(files[name], *place)
            if isinstance(record, str):
                detail, decisive = f"{name[len('lake/') :]} {record}", decides(place[0], place[2])
                problems[Finding(f"seal of {place[0]}@{place[2]}", False, detail, decisive)] = None
            else:
                records.setdefault((place[0], place[2]), []).append(record)
    for key, record in [*stored_records(stored), *event_records(files)]:
        records.setdefault(key, []).append(record)
    on_way = {(commit.table, commit.version) for commit in way}
    count = 0
    for table in readers_first(logs):
        for version, commit in sorted(logs[table].commits.items(), reverse=True):
            name, known = f"lake/{table}/_delta_log/{version:020d}.json", records.get((table, version), [])
            count += len(known)
            vouched, changed, accused = judge(name, commit.sha256, known)
            problems.update({Finding(what, False, detail, decides(table, version)): None for what, detail in accused})
            if changed:  # it vouches for nobody
                logs[table].changed.add(version)
                continue
            if not vouched and (table, version) in on_way:
                detail = "nobody vouches for it: no later commit, no seal, no reader, no event, nor the lineage store"
                problems[Finding(name, None, detail)] = None
            for item in known if commit.wrote else ():
                if item.rows is not None and item.rows != int(commit.ours["rows"]):
                    detail = f"recorded {item.rows} rows of {name}, which says {commit.ours['rows']}"
                    problems[Finding(item.by, False, detail, decides(table, version))] = None
            strength = VOUCHED if vouched else ALONE
            for before, sha in commit.ours.get("previous", {}).items():
                records.setdefault((table, int(before)), []).append(Record(name, sha, strength))
            for item in commit.inputs:
                key = (item["table"], item["version"])
                if key[0] in logs and logs[key[0]].table_id not in ("", item["table_id"]):
                    continue  # it read another table, which had this name
                if item["table"] != table or item["version"] < version:
                    records.setdefault(key, []).append(Record(name, item["commit_sha256"], strength))
    yield from summed("commits are what others recorded of them", count, list(problems))


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


def read_seal(content: bytes, table: str, table_id: str, version: int) -> Record | str:
    """What a seal records, or what is wrong with it."""
    try:
        seal = json.loads(content)
        if (seal["table"], seal["table_id"], seal["version"]) != (table, table_id, version):
            return f"was changed: it is the seal of {seal['table']}@{seal['version']}"
        return Record(f"seal of {table}@{version}", str(seal["sha256"]), KEPT, int(seal["rows"]))
    except _UNREADABLE:
        return "is damaged: it is no seal any more"


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
                        rows = (
                            dataset.get("outputFacets", {}).get("outputStatistics", {}).get("rowCount")
                            if made
                            else None
                        )
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


def slice_problem(logs: dict[str, Log], item: dict[str, Any]) -> Finding | None:
    """What contradicts a slice: another commit, another table, other files, or that the log has no such version."""
    name, log = f"{item['table']}@{item['version']}", logs.get(item["table"])
    commit = log.commits.get(item["version"]) if log else None
    if log is None or commit is None:
        return Finding(name, None, "was read, and its commit is not in the bundle")
    if commit.sha256 != item["commit_sha256"] or log.table_id not in ("", item["table_id"]):
        return Finding(name, False, "is another commit than the one that was read")
    if not item.get("digest"):  # a lookup of a whole table: the version's identity stands for its files
        return None
    if not log.whole(item["version"]):
        return Finding(name, None, "earlier commits are not in the bundle: which files it held cannot be known")
    if not log.sound(item["version"]):
        return Finding(name, None, "which files it held is not known: commits before it were changed")
    if digest_of(log.files(item["version"], item["partitions"], item.get("except", ()))) != item["digest"]:
        return Finding(name, False, "its data files are not those that were read")
    return None


def check_slices(logs: dict[str, Log], way: list[Commit]) -> Findings:
    """The reads that commits record agree with the log. None may be missing on the path to the prediction. What a changed commit
    says that it read proves nothing."""
    on_way = {(commit.table, commit.version) for commit in way}
    problems: dict[Finding, None] = {}
    lookups: dict[Finding, None] = {}
    count = 0
    for commit in (commit for log in logs.values() for commit in log.commits.values()):
        for item in commit.inputs if commit.version not in logs[commit.table].changed else ():
            problem = slice_problem(logs, item)
            count += problem is None
            if problem is not None and (problem.ok is False or (commit.table, commit.version) in on_way):
                looked_up = item["reference"] and problem.ok is None
                if not (looked_up and item["table"] == commit.table):  # "is this row new?" proves nothing
                    (lookups if looked_up else problems)[problem] = None
    problems.update(dict.fromkeys(written_by_others(logs, way)))
    yield from summed("slices that were read: commit and data files as recorded", count, list(problems))
    if lookups:
        detail = f"of {len(lookups)} versions that were only looked things up in, the commits are not all in the bundle"
        yield Finding("lookups", None, detail, required=False)


def written_by_others(logs: dict[str, Log], way: list[Commit]) -> Findings:
    """Rows that another tool wrote into a table that runs of Assay write: nothing says what they were made from."""
    for item in (item for commit in way for item in commit.inputs if not item["reference"]):
        log = logs.get(item["table"])
        if log is None or not log.written or not log.whole(item["version"]):
            continue
        for path in log.files(item["version"], item["partitions"], item.get("except", ())):
            commit = log.commits[log.lives[path][1]]
            if "run_id" not in commit.ours:
                detail = "another tool, no run of Assay, wrote rows that were read: what they come from is not known"
                yield Finding(f"{commit.table}@{commit.version}", None, detail, commit.operation != "OPTIMIZE")


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


def check_runs(claims: list[dict[str, Any]], logs: dict[str, Log], way: list[Commit]) -> Findings:
    """runs.json agrees with the commits on code, contracts and checks, and leaves out no commit of the path."""
    problems, claimed = [], set()
    for claim in claims:
        commit = logs[claim["table"]].commits.get(claim["version"]) if claim["table"] in logs else None
        claimed.add((claim["table"], claim["version"]))
        if commit is None or commit.claim() != claim:
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


# -- the prediction ----------------------------------------------------------------------------------------------------


def row_digest(columns: dict[str, tuple[str, Any]]) -> bytes:
    """SHA-256 of a row (name: type and value) in the canonical form of assay.row/1, for plain types: int, date and timestamp
    (numbers), float, bool, string, binary (hex here), decimal (text here)."""

    def sized(raw: bytes) -> bytes:
        return len(raw).to_bytes(8, "little") + raw

    header, body = b"assay.row/1\n", b""
    for name in sorted(columns):
        kind, value = columns[name]
        header += sized(name.encode()) + sized(kind.encode())
        there = b"\1" if value is not None else b"\0"
        if kind in ("int", "date", "timestamp"):
            body += there + int(value or 0).to_bytes(8, "little", signed=True)
        elif kind == "float":
            number = float(value or 0) + 0.0
            raw = struct.pack("<Q", 0x7FF8000000000000) if number != number else struct.pack("<d", number)
            body += there + raw
        elif kind == "bool":
            body += there + bytes([bool(value)])
        elif kind in ("string", "decimal", "binary"):
            body += there + sized(bytes.fromhex(value or "") if kind == "binary" else (value or "").encode())
        else:
            raise ValueError(f"rows with columns of type {kind} are not digested here")
    return hashlib.sha256(header + body).digest()


def uuid7(milliseconds: int, digest: bytes) -> str:
    """RFC 9562: 48 bits of time, then the first 74 bits of the digest around version and variant."""
    bits = int.from_bytes(digest[:10], "big") >> 6
    high, low = bits >> 62, bits & ((1 << 62) - 1)
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | high << 64 | 2 << 62 | low))


def check_prediction(row: dict[str, Any], commit: Commit) -> Findings:
    """The id follows from the row's content, and the row agrees with the commit that wrote it."""
    model = commit.predictions
    if row["withheld_keys"]:
        yield Finding("prediction id", None, f"not computed: key {', '.join(row['withheld_keys'])} was withheld")
    else:
        identity = {name: (kind, value) for name, kind, value in row["identity"]}
        keys = sorted(name[len("key:") :] for name in identity if name.startswith("key:"))
        moment = identity["event_time"][1]
        same = uuid7(moment // 1000, row_digest(identity)) == row["prediction_id"]
        expected = (identity["model"][1], identity["model_version"][1], keys)
        same = same and expected == (model["name"], model["version"], sorted(model["keys"]))
        yield Finding(
            "prediction id", same, "follows from the row" if same else "does not follow from the row's content"
        )
    names = ("table", "table_id", "version", "commit_sha256")
    read = {tuple(item[name] for name in names) for item in commit.inputs if not item["reference"]}
    same = {tuple(item[name] for name in names) for item in row["inputs"]} == read
    yield Finding("prediction inputs", same, "are what its run read" if same else "are not what its run read")
    expected = (commit.ours.get("run_id"), commit.ours.get("partition"), commit.predictions["features"])
    same = (row["run_id"], row["partition"], row["features"]) == expected
    yield Finding("prediction run", same, "wrote the commit" if same else "did not write this in the commit")
    recorded, named = commit.predictions["outputs"], row.get("outputs", [])
    same = named == recorded or not recorded
    there = all(name in row["shown"] or name in row["withheld"] for name in named)
    detail = "are those that the commit names" if same else "are not those that the commit names"
    yield Finding("prediction outputs", same and there, detail if there else "are not all in the row")
    ranges = [json.loads(action["stats"]) for action in commit.added if unquote(action["path"]) == row["data_file"]]
    low, high = (
        (ranges[0][name].get("prediction_id", "") for name in ("minValues", "maxValues")) if ranges else ("", "")
    )
    if row["moved"] and not ranges:
        why = "is not one that its run's commit added: the row was moved to it, and the one that its run wrote is gone"
        yield Finding("prediction data file", None, why)
        return
    same = not row["moved"] and bool(low) and low <= row["prediction_id"] <= high
    detail = "is a file of the commit, and the id in its range" if same else "is no file of the commit with such ids"
    yield Finding("prediction data file", same, detail)


def check_answer(row: dict[str, Any], commit: Commit) -> Findings:
    """The answer is one of those whose Merkle root (RFC 6962) the commit carries. That the model gives it is not computed."""
    described = commit.ours.get("predictions", {})
    answer, shown = row["answer"], row["shown"]
    if not described.get("answers"):
        yield Finding(ANSWER, None, "not checked: its commit carries no digest of the answers", required=False)
        return
    if "unproven" in answer:
        hidden = [name for name in described["answered"] if name != "prediction_id" and name not in shown]
        detail = f"not checked: {answer['unproven']}"
        yield Finding(ANSWER, None if hidden else False, detail, required=not hidden)
        return
    values = {name: (kind, value) for name, kind, value in answer["values"]}
    same = sorted(values) == sorted(described["answered"]) and values["prediction_id"][1] == row["prediction_id"]
    same = same and all(
        name == "prediction_id" or same_value(shown.get(name), value) for name, (_, value) in values.items()
    )
    if not same:
        yield Finding(ANSWER, False, "is not the one that prediction.json shows")
        return
    leaf = hashlib.sha256(b"\x00" + row_digest(values)).digest()
    path = [bytes.fromhex(item) for item in answer["path"]]
    root = root_from(leaf, answer["index"], answer["size"], path)
    same = root is not None and root.hex() == described["answers"] and str(answer["size"]) == str(commit.ours["rows"])
    yield Finding(
        ANSWER, same, "is among those that its commit carries" if same else "is not among those that its commit carries"
    )


def same_value(one: Any, other: Any) -> bool:
    return one == other or (one != one and other != other)  # NaN is no other value than NaN


def root_from(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """The root of the tree of `size` leaves with this one at `index`; None where the path has another length."""
    if not 0 <= index < size:
        return None
    found, rest, last = leaf, list(path), size - 1
    while last:
        if index & 1 or index < last:
            if not rest:
                return None
            beside = rest.pop(0)
            found = hashlib.sha256(b"\x01" + (beside + found if index & 1 else found + beside)).digest()
        index, last = index >> 1, last >> 1
    return None if rest else found


# -- the other documents -----------------------------------------------------------------------------------------------


def check_trace(trace: dict[str, Any], logs: dict[str, Log], way: list[Commit], row: dict[str, Any]) -> Findings:
    """The trace shows every commit of the path, and its edges are the reads that each commit records, and no others."""
    nodes = {node["id"]: node for node in trace["nodes"]}
    problems = []

    def wrong(node: dict[str, Any], detail: str) -> None:
        problems.append(Finding("trace.json", False, f"{node['table']} ({node['id']}) {detail}"))

    root = nodes[trace["root"]]
    table_id = logs[row["table"]].table_id or root["slices"][0]["table_id"]  # unknown where the first commits are gone
    start = {"table": row["table"], "version": row["version"], "commit_sha256": way[0].sha256, "table_id": table_id}
    start.update({"partitions": [way[0].ours.get("partition") or row["partition"]], "reference": False})
    slices = [{name: item[name] for name in start} for item in root["slices"]]
    if slices != [start] or root["reference"]:
        wrong(root, "is not the commit of the prediction")
    if (trace["prediction_id"], root["name"]) != (row["prediction_id"], row["prediction_id"]):
        wrong(root, "is another prediction")
    reached, met = {trace["root"]}, set()
    for node in nodes.values():
        folder = node["table"].split("/")[0]
        if node["kind"] != {"predictions": "prediction", "models": "model"}.get(folder, folder):
            wrong(node, "is of another kind")
        if node is not root and not f"{node['name']} ".startswith(f"{node['table']} "):
            wrong(node, "has the name of another table")
        met |= {(node["table"], version) for version in node["commits"]}
        log, newest = logs.get(node["table"]), max(item["version"] for item in node["slices"])
        certain = log is not None and log.tells(node["commits"])  # nobody knows what a changed commit has read
        certain = certain and bool(node["commits"] or (log and log.sound(newest)) or node["table"] == row["table"])
        if log is not None and log.sound(newest):
            named = [
                log.writers(item["version"], item["partitions"], item.get("except", ())) for item in node["slices"]
            ]
            wrote, meant = {item.version for items in named for item in items}, set(node["commits"])
            if not meant <= wrote or (meant != wrote and node["kind"] not in ("prediction", "model")):
                wrong(node, "does not name the commits that wrote its rows")
        made = [log.commits[version] for version in node["commits"]] if log is not None and certain else []
        read = [item for commit in made for item in commit.inputs]
        read = [{name: value for name, value in item.items() if name != "uri"} for item in read]
        for name in node["inputs"]:
            reached.add(name)
            if certain and any(item not in read for item in nodes[name]["slices"]):
                wrong(nodes[name], f"was not read like this for {node['table']}")
            if any(item["reference"] != nodes[name]["reference"] for item in nodes[name]["slices"]):
                wrong(nodes[name], "was looked up where it says read, or the other way round")
        shown = [item for name in node["inputs"] for item in nodes[name]["slices"]]
        if not node["reference"] and any(item not in shown for item in read):
            wrong(node, "does not show everything that its commits read")
    for node in (node for name, node in nodes.items() if name not in reached):
        wrong(node, "leads nowhere")
    told = [item for item in way if logs[item.table].tells([item.version])]
    left = [f"{item.table}@{item.version}" for item in told if (item.table, item.version) not in met]
    problems += [Finding("trace.json", False, f"{name} is left out") for name in left]
    delivered = [item for commit in way for item in commit.sources]
    if told != way:
        pass  # what they brought is not known
    elif any(item not in trace["files"] for item in delivered) or any(item not in delivered for item in trace["files"]):
        problems.append(Finding("trace.json", False, "its delivered files are not those that the commits name"))
    yield from summed("trace: every commit on the way, and what each read", len(nodes), problems)


def check_rows(rows: list[dict[str, Any]], logs: dict[str, Log]) -> Findings:
    """The rows behind the prediction lie in delivered files and data files that the commits name."""
    commits = [commit for log in logs.values() for commit in log.commits.values()]
    sources = {(item["path"], item["sha256"]) for commit in commits for item in commit.sources}
    data = {f"{table}/{path}" for table, log in logs.items() for path in log.lives}
    changed = any(log.changed for log in logs.values())  # they do not say any more what was delivered
    problems = []
    for row in rows:
        if (row["file"], row["sha256"]) not in sources and not changed:
            problems.append(Finding("rows.json", False, f"no commit names {row['file']}"))
        log = logs.get(row["table"])
        told = log is None or log.sound(max(log.commits))
        paths = row["digests"] if told else ()
        strange = [path for path in paths if path not in data or not path.startswith(f"{row['table']}/")]
        problems += [Finding("rows.json", False, f"no commit of {row['table']} names {path}") for path in strange]
    yield from summed("rows: in files that the commits name", len(rows), problems)


def check_seen(findings: list[dict[str, Any]]) -> Findings:
    """What the lake showed when the bundle was made: rows, and what readers of the tables see, which no commit shows."""
    for item in findings:
        yield Finding(item["what"], item["ok"], f"{item['detail']} (when the bundle was made)", item["required"])
    named = {item["what"] for item in findings}
    looked = any(item["what"] in ("prediction row", "prediction id") for item in findings)
    if not looked or not any("what readers see" in name or "@" in name for name in named):
        yield Finding("lake.json", None, "does not say what the lake showed when the bundle was made")


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


# -- the real files ----------------------------------------------------------------------------------------------------


def hash_file(path: Path) -> str | None:
    """The SHA-256 of a file, or None when there is none."""
    state = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                state.update(block)
    except OSError:
        return None
    return state.hexdigest()


def compare(what: str, expected: dict[Path, str], root: Path, *, required: bool = True) -> Findings:
    """Files against their digests. One that is gone was vacuumed or moved: that proves nothing either way."""
    problems = []
    for path, digest in sorted(expected.items()):
        actual = hash_file(root / path)
        if actual is None:
            problems.append(Finding(path.as_posix(), None, f"is not in {root.name}", required))
        elif actual != digest:
            problems.append(Finding(path.as_posix(), False, f"is not what it was in {root.name}", required))
    yield from summed(what, len(expected), problems)


def check_lake(lake: Path, logs: dict[str, Log], way: list[Commit]) -> Findings:
    """The lake still has these commits, the data files that were read on the way, and the deliveries it kept."""
    expected: dict[Path, str] = {}
    for table, log in logs.items():
        for version, commit in log.commits.items():
            expected[Path(table, "_delta_log", f"{version:020d}.json")] = commit.sha256
    yield from compare("lake: commits", expected, lake)
    read = {Path(commit.table, unquote(action["path"])) for commit in way[:1] for action in commit.added}
    for item in (item for commit in way for item in commit.inputs if not item["reference"]):
        if item["table"] in logs:
            files = logs[item["table"]].files(item["version"], item["partitions"], item.get("except", ()))
            read |= {Path(item["table"], name) for name in files}
    named_by_digest = {
        path: path.stem for path in read if re.fullmatch("[0-9a-f]{64}", path.stem)
    }  # others promise nothing
    yield from compare("lake: data files have the digests in their names", named_by_digest, lake)
    sources = [item for commit in way for item in commit.sources]
    kept = {Path(item["kept"]): item["sha256"] for item in sources if item["kept"]}
    yield from compare("lake: delivered files, as kept", kept, lake)
    named: dict[Path, str] = {}
    for commit in way:
        digest = (commit.ours.get("contract") or {}).get("digest")
        if digest:
            path = Path("_contracts", f"{digest}.json")
            if (
                "format" in commit.ours or (lake / path).is_file()
            ):  # commits without are older than the keeping of contracts
                named[path] = digest
    yield from compare("lake: contracts, as kept", named, lake)


def check_landing(landing: Path, way: list[Commit]) -> Findings:
    """Files that were changed where they were delivered decide nothing: the lake keeps what was read."""
    sources = [item for commit in way for item in commit.sources]
    expected = {Path(item["path"]): item["sha256"] for item in sources if "://" not in item["path"]}
    yield from compare("landing: files as delivered", expected, landing, required=False)


# -- all of it ---------------------------------------------------------------------------------------------------------


def guarded(name: str, step: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """The findings of a step; a file that it cannot parse is a finding too."""
    try:
        return list(step())
    except _UNREADABLE as problem:
        return [Finding(name, False, f"cannot be understood ({type(problem).__name__})")]


def verify(files: Files, lake: Path | None = None, landing: Path | None = None) -> list[Finding]:
    """Everything that can be checked of a bundle's files."""
    findings = guarded(SUMS, lambda: check_sums(files))
    logs, damaged = read_logs(files)
    findings += damaged
    documents: dict[str, Any] = {}
    for name in DOCUMENTS:
        try:
            documents[name] = json.loads(files[name])
        except (KeyError, ValueError):
            findings.append(Finding(name, False, "is missing or not JSON"))
    if len(documents) < len(DOCUMENTS):
        return findings
    manifest, row, claims = documents["manifest.json"], documents["prediction.json"], documents["runs.json"]
    stored = documents["lineage.json"]
    findings += guarded("manifest.json", lambda: check_manifest(manifest, row, logs, files, documents["trace.json"]))
    try:
        start = logs[row["table"]].commits[row["version"]]
        way = follow(logs, start, {(claim["table"], claim["version"]) for claim in claims})
    except _UNREADABLE:
        return [*findings, Finding("prediction.json", False, "the commit that it names cannot be followed")]
    runs = {str(commit.ours.get("run_id")) for commit in way}
    steps: list[tuple[str, Callable[[], Iterable[Finding]]]] = [
        ("lineage.json", lambda: check_stored(stored, logs)),
        ("commits", lambda: check_vouching(files, logs, way, stored)),
        ("commits", lambda: check_slices(logs, way)),
        ("runs.json", lambda: check_runs(claims, logs, way)),
        ("prediction.json", lambda: check_prediction(row, start)),
        ("prediction.json", lambda: check_answer(row, start)),
        ("lake.json", lambda: check_seen(documents["lake.json"])),
        ("trace.json", lambda: check_trace(documents["trace.json"], logs, way, row)),
        ("rows.json", lambda: check_rows(documents["rows.json"], logs)),
        ("events", lambda: check_events(files, logs, runs | {str(claim["run_id"]) for claim in claims})),
    ]
    if lake is not None:
        steps.append(("lake", lambda: check_lake(lake, logs, way)))
    if landing is not None:
        steps.append(("landing", lambda: check_landing(landing, way)))
    for name, step in steps:
        findings += guarded(name, step)
    return findings


def instant(microseconds: int) -> str:
    """RFC 3339 in UTC from µs since 1970."""
    whole, rest = divmod(microseconds, 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{rest:06d}Z"


def check_manifest(
    manifest: dict[str, Any], row: dict[str, Any], logs: dict[str, Log], files: Files, trace: dict[str, Any]
) -> Findings:
    """The manifest is of this prediction and these tables; parts that it lists as missing become findings."""
    commit, identity = logs[row["table"]].commits[row["version"]], {name: value for name, _, value in row["identity"]}
    expected = {
        "format": FORMAT,
        "prediction_id": row["prediction_id"],
        "model": identity["model"],
        "model_version": identity["model_version"],
        "event_time": instant(identity["event_time"]),
        "predicted_at": instant(commit.timestamp * 1000),
        "run_id": commit.ours["run_id"],
        "tables": {
            table: {
                "table_id": log.table_id
                or manifest["tables"].get(table, {}).get("table_id"),  # its first commits are gone
                "versions": sorted({*log.commits, *log.changed}),
            }
            for table, log in logs.items()
        },
    }
    wrong = [name for name, value in expected.items() if manifest[name] != value]
    traced = {(node["table"], version) for node in trace["nodes"] for version in node["commits"]}
    commits = [
        log.commits[version] for table, log in logs.items() for version in log.commits if (table, version) in traced
    ]
    sources = {(item["path"], item["sha256"], item["rows"]) for commit in commits for item in commit.sources}
    named = [(item["path"], item["sha256"], item["rows"]) for item in manifest["delivered"]]
    wrong += ["delivered"] if set(named) != sources or len(set(named)) != len(named) else []
    detail = f"says something else of: {', '.join(wrong)}" if wrong else "is of this prediction and these tables"
    yield Finding("manifest.json", not wrong, detail)
    if "verify.py" not in files:
        yield Finding("verify.py", False, "is missing")
    for item in manifest["missing"]:
        yield Finding(item["what"], None, f"could not be exported: {item['why']}", required=item["required"])


def outcome(findings: list[Finding]) -> str:
    """`verified`; `incomplete` (nothing contradicts, something could not be checked); or `broken`."""
    required = [item.ok for item in findings if item.required]
    return "broken" if False in required else "incomplete" if None in required else "verified"


def report(files: Files, findings: list[Finding]) -> str:
    answers = {True: "as its commit carries it", False: "not what its commit carries", None: "not checked"}
    answer = next((item.ok for item in findings if item.what == ANSWER), None)
    lines = [outcome(findings).upper(), f"answer: {answers[answer]}", ""]
    for ok, mark in ((False, "FAIL"), (None, "  --"), (True, "  ok")):
        lines += [f"{mark}  {item.what}: {item.detail}" for item in findings if item.ok is ok]
    lines += ["", f"SHA-256 of {SUMS} (stands for the whole bundle): {sha256(files.get(SUMS, b''))}"]
    return "\n".join([*lines, "", "This does not prove:", *(f"  - {text}." for text in NOT_PROVEN)])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Verify an evidence bundle of Assay, offline.")
    parser.add_argument("bundle", nargs="?", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--lake", type=Path, help="also hash the data files and kept deliveries in this lake")
    parser.add_argument("--landing", type=Path, help="also hash the delivered files in this folder")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    given = parser.parse_args(arguments)
    files, problems = read_bundle(given.bundle)
    findings = list(dict.fromkeys([*problems, *verify(files, given.lake, given.landing)]))
    verdict = outcome(findings)
    if given.json:
        print(json.dumps({"outcome": verdict, "findings": [item._asdict() for item in findings]}))
    else:
        print(report(files, findings).encode("ascii", "backslashreplace").decode())
    return 0 if verdict == "verified" else 1


if __name__ == "__main__":
    sys.exit(main())
