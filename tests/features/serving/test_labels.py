"""Labels of training sets: of the row's moment or the end of its horizon, as they were known, beside a brute-force oracle."""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import assay
from assay.errors import AssayError
from assay.features.serving.labels import ResolvedLabel, join_label
from assay.features.serving.references import Reference
from assay.features.tables.serving import Serving
from assay.features.training.leaks import SplitLeaks
from assay.features.views.entity import Entity
from assay.features.views.label_view import LabelView
from assay.features.views.row_wise import Feature
from assay.store import Store

START = datetime(2026, 1, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")
CUSTOMER = Entity("customer", ["customer_id"])
INTENT = [Feature("intent", pl.col("intent"))]
FILED = LabelView("filed", CUSTOMER, "at", INTENT, "clean/filed", known_time="filed_at")
LATER = LabelView("later", CUSTOMER, "at", [Feature("plan", pl.col("intent"))], "clean/filed", horizon="2d")


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def filed(*rows: tuple[int, float, str | None, float]) -> pl.DataFrame:
    """(customer, days, intent, days when it was filed)"""
    data = [(customer, at(days), intent, at(known)) for customer, days, intent, known in rows]
    schema = {"customer_id": pl.Int64, "at": INSTANT, "intent": pl.String, "filed_at": INSTANT}
    return pl.DataFrame(data, schema=schema, orient="row")


def spine(*rows: tuple[int, float]) -> pl.DataFrame:
    schema = {"customer_id": pl.Int64, "event_time": INSTANT}
    return pl.DataFrame([(customer, at(days)) for customer, days in rows], schema=schema, orient="row")


def put(store: Store, rows: pl.DataFrame, partition: str) -> None:
    with store.transaction("clean/filed", partition) as tx:
        tx.write("clean/filed", rows)
    for view in (FILED, LATER):
        with store.transaction(view.table, partition) as tx:
            made = view.compute({"clean/filed": tx.read("clean/filed", [partition])})
            tx.describe(**view.metadata())
            tx.write(view.table, made, column_lineage=view.column_lineage())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = assay.open(home=tmp_path_factory.mktemp("home"))
    put(store, filed((1, 1, "a", 2), (2, 1, "b", 9), (1, 2, "c", 4), (3, 3, None, 5)), "d1")
    put(store, filed((1, 6, "d", 7)), "d2")
    with store.transaction("features/activity") as tx:
        rows = pl.DataFrame({"customer_id": [1], "at": [START], "n": [1]})
        tx.write_view("activity", rows, keys=["customer_id"], event_time="at")
    return store


SPINE = spine((1, 1), (2, 1), (1, 2), (3, 3), (1, 5))


def made(store: Store, label: Any, **given_: Any) -> Any:
    return store.training_set("routing", spine=SPINE, features=["activity:n"], label=label, **given_)


def test_a_label_is_that_of_the_row_s_moment_with_the_time_when_it_became_known(store: Store) -> None:
    found = made(store, FILED)
    assert found.frame().drop("n").rows() == [(1, at(1), "a", at(2)), (2, at(1), "b", at(9)), (1, at(2), "c", at(4))]
    label = found.manifest["label"]
    assert (label["table"], label["left_out"], label["known_by"]) == ("labels/filed", 2, at(9).isoformat())
    assert found.feature_columns == ["n"], "the target is none of them"
    lineage = store.lake.table("training/routing").at().last_commit.column_lineage
    assert lineage is not None
    assert lineage["intent"]["direct"] == [["labels/filed", "intent"]]
    assert lineage["label_known"]["direct"] == [["labels/filed", "filed_at"]]
    assert "labels/filed" in {item["table"] for item in found.manifest["inputs"]}
    assert store.feature("filed:intent").uses.training_sets[-1] == found.id
    assert (store.feature("filed:intent").kind, store.view("filed").serving.kind) == ("label", "label")
    assert made(store, "filed:intent").id == found.id


def test_of_a_horizon_it_is_what_had_come_of_it_by_its_end(store: Store) -> None:
    found = made(store, "later:plan as became")
    # The newest row of [t, t + 2d]; of the last one the horizon has not ended when the newest row is of day 6.
    assert found.frame().select("became", "label_known").rows() == [("c", at(3)), ("b", at(3)), ("c", at(4))]


def test_what_was_not_known_by_then_is_left_out(store: Store) -> None:
    assert made(store, FILED, known_by=at(4)).frame()["intent"].to_list() == ["a", "c"]
    assert made(store, LATER, known_by=at(3)).frame()["plan"].to_list() == ["c", "b"]
    with pytest.raises(AssayError, match="known_by is a naive time"):
        made(store, FILED, known_by=datetime(2026, 1, 1))  # noqa: DTZ001 (the point)


def test_a_split_asks_when_labels_became_known(store: Store) -> None:
    found = made(store, FILED)
    with pytest.raises(SplitLeaks, match="got the label") as refused:
        found.split(by_time=at(2), lookback="0d", shared=["customer_id"])
    assert refused.value.kind == "label"
    split = found.split(by_time=at(2), lookback="0d", shared=["customer_id"], purge=True)
    assert split.train["intent"].to_list() == ["a"]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda store: made(store, "fild:intent"), "no label view 'fild'.*Did you mean 'filed'"),
        (lambda store: made(store, "filed:intend"), "no label 'intend'.*Did you mean 'intent'"),
        (lambda store: made(store, "filed:*"), "one label; name it"),
        (lambda store: made(store, "filed:intent as n"), "'n', which is there already"),
        (lambda store: made(store, "filed:intent on customer_id=customer"), "customer"),
        (lambda store: store.as_of_join(SPINE, "filed:intent"), "is a label view.*would know the answer"),
        (lambda store: store.online("filed"), "is a label view"),
        (lambda store: store.training_set("x", spine=SPINE, features=["filed:intent"]), "is a label view"),
    ],
)
def test_what_would_leak_or_is_unknown_is_refused(store: Store, ask: Any, said: str) -> None:
    with pytest.raises(AssayError, match=said):
        found = ask(store)
        found.get({"customer_id": 1}, at(1))


