"""Feature references as texts and as roles."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import AssayError
from assay.features.serving.join_options import JoinOptions
from assay.features.serving.references import Reference, Role
from assay.features.serving.request import request
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.row_wise import Feature

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,5}", fullmatch=True)
COLUMNS = st.text(st.characters(codec="utf-8", exclude_characters=",=\n"), min_size=1, max_size=8).map(str.strip)


@given(NAMES, NAMES | st.just("*"), st.none() | NAMES, st.dictionaries(NAMES, COLUMNS.filter(bool), max_size=3))
def test_a_reference_is_read_back_from_its_text(view: str, feature: str, name: str | None, on: dict[str, str]) -> None:
    pairs = tuple(sorted((key, column) for key, column in on.items() if key != column))
    everything = feature == "*"
    reference = Reference(view, feature, feature if everything else name or feature, (everything and name) or "", pairs)
    assert Reference.parse(str(reference)) == reference


@pytest.mark.parametrize(
    "text",
    ["v", "v.f", "v:", ":f", "v:f as", "v:* as x", "v:f as x*", "v:f on", "v:f on a", "v:f on a=", "v:f on =b", "v:f on a=b, a=c",
     "v:f on a=b=c", "v:f as 1x", " v:f", "v:f ", 5, None],
)  # fmt: skip
def test_what_is_no_reference_is_refused(text: Any) -> None:
    with pytest.raises(AssayError):
        Reference.parse(text)


def test_a_role_is_references_with_a_prefix_and_keys() -> None:
    origin = Role("airport_weather:*", keys={"airport": "origin"}, prefix="origin_")
    assert origin.references == ("airport_weather:* as origin_* on airport=origin",)
    both = Role(["w:wind", "w:rain as wet", "d:*"], keys={"airport": "origin", "day": "day"}, prefix="o_")
    on = "on airport=origin"
    assert both.references == (f"w:wind as o_wind {on}", f"w:rain as o_wet {on}", f"d:* as o_* {on}")
    assert Role("w", prefix="x_").references == ("w:* as x_*",)
    view = FeatureView("w", Entity("airport", ["airport"]), "at", [Feature("wind", pl.col("knots"))], "clean/metar")
    assert Role(view, keys={"airport": "origin"}).references == ("w:wind on airport=origin",)
    assert [Reference.parse(text).join for text in both.references] == ["w.origin", "w.origin", "d.origin"]


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            {"prefix": "1_"},
            {"prefix": "a b"},
            {"prefix": "_"},
            {"keys": {"a": ""}},
            {"keys": {"a": "b,c"}},
            {"keys": ["a"]},
        ),
        *({"skip_nulls": 1}, {"features": "w:x on a=b", "keys": {"a": "c"}}),
    ],
)
def test_a_role_that_cannot_be_one_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(AssayError):
        Role(**{"features": "w:*", **wrong})


def test_options_are_those_of_the_role_then_of_its_name_then_of_the_view_then_of_all() -> None:
    origin = Role("w:*", keys={"airport": "origin"}, prefix="o_", known_at="known")
    other = Role("w:*", keys={"airport": "destination"}, prefix="d_")
    asked = request([origin, other, "rates:usd"], JoinOptions(skip_nulls={"w": True}))
    assert asked.options == JoinOptions({"w.origin": "known"}, {"w.origin": True, "w.destination": True})
    assert request(list(asked.texts), asked.options) == asked, "the record says all of it"
    assert request([origin], JoinOptions()).options == JoinOptions("known")
    assert request([origin, other], JoinOptions("known")).options == JoinOptions("known")
    named = request([other, "w:wind"], JoinOptions({"w": "known", "w.destination": "event"}))
    assert named.options.known_at == {"w": "known"}
    with pytest.raises(AssayError, match="two settings"):
        request([origin, Role("w:wind", keys={"airport": "origin"})], JoinOptions())
    with pytest.raises(AssayError, match="No features"):
        request([], JoinOptions())
    assert request("w:wind", JoinOptions()).texts == ("w:wind",)
