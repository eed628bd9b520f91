"""The files of the lake and of the landing folder, where they are at hand."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import unquote

from assay.lineage.evidence.verifier.commits import Commit, Log
from assay.lineage.evidence.verifier.findings import Finding, Findings, summed


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
    """The lake still has these commits, the data files that were read or looked up in on the way, and the deliveries it kept."""
    expected: dict[Path, str] = {}
    for table, log in logs.items():
        for version, commit in log.commits.items():
            expected[Path(table, "_delta_log", f"{version:020d}.json")] = commit.sha256
    yield from compare("lake: commits", expected, lake)
    read = {Path(commit.table, unquote(action["path"])) for commit in way[:1] for action in commit.added}
    for item in (item for commit in way for item in commit.inputs):
        log = logs.get(item["table"])
        if log is not None and (not item["reference"] or log.holds(item)):
            files = log.files(item["version"], item["partitions"], item.get("except", ()))
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
