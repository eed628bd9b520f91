"""Definitions are versions: rows of two definitions of a view are never read as one, and each can be read by its number."""

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from assay.errors import AssayError
from assay.features.definitions.mixed import MixedDefinitions
from assay.features.retention.pins import pins, unpin
from assay.features.retention.vacuum import vacuum
from assay.features.serving.as_of_join import as_of_join
from assay.features.serving.by_definition import OtherDefinition
from assay.features.serving.feature_set import FeatureSet
from assay.features.serving.on_demand.definitions import define
from assay.features.serving.on_demand.view import OnDemandView
from assay.features.serving.online import online_get
from assay.features.serving.training import TrainingSetVersion, create_training_set, load_training_set
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.reader import Reader
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.label_view import LabelView
from assay.features.views.row_wise import Feature

START = datetime(2026, 3, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")
TABLE = "features/order"
AMOUNT = pl.col("amount")


def view(expr: pl.Expr = AMOUNT, name: str = "spent", **more: Any) -> FeatureView:
    return FeatureView("order", Entity("customer", ["customer"]), "at", [Feature(name, expr)], "clean/orders", **more)


ONE, TWO = view(), view(AMOUNT * 100)
FACTOR = {1: 1, 2: 100}


def key(day: int) -> str:
    return f"{START + timedelta(days=day):%Y-%m-%d}"


def orders(day: int) -> pl.DataFrame:
    times = [START + timedelta(days=day, hours=hour) for hour in (1, 2)]
    rows = {"customer": ["a", "b"], "at": times, "amount": [day + 1, 10 * (day + 1)]}
    return pl.DataFrame(rows, schema_overrides={"at": INSTANT})


def compute(lake: Lake, by: FeatureView, *days: int) -> None:
    for day in days:
        with transaction(lake, NullRecorder(), Work(by.table, key(day), by.digest()[:16])) as tx:
            tx.write(by.table, by.compute({"clean/orders": orders(day).lazy()}), sections=by.metadata())


def spine(*days: float) -> pl.DataFrame:
    rows = {"customer": ["a"] * len(days), "event_time": [START + timedelta(days=day) for day in days]}
    return pl.DataFrame(rows, schema_overrides={"event_time": INSTANT})


def values(lake: Lake, reference: str, *days: float, **more: Any) -> list[Any]:
    return as_of_join(spine(*days), [reference], lake=lake, **more).to_series(-1).to_list()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Three days by the first definition, and the second of them by another."""
    lake = open_lake(tmp_path / "lake")
    compute(lake, ONE, 0, 1, 2)
    compute(lake, TWO, 1)
    return lake


@pytest.fixture(autouse=True)
def strict() -> Iterator[None]:
    """No test is served by another definition than it says without knowing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", OtherDefinition)
        yield


def test_a_definition_that_is_not_complete_is_not_served(lake: Lake) -> None:
    said = "definition 1, from features/order@3: another one has not computed all partitions yet. `assay features backfill order`"
    with pytest.warns(OtherDefinition, match=said):
        assert values(lake, "order:spent", 1, 2, 3) == [1, 2, 3]
    assert values(lake, "order@1:spent", 1, 2, 3) == [1, 2, 3]
    compute(lake, TWO, 0, 3)
    with pytest.warns(OtherDefinition):
        assert values(lake, "order:spent", 4) == [3]  # the fourth day is there by the second definition alone
    compute(lake, TWO, 2)
    assert values(lake, "order:spent", 1, 2, 3, 4) == [100, 200, 300, 400]
    assert values(lake, "order@1:spent", 1, 2, 3, 4) == [1, 2, 3, 3]
    assert values(lake, "order@2:spent", 1) == [100]


def test_a_named_definition_is_read_as_far_as_it_is_there(lake: Lake) -> None:
    with pytest.raises(
        MixedDefinitions, match=r"Definition 2 of order .* definition 1 in 2026-03-01, 2026-03-03\."
    ) as refused:
        values(lake, "order@2:spent", 1, 3)
    assert refused.value.partitions == {1: ("2026-03-01", "2026-03-03"), 2: ("2026-03-02",)}
    assert "assay features backfill order" in str(refused.value)
    assert values(lake, "order@2:spent", 1.5) == [200]
    with pytest.raises(
        AssayError, match=r"no definition 3 in features/order@4 \(it has 2; `assay features show order` lists"
    ):
        values(lake, "order@3:spent", 1)


def test_every_mixture_of_partitions_is_served_by_one_definition_or_refused(tmp_path: Path) -> None:
    """All eight states of three partitions, each reached from another by one commit."""
    lake = open_lake(tmp_path / "lake")
    compute(lake, ONE, 0, 1, 2)
    by, served, complete = [1, 1, 1], 1, {1}
    for changed in (0, 1, 0, 2, 0, 1, 0, 2):  # Gray's code
        by[changed] = 3 - by[changed]
        compute(lake, (ONE, TWO)[by[changed] - 1], changed)
        if len(set(by)) == 1:
            served = by[0]
            complete.add(served)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OtherDefinition)
            assert values(lake, "order:spent", 1, 2, 3) == [day * FACTOR[served] for day in (1, 2, 3)], by
        for number, day in ((number, day) for number in (1, 2) for day in range(3)):
            if number in complete or by[day] == number:
                assert values(lake, f"order@{number}:spent", day + 0.5) == [(day + 1) * FACTOR[number]], (by, number)
            else:
                with pytest.raises(MixedDefinitions, match=f"Definition {number} of order .* in {key(day)}"):
                    values(lake, f"order@{number}:spent", day + 0.5)
        version = lake.table(TABLE).at().version
        if len(set(by)) > 1:
            with pytest.raises(MixedDefinitions, match=f"features/order@{version} has rows of several definitions"):
                values(lake, "order:spent", 2, versions={TABLE: version})
            with pytest.raises(MixedDefinitions):
                Reader(lake).read(TABLE, [key(0), key(1), key(2)], version=version)
            reader = Reader(lake)
            assert reader.read(TABLE, [key(1)], version=version).collect().height == 2
        else:
            assert values(lake, "order:spent", 2, versions={TABLE: version}) == [2 * FACTOR[by[0]]]


