"""A generation answers as the as-of join does at every moment, whether it was built at once or step by step."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from assay.features.definitions.mixed import MixedDefinitions
from assay.features.online.backend import Backend
from assay.features.online.materialize import materialize_online
from assay.features.online.online_set import OnlineSet
from assay.features.serving.as_of_join import as_of_join
from assay.features.serving.feature_set import FeatureSet
from assay.features.serving.online import served
from assay.features.tables.lake import Lake, open_lake
from tests.conftest import SOAK
from tests.features.online.worlds import EVERYTHING, KEYS, STEPS, at, begin, write
from tests.features.serving import test_by_definition as defined

NewBackend = Callable[[Path], Backend]
World = tuple[Lake, Backend]
MOMENTS = st.lists(st.integers(0, 30).map(lambda half: half / 4), min_size=2, max_size=3)


def rows_of(generations: Backend, name: str) -> dict[str, pl.DataFrame]:
    manifest = generations.manifest(name)
    assert manifest is not None
    found = {}
    for stream in manifest.streams:
        parts = [generations.former_rows(name, stream, part) for part in range(stream.parts)]
        assert sum(part.height for part in parts) == stream.rows
        found[stream.id] = pl.concat(parts).sort("_hash", "_available", "_time")
    return found


@settings(max_examples=300 if SOAK else 4, phases=[Phase.explicit, Phase.generate])
@given(STEPS, st.integers(0, 6), MOMENTS)
def test_online_is_the_as_of_join_and_step_by_step_is_at_once(
    tmp_path_factory: pytest.TempPathFactory,
    new_backend: NewBackend,
    steps: list[Any],
    built: int,
    moments: list[float],
) -> None:
    folder = tmp_path_factory.mktemp("online")
    lake, generations, fresh = open_lake(folder / "lake"), new_backend(folder / "a"), new_backend(folder / "b")
    begin(lake)
    materialize_online(lake, generations, EVERYTHING, at=at(built))
    for number, step in enumerate(steps):
        write(lake, step)
        materialize_online(lake, generations, EVERYTHING, at=at(built + number / 4))
    materialize_online(lake, fresh, EVERYTHING, at=at(built + (len(steps) - 1) / 4), full=True)
    by_steps, at_once = rows_of(generations, "everything@1"), rows_of(fresh, "everything@1")
    for name, rows in at_once.items():
        assert by_steps[name].equals(rows), name
    online = OnlineSet(lake, generations, "everything@1", EVERYTHING)
    for moment in (at(day) for day in moments):
        expected, _ = served(lake, EVERYTHING, KEYS, moment)
        found = online.get(KEYS, moment)
        assert found.equals(expected), (moment, found.to_dicts(), expected.to_dicts())
        assert found.schema == expected.schema
        spine = KEYS.with_columns(pl.lit(moment).cast(pl.Datetime("us", "UTC")).alias("event_time"))
        joined = as_of_join(spine, EVERYTHING, lake=lake).drop("event_time")
        assert found.select(joined.columns).equals(joined)


@pytest.fixture
def world(tmp_path: Path, new_backend: NewBackend) -> World:
    lake = open_lake(tmp_path / "lake")
    begin(lake)
    return lake, new_backend(tmp_path / "online")


ACTIVITY = FeatureSet("activity", ["activity:*"])


def test_what_has_changed_alone_is_read_and_nothing_twice(world: World) -> None:
    lake, generations = world
    write(lake, ("activity", 1, [("a", 2, 2.0, 0, 20, 1), ("b", 1, 2.0, 0, 21, 1)]))
    first = materialize_online(lake, generations, ACTIVITY, at=at(3))
    assert first.manifest is not None
    assert (first.manifest.number, first.manifest.rows, first.manifest.versions) == (
        1,
        3,
        {"features/activity": lake.table("features/activity").at().version},
    )
    again = materialize_online(lake, generations, ACTIVITY, at=at(4))
    assert (again.is_new, again.manifest) == (False, first.manifest)

    write(lake, ("activity", 2, [("b", 1, 3.0, 0, 30, 1)]))
    said: list[tuple[str, int, int]] = []
    planned = materialize_online(lake, generations, ACTIVITY, at=at(4), dry_run=True)
    assert (planned.is_new, planned.manifest) == (False, first.manifest)
    second = materialize_online(lake, generations, ACTIVITY, at=at(4), progress=lambda *one: said.append(one))
    (stream,) = second.plan.streams
    assert (stream.action, stream.changed, stream.reads) == ("changes", ("p2",), 1)
    assert planned.to_dict()["streams"] == second.to_dict()["streams"]
    assert said == [("activity", 1, 1)]
    assert second.manifest is not None
    assert (second.manifest.number, second.manifest.rows) == (2, 3)


def test_an_older_event_never_takes_the_place_of_a_newer_one(world: World) -> None:
    lake, generations = world
    write(lake, ("activity", 1, [("a", 2, 3.0, 0, 30, 1)]))
    materialize_online(lake, generations, ACTIVITY, at=at(4))
    write(lake, ("activity", 2, [("a", 2, 2.0, 0, 20, 1)]))
    materialize_online(lake, generations, ACTIVITY, at=at(4))
    online = OnlineSet(lake, generations, "activity@1")
    assert online.get({"shop": "a", "customer": 2}, at(4))["n"].to_list() == [30]
    write(lake, ("activity", 1, []))  # the newer one is taken back: what was there before holds again
    materialize_online(lake, generations, ACTIVITY, at=at(4))
    assert online.get({"shop": "a", "customer": 2}, at(4))["n"].to_list() == [20]


def test_a_row_that_holds_from_later_is_served_from_then_on(world: World) -> None:
    lake, generations = world
    write(lake, ("activity", 1, [("a", 1, 5.0, 0, 50, 1), ("a", 1, 6.0, 0, None, 0)]))
    materialize_online(lake, generations, ACTIVITY, at=at(2))
    online = OnlineSet(lake, generations, "activity@1")
    found = [online.get({"shop": "a", "customer": 1}, at(day)).row(0, named=True) for day in (2, 5, 6)]
    assert [(row["n"], row["activity.state"]) for row in found] == [(10, "present"), (50, "present"), (None, "missing")]


def test_parts_are_searched_together(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, generations = world
    monkeypatch.setattr("assay.features.online.plan.PART_ROWS", 10)
    write(lake, ("activity", 1, [("a", customer, 1.5, 0, customer, 1) for customer in range(60)]))
    made = materialize_online(lake, generations, ACTIVITY, at=at(2)).manifest
    assert made is not None
    assert made.streams[0].parts > 3
    keys = pl.DataFrame({"shop": ["a"] * 70, "customer": list(range(70))})
    online = OnlineSet(lake, generations, "activity@1", ACTIVITY)
    assert online.get(keys, at(2)).equals(served(lake, ACTIVITY, keys, at(2))[0])
    write(lake, ("activity", 2, [("a", customer, 1.6, 0, -customer, 1) for customer in range(0, 60, 7)]))
    step = materialize_online(lake, generations, ACTIVITY, at=at(2))
    assert step.plan.streams[0].action == "changes"
    assert online.get(keys, at(2)).equals(served(lake, ACTIVITY, keys, at(2))[0])


def test_another_definition_under_the_same_name_is_read_anew(world: World) -> None:
    lake, generations = world
    materialize_online(lake, generations, ACTIVITY, at=at(2))
    other = FeatureSet("activity", ["activity:n"])
    made = materialize_online(lake, generations, other, at=at(2))
    assert (made.is_new, made.plan.streams[0].action) == (True, "full")
    assert OnlineSet(lake, generations, "activity@1", other).get({"shop": "a", "customer": 1}, at(2))[
        "n"
    ].to_list() == [10]


@pytest.mark.filterwarnings("ignore::assay.features.serving.by_definition.OtherDefinition")
def test_a_generation_has_rows_of_one_definition(tmp_path: Path, new_backend: NewBackend) -> None:
    lake, generations = open_lake(tmp_path / "lake"), new_backend(tmp_path / "online")
    order = FeatureSet("order", ["order:*"])

    def spent() -> list[Any]:
        materialize_online(lake, generations, order, at=at(90))
        return OnlineSet(lake, generations, "order@1", order).get({"customer": ["a", "b"]}, at(90))["spent"].to_list()

    defined.compute(lake, defined.ONE, 0, 1)
    assert spent() == [2, 20]
    defined.compute(lake, defined.TWO, 1)
    assert spent() == [2, 20], "until all partitions have the new one, the former one is served"
    with pytest.raises(MixedDefinitions):
        materialize_online(lake, generations, FeatureSet("two", ["order@2:*"]))
    defined.compute(lake, defined.TWO, 0)
    assert spent() == [200, 2000]
