"""An evidence bundle proves itself without Assay, holds no personal value, and every change of it is found and named."""

import hashlib
import hmac
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from assay.cli import main
from assay.errors import AssayError
from assay.features.storage.commit_metadata import SourceFile
from assay.features.tables.lake import open_lake
from assay.features.tables.run_record import Work
from assay.features.tables.transaction import transaction
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.evidence.bundle import Bundle, export
from assay.lineage.evidence.verifier.command import main as verify_command
from assay.lineage.evidence.verifier.commits import read_logs
from assay.lineage.evidence.verifier.container import SUMS, read_bundle
from assay.lineage.evidence.verifier.findings import Finding, outcome
from assay.lineage.evidence.verifier.prediction import row_digest
from assay.lineage.evidence.verifier.verify import verify
from assay.lineage.predictions.prediction_log import stage_predictions
from assay.lineage.tracing.trace import trace
from tests.conftest import SOAK

CANARY = "Zanzibar Quagmire"


@pytest.fixture
def recorded(desk: Any, recorder: EventRecorder) -> Any:
    """The support desk, whose work the lineage store records."""
    desk.work = lambda asset, partition=None: transaction(
        desk.lake, recorder, Work(asset, partition, code_version=f"code of {asset}")
    )
    return desk


@pytest.fixture
def prediction(recorded: Any) -> str:
    recorded.until(3)
    recorded.train("1", range(2))
    recorded.train("2", range(3))
    return recorded.predict(3, "1")[1]


@pytest.fixture
def bundle(recorded: Any, prediction: str, recorder: EventRecorder) -> Bundle:
    return export(recorded.lake, trace(recorded.lake, prediction), recorder.store)


class Sealed(NamedTuple):
    desk: Any
    prediction: str
    bundle: Bundle


_SEALED: list[Sealed] = []


@pytest.fixture
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """A desk and a bundle of it that are only read: made once, and kept where no test's end takes them away."""
    if not _SEALED:
        made = Sealed(*(request.getfixturevalue(name) for name in ("recorded", "prediction", "bundle")))
        home = tmp_path_factory.mktemp("kept")
        shutil.copytree(made.desk.lake.storage.root, home / "lake")
        shutil.copytree(made.desk.landing, home / "landing")
        made.desk.lake, made.desk.landing = open_lake(home / "lake"), home / "landing"
        _SEALED.append(made)
    return _SEALED[0]


@pytest.fixture
def sealed(kept: Sealed) -> Bundle:
    return kept.bundle


def failed(findings: list[Finding]) -> str:
    return "\n".join(f"{item.what}: {item.detail}" for item in findings if item.ok is False)


