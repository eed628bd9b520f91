"""A slot is moved on by what the lake holds, never by planning, and never past what another log or table has."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.assets.databases.replication import settled
from assay.assets.planning.settle import settle
from assay.assets.steps.raw import raw_step
from assay.assets.steps.step import look
from tests.assets.databases.replication.world import World


@pytest.fixture
def world(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(settled, "_SEGMENT", 0)
    with World(postgres_url, tmp_path) as made:
        made.do("CREATE TABLE other (value TEXT)")
        made.put(1, "x", "a", None)
        assert made.look()
        yield made


def others_write(world: World) -> None:
    world.do("INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 100)")


def test_it_moves_where_only_others_write(world: World) -> None:
    step, before = raw_step(world.source), world.confirmed()
    others_write(world)
    assert look(step, world.env, "000002").waits_for is not None
    assert world.confirmed() == before, "planning moves nothing"
    settle([step], world.env)
    assert world.confirmed() > before
    world.put(2, "x", "b", None)
    assert world.look()
    assert world.held() == world.state()
    changes = world.env.lake.table("raw/things").at().changes
    assert changes is not None
    assert (changes.whole, changes.inserted) == (False, 1)


def test_a_small_step_waits_for_a_larger_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settled, "_SEGMENT", 1 << 24)
    before = world.confirmed()
    others_write(world)
    assert not world.look()
    settle([raw_step(world.source)], world.env)
    assert world.confirmed() == before


def test_where_it_is_not_remembered_how_far_the_whole_table_is_compared(world: World) -> None:
    others_write(world)
    assert not world.look()
    settle([raw_step(world.source)], world.env)
    for file in world.home.glob("slots/*"):
        file.unlink()
    world.put(1, "x", "b", None)
    world.put(2, "x", "b", None)
    assert world.look()
    assert world.held() == world.state()
    changes = world.env.lake.table("raw/things").at().changes
    assert changes is not None
    assert (changes.whole, changes.inserted, changes.updated) == (True, 1, 1)


def test_that_it_cannot_be_moved_fails_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("s3cret")

    before = world.confirmed()
    with monkeypatch.context() as patch:
        patch.setattr(settled, "advance", refuse)
        world.put(1, "x", "b", None)
        assert world.look()
        assert "raw/things: its upstream keeps what the lake holds for now: OSError" in caplog.text
        assert "s3cret" not in caplog.text
        assert not world.look(), "what it shows again is left out"
    assert world.confirmed() == before
    settle([raw_step(world.source)], world.env)
    assert world.confirmed() > before


def test_the_slot_of_another_table_is_left_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(settled, "advance", None)
        world.put(1, "x", "b", None)
        assert world.look()
    before = world.confirmed()
    world.do("ALTER TABLE things RENAME TO earlier")
    world.do("CREATE TABLE things (LIKE earlier INCLUDING ALL)")
    world.do(f"ALTER PUBLICATION {world.slot} ADD TABLE things")
    world.put(7, "x", "c", None)
    settle([raw_step(world.source)], world.env)
    assert world.confirmed() == before
    assert world.look()
    assert world.held() == world.state()
