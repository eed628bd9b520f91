"""Views of rows that were computed elsewhere: written, served and traced like declared ones."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.serving.as_of_join import as_of_join
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from tests.features.serving.travel import SPINE, at, weather

ROWS = weather(("JFK", 1, 10.0, 1), ("LAX", 1, 20.0, 3))
OPTIONS: dict[str, Any] = {"keys": ["airport"], "event_time": "at", "known_time": "reported", "max_age": "3d"}


def write(lake: Lake, name: str = "weather", **options: Any) -> None:
    with transaction(lake, NullRecorder(), Work("features/weather", "d1")) as tx:
        tx.write_view(name, ROWS, **(OPTIONS | options))


@pytest.mark.parametrize("max_age", ["3d", timedelta(days=3)])
def test_it_is_joined_as_it_was_said(lake: Lake, max_age: Any) -> None:
    write(lake, max_age=max_age)
    reference = ["weather:wind on airport=origin"]
    spine = SPINE.with_columns(event_time=pl.Series([at(4), at(4), at(4.1), at(4)], dtype=SPINE.schema["event_time"]))
    assert as_of_join(spine, reference, lake=lake)["wind"].to_list() == [10.0, 20.0, None, None]
    early = SPINE.with_columns(event_time=pl.lit(at(2)).cast(SPINE.schema["event_time"]))
    assert as_of_join(early, reference, lake=lake, known_at="known")["wind"].to_list() == [10.0, None, 10.0, None]
    commit = lake.table("features/weather").at().commits[-1]
    assert commit.serving is not None and commit.serving["max_age_us"] == 3 * 86_400_000_000


def test_rows_for_all_need_no_keys(lake: Lake) -> None:
    write(lake, keys=[], known_time=None, max_age=None)
    assert as_of_join(SPINE, ["weather:wind"], lake=lake)["wind"].to_list() == [20.0] * 4, "the last of equal times"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "a/b"}, "view name 'a/b'"),
        ({"max_age": "0d"}, "longer than zero"),
        ({"max_age": 0}, "must be a duration"),
        ({"keys": "airport"}, "as a list"),
        ({"keys": ["airpot"]}, "Did you mean 'airport'"),
        ({"event_time": "wind"}, "'wind', which is Float64"),
        ({"known_time": "known"}, "'known'"),
    ],
)
def test_what_cannot_be_served_is_not_written(lake: Lake, options: dict[str, Any], message: str) -> None:
    with pytest.raises(AssayError, match=message):
        write(lake, **options)
    assert not lake.table("features/weather").exists()