def test_one_join_takes_one_definition(lake: Lake) -> None:
    for asked in (["order@1:spent", "order@2:spent as other"], ["order:spent", "order@1:spent as old"]):
        with pytest.raises(AssayError, match="are by two definitions of order: one join takes one"):
            as_of_join(spine(1), asked, lake=lake)
        with pytest.raises(AssayError, match="are by two definitions of order"):
            FeatureSet("router", asked)
    old = FeatureSet("router", ["order@1:spent"])
    assert old.references == ("order@1:spent",)
    assert as_of_join(spine(1), old, lake=lake)["spent"].to_list() == [1]
    compute(lake, TWO, 0, 2)
    with pytest.raises(
        AssayError, match=r"features/order@6 has rows of definition 2 of order, not of 1: leave the number"
    ):
        values(lake, "order@1:spent", 1, versions={TABLE: 6})


def test_a_training_set_names_its_definition_and_reloads_after_another_one_serves(lake: Lake) -> None:
    with pytest.warns(OtherDefinition):
        old = create_training_set(lake, NullRecorder(), "t", spine(1, 2, 3), ["order:spent"])
    (named,) = old.manifest["features"][0]["definitions"]
    assert named == {"number": 1, "sha256": ONE.digest(), "partitions": [key(0), key(1), key(2)]}
    compute(lake, TWO, 0, 2)
    new = create_training_set(lake, NullRecorder(), "t", spine(1, 2, 3), ["order:spent"])
    assert new.manifest["features"][0]["definitions"][0]["sha256"] == TWO.digest() == new.definitions["order"]
    vacuum(lake, TABLE, keep_days=0, grace=timedelta(0), dry_run=False)
    again = load_training_set(lake, old.id)
    assert again.manifest["content_digest"] == old.manifest["content_digest"] != new.manifest["content_digest"]
    assert_frame_equal(again.frame(), old.frame())
    with pytest.warns(OtherDefinition, match="served by definition 1, which the training set was made with"):
        assert online_get(lake, old, {"customer": "a"}, START + timedelta(days=9))["spent"].to_list() == [3]
    assert online_get(lake, new, {"customer": "a"}, START + timedelta(days=9))["spent"].to_list() == [300]
    assert online_get(lake, "order@1", {"customer": "a"}, START + timedelta(days=9))["spent"].to_list() == [3]


