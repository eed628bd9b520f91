"""On-demand views: what they may be declared of, and what is refused where it is written."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.serving.feature_set import FeatureSet
from assay.features.serving.on_demand.view import REQUEST, OnDemand, OnDemandView
from assay.features.views.entity import Entity
from assay.features.views.expressions import expression_from, expression_tree
from assay.features.views.feature_view import FeatureView
from assay.features.views.row_wise import Feature

RATIO = Feature("times_usual", pl.col("amount") / pl.col("usual"), "How unusual.", "times")


def view(**given: Any) -> OnDemandView:
    of: dict[str, Any] = {"features": [RATIO], "inputs": {"amount": float}, "uses": ["activity:spend as usual"]}
    return OnDemandView("purchase", **(of | given))


def test_a_view_says_what_it_is_computed_of() -> None:
    made = view(owner="shop", description="Purchases.")
    assert made.references == ("purchase:times_usual",)
    assert made.sources() == ("features/activity",)
    assert made.column_lineage() == {"times_usual": {"direct": [("features/activity", "spend")], "indirect": []}}
    assert made.transformation.kind == "on-demand"
    assert view(features=[Feature("half", pl.col("usual") / 2)], inputs={}).transformation.kind == "composed"
    assert made.about()["features"] == {"times_usual": {"description": "How unusual.", "unit": "times"}}
    assert FeatureSet("risk", [made, "activity:spend"]).references == ("purchase:times_usual", "activity:spend")


def test_what_people_read_decides_nothing_and_what_is_computed_does() -> None:
    assert view().digest() == view(owner="shop", description="Purchases.").digest()
    others = (view(version="2"), view(inputs={"amount": int}), view(uses=["activity:spent as usual"]))
    assert len({view().digest(), *(other.digest() for other in others)}) == 4


def test_a_definition_computes_what_its_declaration_does() -> None:
    frame = pl.LazyFrame({"amount": [3.0, None], "usual": [2.0, 1.0]})
    again = OnDemand.from_definition(view().definition())
    assert again.compute({REQUEST: frame})["times_usual"].to_list() == [1.5, None]
    assert again.definition() == view().transformation.definition()
    with pytest.raises(AssayError, match="computed of the frame 'request'"):
        again.compute({})


def test_all_features_of_a_declared_view_may_be_used() -> None:
    activity = FeatureView(
        "activity", Entity("c", ["c"]), "at", [Feature("spend", pl.col("x")), Feature("n", pl.col("n"))], "clean/x"
    )
    made = view(features=[Feature("each", pl.col("spend") / pl.col("n"))], uses=[activity])
    assert list(made.transformation.uses) == ["spend", "n"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"features": []}, "at least one"),
        ({"features": [Feature("x", pl.col("amout"))]}, "neither an input .* Did you mean 'amount'"),
        ({"features": [Feature("x", pl.selectors.numeric())]}, "selects columns by type"),
        ({"features": [RATIO, RATIO]}, "named twice"),
        ({"inputs": {"amount": complex}}, "type of input 'amount' must be str, bool, int"),
        ({"inputs": {"amount": float, "event_time": str}}, "it is the moment itself"),
        ({"inputs": ["amount"]}, "a mapping of names to types"),
        ({"inputs": {"amount": pl.Datetime("us")}}, "type of input"),
        ({"inputs": {"amount": float, "usual": float}}, "named twice"),
        ({"inputs": {"times_usual": float, "amount": float}}, "named twice: .'times_usual'"),
        ({"uses": "activity:spend"}, r"write \['activity:spend'\]"),
        ({"uses": ["activity:*"]}, "name each feature"),
        ({"uses": ["spend"]}, "not a feature reference"),
    ],
)
def test_what_cannot_be_computed_is_refused_where_it_is_written(given: dict[str, Any], said: str) -> None:
    with pytest.raises(AssayError, match=said):
        view(**given)


def test_features_look_at_their_own_row_only() -> None:
    with pytest.raises(AssayError, match="other rows"):
        view(features=[Feature("share", pl.col("amount") / pl.col("amount").sum())])


def test_a_definition_does_not_run_code_that_it_does_not_show() -> None:
    """Definitions are read from commits, which anybody may have written."""
    python = expression_tree(pl.col("amount").map_elements(lambda value: value, return_dtype=pl.Float64))
    plugin = {"Function": {"input": [{"Column": "amount"}], "function": {"FfiPlugin": {"lib": "x.so", "symbol": "f"}}}}
    for tree in (python, plugin):
        definition = view().definition()
        definition["features"][0]["expr"] = tree
        with pytest.raises(AssayError, match="a Python function or a plugin"):
            OnDemand.from_definition(definition)
    with pytest.raises(AssayError, match="does not read: define it again"):
        expression_from({"NoSuchNode": {}}, "feature x")
    inner = pl.col("amounts").list.eval(pl.element().map_elements(lambda value: value, return_dtype=pl.Float64))
    with pytest.raises(AssayError, match="a Python function or a plugin"):
        expression_from(expression_tree(inner), "feature x")


def test_a_moment_is_an_input() -> None:
    made = view(features=[Feature("hour", pl.col("event_time").dt.hour())], inputs={"event_time": datetime}, uses=[])
    frame = pl.LazyFrame({"event_time": [datetime(2026, 1, 1, 5, tzinfo=UTC)]})
    assert made.transformation.compute({REQUEST: frame})["hour"].to_list() == [5]
