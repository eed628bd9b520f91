"""The catalogue: what features there are, what they are, their values, and who uses them."""

import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import assay
from assay.errors import AssayError
from assay.features import Entity, Feature, FeatureView, windows
from assay.features.catalogue.catalogue import catalogue, find_feature, search
from assay.features.catalogue.values import newest_values
from assay.features.serving.feature_refs import DeprecatedFeature
from assay.features.serving.feature_set import FeatureSet
from assay.store import Store

START = datetime(2026, 3, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")
CUSTOMER = Entity("customer", ["customer_id"])
SPENT = pl.col("amount").sum()
ORDER = FeatureView(
    "order",
    CUSTOMER,
    "ordered_at",
    [
        Feature("amount", pl.col("amount"), "What was paid.", "EUR"),
        Feature("twice", pl.col("amount") * 2, deprecated="use order:amount, since March"),
        Feature("place", pl.col("place")),
    ],
    "clean/orders",
    owner="shop",
)
HABITS = FeatureView(
    "habits",
    CUSTOMER,
    "at",
    windows(["1d"], source="clean/orders", time="ordered_at", spent=(SPENT, "What was spent.", "EUR")),
)


def orders(day: int) -> pl.DataFrame:
    data = {"customer_id": ["a", "b"], "ordered_at": [START + timedelta(days=day, hours=h) for h in (1, 2)]}
    values = {"amount": [10.0 * day, None], "place": ["Rome", "Oslo"]}
    return pl.DataFrame(data | values, schema_overrides={"ordered_at": INSTANT, "amount": pl.Float64})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = assay.open(home=tmp_path_factory.mktemp("home"))
    for day in (0, 1):
        key = f"{START + timedelta(days=day):%Y-%m-%d}"
        with store.transaction("clean/orders", key) as tx:
            tx.write("clean/orders", orders(day))
        for view in (ORDER, HABITS):
            with store.transaction(f"features/{view.name}", key) as tx:
                tx.describe(**view.metadata())
                read = tx.read("clean/orders", [key])
                rows = view.compute({"clean/orders": read}, [START + timedelta(days=day + 1)])
                tx.write(f"features/{view.name}", rows, column_lineage=view.column_lineage())
    spine = pl.DataFrame({"customer_id": ["a"], "event_time": [START + timedelta(days=2)]})
    features = FeatureSet("buyer", ["order:amount", "habits:*"])
    made = store.training_set("buyer", spine=spine, features=features)
    store.log_model("buyer", b"model", training_set=made, save=bytes, load=bytes, outputs=["buys"])
    return store


def test_features_are_described_by_their_tables(store: Store) -> None:
    found = {info.reference: info for info in catalogue(store.lake)}
    assert list(found) == ["habits:spent_1d", "order:amount", "order:twice", "order:place"]
    amount, spent = found["order:amount"], found["habits:spent_1d"]
    assert (amount.dtype, amount.description, amount.unit, amount.owner) == ("Float64", "What was paid.", "EUR", "shop")
    assert (amount.entity, amount.keys, amount.kind, amount.reads) == (
        "customer",
        ("customer_id",),
        "row",
        ("clean/orders.amount",),
    )
    assert amount.newest == START + timedelta(days=1, hours=2)
    assert amount.snapshot == store.snapshot("features/order")
    assert amount.definition == ORDER.definition()["features"][0]["sha256"]
    assert (spent.kind, spent.window, spent.newest) == ("window", "1d", START + timedelta(days=2))
    assert found["order:twice"].deprecated == "use order:amount, since March"
    assert amount.to_dict()["uses"]["models"] == ["buyer 1"]


def test_the_uses_are_those_of_the_newest_versions_or_of_all(store: Store) -> None:
    uses = {info.reference: info.uses for info in catalogue(store.lake)}
    training_set = store.training_sets("buyer")[-1].id
    assert (uses["order:amount"].training_sets, uses["order:amount"].models) == ((training_set,), ("buyer 1",))
    assert uses["order:amount"].feature_sets == ("buyer@1",)
    assert uses["habits:spent_1d"].models == ("buyer 1",), "all features of the view were asked for"
    assert not uses["order:place"]
    spine = pl.DataFrame({"customer_id": ["a"], "event_time": [START + timedelta(days=2)]})
    newer = store.training_set("buyer", spine=spine, features=["order:place"]).id
    newest = find_feature(catalogue(store.lake), "order:amount").uses
    assert (newest.training_sets, newest.models) == ((), ("buyer 1",)), "the newest model learnt from the older set"
    every = find_feature(catalogue(store.lake, every_version=True), "order:amount").uses
    assert every.training_sets == (training_set,)
    assert find_feature(catalogue(store.lake), "order:place").uses.training_sets == (newer,)


def test_texts_of_today_count_and_views_without_rows_are_listed(store: Store) -> None:
    today = FeatureView("order", CUSTOMER, "ordered_at", [Feature("amount", pl.col("amount"), "Paid.")], "clean/orders")
    planned = FeatureView("basket", CUSTOMER, "at", [Feature("size", pl.col("n"))], "clean/baskets", owner="shop")
    found = {info.reference: info for info in catalogue(store.lake, {"order": today, "basket": planned})}
    assert (found["order:amount"].description, found["order:amount"].unit) == ("Paid.", "")
    assert found["order:twice"].deprecated, "the table still has it"
    basket = found["basket:size"]
    assert (basket.snapshot, basket.dtype, basket.owner, basket.keys) == (None, "", "shop", ("customer_id",))


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("spent", ["habits:spent_1d"]),
        ("EUR paid", ["order:amount"]),
        ("SPENT-1d", ["habits:spent_1d"]),
        ("orders amount", ["order:amount", "habits:spent_1d", "order:twice"]),
        ("shop place", ["order:place"]),
        ("nothing", []),
        ("-", []),
    ],
)
def test_features_are_found_by_words(store: Store, text: str, hits: list[str]) -> None:
    assert sorted(info.reference for info in search(catalogue(store.lake), text)) == sorted(hits)


