"""What happened to a delivery's columns, against the contract and the batch before: each kind is named, with its partner."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import NormalDist
from typing import Any, Optional

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.assets.sources.parquet import read_parquet
from assay.assets.support.card_events import CardEvents
from assay.assets.support.upstream.card_events import event_files
from assay.checks import Contract, Field, Timestamp
from assay.checks.schema_diff.rename_matching import alike, match_renames
from assay.checks.schema_diff.schema_drift import SchemaFinding, delivery_drift
from assay.checks.schema_diff.units import UNITS, unit_shift
from tests.conftest import SOAK

ROWS = 400


class Orders(Contract):
    order_id: str = Field(key=True)
    customer: str = Field()
    country: str = Field()
    amount: float = Field()
    weight: float = Field()
    at: Timestamp = Field()


class Measures(Contract):
    amount: float = Field()
    weight: float = Field()


def batch(day: int = 1, *, text: bool = False) -> pl.DataFrame:
    random = np.random.default_rng(day)
    start = datetime(2026, 9, day, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "order_id": [f"O{day:02d}{number:05d}" for number in range(ROWS)],
            "customer": [f"C{number:04d}" for number in random.integers(0, 3_000, ROWS)],
            "country": random.choice(["DE", "FR", "IT"], ROWS),
            "amount": random.lognormal(3, 1, ROWS).round(2),
            "weight": random.normal(70, 9, ROWS).round(1),
            "at": [start + timedelta(minutes=number) for number in range(ROWS)],
        },
        schema_overrides={"at": pl.Datetime("us", "UTC")},
    )
    if not text:
        return frame
    written = pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return frame.with_columns(written, pl.col("amount", "weight").cast(pl.String))


def told(findings: list[SchemaFinding]) -> list[tuple[Any, ...]]:
    return [(f.kind, f.column, f.against, f.partner) for f in findings]


@pytest.mark.parametrize("text", [False, True])
def test_the_next_day_is_no_drift(text: bool) -> None:
    for day in range(2, 6 if SOAK else 3):
        assert delivery_drift(batch(day, text=text), Orders, batch(day - 1, text=text)) == []


def test_links_are_no_columns() -> None:
    assert delivery_drift(batch(2).with_columns(_row_number=1, partition_key=2), Orders, batch(1)) == []


def test_what_the_contract_allows_is_no_drift() -> None:
    class Loose(Contract):
        order_id: str = Field(key=True)
        note: Optional[str] = Field(nullable=True)  # noqa: UP045 - what pandera reads
        scores: float = Field(alias="score_[0-9]+", regex=True)

    now = pl.DataFrame({"order_id": ["a"], "score_1": [1.0], "score_2": [2.0]})
    assert delivery_drift(now, Loose) == []
    assert told(delivery_drift(now.with_columns(score_x=0.5), Loose)) == [("added", "score_x", "contract", None)]
    assert told(delivery_drift(now, Loose, now.with_columns(note=pl.lit("x")))) == [
        ("dropped", "note", "previous", None)
    ]


def test_dropped_and_added() -> None:
    now = batch(2).drop("country").with_columns(note=pl.lit("a long note about nothing"))
    for previous, against in ((None, ["contract"]), (batch(1), ["contract", "previous"])):
        assert told(delivery_drift(now, Orders, previous)) == [
            finding
            for side in against
            for finding in (("dropped", "country", side, None), ("added", "note", side, None))
        ]


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize(
    ("old", "new"), [("amount", "total_eur"), ("customer", "buyer"), ("country", "land"), ("at", "created_at")]
)
def test_a_renamed_column_is_known_by_its_values(old: str, new: str, text: bool) -> None:
    now = batch(2, text=text).rename({old: new})
    findings = delivery_drift(now, Orders, batch(1, text=text))
    assert told(findings) == [("renamed", old, "contract", new), ("renamed", old, "previous", new)]
    assert all(0.6 <= finding.score <= 1 for finding in findings)


def test_without_a_previous_batch_only_the_name_tells() -> None:
    assert told(delivery_drift(batch().rename({"amount": "amount_eur"}), Orders)) == [
        ("renamed", "amount", "contract", "amount_eur")
    ]
    assert told(delivery_drift(batch().rename({"amount": "sum"}), Orders)) == [
        ("dropped", "amount", "contract", None),
        ("added", "sum", "contract", None),
    ]


def test_two_columns_that_change_names_keep_their_values() -> None:
    now = batch(2).rename({"amount": "value_1", "weight": "value_2"})
    assert {(f.column, f.partner) for f in delivery_drift(now, Orders, batch(1))} == {
        ("amount", "value_1"),
        ("weight", "value_2"),
    }


def test_retyped() -> None:
    now = batch(2).with_columns(pl.col("amount").cast(pl.Int64))
    assert told(delivery_drift(now, Orders, batch(1))) == [
        ("retyped", "amount", "contract", None),
        ("retyped", "amount", "previous", None),
    ]
    written = batch(2, text=True).with_columns(pl.col("amount").str.replace(".", ",", literal=True) + " EUR")
    (finding,) = delivery_drift(written, Orders, batch(1, text=True))
    assert (finding.kind, finding.column, finding.against) == ("retyped", "amount", "previous")
    assert finding.detail.startswith("the texts (Float64) were written as usual and are with decimal=','")
    named = batch(2, text=True).with_columns(pl.lit("about ten").alias("amount"))
    (finding,) = delivery_drift(named, Orders, batch(1, text=True))
    assert finding.detail == "the texts were Float64, and are String now"


def test_reordered() -> None:
    now = batch(2).select("order_id", "country", "customer", "amount", "weight", "at")
    findings = delivery_drift(now, Orders, batch(1))
    assert told(findings) == [("reordered", "country", "contract", None), ("reordered", "country", "previous", None)]
    assert findings[0].detail == "comes at position 2 now"


@pytest.mark.parametrize(
    ("column", "change", "said"),
    [
        ("amount", lambda v: v * 100, "×100"),
        ("amount", lambda v: v / 1000, "÷1,000"),
        ("weight", lambda v: v * 1000, "×1,000"),
        ("weight", lambda v: v * 60, "×60"),
        ("weight", lambda v: v / 2.2046226, "÷2.205 (kilograms to pounds)"),
        ("weight", lambda v: v * 1.8 + 32, "Celsius to Fahrenheit"),
        ("weight", lambda v: v + 273.15, "Celsius to kelvin"),
        ("weight", lambda v: v * 1.37, "about ×1.37 (a currency or another unit?)"),
    ],
)
@pytest.mark.parametrize("text", [False, True])
def test_unit_shifted(column: str, change: Any, said: str, text: bool) -> None:
    now = batch(2).select("amount", "weight").with_columns(change(pl.col(column)).alias(column))
    before = batch(1).select("amount", "weight")
    if text:
        now, before = (frame.with_columns(pl.col(column).cast(pl.String)) for frame in (now, before))
    (finding,) = delivery_drift(now, Measures, before)
    assert (finding.kind, finding.column, finding.against) == ("unit_shifted", column, "previous")
    assert said.removesuffix(" (a currency or another unit?)")[:10] in finding.detail


def test_renamed_and_in_another_unit() -> None:
    now = (
        batch(2)
        .with_columns(amount_cents=pl.col("amount") * 100)
        .drop("amount")
        .select("order_id", "customer", "country", "amount_cents", "weight", "at")
    )
    contract, *against_previous = delivery_drift(now, Orders)
    assert (contract.kind, contract.partner, against_previous) == ("renamed", "amount_cents", [])


def test_the_support_desks_renamed_amount() -> None:
    """A delivery with `amount_eur` is part of the demo; the day before it is known."""
    files = {file.path: file for file in event_files()}
    bad = next(file for file in files.values() if file.defect == "renamed_column")
    before = max(path for path, file in files.items() if path < bad.path and file.defect is None)
    frames = [read_parquet(path, files[path].content) for path in (before, bad.path)]
    assert told(delivery_drift(frames[1], CardEvents, frames[0])) == [
        ("renamed", "amount", "contract", "amount_eur"),
        ("renamed", "amount", "previous", "amount_eur"),
    ]


def test_no_days_of_the_support_desk_are_in_another_unit() -> None:
    frames = [read_parquet(file.path, file.content) for file in event_files() if file.defect is None]
    for before, now in pairwise(frames[: 8 if SOAK else 3]):
        assert delivery_drift(now, CardEvents, before) == []


normal = np.vectorize(NormalDist(0, 1).inv_cdf)
#: A number between 0 and 1 to one of a distribution.
FORMS = {
    "lognormal": lambda u: np.exp(2 + 0.5 * normal(u)),
    "normal": lambda u: 20 + 4 * normal(u),
    "uniform": lambda u: 40 * u,
}


@given(st.sampled_from(sorted(UNITS)), st.integers(0, 2**32 - 1), st.sampled_from(sorted(FORMS)))
def test_each_unit_is_recognised_and_sampling_is_not(unit: str, seed: int, kind: str) -> None:
    random = np.random.default_rng(seed)
    form = FORMS[kind]
    old, new = (pl.Series(form(random.random(1_000))) for _ in range(2))
    assert unit_shift(old, new) is None
    # One value from each thousandth: what is left of chance is far below the tolerance.
    even = pl.Series(form((np.arange(1_000) + random.random(1_000)) / 1_000))
    factor, offset = UNITS[unit]
    shift = unit_shift(even, even.sample(fraction=0.9, seed=seed) * factor + offset)
    assert shift is not None
    assert unit in shift.units


def test_too_few_or_constant_values_tell_nothing() -> None:
    numbers = pl.Series([float(number) for number in range(29)])
    assert unit_shift(numbers, numbers * 1000) is None
    constant = pl.Series([5.0] * 100)
    assert unit_shift(constant, constant * 1000) is None
    assert unit_shift(pl.Series([None, float("nan"), float("inf")] * 50, dtype=pl.Float64), constant) is None


def test_columns_of_different_kinds_are_not_alike() -> None:
    frame = batch()
    assert alike(frame["amount"], frame["country"]) == 0
    assert alike(frame["country"], frame["customer"]) < 0.2
    assert alike(frame["customer"], batch(2)["customer"]) >= 0.8
    assert alike(frame["at"], pl.Series([None] * ROWS)) == 0
    assert match_renames({"country": "String"}, {"at": frame["at"]}, {"country": frame["country"]}) == []
