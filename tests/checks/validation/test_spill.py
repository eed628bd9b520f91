"""Which rows share a key, found on disk; batches that are larger than what the engine may hold."""

import os
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.checks import Contract, Field, Timestamp, validate, validate_spilled
from assay.checks.validation import spill
from assay.checks.validation.spill import Keys
from assay.checks.validation.uniqueness import fingerprint

KEYS = st.lists(st.tuples(st.sampled_from([0, 1, 2, None]), st.sampled_from(["", "a", "b", None])), max_size=8)


def frame(keys: list[tuple[Any, Any]]) -> pl.LazyFrame:
    return pl.LazyFrame(keys, schema={"n": pl.Int64, "t": pl.String}, orient="row")


@settings(max_examples=25)
@given(KEYS, KEYS, st.booleans(), st.sampled_from([-1, 2, 5, 100]))
def test_sharing_rows_equal_brute_force(
    keys: list[Any], others: list[Any], has_published: bool, in_memory: int
) -> None:
    key = fingerprint([pl.col("n"), pl.col("t")])
    with TemporaryDirectory() as folder:
        batch = Keys(Path(folder, "it's"), ('a "key"',))
        batch.folder.mkdir()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(spill, "IN_MEMORY", in_memory)
            for part in (keys[:3], keys[3:]):
                batch.add(frame(part).select(key.alias('a "key"')).collect())
        published = frame(others).select(key=key)
        shares = batch.sharing({'a "key"': published} if has_published else {})
        assert bool(batch.files) == (len(keys) > in_memory)
    count = Counter(keys)
    expected = [
        row
        for row, values in enumerate(keys)
        if None not in values and (count[values] > 1 or (has_published and values in others))
    ]
    assert shares.arg_true().to_list() == expected


@pytest.mark.parametrize(
    ("annotation", "values"),
    [
        (float, [0.0, -0.0, 1.5]),
        (int, [2**62, 2**62 + 1, 2**62]),
        (bool, [True, False, True]),
        (Timestamp, [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 1)]),
        (pl.Categorical, ["a", "b", "a"]),
        (pl.Binary, [b"\x00", b"", b"\x00"]),
        (pl.Decimal(10, 2), [Decimal("1.10"), Decimal("1.11"), Decimal("1.10")]),
    ],
)
@pytest.mark.usefixtures("small_blocks")
def test_keys_of_any_type(annotation: Any, values: list[Any], tmp_path: Path) -> None:
    contract = type("Keyed", (Contract,), {"__annotations__": {"v": annotation}, "v": Field(unique=True)})
    batch = pl.DataFrame({"v": pl.Series(values, dtype=contract.to_schema().columns["v"].dtype.type)})
    outcome, spilled = validate(batch, contract), validate_spilled(batch, contract, tmp_path)
    assert spilled.report == outcome.report
    assert [result.invalid for result in outcome.report.rules if result.name == "v.unique"] == [1]
    assert spilled.clean.collect().equals(outcome.clean)
    assert spilled.quarantined.collect().equals(outcome.quarantined)


class Numbers(Contract):
    id: int = Field(unique=True)
    half: int = Field(ge=0)
    text: str = Field(str_matches="t[0-9]+$")


@pytest.mark.parametrize("rows", [300_000, pytest.param(20_000_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("in_memory", [0, 100_000_000])
def test_duplicates_far_apart_are_found(
    rows: int, in_memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if rows > 1_000_000 and os.environ.get("SOAK") != "1":
        pytest.skip("full size: SOAK=1")
    monkeypatch.setattr(spill, "IN_MEMORY", in_memory)
    number = pl.int_range(rows)
    batch = pl.LazyFrame({"_": [0]}).select(
        # The last row repeats the first key; the row in the middle repeats the second, and is invalid besides.
        id=pl.when(number == rows - 1).then(0).when(number == rows // 2).then(1).otherwise(number),
        half=number - (number == rows // 2).cast(pl.Int64) * rows,
        text="t" + (number % 1000).cast(pl.String),
    )
    outcome = validate_spilled(batch, Numbers, tmp_path)
    assert outcome.quarantined.select("id", "_rules").collect().to_dicts() == [
        {"id": 1, "_rules": ["id.unique", "half.ge"]},
        {"id": 0, "_rules": ["id.unique"]},
    ]
    assert outcome.clean.select(pl.len(), pl.col("id").n_unique().alias("ids")).collect().row(0) == (rows - 2, rows - 2)