def summed(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files with new sums: what a forger would do."""
    rest = {name: content for name, content in files.items() if name != SUMS}
    lines = (f"{hashlib.sha256(rest[name]).hexdigest()}  {name}\n" for name in sorted(rest))
    return rest | {SUMS: "".join(lines).encode()}


def run(folder: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """The script alone: no site-packages, no environment, another working directory."""
    command = [sys.executable, "-I", "-S", str(folder / "verify.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def test_a_bundle_verifies_alone_as_archive_and_unpacked(kept: Sealed, tmp_path: Path) -> None:
    desk, bundle = kept.desk, kept.bundle
    written = bundle.write(tmp_path / "bundle.zip")
    assert written["missing"] == []
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "verify.py").write_bytes(bundle.files["verify.py"])
    shutil.unpack_archive(tmp_path / "bundle.zip", tmp_path / "unpacked")
    real = ("--lake", desk.lake.storage.root, "--landing", desk.landing)
    for process in (
        run(tmp_path / "elsewhere", tmp_path / "bundle.zip", *real),
        run(tmp_path / "unpacked"),
    ):
        assert (process.returncode, process.stderr) == (0, "")
        assert process.stdout.startswith("VERIFIED\n")
        assert written["sha256"] in process.stdout
        assert "This does not prove:" in process.stdout
        assert "nothing in it is signed" in process.stdout
    findings = json.loads(run(tmp_path / "unpacked", "--json").stdout)["findings"]
    said = {item["what"]: item for item in findings}
    assert said["prediction id"]["ok"] is True
    assert int(said["rows: in files that the commits name"]["detail"].split()[0]) >= 3


def test_a_bundle_says_what_it_is_about(kept: Sealed) -> None:
    recorded, prediction, bundle = kept
    manifest = json.loads(bundle.files["manifest.json"])
    found = trace(recorded.lake, prediction, lookups=True)
    assert (manifest["prediction_id"], manifest["model"], manifest["model_version"]) == (prediction, "router", "1")
    assert set(manifest["tables"]) == {node.table for node in found.nodes}
    assert {item["sha256"] for item in manifest["delivered"]} == {item.sha256 for item in found.files(lookups=True)}
    runs = json.loads(bundle.files["runs.json"])
    assert {item["run_id"] for item in runs} == {commit.run_id for node in found.nodes for commit in node.commits}
    clean = next(item for item in runs if item["table"] == "clean/tickets" and item["partition"] == "2026-09-02")
    assert (clean["contract"]["version"], clean["code_version"]) == ("1.2", "code of clean/tickets")
    assert [check["passed"] for check in clean["checks"]] == [True, False]
    for item in runs:
        path = f"{item['table']}/_delta_log/{item['version']:020d}.json"
        assert bundle.files[f"lake/{path}"] == recorded.lake.storage.get(path)
        events = bundle.files[f"events/{item['run_id']}.ndjson"].splitlines()
        assert [json.loads(event)["eventType"] for event in events] == ["START", "COMPLETE"]
    row = json.loads(bundle.files["prediction.json"])
    assert row["shown"] == {"intent": "card", "confidence": 0.75}
    assert set(row["withheld"]) == {"text_key"}
    nodes = json.loads(bundle.files["trace.json"])["nodes"]
    assert {node["kind"] for node in nodes} == {node.kind for node in found.nodes}


def test_the_same_evidence_has_the_same_bytes(
    recorded: Any, prediction: str, bundle: Bundle, recorder: EventRecorder
) -> None:
    recorded.deliver(3, note="changed")
    recorded.clean(3)
    recorded.train("3", range(3))
    recorded.predict(2, "2")
    again = export(recorded.lake, trace(recorded.lake, prediction), recorder.store)
    assert again.to_bytes() == bundle.to_bytes()


def test_any_changed_byte_is_found_and_named(sealed: Bundle) -> None:
    files, chance = dict(sealed.files), random.Random(1)
    assert outcome(verify(files)) == "verified"
    for name in sorted(files):
        content = bytearray(files[name])
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        findings = verify(files | {name: bytes(content)})
        assert outcome(findings) == "broken", name
        assert name in failed(findings)
    for name in chance.sample(sorted(files), 5):
        findings = verify({other: content for other, content in files.items() if other != name})
        assert outcome(findings) == "broken"
        assert name in failed(findings)
    assert "surplus" in failed(verify(files | {"surplus": b""}))


def test_of_the_predictions_own_log_only_its_commits_are_needed(recorded: Any, prediction: str) -> None:
    for number in (1, 2, 3):
        recorded.predict(number, "2")
    last = recorded.predict(0, "2")[0]
    bundle = export(recorded.lake, trace(recorded.lake, last))
    log = "lake/predictions/router/_delta_log"
    names = sorted(name for name in bundle.files if name.startswith(log))
    assert names == [f"{log}/{n:020d}.json" for n in (0, 4, 5)]
    findings = verify(dict(bundle.files))
    assert (outcome(findings), failed(findings)) == ("verified", "")
    assert [item.what for item in findings if item.ok is None] == ["events", "events"]


def test_nonsense_is_a_finding_never_a_crash(sealed: Bundle) -> None:
    files, chance = dict(sealed.files), random.Random(4)
    documents = [name for name in files if name.endswith("json")]
    values = (None, 0, -1, 10**30, "x", [], {}, [[]], {"x": 1})

    def spoilt(value: Any) -> Any:
        if not isinstance(value, dict | list) or not value or chance.random() < 0.2:
            return chance.choice(values)
        key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
        copy = dict(value) if isinstance(value, dict) else list(value)
        copy[key] = spoilt(value[key])
        return copy

    for _ in range(500 if SOAK else 30):
        name = chance.choice(documents)
        lines = files[name].splitlines() if name.startswith(("lake/", "events/")) else [files[name]]
        place = chance.randrange(len(lines))
        lines[place] = json.dumps(spoilt(json.loads(lines[place]))).encode()
        assert outcome(verify(summed(files | {name: b"\n".join(lines)}))) in ("verified", "incomplete", "broken")


def test_a_damaged_archive_names_its_entry(sealed: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bundle.zip"
    sealed.write(path)
    whole, chance = path.read_bytes(), random.Random(2)
    for name in ("prediction.json", "lake/clean/tickets/_delta_log/00000000000000000002.json"):
        start = whole.index(name.encode()) + len(name) + chance.randrange(20, 60)
        path.write_bytes(whole[:start] + bytes([whole[start] ^ 4]) + whole[start + 1 :])
        assert verify_command([str(path)]) == 1
        assert f"FAIL  {name}: is damaged" in capsys.readouterr().out
    path.write_bytes(whole[: len(whole) // 2])
    assert verify_command([str(path)]) == 1
    assert "is not a readable bundle" in capsys.readouterr().out


def test_a_commit_that_was_rewritten_does_not_fit_the_others(sealed: Bundle) -> None:
    """Even by someone who makes new sums, and runs.json to match: other commits vouch for its bytes."""
    for name in [name for name in sealed.files if "/_delta_log/" in name]:
        files = dict(sealed.files) | {name: sealed.files[name].replace(b'"timestamp":1', b'"timestamp":2')}
        logs, _ = read_logs(files)
        claims = json.loads(files["runs.json"])
        forged = [logs[claim["table"]].commits[claim["version"]].claim() for claim in claims]
        findings = verify(summed(files | {"runs.json": json.dumps(forged).encode()}))
        assert outcome(findings) == "broken"
        table, version = name.removeprefix("lake/").split("/_delta_log/")
        assert f"{table}/_delta_log/{version}: was changed" in failed(findings)


def forgeries(files: dict[str, bytes]) -> Iterator[tuple[str, dict[str, bytes], str]]:
    """A lie, the files that tell it, and what must be said about it."""
    names = ("prediction.json", "runs.json", "rows.json", "trace.json", "manifest.json")
    row, runs, rows, steps, manifest = (json.loads(files[name]) for name in names)

    def told(name: str, value: Any) -> dict[str, bytes]:
        return {name: json.dumps(value).encode()}

    identity = [[name, kind, "c0" if name == "key:customer_id" else value] for name, kind, value in row["identity"]]
    yield "another customer", told("prediction.json", row | {"identity": identity}), "prediction id"
    yield (
        "another id",
        told("prediction.json", row | {"prediction_id": row["prediction_id"][:-1] + "x"}),
        "prediction id",
    )
    yield "fewer inputs", told("prediction.json", row | {"inputs": row["inputs"][1:]}), "prediction inputs"
    yield "another run", told("prediction.json", row | {"run_id": "x"}), "prediction run"
    yield "another file", told("prediction.json", row | {"data_file": "x"}), "prediction data file"
    yield "other code", told("runs.json", [runs[0] | {"code_version": "x"}, *runs[1:]]), "runs.json"
    yield "a step less", told("runs.json", [run for run in runs if run["table"] != "clean/tickets"]), "runs.json"
    yield "no model", told("runs.json", [run for run in runs if run["table"] != "models/router"]), "runs.json"
    yield "another delivery", told("rows.json", [rows[0] | {"sha256": "0" * 64}]), "rows.json"
    yield "another table", told("rows.json", [rows[0] | {"table": "raw/x"}]), "rows.json"
    yield "another data file", told("rows.json", [rows[0] | {"digests": {"clean/x": ""}}]), "rows.json"
    yield "no deliveries", told("trace.json", steps | {"files": []}), "trace.json"
    yield "fewer steps", told("trace.json", steps | {"nodes": steps["nodes"][:3]}), "trace.json"
    lines = [node["table"] for node in steps["nodes"]]
    place = lines.index("features/ticket")
    node = steps["nodes"][place]
    for lie, change in {
        "another slice": {"slices": [node["slices"][0] | {"partitions": None}]},
        "only looked up": {"reference": True},
        "of another kind": {"kind": "raw"},
        "by another name": {"name": "raw/tickets"},
        "without inputs": {"inputs": []},
    }.items():
        nodes = [*steps["nodes"][:place], node | change, *steps["nodes"][place + 1 :]]
        yield lie, told("trace.json", steps | {"nodes": nodes}), "trace.json"
    yield "another root", told("trace.json", steps | {"root": node["id"]}), "trace.json"
    yield "another day", told("manifest.json", manifest | {"event_time": "2026-09-01T00:00:00Z"}), "event_time"
    yield (
        "other files",
        told("manifest.json", manifest | {"delivered": [{"path": "x", "sha256": "", "rows": 1}]}),
        "delivered",
    )
    yield "fewer tables", told("manifest.json", manifest | {"tables": {}}), "manifest.json"
    yield "no JSON", {"manifest.json": b"{"}, "manifest.json"
    yield "no object", {"runs.json": b"[1]"}, "cannot be followed"
    for name in [name for name in files if name.startswith("events/")][:5]:
        start, complete = (json.loads(line) for line in files[name].splitlines())
        output = complete["outputs"][0]["facets"]["assay_snapshot"]
        output["commit_sha256"] = "0" * 64
        yield "another version", {name: b"\n".join(json.dumps(event).encode() for event in (start, complete))}, name


def test_lies_with_new_sums_are_found(sealed: Bundle) -> None:
    files = dict(sealed.files)
    for lie, change, said in forgeries(files):
        findings = verify(summed(files | change))
        assert outcome(findings) == "broken", lie
        assert said in failed(findings), lie


def test_what_is_left_out_is_not_called_verified(sealed: Bundle) -> None:
    files = dict(sealed.files)
    manifest = json.loads(files["manifest.json"])
    for table in ("raw/tickets", "features/ticket", "training/router"):
        kept = {name: content for name, content in files.items() if not name.startswith(f"lake/{table}/")}
        tables = {name: about for name, about in manifest["tables"].items() if name != table}
        claims = [claim for claim in json.loads(files["runs.json"]) if claim["table"] != table]
        changed = {"manifest.json": manifest | {"tables": tables}, "runs.json": claims}
        assert outcome(
            verify(summed(kept | {name: json.dumps(value).encode() for name, value in changed.items()}))
        ) != ("verified")


def test_real_files_are_hashed_too(recorded: Any, bundle: Bundle, tmp_path: Path) -> None:
    files, lake = dict(bundle.files), tmp_path / "lake"
    assert outcome(verify(files, lake, recorded.landing)) == "verified"
    chance = random.Random(3)
    named = {
        "data": next((lake / "features" / "ticket").rglob("partition_key=2026-09-04/*.parquet")),
        "kept": next(path for path in (lake / "_landing").rglob("*") if path.is_file()),
        "commit": lake / "raw/tickets/_delta_log/00000000000000000001.json",
    }
    for path in named.values():
        whole = path.read_bytes()
        place = chance.randrange(len(whole))
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert failed(verify(files, lake)).startswith(path.relative_to(lake).as_posix())
        path.unlink()
        assert outcome(verify(files, lake)) == "incomplete"
        path.write_bytes(whole)
    next(recorded.landing.rglob("*.csv")).write_text("changed")
    findings = verify(files, lake, recorded.landing)
    assert outcome(findings) == "verified", "the lake has what was delivered"
    assert "is not what it was in landing" in failed(findings)


def test_personal_values_are_nowhere_in_it(recorded: Any, recorder: EventRecorder, tmp_path: Path) -> None:
    """A name in tickets, in customers, as a key and in an explanation."""
    recorded.until(1)
    path = recorded.landing / "tickets" / "2026-09-03" / "more.csv"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(f"t2-{n},{CANARY},2026-09-03 0{n}:00:00+00:00,I am {CANARY} {n}" for n in range(3)))
    recorded.ingest(2, path, 3)
    content = f"c0,{CANARY}".encode()
    sha256 = hashlib.sha256(content).hexdigest()
    kept = f"_landing/{sha256[:2]}/{sha256}"
    recorded.lake.storage.put_once(kept, content)
    with recorded.work("raw/customers", "000002") as tx:
        tx.sources.append(SourceFile("customers/000002.csv", sha256, len(content), 1, kept))
        links = {"_source_file": ["customers/000002.csv"], "_source_sha256": [sha256], "_row_number": [1]}
        tx.write("raw/customers", pl.DataFrame({"customer_id": [CANARY], **links}).cast({"_row_number": pl.Int64}))
    with recorded.work("clean/customers", "000002") as tx:
        tx.write("clean/customers", tx.read("raw/customers", ["000002"]).collect().drop("partition_key"))
    recorded.clean(2)
    recorded.features(2)
    recorded.train("1", range(2))
    with recorded.work("predictions/router", "2026-09-03") as tx:
        for table in ("models/router", "features/ticket", "features/customer_activity", "clean/tickets"):
            tx.read(table)
        frame = pl.DataFrame({"ticket_id": ["t2-2"], "customer_id": [CANARY], "intent": ["card"]}).with_columns(
            event_time=pl.lit(datetime(2026, 9, 3, 2, tzinfo=UTC)), explanation=pl.lit(f"because of {CANARY}")
        )
        (prediction,) = stage_predictions(tx, model="router", model_version="1", frame=frame)
    found = trace(recorded.lake, prediction)
    bundle = export(recorded.lake, found, recorder.store, withhold=["customer_id"])
    bundle.write(tmp_path / "bundle.zip")
    files, problems = read_bundle(tmp_path / "bundle.zip")
    for name, content in files.items():
        for part in CANARY.split():
            assert part.encode() not in content, name
    rows = json.loads(files["rows.json"])
    assert {row["table"] for row in rows} == {"clean/tickets", "clean/customers"}
    assert all(row["digests"] for row in rows)
    row = json.loads(files["prediction.json"])
    assert set(row["withheld"]) == {"customer_id", "explanation", "intent"}
    assert all(len(digest) == 64 for digest in row["withheld"].values())
    findings = verify(files)
    assert (problems, failed(findings), outcome(findings)) == ([], "", "incomplete")
    assert "key customer_id was withheld" in str(findings)
    with pytest.raises(AssayError, match="no columns"):
        export(recorded.lake, found, withhold=["surname"])


def test_salted_digests_can_be_opened_with_the_lake_and_not_without(kept: Sealed) -> None:
    recorded, _, bundle = kept
    row, rows = (json.loads(bundle.files[name]) for name in ("prediction.json", "rows.json"))
    files = [f"{row['table']}/{row['data_file']}"]
    files += [f"_landing/{sha256[:2]}/{sha256}" for sha256 in sorted({item["sha256"] for item in rows})]
    contents = b"".join(recorded.lake.storage.get(path) for path in files)
    salt = hmac.new(b"assay.evidence/1", contents, hashlib.sha256).digest()
    item = next(item for item in rows if item["table"] == "clean/tickets")
    ((path, stored),) = item["digests"].items()
    frame = pl.read_parquet(recorded.lake.storage.uri(path), hive_partitioning=False)
    found = frame.filter(pl.col("_source_sha256") == item["sha256"], pl.col("_row_number") == item["row_number"])
    values = found.with_columns(pl.col("created_at").to_physical()).row(0, named=True)
    kinds = {"created_at": "timestamp", "_row_number": "int"}
    digest = row_digest({name: (kinds.get(name, "string"), value) for name, value in values.items()}).hex()
    assert hmac.new(salt, digest.encode(), hashlib.sha256).hexdigest() == stored
    assert digest not in bundle.files["rows.json"].decode()


def test_what_could_not_be_exported_is_said(recorded: Any, prediction: str, tmp_path: Path) -> None:
    without = export(recorded.lake, trace(recorded.lake, prediction))
    assert [(item.what, item.required) for item in without.missing] == [("events", False)]
    findings = verify(dict(without.files))
    assert outcome(findings) == "verified"
    assert any("runs have no COMPLETE event" in item.detail for item in findings)
    (tmp_path / "lake" / "raw" / "tickets").rename(tmp_path / "old")
    erased = export(recorded.lake, trace(recorded.lake, prediction))
    assert any("raw/tickets@" in item.what and "erased" in item.why for item in erased.missing)
    findings = verify(dict(erased.files))
    assert (outcome(findings), failed(findings)) == ("incomplete", "")
    shutil.rmtree(tmp_path / "lake" / "_landing")
    unsalted = export(recorded.lake, trace(recorded.lake, prediction))
    assert any(item.what == "rows.json" for item in unsalted.missing)
    assert json.loads(unsalted.files["rows.json"]) == []
    assert json.loads(unsalted.files["prediction.json"])["withheld"] == {"text_key": None}


def test_a_commit_that_was_changed_after_it_was_traced_is_a_finding(recorded: Any, prediction: str) -> None:
    traced = trace(recorded.lake, prediction)
    read = next(node for node in traced.nodes if node.table == "raw/tickets").versions_read[0]
    path = Path(recorded.lake.storage.root, f"raw/tickets/_delta_log/{read:020d}.json")
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "commitInfo" not in line))
    findings = verify(dict(export(recorded.lake, traced).files))
    assert (outcome(findings), f"raw/tickets/_delta_log/{read:020d}.json" in failed(findings)) == ("broken", True)


def test_the_command_writes_a_bundle(
    recorded: Any, prediction: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    path = tmp_path / "bundle.zip"
    with pytest.raises(SystemExit) as ended:
        main(["trace", prediction, "--export", str(path), "--json"])
    assert ended.value.code == 0
    said = json.loads(capsys.readouterr().out)["bundle"]
    assert (said["path"], said["missing"]) == (str(path), [])
    assert verify_command([str(path)]) == 0
    assert said["sha256"] in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["trace", prediction, "--export", str(tmp_path / "no" / "folder.zip")])
    assert ended.value.code == 2
    assert "there is no folder" in capsys.readouterr().err
