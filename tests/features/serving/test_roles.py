"""One view in several roles, views that are the same for all, and the spine's time by another name: joined, recorded, served."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from assay.errors import AssayError
from assay.features.serving.as_of import latest, point_in_time_join
from assay.features.serving.as_of_join import as_of_join
from assay.features.serving.feature_refs import resolve
from assay.features.serving.online import Online, online_get
from assay.features.serving.references import Role
from assay.features.serving.training import create_training_set
from assay.features.serving.view_read import ViewRead
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.serving import Serving
from assay.features.tables.transaction import Transaction
from tests.features.serving.travel import SPINE, at, travel

ORIGIN = Role("airport_weather:wind", keys={"airport": "origin"}, prefix="origin_")
DESTINATION = Role("airport_weather:*", keys={"airport": "destination"}, prefix="destination_")


@pytest.fixture
def world(lake: Lake, write: Any) -> Lake:
    return travel(lake, write)


def create(lake: Lake, features: Any, spine: pl.DataFrame = SPINE, **options: Any):
    return create_training_set(lake, NullRecorder(), "delay", spine, features, **options)


def test_a_view_is_joined_in_two_roles(world: Lake) -> None:
    rows = as_of_join(SPINE, [ORIGIN, DESTINATION], lake=world)
    expected = SPINE.with_columns(
        origin_wind=pl.Series([10.0, 22.0, None, None]), destination_wind=pl.Series([20.0, None, None, None])
    )
    assert_frame_equal(rows, expected)
    texts = [*ORIGIN.references, "airport_weather:wind as destination_wind on airport=destination"]
    assert_frame_equal(as_of_join(SPINE, texts, lake=world), expected)


def test_each_role_has_options_of_its_own(world: Lake) -> None:
    known = Role("airport_weather:wind", keys={"airport": "destination"}, prefix="destination_", known_at="known")
    rows = as_of_join(SPINE, [ORIGIN, known], lake=world)
    assert rows["origin_wind"].to_list() == [10.0, 22.0, None, None]
    assert rows["destination_wind"].to_list() == [None, None, None, None]
    by_name: dict[str, Any] = {"airport_weather.destination": "known"}
    again = as_of_join(SPINE, [ORIGIN, DESTINATION], lake=world, known_at=by_name)
    assert_frame_equal(again, rows)
    filled = as_of_join(SPINE, [ORIGIN, DESTINATION], lake=world, skip_nulls={"airport_weather": True})
    assert filled["destination_wind"].to_list() == [20.0, 10.0, None, 10.0]


def test_known_at_is_said_per_view(world: Lake) -> None:
    references = ["airport_weather:wind on airport=destination", "rates:usd"]
    rows = as_of_join(SPINE, references, lake=world, known_at={"airport_weather": "known"})
    assert rows["wind"].to_list() == [None, None, None, None]
    assert rows["usd"].to_list() == [1.1, 1.2, 1.2, 1.2], "rates have no known time, and are joined by event time"
    with pytest.raises(AssayError, match="'rates' records no known time"):
        as_of_join(SPINE, references, lake=world, known_at="known")


def test_a_view_without_entity_is_joined_by_time_alone(world: Lake) -> None:
    spine = pl.DataFrame({"event_time": [at(0.5), at(1), at(1.9), at(2), at(50), None]})
    assert as_of_join(spine, ["rates:usd"], lake=world)["usd"].to_list() == [None, 1.1, 1.1, 1.2, 1.2, None]
    tx = Transaction(world, Work("x"))
    resolve(tx, ["rates:usd"], spine.filter(pl.col("event_time") >= at(2)))
    assert [item.partitions for item in tx.reads] == [("d2",)], "the newest is enough"
    served = online_get(world, "rates", {"anything": ["a", "b"]}, at(1.5))
    assert served["usd"].to_list() == [1.1, 1.1] and served["rates.state"].to_list() == ["present"] * 2


def test_lookups_have_roles_too(world: Lake) -> None:
    roles = [Role("places:city", keys={"airport": end}, prefix=f"{end}_") for end in ("origin", "destination")]
    rows = as_of_join(SPINE, roles, lake=world)
    assert rows["origin_city"].to_list() == ["New York", "Los Angeles", "New York", None]
    assert rows["destination_city"].to_list() == ["Los Angeles", "New York", None, "New York"]


def test_the_time_may_have_another_name(world: Lake) -> None:
    spine = SPINE.rename({"event_time": "booked_at"})
    references = ["rates:usd", "places:city on airport=origin"]
    rows = as_of_join(spine, references, lake=world, event_time="booked_at")
    assert_frame_equal(rows.rename({"booked_at": "event_time"}), as_of_join(SPINE, references, lake=world))
    with pytest.raises(AssayError, match=r"no column 'booked'.*Did you mean 'booked_at'"):
        as_of_join(spine, references, lake=world, event_time="booked")
    with pytest.raises(AssayError, match="event_time must name"):
        as_of_join(spine, references, lake=world, event_time="")
    made = create(world, references, spine, event_time="booked_at")
    assert made.manifest["event_time"] == "booked_at" and made.frame().columns == rows.columns
    assert "event_time" not in create(world, references).manifest


def test_a_training_set_records_its_roles(world: Lake) -> None:
    made = create(world, [ORIGIN, DESTINATION], known_at={"airport_weather.origin": "known"})
    manifest = made.manifest
    assert manifest["references"] == [*ORIGIN.references, *DESTINATION.references]
    assert manifest["known_at"] == {"airport_weather.origin": "known"}
    assert [(item["role"], item["keys"]) for item in manifest["features"]] == [
        ("airport_weather.origin", {"airport": "origin"}),
        ("airport_weather.destination", {"airport": "destination"}),
    ]
    assert len([item for item in manifest["inputs"] if item["name"] == "features/airport_weather"]) == 1, "one read"
    lineage = world.table("training/delay").at().commits[-1].column_lineage or {}
    assert lineage["origin_wind"]["direct"] == [["features/airport_weather", "wind"]]
    assert ["features/airport_weather", "airport"] in lineage["destination_wind"]["indirect"]
    again = as_of_join(SPINE, manifest["references"], lake=world, known_at=manifest["known_at"])
    assert_frame_equal(again, made.frame())
    assert create(world, [ORIGIN, DESTINATION], known_at={"airport_weather.origin": "known"}).id == made.id
    other = Role("airport_weather:*", keys={"airport": "origin"}, prefix="destination_")
    assert create(world, [ORIGIN, other]).manifest["feature_set"] != manifest["feature_set"]


def test_a_set_with_roles_is_split_and_compared_by_its_own_columns(world: Lake) -> None:
    spine = SPINE.filter(pl.col("origin").is_not_null()).rename({"event_time": "booked_at"})
    made = create(world, [ORIGIN, DESTINATION], spine, event_time="booked_at")
    assert [item.keys for item in made.lookbacks()] == [("origin",), ("destination",)]
    train, test = made.split(by_time=at(6), lookback="0d")
    assert [train["flight"].to_list(), test["flight"].to_list()] == [[1, 2], [3]]
    other = create(world, [DESTINATION], spine, event_time="booked_at")
    assert set(made.compare(other).key) == {"origin", "destination", "booked_at"}


def test_what_is_served_is_what_was_learnt(world: Lake) -> None:
    """Also how: a training set that skipped nulls, or took known values only, is served alike."""
    keys = {"origin": ["JFK", "LAX"], "destination": ["LAX", "JFK"]}
    made = create(world, [ORIGIN, DESTINATION], skip_nulls=True, known_at={"airport_weather.origin": "known"})
    for days in (1.5, 2.5, 3.5, 5.5):
        served = Online(world, made).get(keys, at(days))
        spine = pl.DataFrame(keys).with_columns(pl.lit(at(days)).alias("event_time"))
        how = {name: made.manifest[name] for name in ("known_at", "skip_nulls")}
        learnt = as_of_join(spine, made.manifest["references"], lake=world, **how)
        for column in ("origin_wind", "destination_wind"):
            assert served[column].to_list() == learnt[column].to_list(), (days, column)
    first, second = "airport_weather.origin", "airport_weather.destination"
    assert served.columns == [
        *("origin", "destination", "origin_wind", f"{first}.event_time", f"{first}.state"),
        *("destination_wind", f"{second}.event_time", f"{second}.state"),
        *(f"{first}.table", f"{first}.version", f"{second}.table", f"{second}.version"),
        *(f"{first}.age", f"{second}.age"),
    ]
    assert Online(world, made).get(keys, at(4.5))[f"{first}.state"].to_list() == ["present", "expired"]
    one = Online(world, [ORIGIN]).get({"origin": "JFK"}, at(1.5))
    assert one["origin_wind"].to_list() == [10.0]
    with pytest.raises(AssayError, match="origin"):
        Online(world, [ORIGIN]).get({"airport": "JFK"}, at(1.5))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([Role("airport_weather:wind", keys={"airpot": "origin"})], "not joined by 'airpot'.*Did you mean 'airport'"),
        (["airport_wether:wind"], "Did you mean 'airport_weather'"),
        (["airport_weather:wnd"], "Did you mean 'wind'"),
        (["airport_weather:wind"], "no column .'airport'."),
        ([Role("airport_weather:wind", keys={"airport": "orign"})], "no column .'orign'.*Did you mean 'origin'"),
        ([Role("places:city", keys={"airport": "orign"})], "no column .'orign'.*Did you mean 'origin'"),
        ([Role("airport_weather:wind", keys={"airport": "flight"})], "key 'flight' is Int64 in the spine and String"),
        ([ORIGIN, Role("airport_weather:wind", keys={"airport": "destination"}, prefix="origin_")], "already has"),
    ],
)
def test_what_does_not_fit_is_explained(world: Lake, features: Any, message: str) -> None:
    with pytest.raises(AssayError, match=message):
        as_of_join(SPINE, features, lake=world)


rows_of = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 4), st.none() | st.integers(0, 9)), max_size=12)
asked_of = st.lists(
    st.tuples(st.sampled_from(["a", "b", "x", None]), st.sampled_from(["a", "b", None]), st.integers(0, 5)), max_size=8
)


@given(rows_of, asked_of, st.booleans())
def test_a_role_is_a_join_with_the_columns_renamed(rows: list[Any], asked: list[Any], skip_nulls: bool) -> None:
    frame = pl.DataFrame(
        [(key, at(days), value) for key, days, value in rows],
        schema={"k": pl.String, "ts": pl.Datetime("us", "UTC"), "x": pl.Int64},
        orient="row",
    )
    spine = pl.DataFrame(
        [(one, two, at(days)) for one, two, days in asked],
        schema={"one": pl.String, "two": pl.String, "event_time": pl.Datetime("us", "UTC")},
        orient="row",
    )
    serving = Serving.as_of(["k"], "ts", max_age_us=2 * 86_400_000_000)
    views = [
        ViewRead(f"v.{end}", serving, frame, ["x"], f"{end}_", keys={"k": end}, skip_nulls=skip_nulls)
        for end in ("one", "two")
    ]
    joined = point_in_time_join(spine, views)
    for end, view in zip(("one", "two"), views, strict=True):
        plain = ViewRead("v", serving, frame, ["x"])
        alone = point_in_time_join(spine.select("event_time", k=end), [plain], skip_nulls=skip_nulls)
        assert joined[f"{end}_x"].to_list() == alone["x"].to_list()
        if asked:
            online = latest(view, spine.select(end), at(asked[0][2]))
            assert online[f"{end}_x"].to_list()[0] == alone["x"].to_list()[0]
    everybody = ViewRead("v", Serving.as_of([], "ts"), frame, ["x"])
    expected = []
    for _, _, days in asked:
        before = [(day, number, value) for number, (_, day, value) in enumerate(rows) if day <= days]
        expected.append(max(before, key=lambda row: row[:2])[2] if before else None)
    assert point_in_time_join(spine, [everybody])["x"].to_list() == expected
