"""What only the readers of a table know, who recorded it: commits that say something else of rows that were there already (a
check that failed later, another contract), for which no data file changes; and what a table held that they looked up in."""

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from assay.features.storage.index_store import LIVE, index_store
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import CheckResult, NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.lineage.evidence.bundle import export
from assay.lineage.evidence.verifier.findings import outcome
from assay.lineage.evidence.verifier.verify import verify as verify_offline
from assay.lineage.predictions.prediction_log import stage_predictions
from assay.lineage.tracing.trace import trace
from assay.lineage.verification.checkpoint_file import checkpoint_path
from assay.lineage.verification.verify import verify
from tests.lineage.mutations.edits import edit_actions, flip

DAYS = [f"2026-09-0{number}" for number in range(1, 6)]
NOTES = "clean/notes"
TABLE, CONFIRMED, CONFIRMING = "features/parcel", 2, 5  # the day of version 2 was judged again by version 5


def build(root: Path) -> str:
    """Features of four days, the second judged again, and a fifth; a model learnt from all of them; a prediction."""
    lake = open_lake(root)

    def feature(day: str, *, passed: bool = True) -> None:
        with transaction(lake, NullRecorder(), Work(TABLE, day)) as tx:
            tx.check(CheckResult("heavy", TABLE, passed, severity="warn", evaluated=1, invalid=int(not passed)))
            tx.write(TABLE, pl.DataFrame({"parcel": [f"p-{day}"], "weight": [int(day[-1])]}))

    for day in DAYS[:4]:
        feature(day)
    feature(DAYS[1], passed=False)
    feature(DAYS[4])
    for day in DAYS:
        with transaction(lake, NullRecorder(), Work(NOTES, day)) as tx:
            tx.write(NOTES, pl.DataFrame({"note": [day]}))
    with transaction(lake, NullRecorder(), Work("training/late")) as tx:
        tx.note(NOTES, lookup=True)
        tx.write("training/late", tx.read(TABLE).collect().drop("partition_key"))
    with transaction(lake, NullRecorder(), Work("models/late")) as tx:
        tx.read("training/late")
        artifact, made = b"weights", datetime(2026, 9, 20, tzinfo=UTC)
        row = {"model_version": "1", "sha256": hashlib.sha256(artifact).hexdigest(), "artifact": artifact}
        rest = {"training_set": "late@1", "metrics": "{}", "created_at": made}
        tx.write("models/late", pl.DataFrame([row | rest]), mode="append")
    with transaction(lake, NullRecorder(), Work("predictions/late", DAYS[4])) as tx:
        tx.read("models/late")
        features = tx.read(TABLE, [DAYS[4]]).collect().drop("partition_key")
        frame = features.with_columns(event_time=pl.lit(datetime(2026, 9, 5, tzinfo=UTC)), late=True, confidence=0.5)
        made_ids = stage_predictions(
            tx, model="late", model_version="1", frame=frame, keys=["parcel"], feature_columns=["weight"]
        )
    return made_ids[0]