def test_an_unknown_feature_names_the_nearest(store: Store) -> None:
    features = catalogue(store.lake)
    with pytest.raises(AssayError, match="Did you mean 'order:amount'"):
        find_feature(features, "order:amont")
    with pytest.raises(AssayError, match="Do you mean habits:spent_1d"):
        find_feature(features, "spent_1d")


def test_values_are_those_of_the_newest_partition_and_nothing_personal_is_shown(store: Store) -> None:
    state, features = store.lake.table("features/order").at(), catalogue(store.lake)
    amount, place = (find_feature(features, f"order:{name}") for name in ("amount", "place"))
    values = newest_values(state, amount, {})
    assert (values.partition, values.null_share, values.distribution.summary["max"]) == ("2026-03-02", 0.5, 10.0)
    assert str(values).startswith("2 rows in 2026-03-02, 50.0% null, 1 value, mean 10, ")
    assert newest_values(state, amount, {"amount": "financial"}).distribution.summary == {}
    assert newest_values(state, place, {}).distribution.shares == {}, "no contract knows the column"
    assert newest_values(state, place, {"place": None}).distribution.shares == {"Oslo": 0.5, "Rome": 0.5}
    assert newest_values(state, place, {"place": "address"}).distribution.shares == {}


def test_whoever_asks_for_a_deprecated_feature_is_warned(store: Store) -> None:
    spine = pl.DataFrame({"customer_id": ["a"], "event_time": [START + timedelta(days=2)]})
    with pytest.warns(DeprecatedFeature, match="order:twice is deprecated: use order:amount, since March"):
        store.as_of_join(spine, "order:twice")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.as_of_join(spine, "order:amount")


def test_a_store_offers_the_catalogue(store: Store, tmp_path: Path) -> None:
    assert store.feature("order:amount").uses.models == ("buyer 1",)
    values = store.feature_values("order:amount")
    assert values is not None and values.null_share == 0.5
    assert assay.open(home=tmp_path).features() != [], "the declared views of the active project"
