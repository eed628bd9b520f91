"""Columns of every type that a table can have come back from packed rows as they were."""

import io
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

from assay.features.online.packing import Kind, Place, Tail, kind_of_column, pack, to_series, unpack

NOON = datetime(2026, 3, 29, 12, 0, 0, 123456, UTC)
NAIVE = NOON.replace(tzinfo=None)
TYPES: list[tuple[Any, list[Any], Kind]] = [
    (pl.Int8, [-128, None, 127], "fixed"),
    (pl.Int16, [-(2**15), None, 0], "fixed"),
    (pl.Int32, [-(2**31), None, 2**31 - 1], "fixed"),
    (pl.Int64, [-(2**63), None, 2**63 - 1], "fixed"),
    (pl.UInt64, [0, None, 2**64 - 1], "fixed"),
    (pl.Float32, [float("nan"), None, -0.0], "fixed"),
    (pl.Float64, [float("inf"), None, 0.1], "fixed"),
    (pl.Boolean, [True, None, False], "fixed"),
    (pl.Date, [date(1, 1, 1), None, date(9999, 12, 31)], "fixed"),
    (pl.Datetime("us"), [NAIVE, None, NAIVE], "fixed"),
    (pl.Datetime("us", "UTC"), [NOON, None, NOON], "fixed"),
    (pl.Datetime("ms", "Europe/Berlin"), [NOON.replace(microsecond=0)] * 3, "fixed"),
    (pl.Duration("us"), [timedelta(microseconds=-1), None, timedelta(days=9)], "fixed"),
    (pl.Time, [time(23, 59, 59, 999999), None, time(0)], "fixed"),
    (pl.String, ["", None, "größer 🜁\0"], "text"),
    (pl.Binary, [b"", None, b"\xff\0"], "text"),
    (pl.Categorical, ["a", None, "b"], "text"),
    (pl.Enum(["a", "b"]), ["a", None, "b"], "text"),
    (pl.List(pl.Float32), [[1.5, float("nan")], None, []], "vector"),
    (pl.Array(pl.Int16, 2), [[1, 2], None, [3, 4]], "vector"),
    (pl.List(pl.Int64), [[1, None], None, [3]], "beside"),
    (pl.List(pl.String), [["a"], None, []], "beside"),
    (pl.Struct({"a": pl.Int8, "b": pl.String}), [{"a": 1, "b": None}, None, {"a": None, "b": "x"}], "beside"),
    (pl.Decimal(38, 2), [Decimal("12.30"), None, Decimal("-0.01")], "beside"),
]


@pytest.mark.parametrize(
    ("dtype", "values", "kind"), TYPES, ids=lambda value: str(value) if isinstance(value, pl.DataType) else ""
)
def test_values_come_back(dtype: Any, values: list[Any], kind: Kind) -> None:
    column = pl.Series("x", values, dtype)
    place = Place("f0", kind_of_column(column), column.dtype)
    assert place.kind == kind
    if kind == "beside":  # as Polars gives them, and takes them back
        assert to_series("x", column.to_list(), column.dtype).equals(column, check_dtypes=True)
        return
    stream = io.BytesIO()
    rows = np.zeros(3, place.fields())
    tail = Tail(stream)
    tail.add([b"something before"])
    pack(place, column, rows, tail)
    assert tail.size == len(stream.getvalue())
    order = np.array([2, 0, 1, 0])
    here = column.is_not_null().to_numpy()[order]
    found = unpack(place, rows[order], here.tolist(), stream.getvalue())
    back = to_series("x", found, column.dtype)
    assert back.dtype == column.dtype
    assert back.equals(column[order.tolist()], null_equal=True)
    if not here.all():
        assert to_series("x", unpack(place, rows[[0]], None, stream.getvalue()), column.dtype).equals(column[:1])


def test_an_empty_column_has_a_place_too() -> None:
    for dtype, _, _ in TYPES:
        column = pl.Series("x", [], dtype)
        place = Place("f0", kind_of_column(column), column.dtype)
        rows, stream = np.zeros(0, place.fields()), io.BytesIO()
        pack(place, column, rows, Tail(stream))
        assert stream.getvalue() == b""
