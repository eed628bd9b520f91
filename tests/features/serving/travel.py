"""Flights from an airport to another, with the weather of both, and a rate that is the same for all."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from assay.features.tables.lake import Lake
from assay.features.tables.serving import Serving

START = datetime(2026, 1, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")
WEATHER = Serving.as_of(["airport"], "at", entity="airport", known_time="reported", max_age_us=3 * 86_400_000_000)
RATES = Serving.as_of([], "at")
PLACES = Serving.lookup(["airport"])


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def weather(*rows: tuple[str, float, float | None, float]) -> pl.DataFrame:
    """(airport, days, wind, days when it was reported)"""
    data = [(airport, at(days), wind, at(reported)) for airport, days, wind, reported in rows]
    schema = {"airport": pl.String, "at": INSTANT, "wind": pl.Float64, "reported": INSTANT}
    return pl.DataFrame(data, schema=schema, orient="row")


SPINE = pl.DataFrame(
    {
        "flight": [1, 2, 3, 4],
        "origin": ["JFK", "LAX", "JFK", None],
        "destination": ["LAX", "JFK", "XXX", "JFK"],
        "event_time": [at(1.5), at(2.5), at(9), at(2.5)],
    },
    schema_overrides={"event_time": INSTANT},
)


def travel(lake: Lake, write: Any) -> Lake:
    first = weather(("JFK", 1, 10.0, 1), ("LAX", 1, 20.0, 3))
    second = weather(("JFK", 2, None, 2), ("LAX", 2, 22.0, 5))
    write(lake, "features/airport_weather", first, "d1", extra={"serving": WEATHER.to_dict()})
    write(lake, "features/airport_weather", second, "d2", extra={"serving": WEATHER.to_dict()})
    for day, usd in ((1, 1.1), (2, 1.2)):
        rates = pl.DataFrame({"at": [at(day)], "usd": [usd]}, schema_overrides={"at": INSTANT})
        write(lake, "features/rates", rates, f"d{day}", extra={"serving": RATES.to_dict()})
    places = pl.DataFrame({"airport": ["JFK", "LAX"], "city": ["New York", "Los Angeles"]})
    write(lake, "features/places", places, extra={"serving": PLACES.to_dict()})
    return lake
