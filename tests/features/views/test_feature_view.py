"""Declarations: what is refused, what lineage follows, and that identity is the same in every process."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import polars.selectors as cs
import pytest

from assay.errors import AssayError
from assay.features.tables.serving import Serving
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.row_wise import Feature
from assay.features.views.timestamps import format_duration, parse_duration
from assay.features.views.transformation import recorded_rows_read
from assay.features.views.windowed import Windowed, windows

CUSTOMER = Entity("customer", ["customer_id"])
AMOUNT = pl.col("amount")


def row_wise(*features: Feature, **options: Any) -> FeatureView:
    features = features or (Feature("length", pl.col("text").str.len_chars()),)
    return FeatureView(
        **{
            "name": "ticket",
            "entity": CUSTOMER,
            "event_time": "created_at",
            "features": features,
            "source": "clean/tickets",
            **options,
        }
    )


def windowed(**options: Any) -> FeatureView:
    features = (
        *windows(["1d", "30d"], source="clean/tickets", time="created_at", tickets=pl.len()),
        *windows(["7d"], source="clean/cards", time="event_time", spend=AMOUNT.filter(pl.col("kind") == "buy").sum()),
    )
    return FeatureView(**{"name": "activity", "entity": CUSTOMER, "event_time": "at", "features": features, **options})


def window(expr: Any, width: Any = "1d") -> Windowed:
    return Windowed("w", expr, width, "t", "time")


REFUSED: dict[str, tuple[str, Callable[[], object]]] = {
    "keys as one string": ("list of column names", lambda: Entity("customer", "customer_id")),
    "no keys": ("list of column names", lambda: Entity("customer", [])),
    "key twice": ("named twice", lambda: Entity("customer", ["id", "id"])),
    "name with a slash": ("letters, digits", lambda: row_wise(name="features/ticket")),
    "feature name beginning with an underscore": ("letters, digits", lambda: Feature("_x", AMOUNT)),
    "not an expression": ("Polars expression", lambda: Feature("x", "amount")),  # type: ignore[arg-type] # on purpose
    "a constant": ("reads no column", lambda: Feature("x", pl.lit(1))),
    "a constant aggregate": ("reads no column", lambda: window(pl.lit(1).sum())),
    "a Python function": ("Python function", lambda: Feature("x", AMOUNT.map_elements(abs, return_dtype=pl.Int64))),
    "a Python function in a fold": (
        "Python function",
        lambda: Feature("x", pl.fold(pl.lit(0), lambda a, b: a + b, [AMOUNT])),
    ),
    "an aggregate in a row-wise feature": ("mix in the future", lambda: Feature("x", AMOUNT.sum())),
    "an aggregate inside an argument": ("mix in the future", lambda: Feature("x", AMOUNT.fill_null(AMOUNT.mean()))),
    "a row count inside": ("mix in the future", lambda: Feature("x", AMOUNT / pl.len())),
    "a shift": ("mix in the future", lambda: Feature("x", AMOUNT - AMOUNT.shift())),
    "a rolling mean": ("mix in the future", lambda: Feature("x", AMOUNT.rolling_mean(3))),
    "over": ("mix in the future", lambda: Feature("x", AMOUNT.max().over("customer_id"))),
    "an aggregate of selected columns": (
        "mix in the future",
        lambda: Feature("x", pl.sum_horizontal(cs.numeric().mean())),
    ),
    "a filter, which loses rows": ("mix in the future", lambda: Feature("x", AMOUNT.filter(AMOUNT > 0))),
    "no aggregation in a window": ("not an aggregation", lambda: window(AMOUNT)),
    "several values per window": ("not an aggregation", lambda: window(AMOUNT.unique())),
    "a month": ("not a duration", lambda: window(pl.len(), "1mo")),
    "a fraction": ("not a duration", lambda: window(pl.len(), "1.5d")),
    "a number": ("must be a duration", lambda: window(pl.len(), 7)),
    "no source": ("name its source", lambda: Windowed("w", pl.len(), "1d", "", "time")),
    "windows as one string": ("list of windows", lambda: windows("1d", source="t", time="x", n=pl.len())),
    "the same window twice": (
        "named twice",
        lambda: FeatureView("v", CUSTOMER, "at", [window(pl.len()), window(pl.len())]),
    ),
    "max_age zero": ("longer than zero", lambda: row_wise(max_age=timedelta(0))),
    "max_age negative": ("longer than zero", lambda: row_wise(max_age=timedelta(days=-1))),
    "max_age zero as text": ("longer than zero", lambda: row_wise(max_age="0d")),
    "max_age beyond reason": ("thousand years", lambda: row_wise(max_age=timedelta.max)),
    "two features of one name": ("named twice", lambda: row_wise(Feature("x", AMOUNT), Feature("x", -AMOUNT))),
    "names that differ in case": (
        "'x' and 'X' differ only in case",
        lambda: row_wise(Feature("x", AMOUNT), Feature("X", -AMOUNT)),
    ),
    "a feature named like a key": ("named twice", lambda: row_wise(Feature("customer_id", AMOUNT))),
    "a feature named like the time": ("named twice", lambda: row_wise(Feature("created_at", AMOUNT))),
    "a mixture": ("split the view", lambda: row_wise(Feature("x", AMOUNT), window(pl.len()))),  # type: ignore[arg-type] # on purpose
    "no features": ("at least one", lambda: FeatureView("v", CUSTOMER, "at", [], source="t")),
    "row-wise without a source": ("name the table", lambda: row_wise(source=None)),
    "windowed with a source": ("leave the view's source out", lambda: windowed(source="clean/tickets")),
    "windowed with a known time": ("no known time", lambda: windowed(known_time="seen_at")),
    "a feature that no engine computes": ("all Feature or all Windowed", lambda: row_wise(features=[AMOUNT])),
    "features beside an engine": ("leave them out", lambda: row_wise(computed_by=row_wise().transformation)),
    "two time columns in one table": (
        "share its time column",
        lambda: FeatureView("v", CUSTOMER, "at", [window(pl.len()), Windowed("x", pl.len(), "1d", "t", "other")]),
    ),
}


@pytest.mark.parametrize(("message", "declare"), REFUSED.values(), ids=REFUSED)
def test_refused_where_it_is_written(message: str, declare: Callable[[], object]) -> None:
    with pytest.raises(AssayError, match=message):
        declare()


@pytest.mark.parametrize(
    "expr",
    [
        pl.when(AMOUNT > 0).then(pl.col("kind").str.len_chars()).otherwise(0),
        pl.concat_str("a", "b"),
        pl.sum_horizontal(cs.numeric()),
        pl.col("tags").list.eval(pl.element() * 2).list.mean(),
        pl.col("tags").list.eval(pl.element().mean()),
        AMOUNT.is_in([1, 2]).cast(pl.Int8),
        pl.col("Agg") + pl.col("Over"),
    ],
    ids=str,
)
def test_anything_about_the_row_itself_is_a_feature(expr: pl.Expr) -> None:
    assert Feature("x", expr).expr is expr


def test_windows_are_named_by_aggregation_then_window() -> None:
    made = windows(["1d", timedelta(hours=36)], source="t", time="at", tickets=pl.len(), spend=AMOUNT.sum())
    assert [feature.name for feature in made] == ["tickets_1d", "tickets_1d12h", "spend_1d", "spend_1d12h"]
    assert [feature.width for feature in made[:2]] == [timedelta(days=1), timedelta(hours=36)]


@pytest.mark.parametrize("text", ["7d", "2w", "1d12h", "30m", "45s", "250ms", "1us"])
def test_durations_read_back(text: str) -> None:
    duration = parse_duration(text, "x")
    assert parse_duration(format_duration(duration), "x") == duration


def test_sources_lookback_and_step() -> None:
    assert row_wise().sources() == ("clean/tickets",)
    assert row_wise().lookback() == timedelta(0)
    assert windowed().sources() == ("clean/tickets", "clean/cards")
    assert windowed().lookback() == timedelta(days=30)
    assert [windowed().lookback_of(table).days for table in windowed().sources()] == [30, 7]
    assert row_wise().lookback_of("clean/tickets") == timedelta(0)
    assert windowed(every="6h").step == timedelta(hours=6)


def test_column_lineage_names_values_predicates_keys_and_time() -> None:
    keys_and_time = [("clean/cards", "customer_id"), ("clean/cards", "event_time")]
    lineage = windowed().column_lineage()
    spend, tickets = lineage["spend_7d"], lineage["tickets_1d"]
    assert spend != "unknown"
    assert tickets != "unknown"
    assert sorted(spend["direct"]) == [("clean/cards", "amount"), ("clean/cards", "kind")]
    assert spend["indirect"] == keys_and_time
    assert tickets == {"direct": [], "indirect": [("clean/tickets", "customer_id"), ("clean/tickets", "created_at")]}
    assert row_wise().column_lineage()["length"] == {
        "direct": [("clean/tickets", "text")],
        "indirect": [("clean/tickets", "customer_id"), ("clean/tickets", "created_at")],
    }


def test_column_lineage_says_where_keys_and_times_come_from() -> None:
    own = row_wise(known_time="seen_at").column_lineage()
    for name in ("customer_id", "created_at", "seen_at"):
        assert own[name] == {"direct": [("clean/tickets", name)], "indirect": []}
    lineage = windowed().column_lineage()
    chosen = [
        ("clean/tickets", "customer_id"),
        ("clean/tickets", "created_at"),
        ("clean/cards", "customer_id"),
        ("clean/cards", "event_time"),
    ]
    of_key = [("clean/tickets", "customer_id"), ("clean/cards", "customer_id")]
    assert lineage["customer_id"] == {"direct": of_key, "indirect": chosen}
    assert lineage["at"] == {"direct": [], "indirect": chosen}


@pytest.mark.parametrize(
    "expr",
    [pl.sum_horizontal(cs.numeric()), pl.max_horizontal("^a.*$"), AMOUNT + pl.sum_horizontal(cs.float())],
    ids=str,
)
def test_lineage_of_selected_columns_is_unknown_rather_than_incomplete(expr: pl.Expr) -> None:
    assert row_wise(Feature("x", expr)).column_lineage()["x"] == "unknown"


def test_direct_lineage_is_all_that_the_value_depends_on() -> None:
    frame = pl.DataFrame(
        {"a": [1, 2, 3, 4], "b": [4, 3, 2, 1], "c": [1, -1, 1, -1], "d": [9, 8, 7, 6]},
    ).with_columns(
        customer_id=pl.lit("x"), created_at=pl.lit(datetime(2026, 3, 1, tzinfo=UTC)).cast(pl.Datetime("us", "UTC"))
    )
    view = row_wise(
        Feature("one", pl.when(pl.col("c") > 0).then("a").otherwise(0)), Feature("two", pl.max_horizontal("a", "b"))
    )
    before = view.compute({"clean/tickets": frame.lazy()})
    for column in "abcd":
        after = view.compute({"clean/tickets": frame.with_columns(pl.col(column).reverse()).lazy()})
        changed = {name for name in ("one", "two") if not after[name].equals(before[name])}
        lineage = view.column_lineage()
        declared = {name for name in ("one", "two") if ("clean/tickets", column) in dict(lineage[name])["direct"]}  # type: ignore[arg-type]
        assert changed <= declared
        assert column in "abc" or not declared


def test_serving_survives_json_and_says_when_it_is_not_one() -> None:
    view = row_wise(max_age="7d", known_time="seen_at")
    data = json.loads(json.dumps(view.serving()))
    assert data == {
        "entity": "customer",
        "keys": ["customer_id"],
        "event_time": "created_at",
        "known_time": "seen_at",
        "max_age_us": 7 * 86_400_000_000,
    }
    assert Serving.from_dict(data).to_dict() == data
    with pytest.raises(AssayError, match="materialise the view again"):
        Serving.from_dict({"entity": "customer"})


def test_digest_changes_with_everything_that_decides_values_and_with_nothing_else() -> None:
    base = windowed()
    assert windowed(owner="ops", description="calls").digest() == base.digest()
    json.dumps(base.definition())
    changed = [
        windowed(version="2"),
        windowed(max_age="1d"),
        windowed(every="1h"),
        windowed(event_time="as_at"),
        windowed(entity=Entity("customer", ["customer_id", "country"])),
        windowed(features=windows(["1d"], source="clean/tickets", time="created_at", tickets=pl.len())),
        # Polars prints these two alike: only the whole serialised expression tells them apart.
        windowed(features=[window(AMOUNT.rolling_mean(3).max())]),
        windowed(features=[window(AMOUNT.rolling_mean(5).max())]),
        windowed(features=[window(AMOUNT.rolling_mean(5).max(), "2d")]),
        windowed(features=[window(AMOUNT.is_in(["a", "b"]).sum())]),
        windowed(features=[window(AMOUNT.is_in(["a", "c"]).sum())]),
    ]
    digests = [view.digest() for view in [base, *changed]]
    assert len(set(digests)) == len(digests)


def test_digest_is_the_same_in_another_process() -> None:
    script = """
