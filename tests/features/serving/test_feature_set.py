"""Feature sets: joined as their features, recorded by name and version, refused where they changed under both."""

from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from assay.errors import AssayError
from assay.features.serving.as_of_join import as_of_join
from assay.features.serving.feature_set import FeatureSet
from assay.features.serving.join_options import JoinOptions
from assay.features.serving.online import online_get
from assay.features.serving.references import Role
from assay.features.serving.request import request
from assay.features.serving.training import create_training_set
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import NullRecorder
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.row_wise import Feature
from tests.features.serving.travel import SPINE, at, travel

ORIGIN = Role("airport_weather:wind", keys={"airport": "origin"}, prefix="origin_", known_at="known")
DELAY = FeatureSet("delay", [ORIGIN, "rates:usd"], description="What delays are predicted from.")


@pytest.fixture
def world(lake: Lake, write: Any) -> Lake:
    return travel(lake, write)


def create(lake: Lake, features: Any, name: str = "delay") -> Any:
    return create_training_set(lake, NullRecorder(), name, SPINE, features)


def test_a_set_is_joined_as_its_features(world: Lake) -> None:
    assert_frame_equal(as_of_join(SPINE, DELAY, lake=world), as_of_join(SPINE, [ORIGIN, "rates:usd"], lake=world))
    more = as_of_join(SPINE, [DELAY, "rates:usd"], lake=world)
    assert more.columns == [*SPINE.columns, "origin_wind", "usd"]
    online = FeatureSet("online", [Role("places:city", keys={"airport": "origin"})])
    assert online_get(world, online, {"origin": "JFK"}, at(3))["city"].to_list() == ["New York"]


def test_views_stand_for_all_of_their_features() -> None:
    view = FeatureView("w", Entity("airport", ["airport"]), "at", [Feature("wind", pl.col("knots"))], "clean/metar")
    assert FeatureSet("all", [view, "rates:*"]).references == ("w:wind", "rates:*")
    assert request(view, JoinOptions()).texts == ("w:wind",)
    assert request([FeatureSet("all", [view]), view], JoinOptions()).texts == ("w:wind", "w:wind")


def test_training_sets_record_their_feature_sets(world: Lake) -> None:
    made = create(world, DELAY)
    assert made.manifest["feature_sets"] == [{"name": "delay", "version": "1", "sha256": DELAY.digest()}]
    assert create(world, DELAY).id == made.id
    plain = create(world, [ORIGIN, "rates:usd"], "plain")
    assert "feature_sets" not in plain.manifest
    assert plain.manifest["feature_set"] == made.manifest["feature_set"], "the same features"


def test_a_changed_set_needs_another_version(world: Lake) -> None:
    made = create(world, DELAY)
    changed = FeatureSet("delay", [ORIGIN])
    with pytest.raises(AssayError, match=r"training/delay@\d+ was made by feature set delay@1 with other features"):
        create(world, changed)
    assert create(world, FeatureSet("delay", [ORIGIN], version="2")).id != made.id


def test_the_digest_is_of_what_is_joined() -> None:
    same = FeatureSet("delay", (ORIGIN, "rates:usd"), version="2", owner="x")
    assert same.digest() == DELAY.digest()
    by_event = Role("airport_weather:wind", keys={"airport": "origin"}, prefix="origin_")
    others = [FeatureSet("delay", features) for features in (["rates:usd", ORIGIN], [ORIGIN], [by_event, "rates:usd"])]
    assert len({DELAY.digest(), *(item.digest() for item in others)}) == 4


@pytest.mark.parametrize(
    "given",
    [
        {"name": "a b"},
        {"name": ""},
        {"version": 2},
        {"version": "a b"},
        {"version": ""},
        {"features": []},
        {"features": "rates:usd"},
        {"features": ["rates"]},
        {"features": [5]},
        {"features": [DELAY]},
    ],
    ids=str,
)
def test_what_is_no_set_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(AssayError):
        FeatureSet(**({"name": "delay", "features": ["rates:usd"]} | given))
