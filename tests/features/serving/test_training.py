"""Training sets: joined at exact versions, the same for ever, and readable without Assay."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from assay.errors import AssayError
from assay.features.retention.pins import pins, unpin
from assay.features.retention.vacuum import vacuum
from assay.features.serving.as_of_join import as_of_join
from assay.features.serving.feature_refs import resolve
from assay.features.serving.training import create_training_set, load_training_set, published, stage_training_set
from assay.features.storage.parquet_files import file_sha256
from assay.features.tables.lake import Lake, TableMissing, open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import Transaction, run, transaction

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = [(START + timedelta(days=number)).date().isoformat() for number in range(10)]
MAX_AGE = timedelta(days=2)
SERVING = {
    "entity": "customer",
    "keys": ["customer_id"],
    "event_time": "event_time",
    "known_time": None,
    "max_age_us": MAX_AGE // timedelta(microseconds=1),
}
VIEW = {"name": "activity", "features": [{"name": "n", "sha256": "aa"}, {"name": "spend", "sha256": "bb"}]}
REFERENCES = ["activity:n", "text:vector"]


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def activity(day: int, shift: int = 0) -> pl.DataFrame:
    """Values of a day, as of the midnight that ends it."""
    return pl.DataFrame(
        {"customer_id": ["a", "b"], "event_time": [at(day + 1)] * 2, "n": [day * 10 + shift, day * 10 + 1 + shift],
         "spend": [day + 0.5, None]},
        schema_overrides={"event_time": pl.Datetime("us", "UTC"), "spend": pl.Float64},
    )  # fmt: skip


def write_view(lake: Lake, write, days=range(10), shift: int = 0) -> None:
    for day in days:
        write(lake, "features/activity", activity(day, shift), DAYS[day], extra={"serving": SERVING, "view": VIEW})


def write_vectors(lake: Lake, write) -> None:
    for day in range(10):
        vectors = pl.DataFrame({"text_key": [f"k{day}"], "vector": [[float(day), 1.0]]})
        frame = vectors.cast({"vector": pl.List(pl.Float32)})
        write(lake, "embeddings/text", frame, DAYS[day], mode="append")


@pytest.fixture
def world(lake: Lake, write, made_once: Callable[..., Path]) -> Lake:
    """Ten days of a view and of vectors, in a copy of the lake that has them."""

    def make(folder: Path) -> None:
        made = open_lake(folder)
        write_view(made, write)
        write_vectors(made, write)

    without = shutil.ignore_patterns("_index")  # of a copy it is made anew
    shutil.copytree(made_once("ten-days", make), lake.storage.root, dirs_exist_ok=True, ignore=without)
    return lake


def spine(*rows: tuple[str | None, float, str | None]) -> pl.DataFrame:
    """Rows of (customer, days after the start, text key), with a label."""
    return pl.DataFrame(
        {
            "customer_id": [row[0] for row in rows],
            "event_time": [at(row[1]) for row in rows],
            "text_key": [row[2] for row in rows],
            "label": [f"label-{number}" for number in range(len(rows))],
        },
        schema={
            "customer_id": pl.String,
            "event_time": pl.Datetime("us", "UTC"),
            "text_key": pl.String,
            "label": pl.String,
        },
    )


SPINE = spine(("b", 6.5, "k5"), ("a", 6, "k6"), ("a", 5.9, "k6"), ("nobody", 6, None), (None, 6, "kx"))


def create(lake: Lake, rows: pl.DataFrame = SPINE, references=REFERENCES, **options):
    return create_training_set(lake, NullRecorder(), "router", rows, references, **options)


def test_the_join_is_the_spine_with_what_held_then(world: Lake) -> None:
    rows = as_of_join(SPINE, ["activity:n", "activity:spend as euros", "text:vector"], lake=world)
    expected = SPINE.with_columns(
        n=pl.Series([51, 50, 40, None, None], dtype=pl.Int64),
        euros=pl.Series([None, 5.5, 4.5, None, None], dtype=pl.Float64),
        vector=pl.Series([[5.0, 1.0], [6.0, 1.0], [6.0, 1.0], None, None], dtype=pl.List(pl.Float32)),
    )
    assert_frame_equal(rows, expected)
    assert as_of_join(SPINE, ["activity:*"], lake=world).columns == [*SPINE.columns, "n", "spend"]
    assert_frame_equal(as_of_join(SPINE.clear(), REFERENCES, lake=world).select(SPINE.columns), SPINE.clear())


def test_only_partitions_that_can_matter_are_read_and_recorded(world: Lake) -> None:
    tx = Transaction(world, Work("x"))
    resolve(tx, REFERENCES, SPINE)
    read = {item.snapshot.table: item.partitions for item in tx.reads}
    # 5.9 to 6.5: values made at the midnights 5 and 6, which end days 4 and 5; all have one there, so that 4 cannot matter
    assert read == {"features/activity": tuple(DAYS[4:6]), "embeddings/text": tuple(DAYS[5:7])}
    tx = Transaction(world, Work("x"))
    resolve(tx, REFERENCES, SPINE.clear())
    assert [item.partitions for item in tx.reads] == [(), ()]


def test_reading_fewer_partitions_changes_no_value(world: Lake) -> None:
    chance = random.Random(7)
    for _ in range(20):
        rows = spine(
            *[
                (chance.choice("ab"), chance.choice([0, 1, 2, 12, 0.3, 5.5]) + chance.randint(0, 6), None)
                for _ in range(4)
            ]
        )
        whole = world.table("features/activity").scan().collect()
        expected = []
        for row in rows.iter_rows(named=True):
            known = whole.filter(
                pl.col("customer_id") == row["customer_id"],
                pl.col("event_time") <= row["event_time"],
                pl.col("event_time") >= row["event_time"] - MAX_AGE,
            ).sort("event_time")
            expected.append(known["n"].to_list()[-1] if known.height else None)
        assert as_of_join(rows, ["activity:n"], lake=world)["n"].to_list() == expected


@pytest.mark.parametrize(
    ("references", "message"),
    [
        (["activity.n"], "not a feature reference"),
        (["activity:* as x"], "not a feature reference"),
        ([], "No features"),
        (["activty:n"], "no feature view or embedding 'activty' .there are: activity, text"),
        (["activity:m"], "no feature 'm' .it has: n, spend"),
        (["activity:customer_id"], "no feature 'customer_id'"),
        (["activity:n", "activity:n as m"], "under two names"),
        (["activity:n as label"], "label"),
        (["text:vector as label"], "label"),
    ],
)
def test_a_reference_that_cannot_be_resolved_is_explained(world: Lake, references: list[str], message: str) -> None:
    with pytest.raises(AssayError, match=message):
        as_of_join(SPINE, references, lake=world)


def test_a_spine_that_does_not_fit_is_explained(world: Lake) -> None:
    with pytest.raises(AssayError, match="event_time"):
        as_of_join(SPINE.drop("event_time"), ["activity:n"], lake=world)
    with pytest.raises(AssayError, match="naive"):
        as_of_join(SPINE.with_columns(pl.col("event_time").dt.replace_time_zone(None)), ["activity:n"], lake=world)
    with pytest.raises(AssayError, match="text_key"):
        as_of_join(SPINE.drop("text_key"), ["text:vector"], lake=world)
    with pytest.raises(AssayError, match="no table features/activty to read"):
        as_of_join(SPINE, ["activity:n"], versions={"features/activty": 1}, lake=world)


def test_a_table_that_says_nothing_about_serving_is_no_view(lake: Lake, write) -> None:
    write(lake, "features/bare", activity(0), DAYS[0])
    with pytest.raises(AssayError, match="does not say how it is served"):
        as_of_join(SPINE, ["bare:n"], lake=lake)


def test_pins_choose_versions_and_the_manifest_names_them(world: Lake, write) -> None:
    old = world.table("features/activity").at().version
    write_view(world, write, shift=1000)
    new = create(world)
    pinned = create(world, versions={"features/activity": old})
    assert new.frame()["n"].to_list() == [1051, 1050, 1040, None, None]
    assert pinned.frame()["n"].to_list() == [51, 50, 40, None, None]
    versions = {item["name"]: item["version"] for item in pinned.manifest["inputs"]}
    assert versions == {"features/activity": old, "embeddings/text": world.table("embeddings/text").at().version}


def test_the_manifest_says_everything(world: Lake) -> None:
    made = create(world, code_version="abc")
    manifest = made.manifest
    assert json.loads(json.dumps(manifest)) == manifest
    assert (made.id, made.name) == ("router@1", "router") == (manifest["id"], manifest["name"])
    assert (manifest["rows"], manifest["code_version"]) == (5, "abc")
    assert manifest["spine"]["rows"] == 5 and manifest["spine"]["columns"] == SPINE.columns
    assert manifest["references"] == REFERENCES
    assert [(item["view"], item["features"]) for item in manifest["features"]] == [
        ("activity", [{"name": "n", "column": "n", "definition": "aa"}]),
        ("text", [{"name": "vector", "column": "vector", "definition": None}]),
    ]
    state = world.table("features/activity").at()
    (view,) = (item for item in manifest["inputs"] if item["name"] == "features/activity")
    assert view["table_id"] == state.snapshot.table_id and view["commit_sha256"] == state.snapshot.commit_sha256
    assert view["digest"] == state.slice(DAYS[4:6]).digest and view["rows"] == 4
    assert view["predicate"] == "partition_key IN ('2026-01-05', '2026-01-06')"
    assert manifest["schema"][-1] == {"name": "vector", "type": "List(Float32)"}
    commit = world.table("training/router").at().commits[-1]
    assert commit.column_lineage["n"]["direct"] == [["features/activity", "n"]]


def test_the_same_request_is_the_same_version(world: Lake, write) -> None:
    first = create(world)
    assert create(world).snapshot == first.snapshot
    write(world, "features/activity", activity(9, 7), DAYS[9], extra={"serving": SERVING, "view": VIEW})
    assert create(world).snapshot == first.snapshot, "a day that cannot matter"
    write(world, "features/activity", activity(5, 7), DAYS[5], extra={"serving": SERVING, "view": VIEW})
    second = create(world)
    assert second.id == "router@2" and second.frame()["n"].to_list() == [58, 57, 40, None, None]
    assert create(world, references=["activity:n"]).id == "router@3"
    assert first.frame()["n"].to_list() == [51, 50, 40, None, None]


def test_a_set_can_be_staged_in_a_larger_piece_of_work(world: Lake, write) -> None:
    write(world, "clean/tickets", SPINE, DAYS[0])

    def body(tx: Transaction) -> None:
        rows = tx.read("clean/tickets", [DAYS[0]]).collect()
        resolved = resolve(tx, REFERENCES, rows)
        if not tx.current("training/router"):
            stage_training_set(tx, "router", rows, resolved)

    work = Work("training/router", code_version="1")
    _, done = run(world, NullRecorder(), work, body)
    made = published(world, "router", done)
    assert made.manifest["spine"]["inputs"] == ["clean/tickets@1"]
    assert {item["name"] for item in made.manifest["inputs"]} == {
        "clean/tickets",
        "features/activity",
        "embeddings/text",
    }
    assert made.frame()["partition_key"].unique().to_list() == [DAYS[0]], "the spine's own column, like any other"
    assert [item.name for item in pins(world)] == [f"training-router@1-{made.snapshot.table_id[:8]}"]
    _, again = run(world, NullRecorder(), work, body)
    assert not again.changed and published(world, "router", again).snapshot == made.snapshot
    with (
        pytest.raises(AssayError, match="without partitions"),
        transaction(world, NullRecorder(), Work("training/router", DAYS[0])) as tx,
    ):
        stage_training_set(tx, "router", SPINE, REFERENCES)


def rewrite_everything(lake: Lake, write) -> None:
    write_view(lake, write, shift=500)
    for day in DAYS:
        vectors = pl.DataFrame({"text_key": ["other"], "vector": [[0.0, 0.0]]})
        write(lake, "embeddings/text", vectors.cast({"vector": pl.List(pl.Float32)}), day)
    create(lake)


def vacuum_everything(lake: Lake) -> None:
    for table in lake.tables():
        vacuum(lake, table, keep_days=0, grace=timedelta(0), dry_run=False)


def test_its_snapshots_survive_any_vacuum(world: Lake, write) -> None:
    made = create(world)
    rows = made.frame()
    rewrite_everything(world, write)
    vacuum_everything(world)
    loaded = load_training_set(world, "router@1")
    assert_frame_equal(loaded.frame(), rows)
    assert loaded.manifest == made.manifest
    versions = {item["name"]: item["version"] for item in loaded.manifest["inputs"]}
    assert_frame_equal(as_of_join(SPINE, REFERENCES, versions=versions, lake=world), rows)


def test_a_lost_pin_comes_back_when_the_set_is_asked_for_again(world: Lake) -> None:
    create(world)
    (name,) = (item.name for item in pins(world))
    unpin(world, name)  # as if the process had been killed between the commit and the pin
    create(world)
    assert [item.name for item in pins(world)] == [name]


def test_load_says_exactly_why_not(world: Lake, write) -> None:
    made = create(world)
    for bad in ("router", "router@x", "router@-1", ""):
        with pytest.raises(AssayError, match="not a training set's id"):
            load_training_set(world, bad)
    with pytest.raises(TableMissing, match="training/other"):
        load_training_set(world, "other@1")
    with pytest.raises(AssayError, match="no version 7"):
        load_training_set(world, "router@7")
    with pytest.raises(AssayError, match="made no training set"):
        load_training_set(world, "router@0")
    rewrite_everything(world, write)
    for item in pins(world):
        unpin(world, item.name)
    vacuum_everything(world)
    with pytest.raises(AssayError, match="router@1 needs training/router@1, which is vacuumed"):
        load_training_set(world, "router@1")
    with pytest.raises(AssayError, match="vacuumed"):
        made.frame()


@pytest.mark.parametrize("again", [False, True], ids=["deleted", "made anew"])
def test_an_erased_set_is_not_mistaken_for_another(world: Lake, again: bool) -> None:
    made = create(world)
    shutil.rmtree(Path(world.storage.root, "training/router"))
    if again:
        with transaction(world, NullRecorder(), Work("training/router")) as tx:
            tx.write("training/router", SPINE, extra={"manifest": dict(made.manifest)})
    for attempt in (made.frame, lambda: load_training_set(world, "router@1")):
        with pytest.raises(AssayError, match="which is erased"):
            attempt()


def test_changed_bytes_are_not_served(world: Lake) -> None:
    made = create(world)
    (file,) = world.table("training/router").at().files
    assert file_sha256(file.path)
    changed = made.frame().with_columns(label=pl.lit("poisoned"))
    changed.write_parquet(Path(world.storage.root, "training/router", file.path))
    with pytest.raises(AssayError, match="other content than its manifest says"):
        load_training_set(world, "router@1").frame()


PLAIN_READER = """
import json, sys
import polars as pl