def test_what_is_served_is_not_freed_and_the_old_one_is_once_nobody_pins_it(lake: Lake) -> None:
    vacuum(lake, TABLE, keep_days=0, grace=timedelta(0), dry_run=False)
    with pytest.warns(OtherDefinition):
        made = create_training_set(lake, NullRecorder(), "t", spine(1, 2, 3), ["order:spent"])
    compute(lake, TWO, 0, 2)
    assert vacuum(lake, TABLE, keep_days=0, grace=timedelta(0)).files == 0  # pinned
    for pin in pins(lake):
        unpin(lake, pin.name)
    assert vacuum(lake, TABLE, keep_days=0, grace=timedelta(0), dry_run=False).files == 3
    assert values(lake, "order:spent", 1, 2, 3) == [100, 200, 300]
    with pytest.raises(AssayError, match=r"Definition 1 of order.*vacuumed"):
        values(lake, "order@1:spent", 1)
    with pytest.raises(AssayError, match=r"vacuumed"):
        online_get(lake, made, {"customer": "a"}, START + timedelta(days=9))


def test_a_definition_that_gives_the_same_rows_is_another_one_all_the_same(lake: Lake) -> None:
    """Such as one that serves values for a shorter time: the rows stay, who computed them is written down."""
    compute(lake, ONE, 1)
    short = view(max_age="12h")
    compute(lake, short, 0, 1, 2)
    state = lake.table(TABLE).at()
    assert state.defined.definition == short.digest()
    assert state.last_commit.confirms is not None
    assert values(lake, "order:spent", 1.25, 2) == [2, None]
    assert values(lake, "order@1:spent", 1.25, 2) == [2, 2]
    first = create_training_set(lake, NullRecorder(), "t", spine(1.25), ["order:spent"])
    compute(lake, view(max_age="13h"), 0, 1, 2)
    second = create_training_set(lake, NullRecorder(), "t", spine(1.25), ["order:spent"])
    assert first.definitions != second.definitions
    assert_frame_equal(first.frame(), second.frame())


def test_columns_may_have_other_types_and_names_by_another_definition(lake: Lake) -> None:
    mean = view(AMOUNT / 4)
    compute(lake, mean, 0, 1, 2)
    assert values(lake, "order:spent", 1, 2) == [0.25, 0.5]
    assert values(lake, "order@1:spent", 1, 2) == [1, 2]
    made = create_training_set(lake, NullRecorder(), "t", spine(1), ["order@1:spent"])
    other = create_training_set(lake, NullRecorder(), "t", spine(1), ["order:spent"])
    assert (made.frame()["spent"].dtype, other.frame()["spent"].dtype) == (pl.Int64, pl.Float64)
    compute(lake, view(AMOUNT, "paid"), 0, 1, 2)
    assert as_of_join(spine(1), ["order:*"], lake=lake).columns[-1] == "paid"
    with pytest.raises(AssayError, match=r"'order' has no feature 'spent' \(it has: paid\)"):
        values(lake, "order:spent", 1)
    assert values(lake, "order@3:spent", 1) == [0.25]
    with (
        pytest.raises(AssayError, match="column 'paid' is Int64 in the table and Float64 in the new rows"),
        transaction(lake, NullRecorder(), Work(TABLE, key(1))) as tx,
    ):
        rows = view(AMOUNT / 4, "paid").compute({"clean/orders": orders(1).lazy()})
        tx.write(TABLE, rows, sections=view(AMOUNT, "paid").metadata())  # by the same definition they may not


