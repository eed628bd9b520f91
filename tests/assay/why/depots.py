"""Parcels by day, counted by depot: a day that is refused, so that a prediction lacks its feature; then it comes, and the
model is trained and asked again. The model's rows are made by a function, with a column of time that their table lacks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assay.assets.steps.step import execute
from tests.assay.why.bank import Bank, day, opened

DEPOTS = """
import json
from datetime import date

import polars as pl

from assay import Contract, Entity, FeatureView, Field, Files, Model, Partitioning, Source, Spine, Timestamp, TrainingSet, windows


class Parcels(Contract):
    parcel_id: str = Field(key=True)
    depot: str = Field(isin=["HAM", "LEJ"])
    weight: float = Field(gt=0, le=12)
    handed_over: Timestamp = Field()

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "hub"
        severity = {"weight.le": "warn"}


parcels = Source(
    name="parcels",
    reader=Files("parcels/{day}/*", (".csv",)),
    partitioning=Partitioning.daily("2026-03-01"),
    contract=Parcels,
    key=("parcel_id",),
    event_time="handed_over",
)

load = FeatureView(
    "load",
    entity=Entity("depot", ["depot"]),
    event_time="event_time",
    max_age="1d",
    features=windows(["1d"], source="clean/parcels", time="handed_over", parcels=pl.len(), heaviest=pl.col("weight").max()),
    owner="routing",
)


def with_time(parcels):
    return parcels.select("parcel_id", "depot", "weight", event_time=pl.col("handed_over"))


late = TrainingSet(
    "late",
    Spine(source="clean/parcels", keys=["parcel_id", "depot"], build=with_time),
    features=["load:*"],
    label=(pl.col("weight") > 5).alias("is_late"),
    until="2026-03-02",
)

LIMIT = 2


def predict(model, frame):
    return pl.DataFrame({"will_be_late": frame["parcels_1d"].fill_null(0) >= model["limit"]})


delivery = Model(
    "delivery",
    late,
    lambda frame: {"limit": LIMIT},
    predict,
    outputs=["will_be_late"],
    params={"limit": LIMIT},
    save=lambda model: json.dumps(model).encode(),
    load=json.loads,
    start=date(2026, 3, 4),
    retrain="manual",
    owner="routing",
)
"""
HEADER = "parcel_id,depot,weight,handed_over"


def deliver(made: Bank, number: int, depots: list[str], header: str = HEADER, name: str = "a") -> None:
    """A file: a parcel an hour at each of the depots; the last is too heavy."""
    weights = [*range(1, len(depots)), 13]
    rows = [
        f"{number}{name}{index},{depot},{weight},{day(number)}T{index + 1:02d}:00:00Z"
        for index, (depot, weight) in enumerate(zip(depots, weights, strict=True))
    ]
    file = Path(made.store.settings.landing_path, "parcels", day(number), f"{name}.csv")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([header, *rows, ""]))


def until_the_refusal(made: Bank) -> None:
    deliver(made, 1, ["HAM", "LEJ", "LEJ"])
    deliver(made, 2, ["HAM", "LEJ", "HAM"])
    deliver(made, 3, ["LEJ", "LEJ", "HAM"], header=HEADER.replace("depot", "site"))
    deliver(made, 4, ["LEJ", "HAM", "HAM"])
    made.run()


def what_healed_it(made: Bank) -> None:
    file = Path(made.store.settings.landing_path, "parcels", day(3), "a.csv")
    file.write_text(file.read_text().replace("site", "depot"))
    made.redeclare(("LIMIT = 2", "LIMIT = 1"))
    made.run()
    (asked,) = (step for step in made.steps if "predictions/delivery" in step.outputs)
    execute(asked, made.store.env(), day(4), force=True)


@contextmanager
def depots(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bank]:
    with opened(folder, monkeypatch, "depots_of_tests", DEPOTS) as made:
        yield made
