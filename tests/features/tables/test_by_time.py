"""Against a scan of the whole table; and few files are opened."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import polars as pl
import pytest

import assay
from assay.features.tables.by_time import greatest_time, rows_from
from assay.features.tables.lake import TableState
from tests.conftest import SOAK

T0 = datetime(2026, 9, 1, tzinfo=UTC)
TABLE = "reports/times"


def table_of(folder: Path, batches: list[list[datetime | None]]) -> TableState:
    store = assay.open(lake=str(folder / "lake"), home=str(folder))
    for number, times in enumerate(batches):
        with store.transaction(TABLE, partition=f"{number:06d}") as tx:
            tx.write(TABLE, pl.DataFrame({"at": pl.Series(times, dtype=pl.Datetime("us", "UTC"))}))
    return store.table(TABLE).at()


@pytest.mark.parametrize("seed", range(30 if SOAK else 2))
def test_it_is_what_a_scan_of_everything_gives(tmp_path: Path, seed: int) -> None:
    chance = Random(seed)

    def moment() -> datetime | None:
        far = chance.choice([0, 0, 0, 400])
        return None if chance.random() < 0.1 else T0 + timedelta(days=far, microseconds=chance.randrange(10_000))

    state = table_of(tmp_path, [[moment() for _ in range(chance.randrange(1, 5))] for _ in range(8)])
    times = state.scan().collect()["at"].drop_nulls().to_list()
    for at_most in [
        T0 - timedelta(1),
        T0,
        T0 + timedelta(days=900),
        *times,
        *(one - timedelta(microseconds=1) for one in times),
    ]:
        expected = max((one for one in times if one <= at_most), default=None)
        assert greatest_time(state, "at", at_most) == expected
        from_there = sorted(rows_from(state, "at", at_most).collect()["at"].to_list())
        assert from_there == sorted(one for one in times if one >= at_most)
    assert rows_from(state, "at", None).collect().height == state.rows()


def test_one_file_is_opened_whatever_the_history_and_the_odd_one_in_the_future(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[list[datetime | None]] = [[T0 + timedelta(hours=number)] for number in range(12)]
    batches[3].append(T0 + timedelta(days=9_000))
    state = table_of(tmp_path, batches)
    opened: list[int] = []
    real = TableState.scan_files
    monkeypatch.setattr(TableState, "scan_files", lambda state, files: opened.append(len(files)) or real(state, files))
    assert greatest_time(state, "at", T0 + timedelta(days=30)) == T0 + timedelta(hours=11)
    assert sum(opened) == 2
    opened.clear()
    assert rows_from(state, "at", T0 + timedelta(hours=10)).collect().height == 3
    assert sum(opened) == 3