def test_another_row_may_make_more_labels_known(tmp_path_factory: pytest.TempPathFactory) -> None:
    store = assay.open(home=tmp_path_factory.mktemp("home"))
    put(store, filed((1, 1, "a", 2)), "d1")
    with store.transaction("features/activity") as tx:
        tx.write_view("activity", pl.DataFrame({"at": [START], "n": [1]}), keys=[], event_time="at")
    first = made(store, LATER)
    assert first.frame().is_empty()
    put(store, filed((9, 4, "b", 5)), "d9")
    assert made(store, LATER).frame()["plan"].to_list() == ["a"], "two days have passed since"
    assert store.load_training_set(first.id).frame().is_empty()


ROWS = st.lists(
    st.tuples(st.integers(1, 2), st.integers(0, 6), st.none() | st.sampled_from("abc"), st.integers(0, 9)), max_size=10
)


@settings(max_examples=2000 if os.environ.get("SOAK") else 60, deadline=None)
@given(
    ROWS,
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 8)), min_size=1, max_size=6),
    st.none() | st.integers(1, 4),
    st.booleans(),
    st.integers(0, 12),
)
def test_labels_are_those_of_an_oracle(
    rows: list[tuple[int, int, str | None, int]],
    asked: list[tuple[int, int]],
    horizon: int | None,
    with_known: bool,
    by: int,
) -> None:
    with_known = with_known or horizon is None
    us = None if horizon is None else horizon * 86_400_000_000
    serving = Serving("c", ("customer_id",), "at", "filed_at" if with_known else None, kind="label", horizon_us=us)
    state: Any = type("State", (), {"table": type("Table", (), {"name": "labels/x"})})
    reference = Reference.parse("x:intent")
    label = ResolvedLabel(reference, state, serving, filed(*rows).lazy(), None, at(by), {})  # pyright: ignore[reportArgumentType]
    found = join_label(spine(*asked), label, "event_time")
    wanted = []
    for customer, day in asked:
        end = day + (horizon or 0)
        there = [
            (when, seen if with_known else 0, place, intent, seen)
            for place, (who, when, intent, seen) in enumerate(rows)
            if who == customer and day <= when <= end and (not with_known or seen <= by)
        ]
        if there:
            _, _, _, intent, seen = max(there, key=lambda row: row[:3])
            known = max(seen if with_known else 0, end if horizon is not None else 0)
            if intent is not None and known <= by:
                wanted.append((customer, at(day), intent, at(known)))
    assert found.rows() == wanted
