"""The profile of parts, joined, is the profile of the whole; and it holds nothing personal."""

import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.checks import Contract, Field, Timestamp
from assay.checks.profiles.profile import _CLASSES, profile
from assay.checks.profiles.profile_state import ColumnState, ProfileState, merge
from assay.errors import AssayError
from tests.conftest import SOAK


class Wide(Contract):
    i: int = Field(nullable=True)
    f: float = Field(nullable=True)
    b: bool = Field(nullable=True)
    at: Timestamp = Field(nullable=True)
    channel: str = Field(nullable=True, isin=["email", "chat"])
    note: str = Field(nullable=True)
    phone: str = Field(nullable=True, pii="phone")
    card: int = Field(nullable=True, pii="card")


TYPES: dict[str, pl.DataType] = {
    "i": pl.Int64(),
    "f": pl.Float64(),
    "b": pl.Boolean(),
    "at": pl.Datetime("us", "UTC"),
    "channel": pl.String(),
    "note": pl.String(),
    "phone": pl.String(),
    "card": pl.Int64(),
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "i": st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3),
    "f": st.floats(-1e9, 1e9) | st.sampled_from([math.nan, math.inf, -math.inf, -0.0]),
    "b": st.booleans(),
    "at": st.integers(-(2**31), 2**32).map(
        lambda seconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    ),
    "channel": st.sampled_from(["email", "chat", "fax"]),
    "note": st.text(max_size=5),
    "phone": st.text("0123456789+ ", max_size=9),
    "card": st.integers(10**15, 10**16 - 1),
}
rows = st.lists(st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()}), max_size=40)