import polars as pl
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.windowed import windows
exprs = {"n": pl.len(), "s": pl.col("kind").is_in(["b", "a"]).sum(), "r": pl.col("x").replace({"a": 1, "b": 2}).max()}
print(FeatureView("v", Entity("e", ["k"]), "at", windows(["1d"], source="t", time="ts", **exprs)).digest())
"""
    found = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        )
        found.add(done.stdout.strip())
    exprs = {
        "n": pl.len(),
        "s": pl.col("kind").is_in(["b", "a"]).sum(),
        "r": pl.col("x").replace({"a": 1, "b": 2}).max(),
    }
    found.add(FeatureView("v", Entity("e", ["k"]), "at", windows(["1d"], source="t", time="ts", **exprs)).digest())
    assert len(found) == 1


def test_compute_rows_gives_keys_times_and_features_in_utc() -> None:
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    frame = pl.LazyFrame(
        {"text": ["hi", None], "customer_id": ["a", None], "created_at": [moment] * 2, "seen_at": [moment, None]}
    )
    frame = frame.with_columns(pl.col("created_at").dt.convert_time_zone("Asia/Tokyo"))
    out = row_wise(known_time="seen_at").compute({"clean/tickets": frame})
    assert out.columns == ["customer_id", "created_at", "seen_at", "length"]
    assert out.schema["created_at"] == pl.Datetime("us", "UTC")
    assert out.rows() == [("a", moment, moment, 2), (None, moment, None, None)]


def test_compute_rows_says_what_is_missing_or_ambiguous() -> None:
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    frame = pl.LazyFrame({"text": ["hi"], "customer_id": ["a"], "created_at": [moment]})
    for column in ("text", "customer_id", "created_at"):
        with pytest.raises(AssayError, match=f"clean/tickets.*no column.*{column}"):
            row_wise().compute({"clean/tickets": frame.drop(column)})
    with pytest.raises(AssayError, match="naive"):
        row_wise().compute({"clean/tickets": frame.with_columns(pl.col("created_at").dt.replace_time_zone(None))})
    with pytest.raises(AssayError, match="'clean/tickets', which was not given"):
        row_wise().compute({"clean/cards": frame})


def test_identity_of_the_shipped_views_is_what_it_was() -> None:
    """Constants of an earlier commit: another digest would compute every feature again in every lake."""
    from assay.assets.support.card_events import customer_activity
    from assay.assets.support.tickets import ticket

    def sha256(value: object) -> str:
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

    assert ticket.digest() == "31fb2d7efce3a5cfda3c796e96bcb0ec8fb2e0968e45c83701498e3ecc97722d"
    assert customer_activity.digest() == "a515bc41f6d47fd5ac15ee8e99f500c05ff74c971a66f245299334a5d9d682a8"
    assert sha256(ticket.column_lineage()) == "ec910b963f73bd733856c3c8a826ed12162f4994163f0cb5c391b5992358d3e3"
    assert (
        sha256(customer_activity.column_lineage()) == "444b697b6656567e28489b56e6722cb0695369a442c3289ec1d187cba70d6955"
    )


@pytest.mark.parametrize("view", [row_wise(), windowed()], ids=["row-wise", "windowed"])
def test_rows_read_follow_from_the_first_format_of_commits_too(view: FeatureView) -> None:
    recorded = json.loads(json.dumps(view.metadata()))
    assert recorded_rows_read(**recorded) == view.transformation.rows_read() != ()
    del recorded["view"]["rows_read"]
    assert recorded["view"].pop("sha256") == view.digest()
    assert recorded["view"] == view.definition()
    assert recorded_rows_read(**recorded) == view.transformation.rows_read()
    assert recorded_rows_read({}, {}) == ()
