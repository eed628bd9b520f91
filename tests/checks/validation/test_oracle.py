"""Random batches against an oracle that judges row by row in plain Python."""

import math
import re
from collections import Counter
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.checks import Contract, Field, rule, validate, validate_spilled
from assay.checks.validation import blocks
from assay.checks.validation.batch_counts import BatchCounts
from tests.conftest import SOAK

PAIR = ["customer", "qty"]
CANONICAL = {
    "ACME Ltd": "acme",
    "acme ltd.": "acme",
    "Acme, Limited": "acme",
    "ACME": "bare acme",
    "Beta GmbH": "beta",
    "BETA  G.m.b.H.": "beta",
    "?!": None,
    None: None,
}


class Orders(Contract):
    id: str = Field(key=True, str_matches="[ab]$")
    customer: str = Field(exists_in="customers")
    amount: float = Field(ge=0, nullable=True)
    qty: int = Field(in_range=(1, 5))
    name: str = Field(nullable=True, canonical_unique="customer")
    code: str = Field(nullable=True, unique=True)

    class Config(Contract.Config):
        unique = PAIR
        severity: ClassVar = {"qty.in_range": "warn", "customer+qty.unique": "info"}

    @rule(name="cheap")
    def cheap(cls) -> pl.Expr:
        return pl.col("amount") <= pl.col("qty") * 10


TEXT_COLUMNS = {
    "id": ["a", "b", "ab", "c", None],
    "customer": ["x", "y", "nobody", None],
    "amount": ["0", "-1", "1e1", "99", "nan", "ten", None],
    "qty": ["1", "2", "9", "1.0", "x", None],
    "name": list(CANONICAL),
    "code": ["1", "2", "3", None],
    "_defect": [None, None, None, None, "unparsable", "strange"],
}
ROWS = st.lists(
    st.fixed_dictionaries({name: st.sampled_from(pool) for name, pool in TEXT_COLUMNS.items()}), max_size=12
)
PUBLISHED = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from(["a", "q"]),
            "customer": st.sampled_from(["x", "y", "z"]),
            "qty": st.sampled_from([1, 2]),
            "name": st.sampled_from(list(CANONICAL)),
            "code": st.sampled_from(["1", "9", None]),
        }
    ),
    max_size=2,
)
REFERENCES = {"customers": pl.DataFrame({"customer": ["x", "y"]})}
Row = dict[str, Any]


def number(text: str | None, pattern: str, convert: Any) -> tuple[Any, bool]:
    """The value and whether the text could not be read."""
    if text is None:
        return None, False
    return (convert(text), False) if re.fullmatch(pattern, text) else (None, True)


def local_rules(row: Row) -> tuple[set[str], Row]:
    """Rules about the row alone, and its typed values (None where there is no usable one)."""
    amount, bad_amount = number(row["amount"], r"nan|[+-]?\d+(\.\d+)?(e\d+)?", float)
    qty, bad_qty = number(row["qty"], r"[+-]?\d+", int)
    nan = amount is not None and math.isnan(amount)
    broken = {f"{name}.not_null" for name in ("id", "customer", "qty") if row[name] is None}
    broken |= {
        name for name, bad in (("amount.dtype", bad_amount), ("qty.dtype", bad_qty), ("amount.not_nan", nan)) if bad
    }
    if row["id"] is not None and row["id"] not in ("a", "b"):
        broken.add("id.matches")
    if row["customer"] == "nobody":
        broken.add("customer.exists")
    if amount is not None and amount < 0:
        broken.add("amount.ge")
    if qty is not None and not 1 <= qty <= 5:
        broken.add("qty.in_range")
    if amount is not None and qty is not None and not nan and amount > qty * 10:
        broken.add("cheap")
    return broken, row | {"amount": amount, "qty": qty}


def keys(row: Row) -> dict[str, tuple[Any, Any]]:
    """Per set rule the row's key (None: no group) and entity (None: only itself)."""
    pair = None if None in (row["customer"], row["qty"]) else (row["customer"], row["qty"])
    return {
        "id.unique": (row["id"], None),
        "code.unique": (row["code"], None),
        "customer+qty.unique": (pair, None),
        "name.canonical_unique": (CANONICAL[row["name"]], (row["customer"],)),
    }


