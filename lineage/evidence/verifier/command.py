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
import json
import sys
from pathlib import Path

from assay.lineage.evidence.verifier.container import SUMS, read_bundle
from assay.lineage.evidence.verifier.findings import UNREADABLE, Files, Finding, outcome, sha256
from assay.lineage.evidence.verifier.prediction import ANSWER
from assay.lineage.evidence.verifier.verify import verify

NOT_PROVEN = (
    "when the bundle was made, and by whom: nothing in it is signed or stamped by a third party. Who could write to the lake "
    "could have made it up. Compare the digests above with ones noted elsewhere",
    "what the data files hold: which rows are behind the prediction (rows.json) and what they say, numbers of the prediction's "
    "row that are not its answer, the model, its metrics and parameters. "
    "Parquet is not read here, and the model is not run (`assay trace <id> --verify` does both, on the lake)",
    "what the lake showed when the bundle was made (lake.json, the status of tables in trace.json): only the lake can show it",
    "what the rows behind salted digests say: only who has the lake can open them",
)


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
    running = Path(__file__).read_bytes() if __name__ == "__main__" else None
    try:
        findings = list(dict.fromkeys([*problems, *verify(files, given.lake, given.landing, running)]))
    except UNREADABLE as problem:
        findings = [*problems, Finding(given.bundle.name, False, f"cannot be understood ({type(problem).__name__})")]
    verdict = outcome(findings)
    if given.json:
        print(json.dumps({"outcome": verdict, "findings": [item._asdict() for item in findings]}))
    else:
        print(report(files, findings).encode("ascii", "backslashreplace").decode())
    return 0 if verdict == "verified" else 1


if __name__ == "__main__":
    sys.exit(main())
