"""Online reads: the rule of training, with state and origin."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import AssayError
from assay.features.serving.as_of_join import as_of_join
from assay.features.serving.online import online_get
from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import NullRecorder, Work
from assay.features.tables.transaction import transaction
from tests.conftest import SOAK

START = datetime(2026, 1, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")
SERVING = {
    "entity": "customer",
    "keys": ["customer_id"],
    "event_time": "at",
    "known_time": None,
    "max_age_us": 2 * 86_400_000_000,
}


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def rows(*values: tuple[int, float, int | None]) -> pl.DataFrame:
    """(customer, days after the start, value)"""
    data = [(customer, at(days), value) for customer, days, value in values]
    return pl.DataFrame(data, schema={"customer_id": pl.Int64, "at": INSTANT, "n": pl.Int64}, orient="row")


@pytest.fixture
def world(lake: Lake, write) -> Lake:
    write(lake, "features/activity", rows((1, 1, 10), (2, 1, 20)), "d1", extra={"serving": SERVING})
    write(lake, "features/activity", rows((1, 2, 11)), "d2", extra={"serving": SERVING})
    vectors = pl.DataFrame({"text_key": ["k"], "vector": [[1.0]]})
    write(lake, "embeddings/text", vectors.cast({"vector": pl.List(pl.Float32)}), "d1")
    return lake


def test_the_latest_value_with_its_state_and_its_origin(world: Lake) -> None:
    found = online_get(world, "activity", {"customer_id": [2, 1, 3, 1]}, at(3.5))
    assert found.to_dict(as_series=False) == {
        "customer_id": [2, 1, 3, 1],
        "n": [None, 11, None, 11],
        "activity.event_time": [at(1), at(2), None, at(2)],
        "activity.state": ["expired", "present", "missing", "present"],
        "activity.table": ["features/activity"] * 4,
        "activity.version": [world.table("features/activity").at().version] * 4,
        "activity.age": [timedelta(days=2.5), timedelta(days=1.5), None, timedelta(days=1.5)],
    }
    early = online_get(world, "activity", {"customer_id": [1]}, at(1.5))
    assert early["n"].to_list() == [10], "nothing from the future"


def test_embeddings_and_several_views_in_one_answer(world: Lake) -> None:
    keys = pl.DataFrame({"customer_id": [1, 1], "text_key": ["k", "unknown"]})
    found = online_get(world, ["activity:n", "text:vector"], keys, at(2))
    assert found["vector"].to_list() == [[1.0], None]
    assert found["text.state"].to_list() == ["present", "missing"]
    assert found["n"].to_list() == [11, 11]
    assert found["text.version"].to_list() == [world.table("embeddings/text").at().version] * 2


def test_keys_from_a_command_line_are_fitted_and_others_refused(world: Lake) -> None:
    assert online_get(world, "activity", {"customer_id": ["1", "2"]}, at(2))["n"].to_list() == [11, 20]
    with pytest.raises(AssayError, match="customer_id is Int64") as refused:
        online_get(world, "activity", {"customer_id": ["secret@example.org"]}, at(2))
    assert "secret" not in str(refused.value)
    with pytest.raises(AssayError, match="what was asked for has no column"):
        online_get(world, "activity", {"id": [1]}, at(2))
    with pytest.raises(AssayError, match="naive"):
        online_get(world, "activity", {"customer_id": [1]}, datetime(2026, 1, 1))  # noqa: DTZ001 (the point)
    with pytest.raises(AssayError, match="no feature view"):
        online_get(world, "unknown", {"customer_id": [1]}, at(2))
    assert online_get(world, "activity", {"customer_id": []}, at(2)).height == 0


EVENTS = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 8), st.none() | st.integers(0, 99)), min_size=1, max_size=12
)


@settings(max_examples=200 if SOAK else 8)
@given(EVENTS, st.integers(0, 12), st.integers(0, 1))
def test_online_is_what_training_would_have_seen(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[int, int, int | None]], day: int, microsecond: int
) -> None:
    lake = open_lake(tmp_path_factory.mktemp("lake"))
    for partition in range(3):
        mine = rows(*[event for number, event in enumerate(events) if number % 3 == partition])
        with transaction(lake, NullRecorder(), Work("features/activity", f"p{partition}")) as tx:
            tx.write("features/activity", mine, extra={"serving": SERVING})
    moment = at(day) + timedelta(microseconds=microsecond)
    served = online_get(lake, "activity", {"customer_id": [1, 2, 3]}, moment)
    spine = pl.DataFrame({"customer_id": [1, 2, 3]}).with_columns(pl.lit(moment, dtype=INSTANT).alias("event_time"))
    assert served["n"].to_list() == as_of_join(spine, ["activity:n"], lake=lake)["n"].to_list()
