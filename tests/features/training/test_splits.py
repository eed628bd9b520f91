"""Splits: what is in which part, the same everywhere, and each planted leak refused."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from assay.errors import AssayError
from assay.features.training.entity_places import places_of
from assay.features.training.folds import split_again
from assay.features.training.leaks import SplitLeaks
from assay.features.training.lookback import Lookback
from assay.features.training.split import Split
from assay.features.training.splits import split_rows
from tests.conftest import SOAK
from tests.features.training.rows import START, Rows, at, rows

CUSTOMER = ("customer_id",)
WEEK = Lookback("activity", CUSTOMER, timedelta(days=7))
NOW = Lookback("ticket", CUSTOMER, timedelta(0))
TWENTY = rows(range(20), ["a", "b"] * 10)
SEED = 1  # with which the two are on different sides


def numbers(split: Split) -> dict[str, list[int]]:
    return {name: split[name]["row"].to_list() for name in split.positions}


def split(made: Rows = TWENTY, views: Sequence[Lookback] = (WEEK,), **options: Any) -> Split:
    return split_rows(made, views, **options)


# -- by time -------------------------------------------------------------------------------------------------------


def test_by_time_the_later_rows_are_tested_and_the_embargo_is_in_no_part() -> None:
    made = split(by_time="2026-01-16", embargo="7d")
    assert numbers(made) == {"train": list(range(8)), "test": list(range(15, 20))}
    assert made.definition["rows"] == {"train": 8, "test": 5}
    assert made.definition["left_out"] == {"embargo": 7}
    assert made.definition["lookback"] == {"activity": "7d"}
    assert str(made) == f"{made.id}: train 8, test 5, left out 7"
    train, test = made
    assert_frame_equal(train, made.train)
    assert_frame_equal(test, TWENTY.frame[15:])
    with pytest.raises(AssayError, match=r"no part 'validation'\. It has: train, test"):
        _ = made.validation


@pytest.mark.parametrize(
    "moment",
    ["2026-01-16T00:00:00Z", "2026-01-16T01:00:00+01:00", date(2026, 1, 16), datetime(2026, 1, 16, tzinfo=UTC)],
)
def test_a_boundary_is_a_moment_however_it_is_written(moment: Any) -> None:
    assert split(by_time=moment, embargo="7d").definition == split(by_time="2026-01-16", embargo="7d").definition


def test_two_boundaries_make_three_parts() -> None:
    made = split(by_time=["2026-01-11", "2026-01-19"], embargo="7d")
    assert numbers(made) == {"train": [0, 1, 2], "validation": [10], "test": [18, 19]}
    assert [part.height for part in made] == [3, 1, 2]


def test_the_latest_rows_by_their_share() -> None:
    assert numbers(split(views=[], by_time="latest", test=0.25))["test"] == list(range(15, 20))
    made = split(views=[], by_time="latest", test=0.25, validation=0.1)
    assert numbers(made) == {"train": list(range(13)), "validation": [13, 14], "test": list(range(15, 20))}
    assert made.definition["arguments"]["by_time"] == ["2026-01-14T00:00:00+00:00", "2026-01-16T00:00:00+00:00"]


def test_by_time_and_entity_nobody_is_on_both_sides_of_the_boundary() -> None:
    made = split(rows(range(40), [f"c{n % 20}" for n in range(40)]), by_time="2026-01-21", by_entity=CUSTOMER, test=0.4)
    train, test = made
    assert train["event_time"].max() < at(20) <= test["event_time"].min()  # type: ignore[operator]
    assert not set(train["customer_id"]) & set(test["customer_id"])
    assert made.definition["left_out"] == {"entity": 40 - train.height - test.height}


# -- by entity -----------------------------------------------------------------------------------------------------


def test_an_entity_is_on_one_side_and_stays_there_when_others_come() -> None:
    customers = [f"c{number}" for number in range(300)]
    few, many = rows(range(100), customers[:100]), rows(range(600), customers * 2)
    test = {name: set(split(made, by_entity=CUSTOMER, test=0.3).test["customer_id"]) for name, made in
            (("few", few), ("many", many))}  # fmt: skip
    assert test["few"] == test["many"] & set(customers[:100])
    assert 60 < len(test["many"]) < 120
    assert test["many"] != set(split(many, by_entity="customer_id", test=0.3, seed=1).test["customer_id"])


def test_the_side_of_a_key_is_written_down_for_ever() -> None:
    """Other numbers would move customers between the parts of training sets that exist."""
    frame = pl.DataFrame({"customer_id": ["a", "b", "é"], "n": pl.Series([1, 2, 3], dtype=pl.Int32)})
    assert places_of(frame, ["customer_id"], 0).round(6).tolist() == PLACES
    wider = frame.with_columns(pl.col("n").cast(pl.Int64))
    assert places_of(frame, ["n", "customer_id"], 7).tolist() == places_of(wider, ["customer_id", "n"], 7).tolist()


PLACES = [0.733362, 0.579308, 0.180257]


def test_three_parts_by_entity() -> None:
    made = split(rows(range(200)), by_entity="customer_id", test=0.2, validation=0.2)
    sides = [set(part["customer_id"]) for part in made]
    assert sum(map(len, sides)) == 200 == len(set.union(*sides))
    two = split(rows(range(200)), by_entity="customer_id", test=0.2)
    assert set(two.test["customer_id"]) == sides[2], "a validation part takes from train alone"


# -- planted leaks -------------------------------------------------------------------------------------------------


def leaks(kind: str, message: str, made: Rows = TWENTY, views: Sequence[Lookback] = (WEEK,), **options: Any) -> None:
    with pytest.raises(SplitLeaks, match=message) as refused:
        split(made, views, **options)
    assert refused.value.kind == kind


def test_a_window_over_the_boundary_is_refused() -> None:
    advice = r"'activity' looks 7d back, but train and test are only 4d apart.*embargo='7d'"
    leaks("window", advice, by_time="2026-01-11", embargo="3d")
    leaks("window", "only 1d apart", by_time="2026-01-11")
    leaks("window", "train and validation are only 2d", by_time=["2026-01-11", "2026-01-13"], embargo="1d")
    longer = [WEEK, Lookback("month", CUSTOMER, timedelta(days=30))]
    leaks("window", "'month' looks 30d back", views=longer, by_time="2026-01-16", embargo="7d")
    assert split(views=[NOW], by_time="2026-01-11")
    assert split(by_time="2026-01-11", lookback="1d"), "whoever knows better says so"


def test_a_gap_in_the_data_is_as_good_as_an_embargo() -> None:
    made = rows([0, 1, 2, 9, 10], list("aaaaa"))
    assert numbers(split(made, by_time="2026-01-05")) == {"train": [0, 1, 2], "test": [3, 4]}
    leaks("window", "6d", rows([0, 1, 3, 9, 10], list("aaaaa")), by_time="2026-01-05")


def test_a_window_of_nobody_else_is_not_refused() -> None:
    """Customers that are on one side alone share no event over the boundary."""
    assert split(rows(range(20)), by_time="2026-01-11")


def test_an_unknown_lookback_is_refused_until_somebody_says_it() -> None:
    unknown = Lookback("other", CUSTOMER, None, "does not record how far back its rows look")
    leaks("window", "'other' does not record.*lookback='7d'", views=[unknown], by_time="2026-01-11", embargo="7d")
    assert split(views=[unknown], by_time="2026-01-11", lookback="0d").definition["arguments"]["lookback"] == "0d"


def test_an_entity_on_both_sides_is_refused() -> None:
    by_ticket = rows(range(20), ["a", "b"] * 10)
    ticket = Rows(by_ticket.frame.with_columns(ticket_id=pl.col("row").cast(pl.String)))
    message = r"2 of customer_id \(the key of view activity\) are in train and in test.*by_entity='customer_id'"
    leaks("entity", message, ticket, by_entity="ticket_id", test=0.5)
    made = split(ticket, by_entity="ticket_id", test=0.5, shared="customer_id")
    assert made.definition["arguments"]["shared"] == ["customer_id"]
    household = Rows(TWENTY.frame.with_columns(household=pl.lit("h")))
    views = [WEEK, Lookback("home", ("household",))]
    leaks("entity", "1 of household .* is in train and", household, views, by_entity=CUSTOMER, test=0.5, seed=1)


def test_nobody_is_on_no_side() -> None:
    made = rows(range(4), ["a", None, "b", None])
    leaks("entity", "2 rows have no customer_id", made, by_entity="customer_id", test=0.5)


def test_a_label_of_later_is_refused_or_purged() -> None:
    made = rows(range(20), known=[day + (6 if day == 3 else 1) for day in range(20)])
    leaks(
        "label",
        r"1 row of train got the label \(label_known\) after .*2026-01-09.*purge=True",
        made,
        by_time="2026-01-09",
    )
    purged = split(made, by_time="2026-01-09", purge=True)
    assert numbers(purged)["train"] == [0, 1, 2, 4, 5, 6, 7] and purged.definition["left_out"] == {"label": 1}
    assert split(made, by_time="2026-01-10").train.height == 9, "known in time"
    renamed = Rows(made.frame.rename({"label_known": "paid_at"}))
    assert split(renamed, by_time="2026-01-09").train.height == 8, "nobody knows what the column means"
    leaks("label", "paid_at", renamed, by_time="2026-01-09", label_known="paid_at")
    slow = rows(range(20), known=[day + 2 for day in range(20)])
    leaks("label", "1 row of train", slow, by_time=["2026-01-05", "2026-01-09"])
    three = split(slow, by_time=["2026-01-05", "2026-01-09"], purge=True)
    assert numbers(three) == {"train": [0, 1, 2], "validation": [4, 5, 6], "test": list(range(8, 20))}
    unknown = Rows(made.frame.with_columns(label_known=pl.when(pl.col("row") > 0).then("label_known")))
    leaks("label", "of 1 rows it is not known when", unknown, by_time="2026-01-09")


def test_a_split_by_a_column_leaks_no_more_than_others() -> None:
    def by(parts: Sequence[str | None], made: Rows = TWENTY) -> Rows:
        return Rows(made.frame.with_columns(part=pl.Series(parts, dtype=pl.String)))

    in_time = by(["train"] * 8 + [None] * 7 + ["test"] * 5)
    assert numbers(split(in_time, by_column="part")) == numbers(split(by_time="2026-01-16", embargo="7d"))
    leaks("window", "only 1d apart", by(["train"] * 15 + ["test"] * 5), by_column="part")
    assert split(by(["train", "test"] * 10), by_column="part").test["customer_id"].unique().to_list() == ["b"]
    leaks("entity", "customer_id", by(["train", "test", "test", "train"] * 5), by_column="part")
    late = rows(range(20), known=[day + 3 for day in range(20)])
    leaks("label", "2 rows of train", by(["train"] * 10 + ["test"] * 10, late), by_column="part")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "say how: by_time"),
        ({"by_time": "soon"}, "'soon' is no day or moment"),
        ({"by_time": datetime(2026, 1, 16)}, "naive"),  # noqa: DTZ001
        ({"by_time": ["2026-01-16", "2026-01-12"]}, "the second is later"),
        ({"by_time": []}, "one boundary, or two"),
        ({"by_time": "latest"}, "which share"),
        ({"by_entity": "customer_id"}, "which share"),
        ({"by_entity": "customer_id", "test": 0.7, "validation": 0.3}, "which share"),
        ({"by_entity": "custmer_id", "test": 0.2}, "no column 'custmer_id'. Did you mean 'customer_id'"),
        ({"by_time": "2026-01-16", "embargo": "1 week"}, "embargo '1 week' is not a duration"),
        ({"by_time": "2025-01-16"}, "train has no rows"),
        ({"by_time": "2026-01-16", "embargo": "365d"}, "train has no rows"),
        ({"by_time": "2027-01-16"}, "test has no rows"),
        ({"by_column": "row"}, "must hold 'train', 'test'"),
        ({"by_column": "row", "by_time": "2026-01-16"}, "leave by_time"),
    ],
)
def test_what_cannot_be_split_is_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(AssayError, match=message):
        split(**options)


# -- against brute force -------------------------------------------------------------------------------------------


def overlaps(one: Any, other: Any, back: float) -> bool:
    """Whether the features of two rows may be made from the same event, or one sees the moment of the other."""
    earlier, later = sorted([one["event_time"], other["event_time"]])
    return one["customer_id"] == other["customer_id"] and later - earlier < timedelta(days=back)


DAYS = st.integers(0, 40).map(lambda half: half / 2)


@given(
    data=st.lists(st.tuples(DAYS, st.sampled_from("abc"), st.integers(0, 4)), min_size=2, max_size=25),
    boundary=st.integers(1, 19),
    embargo=st.integers(0, 6),
    back=st.integers(0, 6),
    purge=st.booleans(),
)
@settings(deadline=None, max_examples=1_000 if SOAK else 40)
def test_what_is_not_refused_does_not_leak_and_what_is_refused_does(
    data: list[tuple[float, str, int]], boundary: int, embargo: int, back: int, purge: bool
) -> None:
    made = rows(*zip(*[(day, who, day + late) for day, who, late in data], strict=True))
    end, span = at(boundary), timedelta(days=embargo)
    kept = made.frame.filter((pl.col("event_time") < end - span) | (pl.col("event_time") >= end))
    late = kept.filter(pl.col("event_time") < end, pl.col("label_known") > end)
    kept = kept.filter(~pl.col("row").is_in(late["row"].implode())) if purge else kept
    sides = [
        kept.filter(condition).to_dicts() for condition in (pl.col("event_time") < end, pl.col("event_time") >= end)
    ]
    assume(all(sides))
    leaking = (not purge and not late.is_empty()) or any(overlaps(one, other, back) for one, other in product(*sides))
    # A gap between everybody's rows is asked for where somebody is on both sides.
    gap = min(row["event_time"] for row in sides[1]) - max(row["event_time"] for row in sides[0])
    both = {row["customer_id"] for row in sides[0]} & {row["customer_id"] for row in sides[1]}
    refused = (not purge and not late.is_empty()) or bool(both and back and gap < timedelta(days=back))
    assert refused or not leaking
    try:
        cut = split(made, [Lookback("activity", CUSTOMER, timedelta(days=back))], by_time=end,
                    embargo=span, purge=purge)  # fmt: skip
    except SplitLeaks:
        assert refused
        return
    assert not refused
    assert numbers(cut) == {"train": [row["row"] for row in sides[0]], "test": [row["row"] for row in sides[1]]}
    assert split_again(made, [Lookback("activity", CUSTOMER, timedelta(days=back))], cut.definition).id == cut.id


def test_a_definition_makes_the_same_split_again_or_says_that_the_set_is_another() -> None:
    cut = split(by_entity="customer_id", test=0.5, seed=SEED)
    assert numbers(split_again(TWENTY, [WEEK], cut.definition)) == numbers(cut)
    other = Rows(TWENTY.frame.with_columns(pl.col("row") + 1))
    with pytest.raises(AssayError, match="gives another one"):
        split_again(other, [WEEK], cut.definition)


def test_the_days_of_the_tests_are_what_they_seem() -> None:
    assert START + timedelta(days=15) == datetime(2026, 1, 16, tzinfo=UTC)
