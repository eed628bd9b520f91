"""On-demand features of a set that is materialised: what the tables give, at the versions of the generation."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

import assay
from assay.errors import AssayError
from assay.features.serving.feature_set import FeatureSet
from assay.features.serving.on_demand.view import OnDemandView
from assay.features.views.row_wise import Feature
from assay.store import Store

START = datetime(2026, 1, 1, tzinfo=UTC)
RISK = FeatureSet("risk", ["purchase:*", "rank:high", "activity:n as times"])
PURCHASE = OnDemandView(
    "purchase",
    [
        Feature("times_usual", pl.col("amount") / pl.col("spend")),
        Feature("since", (pl.col("event_time") - pl.col("joined")).dt.total_hours()),
        Feature("due", pl.col("paid_at").dt.date()),
    ],
    inputs={"amount": float, "event_time": datetime, "paid_at": datetime},
    uses=["activity:spend", "activity:joined"],
)


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def put(store: Store, spend: float) -> None:
    with store.transaction("features/activity", "d1") as tx:
        rows = pl.DataFrame(
            {"c": [1, 2], "at": [at(1), at(-9)], "spend": [spend, 2.0], "n": [1, 2], "joined": [at(0), at(-20)]}
        )
        tx.write_view("activity", rows, keys=["c"], event_time="at", max_age="3d")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = assay.open(home=tmp_path_factory.mktemp("home"))
    put(store, 10.0)
    store.define(PURCHASE)
    store.define(OnDemandView("rank", [Feature("high", pl.col("times_usual") > 1)], uses=["purchase:times_usual"]))
    store.materialize_online(RISK, at=at(2))
    return store


REQUEST: dict[str, Any] = {"c": [1, 2, 3], "amount": [5.0, 50.0, 1.0], "paid_at": [at(1), None, at(2)]}


def test_it_answers_as_the_tables_do(store: Store) -> None:
    kept = store.online_set("risk").get(REQUEST, at(3))
    tables = store.online(list(RISK.references)).get(REQUEST, at(3))
    assert kept.columns != [] and set(kept.columns) == set(tables.columns)
    assert kept.select(tables.columns).equals(tables)
    assert kept["times_usual"].to_list() == [0.5, None, None]
    assert kept["purchase.state"].to_list() == ["present", "expired", "missing"]
    assert [name for name in kept.columns if name.startswith("__")] == []


def test_it_says_what_a_request_brings(store: Store) -> None:
    found = store.online_set("risk")
    assert found.inputs() == {"amount": "Float64", "paid_at": "Datetime"}
    assert found.key_types() == {"c": pl.Int64, "amount": pl.Float64, "paid_at": pl.Datetime("us", "UTC")}
    assert found.columns() == ["times", "times_usual", "since", "due", "high"]
    with pytest.raises(AssayError, match=r"purchase needs 'amount'.*which the request lacks"):
        found.get({"c": [1], "paid_at": [at(1)]}, at(3))
    with pytest.raises(AssayError, match="an input of the request; in the request it is String"):
        found.get({**REQUEST, "amount": ["secret"] * 3}, at(3))


def test_json_knows_neither_times_nor_which_numbers_have_a_fraction(store: Store) -> None:
    as_json = {"c": [1, 2, 3], "amount": [5, 50.0, 1], "paid_at": [at(1).isoformat(), None, at(2).isoformat()]}
    found = store.online_set("risk")
    assert found.get(as_json, at(3)).drop("amount").equals(found.get(REQUEST, at(3)).drop("amount"))
    answer, _ = found.answer(as_json, at(3))
    assert {view.joined.name: view.version for view in answer.views}.keys() == {"activity", "purchase", "rank"}


def test_a_generation_keeps_its_definitions_and_another_one_makes_the_next(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    store, risk = assay.open(home=tmp_path_factory.mktemp("home")), FeatureSet("risk", ["purchase:half"])
    put(store, 10.0)

    def define(parts: int) -> None:
        store.define(
            OnDemandView("purchase", [Feature("half", pl.col("spend") / parts)], uses=["activity:spend"], version="1")
        )

    def answer() -> list[float]:
        return store.online_set("risk").get({"c": [1]}, at(2))["half"].to_list()

    define(2)
    store.materialize_online(risk, at=at(2))
    define(4)
    assert answer() == [5.0]
    assert store.materialize_online(risk, at=at(2)).is_new
    assert answer() == [2.5]
    assert not store.materialize_online(risk, at=at(2)).is_new
