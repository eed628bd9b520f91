"""The values that a table has, found by its key index, are those that a scan finds; and few partitions are read for it."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.assets.steps import looked_up
from assay.assets.steps.looked_up import LookedUp, compared_columns, referred_tables
from assay.checks import Contract, Field, validate
from assay.checks.contract.field import FieldOptions
from assay.checks.contract.rules import Column
from assay.features.tables.lake import Lake, TableState, open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from tests.conftest import SOAK

TABLE = "clean/shops"
DAYS = [f"2026-09-{day:02d}" for day in range(1, 8)]
TYPES: dict[Any, Any] = {
    pl.String: lambda number: f"shop {number}",
    pl.Int32: lambda number: number,  # in the table they are wider
    pl.Date: lambda number: date(2026, 1, 1 + number),
    pl.Datetime("us", "UTC"): lambda number: datetime(2026, 1, 1 + number, tzinfo=UTC),
    pl.Float64: lambda number: number / 2,  # is read whole
}


def write(lake: Lake, day: str, values: list[Any], dtype: Any, mode: Any = "replace") -> None:
    with transaction(lake, NullRecorder(), Work(TABLE, day, "1", params={"mode": mode, "values": str(values)})) as tx:
        stored = pl.Int64 if dtype == pl.Int32 else dtype
        tx.write(TABLE, pl.DataFrame({"shop": pl.Series(values, dtype=stored)}), mode=mode)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[list[str] | None]:
    """The partitions of each scan."""
    found: list[list[str] | None] = []
    real = TableState.scan

    def scan(state: TableState, partitions: Any = None, excluded: Any = ()) -> pl.LazyFrame:
        found.append(partitions)
        return real(state, partitions, excluded)

    monkeypatch.setattr(TableState, "scan", scan)
    return found


@settings(
    max_examples=300 if SOAK else 8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.sampled_from(list(TYPES)),
    st.lists(
        st.tuples(
            st.sampled_from(DAYS),
            st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=4),
            st.sampled_from(["replace", "replace", "append"]),
        ),
        min_size=2,
        max_size=9,
    ),
    st.lists(st.integers(0, 12), max_size=6, unique=True),
    st.booleans(),
)
def test_the_values_are_those_of_a_scan(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    dtype: Any,
    writes: list[Any],
    asked: list[int],
    collide: bool,
) -> None:
    monkeypatch.setattr(looked_up, "_FEW", 0)
    if collide:  # a fingerprint names partitions; it decides nothing
        monkeypatch.setattr(
            looked_up, "key_print", lambda key: pl.when(key[0].is_not_null()).then(pl.lit(7, pl.UInt64))
        )
    lake, make = open_lake(tmp_path_factory.mktemp("lake")), TYPES[dtype]
    for day, numbers, mode in writes:
        write(lake, day, [None if number is None else make(number) for number in numbers], dtype, mode)
    values = pl.Series([make(number) for number in asked], dtype=dtype)
    latest = lake.table(TABLE).at()
    for version in (latest.version, latest.version - 1):
        state = lake.table(TABLE).at(version)
        there = state.scan().select(pl.col("shop").cast(dtype)).collect().to_series()
        found = LookedUp(state).among("shop", values, Column("shop", dtype, True, True, False, FieldOptions()))
        assert found.dtype == dtype and found.n_unique() == len(found)
        assert set(found) == set(values) & set(there.drop_nulls())


def test_a_value_is_looked_for_where_it_was_last(tmp_path: Path, read: list[list[str] | None]) -> None:
    class Sales(Contract):
        shop: str = Field(exists_in="clean/shops")

    def broken(*shops: str) -> int:
        read.clear()
        batch = pl.DataFrame({"shop": shops}, schema={"shop": pl.String})
        state = lake.table(TABLE).at()
        return validate(batch, Sales, lookup_tables={TABLE: LookedUp(state)}).quarantined.height

    lake = open_lake(tmp_path)
    for day in DAYS:
        write(lake, day, ["all", "each", f"of {day}"], pl.String)
    assert broken("all", "each") == 0 and read == [DAYS[-1:]]
    assert broken("nobody") == 1 and read == []
    assert broken(f"of {DAYS[2]}", "all", "nobody") == 1
    assert [sorted(keys or ()) for keys in read] == [[DAYS[2], DAYS[-1]]]
    write(lake, DAYS[2], ["other"], pl.String)
    assert broken(f"of {DAYS[2]}") == 1 and read == [[DAYS[2]]], "what was there once is not there"
    for day in DAYS[3:]:
        write(lake, day, ["all"], pl.String)
    assert broken("each") == 0
    assert len(read) == 3 and {DAYS[0], DAYS[1]} & set(read[-1] or ()), "twice as many each time"


def test_what_a_contract_compares_is_named_by_table() -> None:
    class Orders(Contract):
        order_id: str = Field(key=True)
        shop: str = Field(exists_in="clean/shops")
        sold_in: str = Field(exists_in="clean/shops.shop")

    assert referred_tables(Orders) == ("clean/shops",)
    assert compared_columns(Orders) == {"clean/shops": [["shop", "shop"], ["sold_in", "shop"]]}
