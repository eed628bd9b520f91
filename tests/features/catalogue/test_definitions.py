"""The definitions of a view: when, what changed, how far, and who uses which."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.catalogue.definitions import DefinitionInfo, changes_between, definitions
from assay.features.retention.pins import pin
from assay.features.serving.training import create_training_set
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.row_wise import Feature
from assay.features.views.sql import Sql
from assay.features.views.windowed import Windowed

START = datetime(2026, 3, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")
CUSTOMER = Entity("customer", ["customer"])
AMOUNT = pl.col("amount")


def view(*features: Feature, **more: Any) -> FeatureView:
    return FeatureView("order", CUSTOMER, "at", list(features), "clean/orders", **more)


ONE = view(Feature("spent", AMOUNT), Feature("place", pl.col("place")))
TWO = view(Feature("spent", AMOUNT * 2), Feature("large", AMOUNT > 5), max_age="7d")


def compute(lake: Lake, by: FeatureView, days: Sequence[int]) -> None:
    for day in days:
        key = f"{START + timedelta(days=day):%Y-%m-%d}"
        rows = {"customer": ["a"], "at": [START + timedelta(days=day)], "amount": [day], "place": ["Rome"]}
        frame = pl.DataFrame(rows, schema_overrides={"at": INSTANT})
        with transaction(lake, NullRecorder(), Work("features/order", key)) as tx:
            tx.write("features/order", by.compute({"clean/orders": frame.lazy()}), sections=by.metadata())


def test_each_says_when_how_far_and_who_uses_it(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")
    (declared,) = definitions(lake, "order", ONE)
    assert (declared.number, declared.declared, declared.first, declared.served) == (1, True, None, False)
    compute(lake, ONE, range(3))
    spine = pl.DataFrame({"customer": ["a"], "event_time": [START]}, schema_overrides={"event_time": INSTANT})
    made = create_training_set(lake, NullRecorder(), "t", spine, ["order:spent"])
    (one, two) = definitions(lake, "order", TWO)
    assert (one.partitions, one.of, one.whole, one.served, one.declared) == (3, 3, 3, True, False)
    assert (two.number, two.partitions, two.of, two.declared, two.first) == (2, 0, 3, True, None)
    assert two.sha256 == TWO.digest()
    compute(lake, TWO, range(2))
    (one, two) = definitions(lake, "order", TWO)
    assert (one.partitions, two.partitions, one.served, two.served) == (1, 2, True, False)
    assert one.training_sets == (made.id,) and two.training_sets == ()
    compute(lake, TWO, [2])
    pin(lake, "mine", [lake.table("features/order").at().snapshot], owner="me", reason="to compare")
    (one, two) = definitions(lake, "order", TWO)
    assert (one.partitions, one.whole, one.served, one.declared) == (0, 3, False, False)
    assert (two.partitions, two.served, two.declared, two.pins) == (3, True, True, ("mine",))
    assert one.pins != () and one.first is not None and two.first is not None and one.first <= two.first
    assert two.to_dict()["reference"] == "order@2"
    assert str(two).startswith("order@2 (3 of 3 partitions, served, declared): ")


def test_an_unknown_view_is_refused_with_the_nearest(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")
    compute(lake, ONE, [0])
    with pytest.raises(AssayError, match=r"There is no feature view 'ordre'\. Did you mean 'order'\?"):
        definitions(lake, "ordre")


def changes(before: FeatureView, after: FeatureView) -> set[str]:
    return set(changes_between(before.definition(), after.definition()))


def test_what_changed_is_said_line_by_line() -> None:
    assert changes(ONE, TWO) == {
        "place: left out",
        'large: new, [(col("amount")) > (dyn int: 5)]',
        'spent: col("amount") → [(col("amount")) * (dyn int: 2)]',
        "max_age: none → 7d",
    }
    same = view(Feature("spent", AMOUNT.round(1)))
    assert changes(same, view(Feature("spent", AMOUNT.round(2)))) == {"spent: another expression, which reads the same"}
    assert changes(ONE, view(*ONE.features, version="2")) == {"version: 1 → 2"}


def test_windows_and_queries_are_compared() -> None:
    def windowed(width: str, source: str = "clean/orders", every: str = "1d") -> FeatureView:
        return FeatureView(
            "habits", CUSTOMER, "event_time", [Windowed("n", pl.len(), width, source, "at")], every=every
        )

    assert changes(windowed("7d"), windowed("30d")) == {"n: window 7d → 30d"}
    assert changes(windowed("7d"), windowed("7d", "clean/sales")) == {"n: source clean/orders → clean/sales"}
    assert changes(windowed("7d"), windowed("7d", every="1h")) == {"every: 1d → 1h"}

    def query(text: str, width: str = "7d") -> FeatureView:
        engine = Sql(text, windows={"clean/orders": ("at", width)})
        return FeatureView("habits", CUSTOMER, "event_time", computed_by=engine)

    one = "select e.customer, sum(e.amount) as spent\nfrom clean.orders e\ngroup by 1"
    two = one.replace("sum(e.amount)", "max(e.amount)")
    assert changes(query(one), query(two)) == {
        "sql: - select e.customer, sum(e.amount) as spent",
        "sql: + select e.customer, max(e.amount) as spent",
    }
    assert changes(query(one), query(one, "30d")) == {"windows: 7d of clean/orders by at → 30d of clean/orders by at"}


def test_a_definition_prints_itself() -> None:
    assert str(DefinitionInfo("order", 1, "ab", partitions=2, of=2)) == "order@1 (2 of 2 partitions): the first one"