def test_labels_are_of_one_definition_too(lake: Lake) -> None:
    def paid(expr: pl.Expr) -> LabelView:
        return LabelView(
            "paid", Entity("customer", ["customer"]), "at", [Feature("paid", expr)], "clean/orders", horizon="2h"
        )

    def made(label: str) -> TrainingSetVersion:
        return create_training_set(lake, NullRecorder(), "t", spine(0, 1), ["order@1:spent"], label=label)

    compute(lake, paid(AMOUNT), 0, 1, 2)
    compute(lake, paid(AMOUNT * 100), 0)
    with pytest.warns(OtherDefinition, match="paid are served by definition 1, from labels/paid@3"):
        assert made("paid:paid").frame()["paid"].to_list() == [1, 2]
    with pytest.raises(MixedDefinitions, match="Definition 2 of paid"):
        made("paid@2:paid")
    compute(lake, paid(AMOUNT * 100), 1, 2)
    new = made("paid:paid")
    assert new.frame()["paid"].to_list() == [100, 200]
    assert [one["number"] for one in new.manifest["label"]["definitions"]] == [2]
    assert made("paid@1:paid").frame()["paid"].to_list() == [1, 2]


def test_what_is_computed_when_it_is_read_may_use_a_definition_by_its_number(lake: Lake) -> None:
    twice = OnDemandView("twice", [Feature("twice", pl.col("spent") * 2)], uses=["order@1:spent"])
    define(lake, NullRecorder(), twice)
    assert values(lake, "twice:twice", 1, 2) == [2, 4]
    with pytest.raises(AssayError, match="are by two definitions of order"):
        as_of_join(spine(1.5), ["order@2:spent", "twice:twice"], lake=lake)
    compute(lake, TWO, 0, 2)
    assert values(lake, "twice:twice", 1, 2) == [2, 4]
    made = create_training_set(lake, NullRecorder(), "t", spine(1), ["twice:twice"])
    assert made.definitions["order"] == ONE.digest()


def test_rows_of_which_nobody_recorded_a_definition_stay_readable(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")
    serving = {"serving": ONE.serving()}
    for day in (0, 1):
        with transaction(lake, NullRecorder(), Work(TABLE, key(day))) as tx:
            tx.write(TABLE, ONE.compute({"clean/orders": orders(day).lazy()}), sections=serving)
    assert values(lake, "order:spent", 1, 2) == [1, 2]
    made = create_training_set(lake, NullRecorder(), "t", spine(1, 2), ["order:spent"])
    assert made.definitions == {}
    assert "definitions" not in made.manifest["features"][0]
    with pytest.raises(AssayError, match=r"has no definition 1 in features/order@2 \(nobody recorded one"):
        values(lake, "order@1:spent", 1)
    compute(lake, ONE, 2)  # beside a recorded one nobody can say that they differ
    assert values(lake, "order:spent", 1, 2, 3) == [1, 2, 3]
    mixed = create_training_set(lake, NullRecorder(), "t", spine(1, 3), ["order:spent"])
    numbers = [(one["number"], one["partitions"]) for one in mixed.manifest["features"][0]["definitions"]]
    assert numbers == [(None, [key(0), key(1)]), (1, [key(2)])]
    compute(lake, TWO, 2)
    with pytest.warns(OtherDefinition) if lake.table(TABLE).at().defined.whole < 4 else warnings.catch_warnings():
        assert values(lake, "order:spent", 3) == [300]


def test_commits_from_before_definitions_had_a_digest_have_the_same_one(lake: Lake) -> None:
    """Who upgrades has the definitions that his commits always described."""
    old = {name: value for name, value in TWO.metadata()["view"].items() if name != "sha256"}
    with transaction(lake, NullRecorder(), Work(TABLE, key(0))) as tx:
        rows = TWO.compute({"clean/orders": orders(0).lazy()})
        tx.write(TABLE, rows, sections={"serving": TWO.serving(), "view": old})
    assert lake.table(TABLE).at().defined.known == (ONE.digest(), TWO.digest())
