"""The index says what a replay of the log says, whatever happened to the index, and costs nothing that grows."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.errors import AssayError
from assay.features.storage.commit_metadata import SourceFile
from assay.features.storage.delta_log import commit_path
from assay.features.storage.index_store import MEMORY, IndexStore, index_store
from assay.features.storage.storage import Storage
from assay.features.storage.table_index import TableIndex, open_index
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import CheckResult, NullRecorder, Work
from assay.features.tables.transaction import transaction
from tests.conftest import SOAK
from tests.forked import run_forked

NAME = "raw/t"
KEYS = ("a", "b", "c")


def write(lake: Lake, partition: str, value: int, mode: str = "replace", **more: int) -> None:
    with transaction(lake, NullRecorder(), Work(asset=NAME, partition=partition)) as tx:
        tx.sources.append(SourceFile(f"{partition}/{value}", f"sha-{value}", 1, 1))
        tx.write(NAME, pl.DataFrame({"n": [value], **{key: [item] for key, item in more.items()}}), mode=mode)
        tx.check(CheckResult(f"rule_{value % 2}", NAME, value % 2 == 0, severity="warn"))


# -- the oracle: every line of every commit, from the beginning, for each question -------------------------------------


def replayed(lake: Lake, version: int) -> dict[str, Any]:
    live: dict[str, dict[str, Any]] = {}
    written: list[dict[str, Any]] = []
    columns: list[str] = []
    for number in range(version + 1):
        lines = Path(lake.storage.root, commit_path(NAME, number)).read_text().splitlines()
        actions = [json.loads(line) for line in lines]
        for action in actions:
            if "metaData" in action:
                columns = [item["name"] for item in json.loads(action["metaData"]["schemaString"])["fields"]]
            if "remove" in action:
                live.pop(unquote(action["remove"]["path"]), None)
        for action in actions:
            if "add" in action:
                live[unquote(action["add"]["path"])] = action["add"]
            if "assay.run_id" in action.get("commitInfo", {}):
                written.append(action["commitInfo"] | {"version": number})
    writers: dict[str, list[dict[str, Any]]] = {}
    for info in written:
        kept = [] if info["assay.mode"] == "replace" else writers.get(info["assay.partition"], [])
        writers[info["assay.partition"]] = [*kept, info]
    taken = {
        item["sha256"]: (info["version"], key, item["path"])
        for key, infos in writers.items()
        for info in infos
        for item in json.loads(info["assay.sources"])
    }
    return {
        "columns": tuple(columns),
        "files": {path: item["partitionValues"]["partition_key"] for path, item in live.items()},
        "writers": {key: [info["version"] for info in infos] for key, infos in writers.items()},
        "last": {info["assay.partition"]: info["version"] for info in written},
        "sources": taken,
        "written": [info["version"] for info in written],
        "broken": {
            info["version"]: frozenset(item["name"] for item in json.loads(info["assay.checks"]) if not item["passed"])
            for info in written
        },
    }


def check(lake: Lake) -> None:
    index = open_index(lake.storage, NAME)
    names = [path.name for path in Path(lake.storage.root, NAME, "_delta_log").glob("*.json")]
    if not names:
        assert index is None
        return
    assert index is not None and index.latest == len(names) - 1 and index.complete and not index.damaged(index.latest)
    for version in range(index.latest + 1):
        true = replayed(lake, version)
        assert index.columns(version) == true["columns"]
        for chosen in (None, ["a"], ["b", "c"], []):
            files = [path for path, key in sorted(true["files"].items()) if chosen is None or key in chosen]
            assert [file.path for file in index.files(version, chosen)] == files
            assert sorted(file.path for file in index.files(version, chosen, scanned=True)) == files
            assert index.rows(version, chosen) == len(files)
            held = [key for key in KEYS if key in true["files"].values() and (chosen is None or key in chosen)]
            assert index.partitions(version, chosen) == held
            wrote = sorted(v for key, vs in true["writers"].items() if chosen is None or key in chosen for v in vs)
            assert index.writers(version, chosen) == wrote
            keys = [key for key, found in true["writers"].items() if found and (chosen is None or key in chosen)]
            assert index.held(version, chosen) == (len(keys), len(wrote))
        rest = [path for path, key in sorted(true["files"].items()) if key != "a"]
        assert [file.path for file in index.files(version, None, ["a"])] == rest
        others = {key: found for key, found in true["writers"].items() if key != "a"}
        assert index.held(version, None, ["a"]) == (len(others), sum(map(len, others.values())))
        assert index.count_files(version) == len(true["files"])
        assert index.count_partitions(version) == len(set(true["files"].values()))
        assert index.last_partition(version) == max(true["files"].values(), default=None)
        assert index.rows_written(version, before="c") == [
            1 for key, found in true["writers"].items() if key < "c" for _ in found
        ]
        assert index.written(version) == true["written"]
        assert index.newest_written(version, 3) == true["written"][-3:]
        assert index.count_written(version) == len(true["written"])
        assert index.last_written(version) == max(true["written"], default=None)
        for key in KEYS:
            assert index.writer_of(key, version) == true["last"].get(key)
        live = [number for key in KEYS for number in true["writers"].get(key, [])]
        assert {v.broken: count for v, count in index.verdicts(version)} == Counter(true["broken"][v] for v in live)
        replaced = {number: index.span(number).until for number in true["written"] if number not in live}
        assert all(until is not None and until <= version for until in replaced.values())
        assert all((until := index.span(number).until) is None or until > version for number in live)
        for key in KEYS:
            assert index.written(version, key) == [
                v for v in true["written"] if replayed(lake, v)["last"].get(key) == v
            ]
        for value in range(4):
            found = [item for sha256, item in true["sources"].items() if sha256 == f"sha-{value}"]
            if len({key for key, infos in true["writers"].items() for v in infos}) <= 1:
                assert index.source(f"sha-{value}", version) == (found[0] if found else None)
            assert (index.source(f"sha-{value}", version) is None) == (not found)
    before: dict[str, str] = {}
    for version in range(index.latest + 1):
        after = replayed(lake, version)["files"]
        changed = {(before | after)[path] for path in before.keys() ^ after.keys()}
        assert [key for _, key in index.changes(version - 1, version)] == sorted(changed)
        before = after


PARTITIONS, VALUES = st.sampled_from(KEYS), st.integers(0, 3)
DEEDS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["replace", "append", "column"]), PARTITIONS, VALUES),
        st.tuples(st.sampled_from(["restore"]), st.integers(1, 9)),
        st.tuples(st.sampled_from(["look", "keep", "go back", "delete", "truncate", "spoil", "copy", "make anew"])),
    ),
    min_size=2,
    max_size=9,
)


@settings(max_examples=200 if SOAK else 8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DEEDS)
def test_the_index_says_what_the_log_says(tmp_path_factory: pytest.TempPathFactory, deeds: list[Any]) -> None:
    """With replaced and appended partitions, new columns, restored versions; with an index that was lost, cut, overwritten
    or copied, that knows more than an older lake put in its place, or another table of the same name."""
    root = tmp_path_factory.mktemp("lake")
    lake, kept, file = open_lake(root / "lake"), root / "kept", root / "lake" / "_index" / "tables.db"
    for deed in deeds:
        match deed:
            case ("column", partition, value):
                write(lake, partition, value, m=1)
            case ("replace" | "append" as mode, partition, value):
                write(lake, partition, value, mode)
            case ("restore", back):
                index = open_index(lake.storage, NAME)
                if index is not None and index.latest - back >= 1:
                    DeltaTable(lake.table(NAME).uri).restore(index.latest - back)
            case ("look",):
                check(lake)
            case ("keep",) if (root / "lake" / NAME).exists():
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(root / "lake" / NAME, kept)
            case ("go back",) if kept.exists():
                shutil.rmtree(root / "lake" / NAME, ignore_errors=True)
                shutil.copytree(kept, root / "lake" / NAME)
            case ("make anew",):
                shutil.rmtree(root / "lake" / NAME, ignore_errors=True)
                write(lake, "a", 0)
            case ("delete",):
                shutil.rmtree(file.parent, ignore_errors=True)
            case ("truncate",) if file.exists():
                file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
            case ("spoil",) if file.exists():
                file.write_bytes(b"no database at all" * 500)
            case ("copy",) if file.exists():
                moved = shutil.copytree(root / "lake", root / "moved")
                check(open_lake(moved))
                shutil.rmtree(moved)
    check(lake)


# -- what it costs -----------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """How often files are read and tables opened by delta-rs."""
    counts = {"read": 0, "opened": 0}
    read, opened = Storage.get, DeltaTable.__init__

    def counted_read(self: Storage, path: str) -> bytes:
        counts["read"] += 1
        return read(self, path)

    def counted_open(self: DeltaTable, *given: Any, **named: Any) -> None:
        counts["opened"] += 1
        opened(self, *given, **named)

    monkeypatch.setattr(Storage, "get", counted_read)
    monkeypatch.setattr(DeltaTable, "__init__", counted_open)
    yield counts
    counts.clear()


def test_a_question_reads_no_more_of_a_long_log_than_of_a_short_one(lake: Lake, asked: dict[str, int]) -> None:
    costs = []
    for days in (3, 12):
        for number in range(days):
            write(lake, f"{days:03}-{number:03}", number)
        asked.update(read=0, opened=0)
        state = lake.table(NAME).at()
        assert state.writer_of(f"{days:03}-001") is not None and state.partitions([f"{days:03}-002"])
        assert state.scan([f"{days:03}-000"]).collect().height == 1 and state.writer_of("none") is None
        costs.append(dict(asked))
    assert costs[0] == costs[1] == {"read": 1, "opened": 0}


# -- where it is kept --------------------------------------------------------------------------------------------------


def test_a_new_lake_keeps_its_index_itself(lake: Lake) -> None:
    assert open_index(lake.storage, NAME) is None
    write(lake, "a", 1)
    assert Path(index_store(lake.storage).path) == Path(lake.storage.root, "_index", "tables.db")


def test_processes_that_carry_it_on_at_once_agree(lake: Lake) -> None:
    for number in range(6):
        write(lake, KEYS[number % 3], number)
    shutil.rmtree(Path(lake.storage.root, "_index"))
    code = (
        "import sys; from assay.features.tables.lake import open_lake;"
        "from assay.features.storage.table_index import open_index;"
        f"i = open_index(open_lake(sys.argv[1]).storage, {NAME!r}); print(i.writers(i.latest))"
    )
    with ThreadPoolExecutor(3) as pool:
        found = set(pool.map(lambda _: run_forked("-c", code, lake.storage.root).out.strip(), range(3)))
    index = open_index(lake.storage, NAME)
    assert index is not None and found == {str(index.writers(index.latest))}
    check(lake)


def test_a_pinned_index_goes_on_when_it_is_made_anew_and_stops_when_its_table_is(lake: Lake) -> None:
    write(lake, "a", 1)
    state = lake.table(NAME).at()
    shutil.rmtree(Path(lake.storage.root, "_index"))
    write(lake, "b", 2)
    assert state.partitions() == ["a"]
    shutil.rmtree(Path(lake.storage.root, NAME))
    write(lake, "c", 3)
    assert lake.table(NAME).at().partitions() == ["c"]
    with pytest.raises(AssayError, match=r"raw/t was deleted or made anew while it was read"):
        state.partitions()


def test_a_commit_that_was_changed_is_read_as_it_is_now(lake: Lake) -> None:
    """Against the protocol, and so not looked for; but once it is seen, nothing indexed of it is believed any more."""
    write(lake, "a", 1)
    write(lake, "b", 2)
    first = lake.table(NAME).at()
    path = Path(lake.storage.root, commit_path(NAME, 1))
    path.write_text(path.read_text().replace("sha-1", "sha-9"))
    commit = first.writer_of("a")
    assert commit is not None and commit.sources[0].sha256 == "sha-9"
    index = lake.table(NAME).at().index
    assert index.source("sha-9", index.latest) == (1, "a", "a/1") and index.source("sha-1", index.latest) is None


def test_where_nothing_can_be_written_it_is_kept_in_memory(
    tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(lake, "a", 1)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    folder = tmp_path / "read only"
    shutil.copytree(lake.storage.root, folder, ignore=shutil.ignore_patterns("_index"))
    (folder / "_index").write_text("in the way")
    check(open_lake(folder))
    assert index_store(open_lake(folder).storage).path == MEMORY
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    other = shutil.copytree(folder, tmp_path / "other")
    check(open_lake(other))
    assert Path(index_store(open_lake(other).storage).path).is_relative_to(tmp_path / "cache")


def test_a_store_that_cannot_be_written_any_more_goes_on_in_memory(tmp_path: Path) -> None:
    (tmp_path / "i").mkdir()
    with closing(IndexStore(str(tmp_path / "i" / "tables.db"))) as store:
        store.write(lambda connection: connection.execute("INSERT INTO sections VALUES (1, 'x', 1)"))
        shutil.rmtree(tmp_path / "i")
        assert store.read(lambda connection: connection.execute("SELECT * FROM sections").fetchall()) == []
        assert store.path == MEMORY


def test_ranges_name_the_files_that_can_hold_a_value(lake: Lake) -> None:
    for day in (1, 2, 3):
        at = pl.datetime(2026, 1, day, time_zone="UTC").alias("at")
        frame = pl.DataFrame({"id": [f"k{day}", f"k{day}x"]}).with_columns(at)
        with transaction(lake, NullRecorder(), Work(asset=NAME, partition=f"d{day}")) as tx:
            tx.write(NAME, frame, statistics=("id",) if day < 3 else ())
    state = lake.table(NAME).at()
    day = 86_400_000_000
    start = 20_454 * day  # 2026-01-01

    def found(column: str, low: Any, high: Any) -> list[str | None]:
        return sorted(file.partition or "" for file in state.files_between(column, low, high))

    assert found("at", start, start) == ["d1"] and found("at", start + 1, None) == ["d2", "d3"]
    assert found("at", None, start + day) == ["d1", "d2"] and found("at", None, None) == ["d1", "d2", "d3"]
    assert found("id", "k2", "k2") == ["d2", "d3"] and found("id", "k0", "k0") == ["d3"]  # d3 has no statistics


def test_an_index_may_be_asked_after_its_store_was_closed(lake: Lake) -> None:
    write(lake, "a", 1)
    index: TableIndex = lake.table(NAME).at().index
    index_store(lake.storage).close()
    assert index.partitions(index.latest) == ["a"]
