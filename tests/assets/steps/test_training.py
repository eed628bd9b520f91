"""Declared training sets: the rows before the cut-off with the features of their moment, pinned, and made again only when
something that decides them has changed."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from assay.assets.steps.embeddings import Embedding
from assay.assets.steps.step import NotReady, execute, stale
from assay.assets.steps.training import Spine, TrainingSet, Upstream, training_step
from assay.errors import AssayError
from assay.features.retention.pins import pins

SPINE = Spine(source="clean/flights", keys=["flight"], event_time="departs")


def test_it_has_the_labelled_rows_before_the_cut_off_with_the_features_of_their_moment(airline: Any) -> None:
    made = airline.frame("training/delays").sort("event_time", "flight")
    flights = airline.frame("clean/flights")
    expected = flights.filter(
        pl.col("minutes").is_not_null(), pl.col("miles") > 0, pl.col("partition_key") < "2026-03-05"
    )
    assert made["flight"].sort().to_list() == expected["flight"].sort().to_list()
    assert made["event_time"].max() < datetime(2026, 3, 5, tzinfo=UTC)
    assert made.columns == ["flight", "carrier", "event_time", "late", "distance", "gusts", "flights_1d"]
    joined = made.join(flights, on="flight", validate="1:1")
    assert (joined["late"] == (joined["minutes"] > 15)).all()
    assert (joined["distance"] == joined["miles"]).all()
    counted = flights.group_by("carrier", "partition_key").len()
    for row in made.filter(pl.col("event_time") >= datetime(2026, 3, 3, tzinfo=UTC)).sample(5, seed=1).rows(named=True):
        before = f"{row['event_time'].day - 1:02d}"
        of_the_day_before = counted.filter(carrier=row["carrier"], partition_key=f"2026-03-{before}")["len"].item()
        assert row["flights_1d"] == of_the_day_before


def test_its_version_is_pinned_with_a_manifest_and_made_once(airline: Any) -> None:
    made = airline.store.load_training_set("delays@1")
    assert made.frame().height == airline.frame("training/delays").height
    assert {item["name"] for item in made.manifest["inputs"]} == {
        "clean/flights",
        "features/flight",
        "features/carrier",
    }
    assert any(item.name.startswith("training-delays@1-") for item in pins(airline.store.lake))
    versions = airline.versions()
    assert airline.run() == []
    airline.deliver(7)
    airline.run()
    assert airline.versions()["training/delays"] == versions["training/delays"], "a later day is held back"


def test_late_data_of_an_earlier_day_makes_it_anew(airline: Any) -> None:
    airline.deliver(3, flights=45)
    airline.run()
    assert airline.versions()["training/delays"] == 2
    assert (
        airline.store.load_training_set("delays@2").frame().height
        > airline.store.load_training_set("delays@1").frame().height
    )


def test_it_waits_for_the_last_day_before_the_cut_off(new_airline: Any) -> None:
    airline = new_airline
    for number in range(1, 4):
        airline.deliver(number)
    for table in ("raw/flights", "clean/flights", "features/flight", "features/carrier"):
        for number in range(1, 4):
            execute(airline.step(table), airline.env, airline.day(number))
    step = airline.step("training/delays")
    with pytest.raises(NotReady, match="clean/flights has no partition 2026-03-04"):
        execute(step, airline.env, None)
    assert not stale(step, airline.env, None)


def test_what_decides_the_rows_decides_its_identity() -> None:
    def code(**changes: Any) -> str:
        given = {"spine": SPINE, "features": ["flight:distance"], "label": "minutes", "until": "2026-03-05"}
        return training_step(TrainingSet("x", **(given | changes)), Upstream()).code_version

    changes: list[dict[str, Any]] = [
        {"features": ["flight:gusts"]},
        {"label": (pl.col("minutes") > 15).alias("minutes")},
        {"label": (pl.col("minutes") > 16).alias("minutes")},
        {"until": "2026-03-06"},
        {"known_at": "known"},
        {"skip_nulls": True},
        {"spine": Spine(source="clean/flights", keys=["flight"], event_time="departs", where=pl.col("miles") > 1)},
        {"spine": Spine(source="clean/flights", keys=["flight"], event_time="departs", build=lambda frame: frame)},
        {
            "spine": Spine(
                source="clean/flights", keys=["flight"], event_time="departs", build=lambda frame: frame.head()
            )
        },
    ]
    assert len({code(), *(code(**change) for change in changes)}) == len(changes) + 1
    assert code() == code(owner="someone", description="Words.")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": "a b"}, "names a table"),
        ({"features": []}, "needs features"),
        ({"features": "flight:distance"}, "needs features"),
        ({"features": ["distance"]}, "not a feature reference"),
        ({"until": "soon"}, "not a day like 2026-01-31"),
        (
            {"features": [Embedding("notes", "clean/notes", "note")]},
            r"Spine\(text",
        ),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused_at_once(changes: dict[str, Any], problem: str) -> None:
    given = {"name": "x", "spine": SPINE, "features": ["flight:distance"], "label": "minutes", "until": "2026-03-05"}
    with pytest.raises(AssayError, match=problem):
        TrainingSet(**(given | changes))


def test_a_spine_without_keys_is_refused() -> None:
    with pytest.raises(AssayError, match="needs keys"):
        Spine(source="clean/flights", keys=[])
    with pytest.raises(AssayError, match="build= function"):
        Spine(source="clean/flights", keys=["flight"], lookups=["lists/hubs"])
    for keys in ([], "flight", ["carrier"]):
        with pytest.raises(AssayError, match=r"name some of its keys, \['flight'\], as a list"):
            Spine(source="clean/flights", keys=["flight"], build=lambda f, _: f, lookups={"lists/hubs": keys})


def test_where_the_rows_come_from_is_described() -> None:
    plain = {"table": "clean/flights", "event_time": "event_time"}
    assert Spine(source="clean/flights", keys=["flight"]).described() == plain

    def build(flights: pl.LazyFrame, _: pl.LazyFrame) -> pl.LazyFrame:
        return flights

    listed = Spine(source="clean/flights", keys=["flight"], build=build, lookups=["lists/hubs"])
    by_key = Spine(source="clean/flights", keys=["flight"], build=build, lookups={"lists/hubs": ["flight"]})
    assert listed.described() == plain | {"built": True}
    assert by_key.described() == plain | {"built": True, "lookups": {"lists/hubs": ["flight"]}}
    assert listed.digest() == by_key.digest(), "it decides no row"


def test_a_missing_column_is_named(airline: Any) -> None:
    for label, name in (("delay", "delay"), (pl.col("delay") > 3, "delay")):
        step = training_step(TrainingSet("x", SPINE, ["flight:distance"], label, "2026-03-05"), Upstream())
        with pytest.raises(AssayError, match=rf"spine of training/x \(clean/flights\) has no column \['{name}'\]"):
            execute(step, airline.env, None)