def oracle(rows: list[Row], published: list[Row]) -> list[set[str]]:
    verdicts: list[set[str]] = []
    staying = [keys(row) for row in published]
    for row in rows:
        if row["_defect"] is not None:
            verdicts.append({f"row.{row['_defect']}"})
            continue
        broken, typed = local_rules(row)
        mine = keys(typed)
        for name, (key, entity) in mine.items():
            owners = [other[name][1] for other in staying if key is not None and other[name][0] == key]
            if owners and (entity is None or entity not in owners):
                broken.add(name)
        if not broken - {"qty.in_range", "customer+qty.unique"}:
            staying.append(mine)
        verdicts.append(broken)
    return verdicts


def batch_of(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys(TEXT_COLUMNS, pl.String)).with_columns(
        _row_number=pl.int_range(pl.len())
    )


def published_of(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"id": str, "customer": str, "qty": int, "name": str, "code": str})


@settings(max_examples=300 if SOAK else 8)
@given(ROWS, PUBLISHED)
def test_validation_equals_the_oracle(rows: list[Row], published: list[Row]) -> None:
    frame, kept = batch_of(rows), published_of(published)
    outcome = validate(frame, Orders, lookup_tables=REFERENCES, published=kept)
    expected = oracle(rows, published)

    leaves = [bool(broken - {"qty.in_range", "customer+qty.unique"}) for broken in expected]
    assert outcome.clean["_row_number"].to_list() == [index for index, leave in enumerate(leaves) if not leave]
    assert outcome.quarantined.drop("_rules").equals(frame.filter(pl.Series(leaves, dtype=pl.Boolean)))
    listed = [set(names) for names in outcome.quarantined["_rules"]]
    assert listed == [broken for broken, leave in zip(expected, leaves, strict=True) if leave]

    counts = Counter(name for broken in expected for name in broken)
    assert {result.name: result.invalid for result in outcome.report.rules if result.invalid} == counts
    report = outcome.report
    assert report.rows_in == len(rows) == report.rows_clean + report.rows_quarantined
    assert all(result.evaluated + result.unknown == len(rows) for result in report.rules)

    halves = pl.concat([frame[: len(rows) // 2], frame[len(rows) // 2 :]], rechunk=False)
    for other in (frame.lazy(), halves):
        same = validate(other, Orders, lookup_tables=REFERENCES, published=kept.lazy())
        assert same.clean.equals(outcome.clean)
        assert same.quarantined.equals(outcome.quarantined)
        assert same.report == report

    # What was accepted is accepted again, with nothing left to convert.
    again = validate(outcome.clean, Orders, lookup_tables=REFERENCES, published=kept)
    assert again.clean.equals(outcome.clean)


SOURCES = {
    "eager": lambda frame, folder: frame,
    "lazy": lambda frame, folder: frame.lazy(),
    "chunked": lambda frame, folder: pl.concat([frame[:3], frame[3:]], rechunk=False),
    "delta": lambda frame, folder: pl.scan_delta(delta_table(frame, f"{folder}/table")),
}


def delta_table(frame: pl.DataFrame, path: str) -> DeltaTable:
    write_deltalake(path, frame.to_arrow())
    return DeltaTable(path)


def exact(profile: BatchCounts) -> BatchCounts:
    return {
        column: {name: value for name, value in found.items() if name != "mean"} for column, found in profile.items()
    }


def means(profile: BatchCounts) -> dict[str, float | None]:
    return {column: found["mean"] for column, found in profile.items() if "mean" in found}


@settings(max_examples=300 if SOAK else 6)
@given(ROWS, PUBLISHED, st.sampled_from(list(SOURCES)))
def test_a_spilled_batch_is_judged_like_one_in_memory(rows: list[Row], published: list[Row], kind: str) -> None:
    frame, kept = batch_of(rows), published_of(published)
    outcome = validate(frame, Orders, lookup_tables=REFERENCES, published=kept)
    with TemporaryDirectory() as folder:
        source = SOURCES[kind](frame, folder)
        in_memory = validate(source, Orders, lookup_tables=REFERENCES, published=kept)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(blocks, "ROWS", 5)
            spilled = validate_spilled(source, Orders, folder, lookup_tables=REFERENCES, published=kept.lazy())
        for same in (in_memory, spilled):
            assert same.clean.lazy().collect().equals(outcome.clean)
            assert same.quarantined.lazy().collect().equals(outcome.quarantined)
            assert same.report == outcome.report
            assert exact(same.profile) == exact(outcome.profile)
            assert means(same.profile) == pytest.approx(means(outcome.profile))  # summed in another order
