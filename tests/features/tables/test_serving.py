"""How a table is served: refused where it is made, where it is written and where it is read."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.serving import Serving, check_served
from assay.features.tables.transaction import transaction

AS_OF = {"entity": "e", "keys": ["id"], "event_time": "at", "known_time": None, "max_age_us": None}
INSTANT = pl.Datetime("us", "UTC")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "asof"}, "'asof'"),
        ({"keys": "id"}, "as a list"),
        ({"keys": [""]}, "as a list"),
        ({"keys": ["id", "id"]}, "'id' is named twice"),
        ({"keys": ["id", "ID"]}, "differ only in case"),
        ({"event_time": ""}, "event_time must name"),
        ({"event_time": None}, "event_time must name"),
        ({"known_time": "at"}, "'at' is named twice"),
        ({"known_time": ""}, "known_time must name"),
        ({"event_time": "id"}, "'id' is named twice"),
        ({"max_age_us": 0}, "longer than zero"),
        ({"max_age_us": -1}, "longer than zero"),
        ({"max_age_us": 1.5}, "whole microseconds"),
        ({"max_age_us": True}, "whole microseconds"),
    ],
)
def test_what_cannot_be_served_is_refused_where_it_is_read(change: dict[str, Any], message: str) -> None:
    with pytest.raises(AssayError, match=message):
        Serving.from_dict(AS_OF | change)


def test_what_cannot_be_served_is_refused_where_it_is_made() -> None:
    with pytest.raises(AssayError, match=r"must be 'as_of' or 'lookup', not 'lokup'. Did you mean 'lookup'"):
        Serving("e", ("id",), "at", kind="lokup")  # pyright: ignore[reportArgumentType]
    with pytest.raises(AssayError, match="max_age_us"):
        Serving.as_of(["id"], "at", max_age_us=0)
    with pytest.raises(AssayError, match="needs the key columns"):
        Serving.lookup([])
    wrong: list[dict[str, Any]] = [{"event_time": "at"}, {"max_age_us": 1}, {"states": True}]
    for options in wrong:
        with pytest.raises(AssayError, match="keys only"):
            Serving("e", ("id",), kind="lookup", **options)
    assert Serving.as_of([], "at").keys == (), "one stream of rows for all"


def test_a_description_comes_back_as_it_was() -> None:
    for serving in (
        Serving.as_of(["a", "b"], "at", entity="e", known_time="known", max_age_us=5),
        Serving("e", ("a",), "at", states=True),
        Serving.as_of([], "at"),
        Serving.lookup(["a"], entity="e"),
    ):
        assert Serving.from_dict(serving.to_dict()) == serving


def test_rows_must_have_the_columns_by_which_they_are_served() -> None:
    columns = {"id": pl.String(), "at": INSTANT, "n": pl.Int64()}
    check_served("features/v", columns, AS_OF)
    check_served("features/v", {}, None)
    check_served("clean/v", {}, AS_OF)  # not served
    with pytest.raises(AssayError, match=r"'idd', which its rows lack. Did you mean 'id'"):
        check_served("features/v", columns, AS_OF | {"keys": ["idd"]})
    with pytest.raises(AssayError, match="'known'"):
        check_served("features/v", columns, AS_OF | {"known_time": "known"})
    for dtype in (pl.String(), pl.Datetime("us"), pl.Date()):
        with pytest.raises(AssayError, match="'at', which is"):
            check_served("features/v", columns | {"at": dtype}, AS_OF)


@pytest.mark.parametrize("where", ["extra", "sections"])
def test_rows_that_cannot_be_served_are_not_published(lake: Lake, where: str) -> None:
    rows = pl.DataFrame({"id": ["a"], "at": [datetime(2026, 1, 1, tzinfo=UTC)], "n": [1]})
    with (
        pytest.raises(AssayError, match="'customer'"),
        transaction(lake, NullRecorder(), Work("features/v")) as tx,
    ):
        options: dict[str, Any] = {where: {"serving": AS_OF | {"keys": ["customer"]}}}
        tx.write("features/v", rows, **options)
    with (
        pytest.raises(AssayError, match="'customer'"),
        transaction(lake, NullRecorder(), Work("features/v")) as tx,
    ):
        tx.describe(serving=AS_OF | {"keys": ["customer"]})
        tx.write("features/v", rows)
    assert not lake.table("features/v").exists()
