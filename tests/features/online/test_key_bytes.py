"""Keys as bytes: equal where the keys are, and nowhere else."""

from datetime import date

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.features.online.key_bytes import key_bytes, key_hashes

PARTS = st.text(max_size=3) | st.just("1\0")


@settings(max_examples=50)
@given(st.lists(st.tuples(PARTS, PARTS), min_size=2, max_size=12))
def test_no_two_keys_look_alike(rows: list[tuple[str, str]]) -> None:
    frame = pl.DataFrame(rows, schema={"a": pl.String, "b": pl.String}, orient="row")
    found = key_bytes(frame.get_columns(), frame.height)
    assert len(set(found)) == len(set(rows))
    assert [found.index(one) for one in found] == [rows.index(one) for one in rows]


def test_a_null_in_any_part_is_no_key_and_types_do_not_matter() -> None:
    frame = pl.DataFrame({"a": ["x", None, "x"], "b": [1, 1, None]})
    first, *rest = key_bytes(frame.get_columns(), 3)
    assert first is not None
    assert rest == [None, None]
    short = frame.with_columns(pl.col("b").cast(pl.UInt8), pl.col("a").cast(pl.Categorical))
    assert key_bytes(short.get_columns(), 3)[0] == first
    assert key_bytes([pl.Series([date(1970, 1, 3)])], 1) == [b"2"]
    assert key_bytes([pl.Series([b"\0"])], 1) == [b"\0"]
    assert key_bytes([], 2) == [b"", b""]


def test_hashes_are_the_same_everywhere() -> None:
    """They are on disk: another version must find the rows again."""
    assert key_hashes([b"", b"C00012"]).tolist() == [13020603013274838756, 6611878702209225595]
