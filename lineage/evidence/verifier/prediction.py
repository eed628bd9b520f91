"""The prediction's own row: its id, its run, its answer."""

from __future__ import annotations

import hashlib
import json
import struct
import uuid
from typing import Any
from urllib.parse import unquote

from assay.lineage.evidence.verifier.commits import Commit
from assay.lineage.evidence.verifier.findings import Finding, Findings, exactly

ANSWER = "answer"  # the finding about the model's answer
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("int", "date", "timestamp"), (int,)),
    **dict.fromkeys(("string", "decimal", "binary"), (str,)),
    "float": (float, int),
    "bool": (bool,),
}


def row_digest(columns: dict[str, tuple[str, Any]]) -> bytes:
    """SHA-256 of a row (name: type and value) in the canonical form of assay.row/1, for plain types: int, date and timestamp
    (numbers), float, bool, string, binary (hex here), decimal (text here)."""

    def sized(raw: bytes) -> bytes:
        return len(raw).to_bytes(8, "little") + raw

    header, body = b"assay.row/1\n", b""
    for name in sorted(columns):
        kind, value = columns[name]
        if value is not None and type(value) not in _KINDS.get(kind, ()):  # 0 is not false
            raise ValueError(f"the value is no {kind}")
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


def check_prediction(row: dict[str, Any], commit: Commit, columns: list[str] | None) -> Findings:
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
    strange = sorted({*row["shown"], *row["withheld"]} - set(columns)) if columns is not None else []
    if strange:
        yield Finding("prediction.json", False, f"shows what its table has no column for: {', '.join(strange)}")
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
    return exactly(one, other) or (one != one and other != other)  # NaN is no other value than NaN


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
