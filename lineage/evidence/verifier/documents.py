"""What people read: the manifest, the rows behind the prediction, what the lake showed."""

from __future__ import annotations

from typing import Any

from assay.lineage.evidence.verifier.commits import Log
from assay.lineage.evidence.verifier.findings import Files, Finding, Findings, instant, sha256, summed

FORMAT = "assay.evidence/1"


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
                # Nobody says what it is where the first commits are gone.
                "table_id": log.table_id or manifest["tables"].get(table, {}).get("table_id"),
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
    for item in manifest["missing"]:
        yield Finding(item["what"], None, f"could not be exported: {item['why']}", required=item["required"])


def check_contracts(files: Files, claims: list[dict[str, Any]], logs: dict[str, Log]) -> Findings:
    """The contracts in the bundle are those that the commits in runs.json name, by digest, and none is left out. Commits without
    a format are older than the keeping of contracts."""
    named: dict[str, bool] = {}
    for claim in claims:
        digest = (claim["contract"] or {}).get("digest")
        commit = logs[claim["table"]].commits.get(claim["version"]) if claim["table"] in logs else None
        if digest and commit is not None:
            named[digest] = named.get(digest, False) or "format" in commit.ours
    there = {name for name in files if name.startswith("lake/_contracts/")}
    problems = []
    for digest, kept in sorted(named.items()):
        name = f"lake/_contracts/{digest}.json"
        if name in there and sha256(files[name]) != digest:
            problems.append(Finding(name, False, "was changed: it is not the contract that the commits name"))
        elif name not in there and kept:
            problems.append(Finding(name, None, "the contract that commits name is not in the bundle"))
    strange = there - {f"lake/_contracts/{digest}.json" for digest in named}
    problems += [Finding(name, False, "no commit in runs.json names this contract") for name in sorted(strange)]
    yield from summed("contracts: those that the commits name, by their digest", len(there), problems)


def check_script(files: Files, running: bytes | None) -> Findings:
    """The script that comes with the bundle is the one that runs, where this is known. Each version of Assay has another one."""
    if "verify.py" not in files:
        yield Finding("verify.py", False, "is missing")
    elif running is not None and files["verify.py"] != running:
        detail = "is not the script that runs now: it is of another version of Assay, or was replaced. Do not go by what it says"
        yield Finding("verify.py", None, detail)


def check_rows(rows: list[dict[str, Any]], logs: dict[str, Log]) -> Findings:
    """The rows behind the prediction lie in delivered files and data files that the commits name."""
    commits = [commit for log in logs.values() for commit in log.commits.values()]
    sources = {(item["path"], item["sha256"]) for commit in commits for item in commit.sources}
    data = {f"{table}/{path}" for table, log in logs.items() for path in log.lives}
    changed = any(log.changed for log in logs.values())  # they do not say any more what was delivered
    problems = [] if isinstance(rows, list) else [Finding("rows.json", False, "is no list of rows")]
    for row in rows:
        if (row["file"], row["sha256"]) not in sources and not changed:
            problems.append(Finding("rows.json", False, f"no commit names {row['file']}"))
        log = logs.get(row["table"])
        is_sound = log is None or log.sound(max(log.commits))
        paths = row["digests"] if is_sound else ()
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
