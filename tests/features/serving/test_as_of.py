"""The as-of join against a brute-force oracle, and every case of its contract by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assay.errors import AssayError
from assay.features.serving.as_of import KnownAt, ViewRead, latest, point_in_time_join
from assay.features.tables.serving import Serving
from tests.conftest import SOAK

INSTANT = pl.Datetime("us", "UTC")
START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = 24 * 3600 * 1_000_000


def at(days: float = 0, *, us: int = 0) -> datetime:
    return START + timedelta(days=days, microseconds=us)


def spine(*rows: tuple[Any, Any], **columns: list[Any]) -> pl.DataFrame:
    data = {"customer": [row[0] for row in rows], "event_time": [row[1] for row in rows], **columns}
    return pl.DataFrame(data, schema_overrides={"customer": pl.String, "event_time": INSTANT})


def view(
    *rows: tuple[Any, ...],
    max_age: timedelta | None = None,
    known: bool = False,
    prefix: str | None = None,
    features: Any = ("score",),
    position: str | None = None,
) -> ViewRead:
    """Rows are (customer, event time, score[, known time[, position]])."""
    names = ["customer", "event_time", "score", "known_time", "position"]
    types = [pl.String, INSTANT, pl.Float64, INSTANT, pl.Int64]
    padded = [(*row, *[None] * (5 - len(row))) for row in rows]
    frame = pl.DataFrame(padded, schema=dict(zip(names, types, strict=True)), orient="row").lazy()
    age = None if max_age is None else max_age // timedelta(microseconds=1)
    serving = Serving("customer", ("customer",), "event_time", "known_time" if known else None, age)
    return ViewRead("activity", serving, frame, features, prefix, position)


def scores(frame: pl.DataFrame) -> list[float | None]:
    return frame["score"].to_list()


# The contract, case by case.


def test_one_row_out_for_each_spine_row_in_spine_order() -> None:
    asked = spine(("b", at(3)), ("a", at(3)), ("b", at(1)), ("x", at(3)), label=[4, 3, 2, 1])
    out = point_in_time_join(asked, [view(("a", at(1), 1.0), ("b", at(2), 2.0), ("b", at(1), 3.0))])
    assert out.drop("score").equals(asked)
    assert scores(out) == [2.0, 1.0, 3.0, None]


def test_spine_row_before_the_first_feature_is_kept_with_null() -> None:
    assert scores(point_in_time_join(spine(("a", at(0))), [view(("a", at(1), 1.0))])) == [None]


def test_equal_time_is_included_and_a_microsecond_later_is_not() -> None:
    assert scores(point_in_time_join(spine(("a", at(1)), ("a", at(1, us=-1))), [view(("a", at(1), 1.0))])) == [
        1.0,
        None,
    ]


def test_age_equal_to_max_age_is_included_and_a_microsecond_more_is_null() -> None:
    asked = spine(("a", at(2)), ("a", at(2, us=1)))
    assert scores(point_in_time_join(asked, [view(("a", at(1), 1.0), max_age=timedelta(days=1))])) == [1.0, None]


def test_no_max_age_means_for_ever() -> None:
    assert scores(point_in_time_join(spine(("a", at(30_000))), [view(("a", at(0), 1.0))])) == [1.0]


def test_spine_rows_that_differ_only_in_their_label_all_stay() -> None:
    asked = spine(("a", at(1)), ("a", at(1)), ("a", at(1)), label=[0, 1, 1])
    assert scores(point_in_time_join(asked, [view(("a", at(1), 1.0))])) == [1.0, 1.0, 1.0]


def test_unknown_and_null_keys_and_null_times_are_kept_with_null() -> None:
    asked = spine(("nobody", at(2)), (None, at(2)), ("a", None))
    assert (
        scores(point_in_time_join(asked, [view(("a", at(1), 1.0), (None, at(1), 2.0), ("a", None, 3.0))])) == [None] * 3
    )


def test_spine_whose_keys_are_all_null() -> None:
    asked = pl.DataFrame({"customer": [None], "event_time": [at(2)]})
    assert scores(point_in_time_join(asked, [view(("a", at(1), 1.0))])) == [None]


def test_of_equal_times_the_later_known_wins_and_no_known_time_loses() -> None:
    rows = [("a", at(1), 1.0, at(3)), ("a", at(1), 2.0, at(4)), ("a", at(1), 3.0, at(2)), ("a", at(1), 4.0, None)]
    assert scores(point_in_time_join(spine(("a", at(9))), [view(*rows, known=True)])) == [2.0]


def test_event_time_dominates_known_time() -> None:
    rows = [("a", at(2), 2.0, at(3)), ("a", at(1), 1.0, at(5))]
    for known_at in ("event", "known"):
        assert scores(point_in_time_join(spine(("a", at(9))), [view(*rows, known=True)], known_at=known_at)) == [2.0]


def test_of_rows_equal_in_both_times_the_last_row_wins() -> None:
    rows = [("a", at(1), float(n), at(1)) for n in range(50)]
    assert scores(point_in_time_join(spine(("a", at(1))), [view(*rows, known=True)])) == [49.0]


def test_position_column_decides_instead_of_row_order() -> None:
    rows = [("a", at(1), 1.0, None, 7), ("a", at(1), 2.0, None, 9), ("a", at(1), 3.0, None, 8)]
    assert scores(point_in_time_join(spine(("a", at(1))), [view(*rows, position="position")])) == [2.0]
    with pytest.raises(AssayError, match="must be an integer"):
        point_in_time_join(spine(("a", at(1))), [view(*rows, position="score")])


def test_known_time_counts_before_position() -> None:
    rows = [("a", at(1), 1.0, at(2), 9), ("a", at(1), 2.0, at(3), 8)]
    assert scores(point_in_time_join(spine(("a", at(5))), [view(*rows, known=True, position="position")])) == [2.0]


def test_value_known_only_later_is_served_by_event_time_and_withheld_by_known_time() -> None:
    served = view(("a", at(1), 1.0, at(1)), ("a", at(2), 2.0, at(5)), known=True)
    asked = spine(("a", at(3)), ("a", at(5)), ("a", at(5, us=-1)))
    assert scores(point_in_time_join(asked, [served])) == [2.0, 2.0, 2.0]
    assert scores(point_in_time_join(asked, [served], known_at="known")) == [1.0, 2.0, 1.0]


def test_value_known_ahead_of_its_event_time_waits_for_it() -> None:
    served = view(("a", at(4), 1.0, at(1)), known=True)
    assert scores(point_in_time_join(spine(("a", at(3)), ("a", at(4))), [served], known_at="known")) == [None, 1.0]


def test_null_known_time_is_excluded_under_the_option() -> None:
    served = view(("a", at(1), 1.0, None), known=True)
    assert scores(point_in_time_join(spine(("a", at(3))), [served])) == [1.0]
    assert scores(point_in_time_join(spine(("a", at(3))), [served], known_at="known")) == [None]


def test_known_at_without_a_known_time_says_what_to_do() -> None:
    with pytest.raises(AssayError, match="declare known_time"):
        point_in_time_join(spine(("a", at(3))), [view(("a", at(1), 1.0))], known_at="known")


def test_latest_null_is_a_value_unless_skipped_and_skipping_still_obeys_max_age() -> None:
    rows = [("a", at(1), 1.0), ("a", at(2), None)]
    asked = spine(("a", at(2)), ("a", at(4)))
    assert scores(point_in_time_join(asked, [view(*rows)])) == [None, None]
    assert scores(point_in_time_join(asked, [view(*rows, max_age=timedelta(days=1))], skip_nulls=True)) == [1.0, None]


def test_skip_nulls_looks_per_feature() -> None:
    frame = pl.DataFrame(
        {"customer": ["a", "a"], "event_time": [at(1), at(2)], "x": [1, None], "y": [None, 2]},
        schema_overrides={"event_time": INSTANT},
    )
    both = ViewRead("v", Serving("customer", ("customer",), "event_time"), frame.lazy(), ("x", "y"))
    assert point_in_time_join(spine(("a", at(3))), [both], skip_nulls=True).select("x", "y").row(0) == (1, 2)


def test_not_a_number_is_a_value() -> None:
    out = point_in_time_join(
        spine(("a", at(3))), [view(("a", at(1), 1.0), ("a", at(2), float("nan")))], skip_nulls=True
    )
    assert out["score"].is_nan().to_list() == [True]


@pytest.mark.parametrize(
    ("column", "hint"),
    [
        (pl.Series([datetime(2026, 3, 1)]), "replace_time_zone"),  # noqa: DTZ001 (the naive time is the point)
        (pl.Series(["2026-03-01T00:00:00Z"]), "to_datetime"),
        (pl.Series([START.date()]), "not a timestamp"),
        (pl.Series([START], dtype=pl.Datetime("ns", "UTC")), "cast_time_unit"),
    ],
    ids=["naive", "text", "date", "nanoseconds"],
)
def test_times_that_would_need_a_guess_are_refused_on_both_sides(column: pl.Series, hint: str) -> None:
    bad = pl.DataFrame({"customer": ["a"], "event_time": column, "score": [1.0]})
    with pytest.raises(AssayError, match=f"spine.*{hint}"):
        point_in_time_join(bad.drop("score"), [view(("a", at(0), 1.0))])
    with pytest.raises(AssayError, match=f"activity.*{hint}"):
        point_in_time_join(spine(("a", at(0))), [ViewRead("activity", view().serving, bad.lazy(), ("score",))])


def test_zones_and_daylight_saving_compare_as_instants() -> None:
    # Berlin leaves daylight saving on 2026-10-25: 02:30 happens twice, at 00:30 and 01:30 UTC.
    first, second = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    berlin = pl.DataFrame({"customer": ["a", "a"], "event_time": [first, second]}).with_columns(
        pl.col("event_time").dt.convert_time_zone("Europe/Berlin")
    )
    out = point_in_time_join(berlin, [view(("a", first, 1.0), ("a", second, 2.0))])
    assert scores(out) == [1.0, 2.0]
    assert out.schema["event_time"] == INSTANT
    offset = spine(("a", second.astimezone(timezone(timedelta(hours=5)))))
    assert scores(point_in_time_join(offset, [view(("a", second, 2.0))])) == [2.0]


def test_coarser_units_convert_without_loss() -> None:
    served = view(("a", at(1), 1.0))
    coarse = ViewRead(
        "v", served.serving, served.frame.with_columns(pl.col("event_time").dt.cast_time_unit("ms")), ("score",)
    )
    asked = spine(("a", at(1)), ("a", at(0.5))).with_columns(pl.col("event_time").dt.cast_time_unit("ms"))
    assert scores(point_in_time_join(asked, [coarse])) == [1.0, None]


def test_empty_spine_and_empty_features_keep_the_schema() -> None:
    served, empty = view(("a", at(1), 1.0)), view()
    for known_at in ("event", "known"):
        for skip_nulls in (False, True):
            known = [view(("a", at(1), 1.0, at(1)), known=True), view(known=True)]
            options: dict[str, Any] = {"known_at": known_at, "skip_nulls": skip_nulls}
            nobody = point_in_time_join(spine(), [known[0]], **options)
            assert nobody.height == 0
            assert nobody.schema == point_in_time_join(spine(("a", at(2))), [served]).schema
            assert scores(point_in_time_join(spine(("a", at(2))), [known[1]], **options)) == [None]
    assert point_in_time_join(spine(("a", at(2))), [empty]).schema["score"] == pl.Float64


def test_colliding_names_are_refused_unless_prefixed_or_renamed() -> None:
    asked, rows = spine(("a", at(2)), score=[9.0]), [("a", at(1), 1.0)]
    with pytest.raises(AssayError, match="the spine already has"):
        point_in_time_join(asked, [view(*rows)])
    with pytest.raises(AssayError, match="view 'activity' already has"):
        point_in_time_join(spine(("a", at(2))), [view(*rows), view(*rows)])
    out = point_in_time_join(asked, [view(*rows, prefix="activity."), view(*rows, features={"score": "renamed"})])
    assert out.columns == ["customer", "event_time", "score", "activity.score", "renamed"]
    assert out.row(0)[2:] == (9.0, 1.0, 1.0)


def test_feature_missing_from_the_pinned_version_is_an_error() -> None:
    with pytest.raises(AssayError, match="a pin selects data, never shape"):
        point_in_time_join(spine(("a", at(2))), [view(("a", at(1), 1.0), features=("gone",))])


def test_missing_and_mismatched_keys_are_refused() -> None:
    with pytest.raises(AssayError, match=r"the spine has no column \['customer'\]"):
        point_in_time_join(spine(("a", at(2))).rename({"customer": "client"}), [view()])
    with pytest.raises(AssayError, match="key 'customer' is Int64 in the spine and String"):
        point_in_time_join(
            spine(("1", at(2))).with_columns(pl.col("customer").cast(pl.Int64)), [view(("1", at(1), 1.0))]
        )


def test_integer_widths_and_text_types_match_by_value() -> None:
    frame = pl.DataFrame({"k": [1, 2], "c": ["x", "y"], "event_time": [at(1)] * 2, "score": [1.0, 2.0]})
    narrow = frame.with_columns(pl.col("k").cast(pl.Int8), pl.col("c").cast(pl.Categorical))
    both = ViewRead("v", Serving("e", ("k", "c"), "event_time"), narrow.lazy(), ("score",))
    asked = pl.DataFrame({"k": [2, 1, 258], "c": ["y", "y", "y"], "event_time": [at(1)] * 3})
    assert scores(point_in_time_join(asked, [both])) == [2.0, None, None]


def test_views_with_different_keys_join_one_spine_and_lazy_frames_are_accepted() -> None:
    frame = pl.DataFrame({"plan": ["pro"], "event_time": [at(1)], "price": [[1.0, 2.0]]})
    plans = ViewRead("plans", Serving("plan", ("plan",), "event_time"), frame.lazy(), ("price",))
    asked = spine(("a", at(2)), ("b", at(2)), plan=["free", "pro"])
    out = point_in_time_join(asked.lazy(), [view(("a", at(1), 1.0)), plans, view(("b", at(2), 2.0), prefix="late_")])
    assert scores(out) == [1.0, None]
    assert out["price"].to_list() == [None, [1.0, 2.0]]
    assert out["late_score"].to_list() == [None, 2.0]


def test_spine_time_column_may_have_another_name() -> None:
    asked = spine(("a", at(2))).rename({"event_time": "asked_at"})
    assert scores(point_in_time_join(asked, [view(("a", at(1), 1.0))], event_time="asked_at")) == [1.0]


# The online rule.


def test_latest_tells_present_missing_and_expired() -> None:
    served = view(("a", at(2), 1.0), ("b", at(1), 2.0), ("c", at(4), 3.0), max_age=timedelta(days=1))
    out = latest(served, pl.DataFrame({"customer": ["b", "a", "c", "d", None, "a"]}), at(3))
    assert out.columns == ["customer", "score", "activity.event_time", "activity.state"]
    assert scores(out) == [None, 1.0, None, None, None, 1.0]
    assert out["activity.event_time"].to_list() == [at(1), at(2), None, None, None, at(2)]
    assert out["activity.state"].to_list() == ["expired", "present", "missing", "missing", "missing", "present"]


def test_latest_counts_a_null_value_as_present() -> None:
    out = latest(view(("a", at(2), None)), pl.DataFrame({"customer": ["a"]}), at(3))
    assert out.row(0) == ("a", None, at(2), "present")


def test_latest_refuses_a_naive_time_and_keeps_the_schema_of_no_keys() -> None:
    nobody = pl.DataFrame({"customer": []}, schema={"customer": pl.String})
    assert latest(view(("a", at(2), 1.0)), nobody, at(3)).schema == {
        "customer": pl.String,
        "score": pl.Float64,
        "activity.event_time": INSTANT,
        "activity.state": pl.String,
    }
    with pytest.raises(AssayError, match="naive"):
        latest(view(), nobody, datetime(2026, 3, 1))  # noqa: DTZ001 (the naive time is the point)


# Many entities: their codes need more than 16 bits, and the scan is long enough to be split over threads.


def test_many_entities_agree_with_the_join_of_polars() -> None:
    n, entities = 300_000, 80_000
    number = pl.int_range(n, eager=True)
    frame = pl.DataFrame({"x": number}).with_columns(
        k=pl.col("x").hash(1) % entities,
        ts=pl.from_epoch((pl.col("x").hash(2) % 50).cast(pl.Int64) * 1000, "us").dt.replace_time_zone("UTC"),
    )
    asked = frame.select("k", event_time=pl.from_epoch((pl.col("x").hash(3) % 60_000).cast(pl.Int64), "us"))
    asked = asked.with_columns(pl.col("event_time").dt.replace_time_zone("UTC"))
    served = ViewRead("v", Serving("e", ("k",), "ts"), frame.lazy(), ("x",))
    apart = ViewRead("v", Serving("e", ("k",), "ts"), frame.lazy(), ("x",), repeatable=True)
    last = frame.unique(["k", "ts"], keep="last", maintain_order=True).sort("ts")
    expected = (
        asked.with_row_index("row")
        .sort("event_time")
        .join_asof(last, left_on="event_time", right_on="ts", by="k", check_sortedness=False)
        .sort("row")
    )
    out = point_in_time_join(asked, [served])
    assert out["x"].null_count() not in (0, n)
    assert out["x"].equals(expected["x"])
    assert point_in_time_join(asked, [apart]).equals(out)


def test_times_of_ten_thousand_years_and_many_entities_are_told_apart() -> None:
    """Entity and time do not fit into one number then."""
    names = [f"c{number}" for number in range(60)]
    first, last = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
    rows = [(name, moment, float(number)) for number, name in enumerate(names) for moment in (last, first)]
    served = view(*((name, moment, value + (moment == last) / 2) for name, moment, value in rows))
    asked = spine(*((name, moment) for name in names for moment in (START, datetime(9999, 12, 31, tzinfo=UTC))))
    assert scores(point_in_time_join(asked, [served])) == [n + half for n in range(60) for half in (0, 0.5)]


# The oracle: few keys and few instants, so that ties and boundaries are the rule.

keys = st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([1, None, 1]))
ticks = st.integers(0, 4)
feature_rows = st.lists(
    st.tuples(keys, st.none() | ticks, st.none() | ticks, st.integers(0, 2), st.none() | st.integers(0, 99)),
    max_size=25,
)
spine_rows = st.lists(st.tuples(keys, st.none() | ticks, st.sampled_from([-1, 0, 1])), max_size=12)


def brute_force(
    asked: tuple[tuple[Any, Any], int | None],
    rows: list[tuple[tuple[Any, Any], int | None, int | None, int, int | None]],
    max_age: int | None,
    known_at: str,
    skip_nulls: bool,
    use_position: bool,
) -> tuple[int | None, str]:
    """Times in µs; → (value, state)."""
    key, time = asked
    best = None
    for number, (row_key, row_time, known, position, value) in enumerate(rows):
        if time is None or None in key or row_key != key or row_time is None or row_time > time:
            continue
        if known_at == "known" and (known is None or known > time):
            continue
        if skip_nulls and value is None:
            continue
        rank = (row_time, -1 if known is None else known, position if use_position else 0, number)
        if best is None or rank > best[0]:
            best = (rank, value)
    if best is None or time is None:
        return None, "missing"
    if max_age is not None and time - best[0][0] > max_age:
        return None, "expired"
    return best[1], "present"


@given(
    feature_rows,
    spine_rows,
    st.none() | st.integers(1, 3),
    st.sampled_from(["event", "known"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["us", "ms"]),
    st.booleans(),
)
@example([(("a", 1), 0, 0, 0, 5)], [(("a", 1), 1, 1)], 1, "event", False, False, "us", True)
@settings(max_examples=10_000 if SOAK else 100)
@pytest.mark.timeout(3600 if SOAK else 300)
def test_agrees_with_brute_force(
    rows: list[Any],
    asked: list[Any],
    max_age: int | None,
    known_at: KnownAt,
    skip_nulls: bool,
    use_position: bool,
    unit: Any,
    repeatable: bool,
) -> None:
    step = 1000  # µs per tick: whole milliseconds, so that a spine time may miss a tick by 1 µs
    rows = [(k, None if t is None else t * step, None if n is None else n * step, p, v) for k, t, n, p, v in rows]
    asked = [(key, None if tick is None else tick * step + off) for key, tick, off in asked]
    age = None if max_age is None else max_age * step
    frame = pl.DataFrame(
        [(*key, time, known, position, value) for key, time, known, position, value in rows],
        schema={"k": pl.String, "n": pl.Int64, "ts": pl.Int64, "known": pl.Int64, "p": pl.Int64, "x": pl.Int64},
        orient="row",
    ).with_columns(pl.col("ts", "known").cast(INSTANT).dt.cast_time_unit(unit))
    served = ViewRead(
        "v",
        Serving("e", ("k", "n"), "ts", "known", age),
        frame.lazy(),
        ("x",),
        position="p" if use_position else None,
        repeatable=repeatable,
    )
    asking = pl.DataFrame(
        [(*key, time) for key, time in asked],
        schema={"k": pl.String, "n": pl.Int64, "event_time": pl.Int64},
        orient="row",
    ).with_columns(pl.col("event_time").cast(INSTANT))
    out = point_in_time_join(asking, [served], known_at=known_at, skip_nulls=skip_nulls)
    expected = [brute_force(row, rows, age, known_at, skip_nulls, use_position)[0] for row in asked]
    assert out["x"].to_list() == expected
    assert out.drop("x").equals(asking)
    if asked and asked[0][1] is not None:  # online answers what training was given
        moment = asked[0][1]
        online = latest(
            served,
            asking.select("k", "n"),
            datetime.fromtimestamp(0, UTC) + timedelta(microseconds=moment),
            known_at=known_at,
        )
        answers = [brute_force((key, moment), rows, age, known_at, False, use_position) for key, _ in asked]
        assert list(zip(online["x"], online["v.state"], strict=True)) == answers
