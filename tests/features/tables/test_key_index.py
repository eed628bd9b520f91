"""The key index names every partition that holds a key, at any version, whatever happened to it or to the table."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.features.tables import key_index
from assay.features.tables.key_index import FOLDER, KeyIndex
from assay.features.tables.lake import Lake, TableState, open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from tests.conftest import SOAK

TABLE = "clean/orders"


def prints(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select(key=pl.when(pl.col("id").is_not_null()).then(pl.struct(pl.col("id").alias("0")).hash()))


def prints_of(*ids: int) -> pl.Series:
    return prints(pl.LazyFrame({"id": ids}, schema={"id": pl.Int64})).collect().to_series()


INDEX = KeyIndex("unique", "1", prints)


def write(lake: Lake, partition: str, ids: list[int | None], mode: str = "replace") -> None:
    work = Work(asset=TABLE, partition=partition, code_version="1", params={"mode": mode})
    with transaction(lake, NullRecorder(), work) as tx:
        tx.write(TABLE, pl.DataFrame({"id": ids}, schema={"id": pl.Int64}), mode=mode)  # type: ignore[arg-type]


def holding(state: TableState, ids: list[int]) -> set[str]:
    """The same by reading everything."""
    return set(state.scan().filter(pl.col("id").is_in(ids)).collect()["partition_key"])


def ask(lake: Lake, ids: list[int], version: int | None = None) -> set[str | None]:
    answer = INDEX.partitions(lake.table(TABLE).at(version), prints_of(*ids))
    assert answer is not None
    return set(answer)


ids = st.lists(st.one_of(st.none(), st.integers(0, 30)), max_size=6)
steps = st.lists(
    st.tuples(
        st.sampled_from(["2026-09-01", "2026-09-02", "2026-09-03"]),
        ids,
        st.sampled_from(["replace", "append"]),
        st.sampled_from(["", "", "ask", "lose", "restore"]),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=200 if SOAK else 8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=steps, wanted=st.lists(st.integers(0, 30), min_size=1, max_size=4))
def test_every_partition_that_holds_a_key_is_named_at_every_version(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, list[int | None], str, str]], wanted: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("keys")
    lake, backup = open_lake(folder / "lake"), folder / "backup"
    for partition, values, mode, then in history:
        write(lake, partition, values, mode)
        if then == "ask":
            ask(lake, wanted)
        elif then == "lose":
            shutil.rmtree(folder / "lake" / FOLDER, ignore_errors=True)
        elif then == "restore" and backup.exists():  # the table as it once was, beside an index that is ahead of it
            shutil.rmtree(folder / "lake" / TABLE)
            shutil.copytree(backup, folder / "lake" / TABLE)
        elif then == "restore":
            shutil.copytree(folder / "lake" / TABLE, backup)
    latest = lake.table(TABLE).at().version
    ever: set[str] = set()
    for version in range(latest + 1):
        state = lake.table(TABLE).at(version)
        ever |= holding(state, wanted)
        assert holding(state, wanted) <= ask(lake, wanted, version)
    assert ask(lake, wanted) == ever  # no other partition has to be read


def test_a_batch_reads_only_what_was_written_since_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = open_lake(tmp_path / "lake")
    read: list[str] = []
    keys = KeyIndex._keys

    def counted(self: KeyIndex, state: TableState, path: str) -> object:
        read.append(path)
        return keys(self, state, path)

    monkeypatch.setattr(KeyIndex, "_keys", counted)
    per_day = []
    for day in range(1, 29):
        write(lake, f"2026-02-{day:02}", list(range(day * 100, day * 100 + 50)))
        read.clear()
        assert ask(lake, [day * 100 + 1, 5]) == {f"2026-02-{day:02}"}
        per_day.append(len(read))
    assert set(per_day) == {1}
    runs = list((tmp_path / "lake" / FOLDER).rglob("*-keys.npy"))
    assert len(runs) <= 6  # log₂(28) runs, not 28


def test_other_keys_another_table_or_damage_make_it_anew(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")
    write(lake, "2026-09-01", [1])
    assert ask(lake, [1]) == {"2026-09-01"}
    state = lake.table(TABLE).at()
    double = KeyIndex("unique", "2", lambda rows: prints(rows.with_columns(id=pl.col("id") * 2)))
    assert double.partitions(state, prints_of(2)) == ["2026-09-01"]
    assert double.partitions(state, prints_of(1)) == []
    damages: list[Callable[[bytes], bytes]] = [
        lambda content: content[:-8],
        lambda content: b"",  # after a power cut
        lambda content: bytes(len(content)),
        lambda content: content[:128] + bytes(len(content) - 128),  # behind a header that is whole
    ]
    for damage in damages:
        for file in (tmp_path / "lake" / FOLDER).rglob("*-keys.npy"):
            file.write_bytes(damage(file.read_bytes()))
        assert ask(lake, [1]) == {"2026-09-01"}
    shutil.rmtree(tmp_path / "lake" / TABLE)
    write(lake, "2026-09-02", [1])
    assert ask(lake, [1]) == {"2026-09-02"}


def test_content_is_read_as_a_whole_only_where_its_files_look_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = open_lake(tmp_path / "lake")
    write(lake, "2026-09-01", [1])
    ask(lake, [1])
    read: list[int] = []
    checksum = key_index._checksum

    def counted(prints: np.ndarray, owners: np.ndarray) -> int:
        read.append(len(prints))
        return checksum(prints, owners)

    monkeypatch.setattr(key_index, "_checksum", counted)
    monkeypatch.setattr(KeyIndex, "_keys", None)  # what is whole is not made anew
    assert ask(lake, [1]) == {"2026-09-01"} and read == []
    for file in (tmp_path / "lake" / FOLDER).rglob("*.npy"):
        os.utime(file)  # as a copy has another time
    assert ask(lake, [1]) == ask(lake, [1]) == {"2026-09-01"} and read == [1]


def test_a_column_that_came_later_is_null_before(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")
    with transaction(lake, NullRecorder(), Work(asset=TABLE, partition="a", code_version="1")) as tx:
        tx.write(TABLE, pl.DataFrame({"other": [1]}))
    write(lake, "b", [1])
    assert ask(lake, [1]) == {"b"}


def test_where_nothing_may_be_written_any_partition_may_hold_a_key(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")
    write(lake, "2026-09-01", [1])
    (tmp_path / "lake" / "_index" / "keys").write_text("no folder can be made here")
    assert INDEX.partitions(lake.table(TABLE).at(), prints_of(1)) is None


def test_a_full_disk_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = open_lake(tmp_path / "lake")
    write(lake, "2026-09-01", [1])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(key_index.np, "save", full)
        assert INDEX.partitions(lake.table(TABLE).at(), prints_of(1)) is None
    assert ask(lake, [1]) == {"2026-09-01"}
