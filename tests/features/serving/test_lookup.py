"""Tables that are looked up by keys of one's own: in joins, training sets and online reads."""

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import AssayError
from assay.features.retention.pins import pins
from assay.features.serving.as_of_join import as_of_join
from assay.features.serving.lookup import Lookup, look_up
from assay.features.serving.online import Online
from assay.features.serving.training import create_training_set, load_training_set
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import NullRecorder
from assay.features.tables.serving import Serving

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
COUNTRIES = Serving.lookup(["country_code"])
SPINE = pl.DataFrame({"country_code": ["DE", "XX", None, "FR"], "label": [1, 2, 3, 4]}).with_columns(
    event_time=pl.lit(NOON, dtype=pl.Datetime("us", "UTC"))
)


def countries(**regions: str) -> pl.DataFrame:
    return pl.DataFrame({"country_code": list(regions), "region": list(regions.values())})


@pytest.fixture
def world(lake: Lake, write) -> Lake:
    write(lake, "features/countries", countries(DE="Central", FR="West"), extra={"serving": COUNTRIES.to_dict()})
    return lake


def test_a_description_survives_json_and_the_first_form_is_understood() -> None:
    assert Serving.from_dict(COUNTRIES.to_dict()) == COUNTRIES
    assert Serving.from_dict({"keys": ["text_key"]}) == Serving.lookup(["text_key"])
    with pytest.raises(AssayError, match="upgrade assay"):
        Serving.from_dict({"kind": "telepathy", "keys": ["x"]})
    with pytest.raises(AssayError, match="as a list"):
        Serving.lookup("country_code")


def test_joined_by_its_own_key(world: Lake) -> None:
    rows = as_of_join(SPINE, ["countries:region as area"], lake=world)
    assert rows["area"].to_list() == ["Central", None, None, "West"]
    assert rows.drop("area").equals(SPINE)
    timeless = as_of_join(SPINE.drop("event_time"), ["countries:*"], lake=world)
    assert timeless["region"].to_list() == ["Central", None, None, "West"]
    with pytest.raises(AssayError, match=r"no column .*country_code"):
        as_of_join(SPINE.drop("country_code"), ["countries:*"], lake=world)
    with pytest.raises(AssayError, match="country_code' is Int64 in the spine"):
        as_of_join(SPINE.with_columns(country_code=pl.lit(1, pl.Int64)), ["countries:*"], lake=world)


def test_at_the_version_that_was_asked_for(world: Lake, write) -> None:
    version = world.table("features/countries").at().version
    write(world, "features/countries", countries(DE="North"), extra={"serving": COUNTRIES.to_dict()})
    asked = ["countries:region"]
    assert as_of_join(SPINE, asked, lake=world)["region"].to_list() == ["North", None, None, None]
    old = as_of_join(SPINE, asked, lake=world, versions={"features/countries": version})
    assert old["region"].to_list() == ["Central", None, None, "West"]


def test_a_training_set_keeps_the_whole_table(lake: Lake, write) -> None:
    serving = {"serving": COUNTRIES.to_dict()}
    write(lake, "features/countries", countries(DE="Central"), "a", extra=serving)
    write(lake, "features/countries", countries(XX="Nowhere", DE="Late"), "b", extra=serving)
    made = create_training_set(lake, NullRecorder(), "t", SPINE, ["countries:region"])
    assert made.frame()["region"].to_list() == ["Central", "Nowhere", None, None], "the first partition serves"
    assert load_training_set(lake, made.id).frame().equals(made.frame())
    assert lake.table("features/countries").at().snapshot in pins(lake)[0].snapshots


def test_online_with_state_and_origin(world: Lake) -> None:
    found = Online(world, "countries").get({"country_code": "DE"}, NOON)
    assert found.to_dicts() == [
        {
            "country_code": "DE",
            "region": "Central",
            "countries.state": "present",
            "countries.table": "features/countries",
            "countries.version": world.table("features/countries").at().version,
        }
    ]
    assert Online(world, ["countries:region"]).get({"country_code": ["XX", None]})["countries.state"].to_list() == [
        "missing",
        "missing",
    ]


ROWS = st.lists(st.tuples(st.none() | st.integers(0, 3), st.none() | st.sampled_from("ab"), st.integers(0, 9)))


@given(ROWS, ROWS)
def test_agrees_with_a_naive_loop(table: list[tuple], asked: list[tuple]) -> None:
    frame = pl.DataFrame(table, schema={"i": pl.Int32, "s": pl.String, "value": pl.Int64}, orient="row")
    spine = pl.DataFrame(asked, schema={"i": pl.Int64, "s": pl.String, "row": pl.Int64}, orient="row")
    out = look_up(spine, Lookup("t", Serving.lookup(["i", "s"]), frame.lazy(), {"value": "value"}), state="state")
    first: dict[tuple, int] = {}
    for i, s, value in table:
        first.setdefault((i, s), value)
    expected = [first.get((i, s)) if i is not None and s is not None else None for i, s, _ in asked]
    assert out["value"].to_list() == expected
    assert out["state"].to_list() == ["missing" if value is None else "present" for value in expected]
    assert out.select(spine.columns).equals(spine)