def frame(data: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(data, schema=TYPES)


@settings(max_examples=300 if SOAK else 10)
@given(rows, st.integers(0, 40), st.integers(0, 40))
def test_parts_joined_are_the_whole(data: list[dict[str, Any]], first: int, second: int) -> None:
    low, high = sorted((first, second))
    whole = profile(frame(data), Wide).to_dict()
    joined = merge(profile(frame(part), Wide) for part in (data[:low], data[low:high], data[high:])).to_dict()
    for name, column in joined["columns"].items():
        other = whole["columns"][name]
        scale = 5e9 if name == "at" else max([1.0, *(abs(row[name]) for row in data if is_number(row[name]))])
        close_moments(column.pop("moments", None), other.pop("moments", None), scale)
        if "texts" in column:
            close_moments(column["texts"].pop("lengths"), other["texts"].pop("lengths"), 10)
        assert column == other


def close_moments(joined: dict[str, float] | None, whole: dict[str, float] | None, scale: float) -> None:
    """Equal up to rounding: of values of this size."""
    if joined is None or whole is None:
        assert joined == whole
        return
    assert joined["count"] == whole["count"]
    assert math.isclose(joined["mean"], whole["mean"], rel_tol=1e-9, abs_tol=1e-9 * scale)
    assert math.isclose(joined["m2"], whole["m2"], rel_tol=1e-6, abs_tol=1e-9 * scale**2 * max(1, whole["count"]))


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


@settings(max_examples=300 if SOAK else 10)
@given(rows)
def test_counts_and_bounds_are_those_of_the_values(data: list[dict[str, Any]]) -> None:
    state = ProfileState.from_dict(json.loads(json.dumps(profile(frame(data), Wide).to_dict(), allow_nan=False)))
    assert state.to_dict() == profile(frame(data), Wide).to_dict()
    assert state.rows == len(data)
    for name in TYPES:
        column, values = state.columns[name], [row[name] for row in data if row[name] is not None]
        assert (column.count, column.null) == (len(data), len(data) - len(values))
        if name in ("i", "f"):
            numbers = [value for value in values if not math.isnan(value)]
            assert column.nan == (len(values) - len(numbers) if name == "f" else None)
            assert column.infinite == sum(math.isinf(value) for value in numbers)
            assert (column.low and column.low.rank) == min(numbers, default=None)
            assert (column.high and column.high.rank) == max(numbers, default=None)
        if name in ("note", "phone"):
            texts = column.texts
            assert texts is not None
            assert texts.empty == values.count("")
            assert (texts.shortest, texts.longest) == (
                min(map(len, values), default=None),
                max(map(len, values), default=None),
            )
            assert texts.classes["digit"] == sum(any(char in "0123456789" for char in value) for value in values)
            assert texts.classes["non_ascii"] == sum(not value.isascii() for value in values)


def test_a_profile_says_what_people_ask() -> None:
    data = frame(
        [
            {"i": 1, "f": 0.5, "b": True, "at": datetime(2026, 9, 1, tzinfo=UTC), "channel": "chat"},
            {"i": 3, "f": math.nan, "b": True, "at": datetime(2026, 10, 2, tzinfo=UTC), "channel": "chat"},
            {"i": 3, "f": math.inf, "b": False, "channel": "fax"},
            {},
        ]
    )
    state = profile(data, Wide)
    assert state.summary() == {
        "i": {"count": 4, "null": 1, "distinct": 2, "min": 1, "max": 3, "mean": pytest.approx(7 / 3)},
        "f": {"count": 4, "null": 1, "nan": 1, "distinct": 2, "min": 0.5, "max": "inf", "mean": 0.5},
        "b": {"count": 4, "null": 1, "distinct": 2},
        "at": {
            "count": 4,
            "null": 2,
            "distinct": 2,
            "min": "2026-09-01T00:00:00+00:00",
            "max": "2026-10-02T00:00:00+00:00",
        },
        "channel": {"count": 4, "null": 1, "distinct": 2},
        "note": {"count": 4, "null": 4, "distinct": 0},
        "phone": {"count": 4, "null": 4, "distinct": 0},
        "card": {"count": 4, "null": 4, "distinct": 0},
    }
    columns = state.columns
    assert columns["at"].histogram is not None
    assert columns["at"].histogram.months() == [("2026-09", 1), ("2026-10", 1)]
    assert columns["b"].frequent is not None
    assert columns["b"].frequent.counts == {"true": 2, "false": 1}
    assert columns["channel"].frequent is not None
    assert columns["channel"].frequent.counts["chat"] == 2
    assert "fax" not in json.dumps(state.to_dict())  # not a text that the contract lists


def test_nothing_personal_and_no_text_is_kept() -> None:
    canary, digits = "Zoë Canary", 4111111111111111
    data = frame([{"note": canary, "phone": canary, "card": digits}] * 3)
    kept = json.dumps(profile(data, Wide).to_dict(), ensure_ascii=False)
    assert canary not in kept
    assert "Canary" not in kept
    assert str(digits) not in kept
    card = profile(data, Wide).columns["card"]
    assert (card.low, card.high, card.moments, card.quantiles, card.histogram, card.frequent) == (None,) * 6


def test_other_types() -> None:
    class Other(Contract):
        d: pl.Date = Field()
        e: Annotated[pl.Enum, ["x", "y"]] = Field()
        m: Annotated[pl.Decimal, 20, 2] = Field()
        t: Annotated[pl.List, pl.Int64] = Field()
        u: Annotated[pl.Duration, "us"] = Field()

    data = pl.DataFrame(
        {
            "d": [date(2026, 1, 2), date(2025, 12, 31)],
            "e": pl.Series(["y", "y"], dtype=pl.Enum(["x", "y"])),
            "m": pl.Series([Decimal("-10.50"), Decimal("9.25")], dtype=pl.Decimal(20, 2)),
            "t": [[1], [2, 3]],
            "u": [timedelta(seconds=90), timedelta(seconds=30)],
        }
    )
    parts = [profile(data[:1], Other), profile(data[1:], Other)]
    state = merge(parts)
    said = state.summary()
    assert (said["d"]["min"], said["d"]["max"]) == ("2025-12-31", "2026-01-02")
    assert (said["m"]["min"], said["m"]["max"], said["m"]["mean"]) == ("-10.50", "9.25", -0.625)
    assert (said["u"]["min"], said["u"]["max"], said["u"]["mean"]) == (30.0, 90.0, 60.0)
    assert said["t"] == {"count": 2, "null": 0}
    assert state.columns["e"].frequent is not None
    assert state.columns["e"].frequent.counts == {"y": 2}


def test_a_column_that_older_parts_lack_is_null_there() -> None:
    class Before(Contract):
        i: int = Field(nullable=True)

    old = profile(pl.DataFrame({"i": [1, 2]}), Before)
    new = profile(frame([{"i": 3, "note": "x"}]), Wide)
    for joined in (old.merge(new), new.merge(old)):
        assert joined.rows == 3
        assert (joined.columns["note"].count, joined.columns["note"].null) == (3, 2)
        assert joined.summary()["i"]["max"] == 3


def test_a_column_that_became_personal_is_shown_by_no_whole() -> None:
    class Before(Contract):
        card: int = Field()

    joined = profile(pl.DataFrame({"card": [4111]}), Before).merge(profile(frame([{"card": 4222}]), Wide))
    assert "4111" not in json.dumps(joined.columns["card"].summary())
    assert joined.columns["card"].low is None


def test_parts_of_two_types_are_not_joined() -> None:
    class Before(Contract):
        i: str = Field()

    with pytest.raises(AssayError, match="String and of Int64"):
        profile(pl.DataFrame({"i": ["a"]}), Before).merge(profile(frame([{"i": 1}]), Wide))


@pytest.mark.filterwarnings("ignore:'Int128' support is not guaranteed")  # by pandera
def test_integers_of_128_bits() -> None:
    class Large(Contract):
        i: pl.Int128 = Field()

    state = profile(pl.DataFrame({"i": pl.Series([2**100, 2**100, -5], dtype=pl.Int128)}), Large).columns["i"]
    assert state.frequent is not None
    assert state.frequent.counts == {str(2**100): 2, "-5": 1}
    assert state.low is not None
    assert state.low.shown == -5
    assert ColumnState.from_dict(json.loads(json.dumps(state.to_dict()))).to_dict() == state.to_dict()


def test_texts_that_repeat_are_counted_as_often_as_they_occur() -> None:
    class Texts(Contract):
        v: str = Field()

    kinds = {"abc": 70, "ABC 1": 20, "é!": 9, "": 1}
    values = [text for text, count in kinds.items() for _ in range(count)]
    (column,) = profile(pl.DataFrame({"v": values}), Texts).columns.values()
    assert column.texts is not None
    assert column.texts.classes == {
        "digit": 20,
        "lower": 79,
        "upper": 20,
        "space": 20,
        "punctuation": 9,
        "non_ascii": 9,
    }


class Notes(Contract):
    note: str = Field()


@given(
    st.lists(
        st.text("aZ0 \t\x0b\x1c-~\x7f\0é\u00a0", max_size=4).map(lambda text: text * 20) | st.text(max_size=9),
        max_size=40,
    )
)
def test_classes_of_characters_are_those_that_the_patterns_find(texts: list[str]) -> None:
    column = profile(pl.DataFrame({"note": pl.Series(texts, dtype=pl.String)}), Notes).columns["note"]
    found = {name: sum(pl.Series(texts, dtype=pl.String).str.contains(pattern)) for name, pattern in _CLASSES.items()}
    assert column.texts is not None
    assert column.texts.classes == found