manifest = json.load(open(sys.argv[1]))
counts = {}
for item in manifest["inputs"]:
    frame = pl.scan_delta(item["uri"], version=item["version"])
    if item["predicate"]:
        frame = frame.filter(pl.sql_expr(item["predicate"]))
    counts[item["name"]] = frame.select(pl.len()).collect().item()
table = manifest["table"]
rows = pl.scan_delta(table["uri"], version=table["version"]).collect()
assert not [name for name in sys.modules if name.split(".")[0] == "assay"]
print(json.dumps({"counts": counts, "rows": rows.select("label", "n", "vector").to_dicts()}))
"""


def test_a_plain_script_reads_every_input_again(world: Lake, write, tmp_path: Path) -> None:
    made = create(world)
    rows = made.frame()
    rewrite_everything(world, write)
    vacuum_everything(world)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(made.manifest))
    command = [sys.executable, "-c", PLAIN_READER, str(path)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=tmp_path).stdout)
    assert told["counts"] == {item["name"]: item["rows"] for item in made.manifest["inputs"]}
    assert told["counts"] == {"features/activity": 4, "embeddings/text": 2}
    assert told["rows"] == rows.select("label", "n", "vector").to_dicts()


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
def test_the_last_partition_wins_a_tie_whatever_order_files_are_read_in(lake: Lake, write, order: list[int]) -> None:
    for day in order:
        frame = activity(0, day)
        write(lake, "features/activity", frame, f"2026-01-0{day}", extra={"serving": SERVING, "view": VIEW})
    assert as_of_join(spine(("a", 1, None)), ["activity:n"], lake=lake)["n"].to_list() == [3]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_text_computed_twice_has_the_vector_of_its_first_partition(lake: Lake, write, order: list[int]) -> None:
    for day in order:
        vectors = pl.DataFrame({"text_key": ["k"], "vector": [[float(day)]]}).cast({"vector": pl.List(pl.Float32)})
        write(lake, "embeddings/text", vectors, f"2026-01-0{day}", mode="append")
    rows = spine(("a", 1, "k"), ("b", 1, "k"))
    assert as_of_join(rows, ["text:vector"], lake=lake)["vector"].to_list() == [[1.0], [1.0]]


def test_pins_is_another_word_for_versions_but_not_both(world: Lake) -> None:
    versions = {"features/activity": 1}
    assert_frame_equal(
        as_of_join(SPINE, ["activity:n"], pins=versions, lake=world),
        as_of_join(SPINE, ["activity:n"], versions=versions, lake=world),
    )
    with pytest.raises(AssayError, match="Both `versions` and `pins`"):
        as_of_join(SPINE, ["activity:n"], versions=versions, pins=versions, lake=world)
