"""Row and table digests against a verifier written with the standard library from the documented format."""

import hashlib
import math
import random
import struct
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import AssayError
from assay.features.tables.digest import content_digest, row_digests

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")

TYPES = {
    "int": (pl.Int64, st.integers(-(2**63), 2**63 - 1)),
    "float": (pl.Float64, st.floats()),
    "bool": (pl.Boolean, st.booleans()),
    "string": (pl.String, st.text()),
    "binary": (pl.Binary, st.binary()),
    "date": (pl.Date, st.dates()),
    "timestamp": (INSTANT, st.datetimes(timezones=st.just(UTC))),
    "decimal": (pl.Decimal(12, 2), st.decimals(-9999, 9999, places=2)),
    "list<float>": (pl.List(pl.Float32), st.lists(st.none() | st.floats(width=32), max_size=4)),
    "list<list<string>>": (pl.List(pl.List(pl.String)), st.lists(st.none() | st.lists(st.none() | st.text()))),
    "struct<a:int,b:string>": (
        pl.Struct({"a": pl.Int64, "b": pl.String}),
        st.fixed_dictionaries({"a": st.none() | st.integers(-9, 9), "b": st.none() | st.text()}),
    ),
}


def length(count: int) -> bytes:
    return struct.pack("<q", count)


def encoded(value: Any, kind: str) -> bytes:
    """The documented form of one value, from plain Python values."""
    there = b"\x00" if value is None else b"\x01"
    if kind in ("int", "date", "timestamp"):
        if isinstance(value, datetime):
            value = (value - EPOCH) // timedelta(microseconds=1)
        elif isinstance(value, date):
            value = (value - EPOCH.date()).days
        return there + struct.pack("<q", value or 0)
    if kind == "float":
        number = value or 0.0
        return there + (struct.pack("<Q", 0x7FF8 << 48) if math.isnan(number) else struct.pack("<d", number))
    if kind == "bool":
        return there + (b"\x01" if value else b"\x00")
    if kind in ("string", "binary", "decimal"):
        content = value if isinstance(value, bytes) else b"" if value is None else str(value).encode()
        return there + length(len(content)) + content
    if kind.startswith("list<"):
        items = value or []
        return there + length(len(items)) + b"".join(encoded(item, kind[5:-1]) for item in items)
    if value is None:
        return there
    return there + encoded(value["a"], "int") + encoded(value["b"], "string")


def oracle(rows: list[dict], kinds: dict[str, str]) -> list[str]:
    header = b"assay.row/1\n"
    for name in sorted(kinds):
        for text in (name.encode(), kinds[name].encode()):
            header += length(len(text)) + text
    bodies = (b"".join(encoded(row[name], kinds[name]) for name in sorted(kinds)) for row in rows)
    return [hashlib.sha256(header + body).hexdigest() for body in bodies]


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[dict], dict[str, str], pl.DataFrame]:
    kinds = draw(st.dictionaries(st.text(max_size=3), st.sampled_from(sorted(TYPES)), min_size=1, max_size=4))
    row = st.fixed_dictionaries({name: st.none() | TYPES[kind][1] for name, kind in kinds.items()})
    rows = draw(st.lists(row, max_size=5))
    schema = {name: TYPES[kind][0] for name, kind in kinds.items()}
    return rows, kinds, pl.DataFrame(rows, schema=schema, orient="row")


@given(tables())
def test_a_standard_library_verifier_finds_the_same_digests(
    table: tuple[list[dict], dict[str, str], pl.DataFrame],
) -> None:
    rows, kinds, frame = table
    assert row_digests(frame).to_list() == oracle(rows, kinds)


@given(tables(), st.randoms(use_true_random=False))
def test_a_table_is_a_bag_of_rows(
    table: tuple[list[dict], dict[str, str], pl.DataFrame], chance: random.Random
) -> None:
    _, kinds, frame = table
    order = chance.sample(range(frame.height), frame.height)
    columns = chance.sample(sorted(kinds), len(kinds))
    assert content_digest(frame[order].select(columns)) == content_digest(frame)
    if frame.height:
        assert content_digest(pl.concat([frame, frame[:1]])) != content_digest(frame)
        assert content_digest(frame[1:]) != content_digest(frame)


def test_floats_have_one_form_per_value() -> None:
    strange = struct.unpack("<d", struct.pack("<Q", 0xFFF8000000000123))[0]  # a NaN with a sign and a payload
    digests = row_digests(pl.DataFrame({"x": [0.0, -0.0, math.nan, strange, None, 1.0]})).to_list()
    assert digests[0] == digests[1]
    assert digests[2] == digests[3]
    assert len(set(digests)) == 4


def test_widening_a_column_changes_nothing() -> None:
    narrow = pl.DataFrame(
        {"n": [1, None], "x": [0.1, 2.5], "v": [[0.1], [0.2]], "c": ["a", "b"]},
        schema={"n": pl.UInt8, "x": pl.Float32, "v": pl.Array(pl.Float32, 1), "c": pl.Categorical},
    )
    wide = narrow.cast({"n": pl.Int64, "x": pl.Float64, "v": pl.List(pl.Float64), "c": pl.String})
    assert row_digests(narrow).to_list() == row_digests(wide).to_list()


def test_another_type_name_or_place_of_a_value_is_another_digest() -> None:
    frames = [
        pl.DataFrame({"a": [1]}),
        pl.DataFrame({"b": [1]}),
        pl.DataFrame({"a": [1.0]}),
        pl.DataFrame({"a": ["1"]}),
        pl.DataFrame({"a": [[1]]}),
        pl.DataFrame({"a": ["x"], "b": ["y"]}),
        pl.DataFrame({"a": ["xy"], "b": [""]}),
        pl.DataFrame({"a": [None], "b": [""]}, schema={"a": pl.String, "b": pl.String}),
        pl.DataFrame({"a": [""], "b": [""]}),
    ]
    assert len({row_digests(frame)[0] for frame in frames}) == len(frames)


def test_chosen_and_excluded_columns() -> None:
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert row_digests(frame, ["a"]).to_list() == row_digests(frame.select("a")).to_list()
    assert content_digest(frame, exclude=["b"]) == content_digest(frame.select("a"))


def test_decimals_are_digested_as_written() -> None:
    frame = pl.DataFrame({"d": [Decimal("1.50")]}, schema={"d": pl.Decimal(10, 2)})
    assert row_digests(frame).to_list() == oracle([{"d": "1.50"}], {"d": "decimal"})


@pytest.mark.parametrize(
    ("frame", "columns"),
    [
        (pl.DataFrame({"b": [1]}), ["a"]),
        (pl.DataFrame({"a": [1]}), ["a", "a"]),
        (pl.DataFrame({"a": [datetime(2026, 1, 1)]}), ["a"]),  # noqa: DTZ001 (naive on purpose)
        (pl.DataFrame({"a": [timedelta(1)]}), ["a"]),
        (pl.DataFrame({"a": [2**63]}, schema={"a": pl.UInt64}), ["a"]),
    ],
)
def test_what_has_no_canonical_form_is_refused(frame: pl.DataFrame, columns: list[str]) -> None:
    with pytest.raises(AssayError, match="'a'"):
        row_digests(frame, columns)