@pytest.fixture(scope="module", params=["recorded", "not recorded"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The lake and its prediction, by readers that recorded the writers, and by such as did not: those from before."""
    root = tmp_path_factory.mktemp("writers") / "lake"
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "not recorded":
            patch.setattr("assay.features.tables.lake.writers_digest", lambda commits: "")
            patch.setattr("assay.features.storage.table_index.digest_at", lambda *asked: "")
        prediction = build(root)
    read = (root / "training/late/_delta_log" / f"{1:020d}.json").read_text()
    for name in ("writers", "set_digest"):
        assert (f'\\"{name}\\"' in read) == (request.param == "recorded")
    yield root, prediction


def stripped(lake: Lake) -> None:
    """Nothing of ours is in the commit any more, which the way back jumps over; the index is gone."""
    path = Path(lake.storage.root, TABLE, "_delta_log", f"{CONFIRMING:020d}.json")

    def change(items: list[dict[str, dict[str, object]]]) -> None:
        info = next(item["commitInfo"] for item in items if "commitInfo" in item)
        for key in [key for key in info if key.startswith("assay.")]:
            del info[key]

    edit_actions(path, change)
    index_store(lake.storage).close()
    shutil.rmtree(Path(lake.storage.root, "_index"))


def hidden_in_index(lake: Lake) -> None:
    """The local index does not name it."""
    index_store(lake.storage).close()
    with sqlite3.connect(Path(lake.storage.root, "_index", "tables.db")) as index:
        (t,) = index.execute("SELECT id FROM tables WHERE name = ?", (TABLE,)).fetchone()
        index.execute("UPDATE commits SET written = 0 WHERE t = ? AND version = ?", (t, CONFIRMING))
        index.execute("UPDATE commits SET until = ? WHERE t = ? AND version = ?", (LIVE, t, CONFIRMED))
    index.close()


@pytest.mark.parametrize("hide", [stripped, hidden_in_index])
def test_a_later_verdict_on_the_same_rows_cannot_be_hidden(
    built: tuple[Path, str], hide: Callable[[Lake], None], tmp_path: Path
) -> None:
    root, prediction = built
    lake = open_lake(shutil.copytree(root, tmp_path / "lake"))
    traced = trace(lake, prediction)
    assert verify(lake, traced).outcome == "verified"
    hide(lake)
    traced = trace(lake, prediction)
    wrote = [commit.version for node in traced.nodes if node.table == TABLE for commit in node.commits]
    assert CONFIRMED in wrote and CONFIRMING not in wrote, "it is hidden"
    for whole_logs in (False, True):
        found = verify(lake, traced, whole_logs=whole_logs)
        assert found.outcome == "broken"
        accused = [item.what for item in found.checks if item.ok is False]
        assert any(f"{TABLE}@{CONFIRMING}" in what or f"{CONFIRMING:020d}.json" in what for what in accused)
        assert all(what.startswith(TABLE) for what in accused)
    assert outcome(verify_offline(dict(export(lake, traced).files))) == "broken"


def hide_a_day(lake: Lake) -> None:
    """The index has no third day of the notes, neither file nor writer, and the way back jumps over that commit."""
    index_store(lake.storage).close()
    with sqlite3.connect(Path(lake.storage.root, "_index", "tables.db")) as index:
        (t,) = index.execute("SELECT id FROM tables WHERE name = ?", (NOTES,)).fetchone()
        index.execute("UPDATE files SET until = since WHERE t = ? AND since = 3", (t,))
        index.execute("UPDATE commits SET until = version WHERE t = ? AND version = 3", (t,))
    index.close()


def hide_it_from_readers(lake: Lake) -> None:
    DeltaTable(lake.storage.uri(NOTES), version=5).create_checkpoint()
    path = Path(lake.storage.root, checkpoint_path(NOTES, 5))
    other = ~pl.col("add").struct.field("path").str.contains(DAYS[2]).fill_null(False)
    pl.read_parquet(path).filter(other).write_parquet(path)


@pytest.mark.parametrize("readers", [False, True])
def test_what_a_table_held_that_was_looked_up_in_cannot_be_hidden(
    built: tuple[Path, str], readers: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    root, prediction = built
    lake = open_lake(shutil.copytree(root, tmp_path / "lake"))
    recorded = "not recorded" not in request.node.name
    assert trace(lake, prediction).with_lookups
    hide_a_day(lake)
    if readers:
        hide_it_from_readers(lake)
    found = verify(lake, trace(lake, prediction))
    offline = verify_offline(dict(export(lake, trace(lake, prediction)).files))
    accused = [item.what for item in found.checks if item.ok is False]
    if recorded:
        assert found.outcome == outcome(offline) == "broken" and set(accused) <= {f"{NOTES}@3", f"{NOTES}@5"}
    else:  # of what readers from before looked up in, nobody recorded what it held
        assert found.outcome == outcome(offline) == "verified" and not accused
        assert verify(lake, trace(lake, prediction), whole_logs=True).outcome == "broken"
    said = [item for item in found.checks if item.what == f"{NOTES}: lookups"]
    assert [(item.ok, item.required) for item in said] == ([] if recorded else [(None, False)])


def test_files_that_something_was_looked_up_in_are_hashed(
    built: tuple[Path, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    root, prediction = built
    lake = open_lake(shutil.copytree(root, tmp_path / "lake"))
    traced = trace(lake, prediction)
    (file,) = (tmp_path / "lake" / NOTES / f"partition_key={DAYS[1]}").glob("*.parquet")
    flip(file)
    found = verify(lake, traced)
    files = dict(export(lake, traced).files)
    offline = verify_offline(files, lake=tmp_path / "lake")
    assert found.outcome == "broken"
    assert [file.name in item.what for item in found.checks if item.ok is False] == [True]
    recorded = "not recorded" not in request.node.name  # else the bundle does not know which files they were
    assert [file.name in item.what for item in offline if item.ok is False] == [True] * recorded
