"""On-demand and composed features: the same values offline and online, of the inputs of the request and of what held then."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import assay
from assay.errors import AssayError
from assay.features.serving.on_demand.compute import request_from_texts, request_input
from assay.features.serving.on_demand.view import OnDemandView
from assay.features.serving.online import request_inputs
from assay.features.serving.references import Role
from assay.features.tables.serving import Serving
from assay.features.views.row_wise import Feature
from assay.store import Store

START = datetime(2026, 1, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")
MAX_AGE = 2 * 86_400_000_000
ACTIVITY = Serving.as_of(["customer_id"], "at", known_time="known", max_age_us=MAX_AGE)
PRICES = Serving.as_of([], "at")
PURCHASE = OnDemandView(
    "purchase",
    [
        Feature("times_usual", pl.col("amount") / pl.col("usual"), "How unusual.", "times"),
        Feature("unseen", pl.col("usual").is_null()),
        Feature("hours", (pl.col("event_time") - pl.col("seen")).dt.total_hours()),
        Feature("big", pl.col("amount") > 50),
    ],
    inputs={"amount": float, "event_time": datetime},
    uses=["activity:spend as usual", "activity:seen"],
    owner="shop",
)
SCORE = OnDemandView(
    "score",
    [
        Feature("in_dollars", pl.col("spend") * pl.col("usd")),
        Feature("twice", pl.col("times_usual") * 2),
    ],
    uses=["activity:spend", "prices:usd", "purchase:times_usual"],
)


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def activity(*rows: tuple[int, float, float, float | None]) -> pl.DataFrame:
    """(customer, days, days when it was known, spend)"""
    data = [(customer, at(days), at(known), spend, at(days)) for customer, days, known, spend in rows]
    schema = {"customer_id": pl.Int64, "at": INSTANT, "known": INSTANT, "spend": pl.Float64, "seen": INSTANT}
    return pl.DataFrame(data, schema=schema, orient="row")


def prices(*rows: tuple[float, float]) -> pl.DataFrame:
    schema = {"at": INSTANT, "usd": pl.Float64}
    return pl.DataFrame([(at(days), usd) for days, usd in rows], schema=schema, orient="row")


def put(store: Store, view: str, frame: pl.DataFrame, serving: Serving, partition: str) -> None:
    with store.transaction(f"features/{view}", partition) as tx:
        tx.write(f"features/{view}", frame, sections={"serving": serving.to_dict(), "view": {"name": view}})


def spine(*rows: tuple[int | None, float, float | None]) -> pl.DataFrame:
    """(customer, days, amount)"""
    schema = {"customer_id": pl.Int64, "event_time": INSTANT, "amount": pl.Float64}
    data = [(customer, at(days), amount) for customer, days, amount in rows]
    return pl.DataFrame(data, schema=schema, orient="row")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = assay.open(home=tmp_path_factory.mktemp("home"))
    put(store, "activity", activity((1, 1, 1, 10.0), (2, 1, 3, 20.0)), ACTIVITY, "d1")
    put(store, "activity", activity((1, 2, 2, 30.0)), ACTIVITY, "d2")
    put(store, "prices", prices((0, 1.1), (2, 1.2)), PRICES, "d1")
    store.define(PURCHASE)
    store.define(SCORE)
    return store


SPINE = spine((1, 1.5, 5.0), (2, 3.5, 200.0), (3, 2, 1.0), (1, 2, 60.0), (None, 2, None))


def test_a_spine_brings_the_inputs(store: Store) -> None:
    rows = store.as_of_join(SPINE, [PURCHASE, "score:*"])
    assert rows.drop(SPINE.columns).to_dict(as_series=False) == {
        "times_usual": [0.5, None, None, 2.0, None],
        "unseen": [False, True, True, False, True],
        "hours": [12, None, None, 0, None],
        "big": [False, True, False, True, None],
        "in_dollars": [11.0, None, None, 36.0, None],
        "twice": [1.0, None, None, 4.0, None],
    }
    assert rows.select(SPINE.columns).equals(SPINE)


def test_a_request_brings_the_inputs_beside_the_keys(store: Store) -> None:
    got = store.online(["purchase:times_usual", "score:in_dollars"]).get(
        {"customer_id": [1, 2], "amount": [5, 7]}, at(3.5)
    )
    assert got["times_usual"].to_list() == [5 / 30, None]
    assert got["purchase.state"].to_list() == got["score.state"].to_list() == ["present", "expired"]
    assert got["activity.event_time"].to_list() == [at(2), at(1)], "what was used says where it came from"
    assert got["activity.version"].to_list() == [store.snapshot("features/activity").version] * 2
    assert got["purchase.version"].to_list() == [store.snapshot("features/purchase").version] * 2
    assert got["prices.table"].to_list() == ["features/prices"] * 2
    one = store.online("purchase").get({"customer_id": 9, "amount": 5.0}, at(3.5))
    assert (one["purchase.state"].to_list(), one["unseen"].to_list()) == (["missing"], [True])
    assert "spend" not in one.columns and "event_time" not in one.columns


def test_what_is_used_may_be_asked_for_as_well(store: Store) -> None:
    rows = store.as_of_join(
        SPINE.head(1), ["activity:spend as mine", "purchase:times_usual as ratio", "score:in_dollars"]
    )
    assert rows.drop(SPINE.columns).to_dict(as_series=False) == {"mine": [10.0], "ratio": [0.5], "in_dollars": [11.0]}


def test_a_view_in_a_role_hands_it_on(store: Store) -> None:
    calls = SPINE.head(1).rename({"customer_id": "caller", "event_time": "rung_at"})
    role = Role("purchase:times_usual", keys={"customer_id": "caller"}, prefix="caller_")
    assert store.as_of_join(calls, role, event_time="rung_at")["caller_times_usual"].to_list() == [0.5]
    with pytest.raises(AssayError, match="not joined by 'customer'"):
        store.as_of_join(calls, Role("purchase:times_usual", keys={"customer": "caller"}), event_time="rung_at")


def test_how_a_view_is_joined_is_how_what_it_uses_is_joined(store: Store) -> None:
    late = spine((2, 2, 40.0))
    assert store.as_of_join(late, "purchase:times_usual")["times_usual"].to_list() == [2.0]
    assert store.as_of_join(late, "purchase:times_usual", known_at="known")["times_usual"].to_list() == [None]
    for known in ({"purchase": "known"}, {"purchase": "known", "score": "known"}):
        features = ["purchase:times_usual", *(["score:twice"] if "score" in known else [])]
        assert store.as_of_join(late, features, known_at=known)["times_usual"].to_list() == [None]  # pyright: ignore[reportArgumentType]
    with pytest.raises(AssayError, match="two settings of known_at"):
        store.as_of_join(late, ["purchase:times_usual", "activity:spend"], known_at={"purchase": "known"})


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"customer_id": 1}, r"purchase needs 'amount' \(Float64\), an input of the request, which the request lacks"),
        ({"customer_id": 1, "amout": 5.0}, "Did you mean 'amout'"),
        (
            {"customer_id": 1, "amount": "secret"},
            "needs 'amount' as Float64, an input of the request; in the request it is String",
        ),
        ({"customer_id": 1, "amount": True}, "it is Boolean"),
        ({"customer_id": 1, "amount": 2**53 + 1}, "cannot hold some of the whole numbers"),
        ({"amount": 5.0}, "customer_id"),
    ],
)
def test_inputs_that_are_missing_or_of_another_type_are_refused(
    store: Store, request_: dict[str, Any], said: str
) -> None:
    with pytest.raises(AssayError, match=said) as refused:
        store.online("purchase").get(request_, at(3))
    assert "secret" not in str(refused.value)


def test_of_a_spine_too(store: Store) -> None:
    with pytest.raises(AssayError, match="an input of the request, which the spine lacks"):
        store.as_of_join(SPINE.drop("amount"), PURCHASE)
    with pytest.raises(AssayError, match="column 'times_usual', which is there already"):
        store.as_of_join(SPINE.with_columns(times_usual=1), PURCHASE)
    assert store.as_of_join(SPINE.drop("amount"), "score:in_dollars").height == SPINE.height, "not for what needs none"


@pytest.mark.parametrize(
    ("given_", "kind", "taken"),
    [
        (pl.Series("x", [1], pl.Int8), "Int64", [1]),
        (pl.Series("x", [1], pl.UInt64), "Float64", [1.0]),
        (pl.Series("x", [None]), "String", [None]),
        (pl.Series("x", ["a"], pl.Categorical()), "String", ["a"]),
        (pl.Series("x", [START], pl.Datetime("ms", "Asia/Tokyo")), "Datetime", [START]),
        (pl.Series("x", [2**63], pl.UInt64), "Int64", None),
        (pl.Series("x", [1.5]), "Int64", None),
        (pl.Series("x", [START.replace(tzinfo=None)]), "Datetime", None),
    ],
)
def test_a_value_is_taken_as_another_type_only_where_it_stays_what_it_is(
    given_: pl.Series, kind: str, taken: list[Any] | None
) -> None:
    rows = {given_.name: given_}
    if taken is None:
        with pytest.raises(AssayError):
            request_input(rows, "x", kind, "event_time", "v", "the spine")
    else:
        assert request_input(rows, "x", kind, "event_time", "v", "the spine").to_list() == taken


def test_a_command_line_writes_inputs_as_texts(store: Store) -> None:
    assert request_inputs(store.lake, "purchase:times_usual") == {"amount": "Float64"}
    assert request_inputs(store.lake, "score:twice") == {"amount": "Float64"}, "what it uses needs it"
    assert request_inputs(store.lake, ["purchase:unseen", "score:in_dollars"]) == {}
    typed = request_from_texts({"customer_id": ["1"], "amount": ["2.5"]}, {"amount": "Float64"})
    assert store.online("purchase").get(typed, at(2))["times_usual"].to_list() == [2.5 / 30]
    for kind in ("Boolean", "Datetime", "Date", "Int64"):
        with pytest.raises(AssayError, match="'x' is an input of the request: write it") as refused:
            request_from_texts({"x": ["secret"]}, {"x": kind})
        assert "secret" not in str(refused.value)
    assert request_from_texts({"x": ["true"]}, {"x": "Boolean"})["x"][0] is True


def test_a_training_set_records_what_its_features_are_computed_of(store: Store) -> None:
    made = store.training_set("risk", spine=SPINE, features=[PURCHASE, "score:in_dollars"])
    assert made.feature_columns == ["times_usual", "unseen", "hours", "big", "in_dollars"]
    assert made.manifest["uses"] == ["activity:spend", "activity:seen", "prices:usd"]
    used = {item["view"]: [one["name"] for one in item["features"]] for item in made.manifest["used"]}
    assert used == {"activity": ["spend", "seen"], "prices": ["usd"]}
    read = {item["table"] for item in made.manifest["inputs"]}
    assert read == {"features/purchase", "features/score", "features/activity", "features/prices"}
    lineage = store.lake.table("training/risk").at().last_commit.column_lineage
    assert lineage is not None
    assert lineage["in_dollars"]["direct"] == [["features/activity", "spend"], ["features/prices", "usd"]]
    assert ["features/score", "in_dollars"] in lineage["in_dollars"]["indirect"], "and its definition"
    assert {item.view for item in made.lookbacks()} == {"activity", "prices"}
    assert store.feature("activity:spend").uses.training_sets == (made.id,), "a change of it reaches the set"
    assert request_inputs(store.lake, made) == {"amount": "Float64"}
    learnt = store.online(made).get({"customer_id": 1, "amount": 60.0}, at(2))
    assert learnt["times_usual"].to_list() == [2.0]
    assert store.training_set("risk", spine=SPINE, features=[PURCHASE, "score:in_dollars"]).id == made.id


def test_a_changed_definition_is_a_new_version_beside_the_old_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    store = assay.open(home=tmp_path_factory.mktemp("home"))
    put(store, "activity", activity((1, 1, 1, 10.0)), ACTIVITY, "d1")
    first = store.define(PURCHASE)
    assert store.define(PURCHASE) == first
    half = OnDemandView(
        "purchase", [Feature("times_usual", pl.col("amount") / pl.col("usual") / 2)], PURCHASE.inputs, PURCHASE.uses
    )
    rows, features = spine((1, 1.5, 5.0)), ["purchase:times_usual"]
    made = store.training_set("risk", spine=rows, features=features)
    second = store.define(half)
    assert second.version > first.version
    assert store.as_of_join(rows, features)["times_usual"].to_list() == [0.25]
    assert store.as_of_join(rows, features, versions={"features/purchase": first.version})["times_usual"].to_list() == [
        0.5
    ]
    again = store.training_set("risk", spine=rows, features=features)
    assert again.id != made.id, "it is stale"
    assert store.load_training_set(made.id).frame()["times_usual"].to_list() == [0.5]


def test_predictions_are_traced_through_and_computed_again(store: Store) -> None:
    asked = SPINE.filter(pl.col("customer_id") < 3)
    rows = store.as_of_join(asked, PURCHASE).with_columns(answer=pl.lit("yes"))
    inputs = [store.snapshot(f"features/{name}") for name in ("purchase", "activity")]
    given_: dict[str, Any] = {"model": "m", "model_version": "1", "inputs": inputs, "features": PURCHASE}
    given_ |= {"feature_columns": list(PURCHASE.feature_names)}
    with pytest.raises(AssayError, match="log them too"):
        store.log_predictions(frame=rows.drop("amount"), **given_)
    (first, *_) = store.log_predictions(frame=rows, **given_)
    described = store.lake.table("predictions/m").at().last_commit.predictions
    assert described is not None
    assert (described.outputs, described.request, described.uses) == (
        ("answer",),
        ("amount",),
        ("activity:spend", "activity:seen"),
    )
    trace = store.trace(first)
    assert {"features/purchase", "features/activity"} <= {node.table for node in trace.nodes}
    found = {item.what: item for item in store.verify(trace, embed=False).checks}
    assert found["feature row"].ok is True
    assert store.impact("features/activity").predictions == 3
    assert store.impact("features/purchase").predictions == 3


# -- beside a brute-force oracle ---------------------------------------------------------------------------------------

EVENTS = st.lists(
    st.tuples(st.integers(1, 2), st.integers(0, 6), st.integers(0, 6), st.none() | st.integers(1, 9)),
    min_size=1,
    max_size=10,
)
ASKED = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 8), st.integers(0, 99)), min_size=1, max_size=6)


@dataclass(frozen=True)
class Oracle:
    """Looks at every row, for each question."""

    events: list[tuple[int, int, int, int | None]]
    prices: list[tuple[int, int]]

    def spend(self, customer: int, day: int, known: bool) -> int | None:
        there = [
            (when, seen, place, spend)
            for place, (who, when, seen, spend) in enumerate(self.events)
            if who == customer and when <= day and (not known or seen <= day)
        ]
        when, _, _, spend = max(there, key=lambda row: row[:3], default=(-9, 0, 0, None))
        return spend if day - when <= 2 else None

    def usd(self, day: int) -> int | None:
        there = [(when, place, usd) for place, (when, usd) in enumerate(self.prices) if when <= day]
        return max(there, default=(0, 0, None))[2]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Store]:
    return lambda: assay.open(home=tmp_path_factory.mktemp("home"))


@settings(max_examples=300 if os.environ.get("SOAK") else 4, deadline=None)
@given(EVENTS, st.lists(st.tuples(st.integers(0, 6), st.integers(1, 9)), min_size=1, max_size=4), ASKED, st.booleans())
def test_online_is_offline_is_what_an_oracle_says(
    fresh: Callable[[], Store],
    events: list[tuple[int, int, int, int | None]],
    usd: list[tuple[int, int]],
    asked: list[tuple[int, int, int]],
    known: bool,
) -> None:
    """Late knowledge, ties, nulls, age, views with and without keys; of on-demand and composed features."""
    store, oracle = fresh(), Oracle(events, usd)
    for number in range(2):
        mine = [row for place, row in enumerate(events) if place * 2 // len(events) == number]
        put(store, "activity", activity(*mine), ACTIVITY, f"p{number}")  # pyright: ignore[reportArgumentType]
    put(store, "prices", prices(*usd), PRICES, "p0")
    store.define(PURCHASE)
    store.define(SCORE)
    features = ["purchase:times_usual", "purchase:unseen", "score:in_dollars", "score:twice"]
    how: Any = {"known_at": {"purchase": "known"}} if known else {}
    features = features[:2] if known else features
    offline = store.as_of_join(spine(*asked), features, **how)
    for place, (customer, day, amount) in enumerate(asked):
        spend, rate = oracle.spend(customer, day, known), oracle.usd(day)
        ratio = None if spend is None else amount / spend
        wanted = {
            "times_usual": ratio,
            "unseen": spend is None,
            "in_dollars": None if spend is None or rate is None else float(spend * rate),
            "twice": None if ratio is None else ratio * 2,
        }
        online = store.online(features, **how).get({"customer_id": customer, "amount": amount}, at(day))
        for name in (text.partition(":")[2] for text in features):
            assert offline[name][place] == online[name][0] == wanted[name], (name, place)
