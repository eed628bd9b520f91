"""Rows with the same hash, rows of one key that hold one after the other, and keys that are not there."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from assay.features.online.found import find
from assay.features.online.part import Part, rows_of_part, write_part


def rows(*data: tuple[str, int, int, bool]) -> pl.DataFrame:
    """(key, available, n, gone)"""
    schema = {"_key0": pl.String, "_available": pl.Int64, "n": pl.Int64, "_gone": pl.Boolean}
    frame = pl.DataFrame(data, schema=schema, orient="row")
    return frame.with_columns(_time=pl.col("_available"), _known=pl.lit(0, pl.Int64), _partition=pl.lit("p"))


def asked(part: Part, keys: list[str | None], at: int) -> list[Any]:
    found = find([part], [None if key is None else key.encode() for key in keys], one_a_letter(keys), at)
    return found.take(0, found.here)


def one_a_letter(keys: list[str | None]) -> Any:  # all keys with the same first letter have the same one
    return np.array([ord((key or "\0")[0]) for key in keys], "<u8")


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Part:
    monkeypatch.setattr(
        "assay.features.online.part.key_hashes", lambda keys: one_a_letter([key.decode() for key in keys])
    )
    data = rows(("a1", 5, 1, False), ("a1", 7, 2, False), ("a2", 5, 3, False), ("b", 9, 4, False), ("a3", 6, 5, True))
    write_part(tmp_path / "part", data, ["_key0"], ["n"])
    assert rows_of_part(tmp_path / "part").height == 5
    return Part.open(tmp_path / "part")


def test_each_key_has_its_own_row_at_each_moment(part: Part) -> None:
    keys = ["a2", "a1", "b", "a3", "a4", "c", None, "a1", ""]
    assert asked(part, keys, 7) == [3, 2, None, None, None, None, None, 2, None]
    assert asked(part, keys, 6) == [3, 1, None, None, None, None, None, 1, None]
    assert asked(part, keys, 9) == [3, 2, 4, None, None, None, None, 2, None]
    assert asked(part, keys, 4) == [None] * 9


def test_it_says_where_all_rows_of_a_key_come_later(part: Part) -> None:
    for keys, at, later in ((["a1"], 4, True), (["b"], 8, True), (["b"], 9, False), (["c"], 0, False)):
        assert find([part], [key.encode() for key in keys], one_a_letter(list(keys)), at).later is later


def test_without_rows(tmp_path: Path) -> None:
    write_part(tmp_path / "part", rows(), ["_key0"], ["n"])
    found = find([Part.open(tmp_path / "part")], [b"a"], np.zeros(1, "<u8"), 9)
    assert found.take(0, found.here) == [None]
