"""A wrong slot, server or publication gives an error of one line with the next step; planning makes nothing and moves nothing."""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from assay.assets.databases.replication import settled, slot
from assay.assets.databases.replication.declared import Slot, quoted
from assay.assets.databases.replication.required import require_log, require_published, require_slot
from assay.assets.databases.rows import Rows
from assay.assets.lacking import DENIED, SETTING, UNREACHABLE, NotConnected, outage_of
from assay.assets.steps.raw import raw_step
from assay.assets.steps.step import Resources, execute, look
from assay.checks import Contract, Field, Timestamp
from assay.errors import AssayError
from assay.settings import Settings
from tests.assets.databases.replication.world import World


@pytest.fixture
def world(postgres_url: str, tmp_path: Path) -> Iterator[World]:
    with World(postgres_url, tmp_path) as made:
        yield made


def without_making(world: World) -> World:
    reader = world.source.reader
    assert isinstance(reader, Rows)
    world.source = replace(world.source, reader=replace(reader, create_slot=False))
    return world


def refused(world: World) -> str:
    """What a run says."""
    with pytest.raises(AssayError) as caught:
        world.look()
    assert outage_of(caught.value), "it uses up no try of the batch"
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith("PostgreSQL ")
    return text


def test_nothing_is_made_by_planning(world: World) -> None:
    step = raw_step(world.source)
    assert look(step, world.env, "000001").stale
    assert world.confirmed() == 0
    assert world.do("SELECT 1 FROM pg_publication") == []
    assert not world.look()
    world.put(1, "x", "a", None)
    before = world.confirmed()
    assert before
    for _ in range(2):
        assert look(step, world.env, "000001").stale
    assert world.confirmed() == before
    assert world.look()
    assert world.confirmed() > before
    assert not look(step, world.env, "000002").stale


def test_an_idle_server_is_asked_one_question(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put(1, "x", "a", None)
    world.look()
    world.look()
    monkeypatch.setattr("assay.assets.databases.replication.changed.peeked", None)
    assert look(raw_step(world.source), world.env, "000002").waits_for is not None


def test_what_is_missing_is_said_with_the_statement_that_makes_it(world: World) -> None:
    without_making(world)
    text = refused(world)
    assert f"Next: CREATE PUBLICATION {world.slot} FOR TABLE things" in text
    world.do(f"CREATE PUBLICATION {world.slot}")
    assert f"Next: ALTER PUBLICATION {world.slot} ADD TABLE things" in refused(world)
    world.do(f"ALTER PUBLICATION {world.slot} ADD TABLE things")
    statement = re.search(r"Next: (SELECT .*'pgoutput'\))", refused(world))
    assert statement is not None
    world.do(statement[1])
    world.put(1, "x", "a", None)
    assert world.look()
    assert world.held() == world.state()


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("ALTER PUBLICATION {slot} SET (publish = 'insert, update')", "leaves out delete, truncate. Next: ALTER PUBL"),
        (
            "ALTER PUBLICATION {slot} SET TABLE things WHERE (part > 1)",
            "leaves out rows (WHERE). Next: make one without",
        ),
        ("ALTER PUBLICATION {slot} SET TABLE things (part, name)", "does not publish its 'place'"),
        (
            "ALTER TABLE things REPLICA IDENTITY NOTHING",
            "of deleted rows nothing is sent, and not part, place. Next: name",
        ),
        ("ALTER TABLE things DROP CONSTRAINT things_pkey", "REPLICA IDENTITY FULL"),
        (
            "ALTER TABLE things DROP CONSTRAINT things_pkey; ALTER TABLE things REPLICA IDENTITY FULL",
            "CREATE UNIQUE INDEX ON things (part, place)",
        ),
        (
            "ALTER TABLE things DROP CONSTRAINT things_pkey; ALTER TABLE things REPLICA IDENTITY FULL; "
            "ALTER TABLE things ADD UNIQUE (part, place) DEFERRABLE",
            "may hold several rows with the same part, place",
        ),
        ("ALTER TABLE things RENAME TO things_of_before", "does not exist"),
        ("ALTER TABLE things RENAME place TO site", "has no column 'place'; it has part, site, name, price"),
        (
            "ALTER TABLE things RENAME TO base; CREATE VIEW things AS SELECT * FROM base",
            "is no table, and only tables have changes",
        ),
    ],
)
def test_what_is_not_as_it_must_be_is_said(world: World, before: str, words: str) -> None:
    world.put(1, "x", "a", None)
    assert world.look()
    world.do(before.format(slot=world.slot))
    assert words in refused(world)


def test_columns_that_come_go_and_change_are_no_failure(world: World) -> None:
    world.put(1, "x", "a", None)
    world.put(2, "x", "a", None)
    assert world.look()
    for number, (change, column, value) in enumerate(
        [
            ("ADD COLUMN note INT DEFAULT 7", "note", 7),
            ("ALTER note TYPE TEXT USING 'n' || note", "note__string", "n7"),
            ("RENAME note TO remark", "remark", "n7"),
            ("DROP COLUMN remark", "name", "a"),
        ]
    ):
        world.put(2, "x", "a", float(number))
        world.do(f"ALTER TABLE things {change}")
        world.put(3, "x", "a", float(number))
        assert world.look()
        assert world.held() == world.state()
        current = world.env.lake.table("raw/things").current().select("part", column).collect()
        assert set(current[column]) == {value}
        assert not world.look()


def test_a_partitioned_table_is_read_through_its_root(world: World) -> None:
    world.do("DROP TABLE things")
    columns = "part BIGINT, place TEXT, name TEXT, price FLOAT8, PRIMARY KEY (part, place)"
    world.do(f"CREATE TABLE things ({columns}) PARTITION BY RANGE (part)")
    world.do("CREATE TABLE things_1 PARTITION OF things FOR VALUES FROM (0) TO (10)")
    world.do(f"CREATE PUBLICATION {world.slot} FOR TABLE things")
    assert "SET (publish_via_partition_root = true)" in refused(world)
    world.do(f"ALTER PUBLICATION {world.slot} SET (publish_via_partition_root = true)")
    world.put(1, "x", "a", None)
    assert world.look()
    world.put(1, "x", "b", None)
    world.put(2, "x", "b", None)
    assert world.look()
    assert world.held() == world.state()
    world.do("CREATE TABLE more AS SELECT * FROM things WHERE false; INSERT INTO more VALUES (11, 'x', 'c', 1)")
    world.do("ALTER TABLE more ALTER part SET NOT NULL, ALTER place SET NOT NULL")
    world.do("ALTER TABLE things ATTACH PARTITION more FOR VALUES FROM (10) TO (20)")  # no change says so
    assert world.look()
    assert world.held() == world.state()
    world.do("ALTER TABLE things DETACH PARTITION more; DROP TABLE more")
    assert world.look()
    assert world.held() == world.state()
    world.do("TRUNCATE things_1")  # nor this
    assert world.look()
    assert world.held() == world.state() == {}
    world.put(1, "x", "a", None)
    world.do("TRUNCATE things")
    world.put(2, "x", "a", None)
    assert world.look()
    assert world.held() == world.state()


class Numbered(Contract):
    id: int = Field(key=True)


class Timed(Contract):
    id: Timestamp = Field(key=True)


@pytest.mark.parametrize(
    ("contract", "kind", "key", "other", "words"),
    [
        (Numbered, "INT", "NULL", "1", "has [12] rows? without id"),
        (Timed, "TIMESTAMPTZ", "'infinity'", "'2026-09-01'", "column id holds"),
    ],
)
def test_a_row_without_a_usable_key_is_refused_until_it_is_gone(
    world: World, contract: type[Contract], kind: str, key: str, other: str, words: str
) -> None:
    world.do(f"CREATE TABLE keyed (id {kind} UNIQUE, name TEXT)")
    world.do("ALTER TABLE keyed REPLICA IDENTITY FULL")
    reader = world.source.reader
    assert isinstance(reader, Rows)
    world.source = replace(world.source, reader=replace(reader, table="keyed"), contract=contract, key=("id",))
    assert not world.look()
    world.do(f"INSERT INTO keyed VALUES ({other}, 'a')")
    assert world.look()
    world.do(f"INSERT INTO keyed VALUES ({key}, 'b'), ({key}, 'c') ON CONFLICT DO NOTHING")
    for _ in range(2):
        with pytest.raises(AssayError, match=words):
            world.look()
        world.do("DELETE FROM keyed WHERE name = 'c'")
    world.do("DELETE FROM keyed WHERE name = 'b'")
    world.do("UPDATE keyed SET name = 'd'")
    assert world.look()
    current = world.env.lake.table("raw/things").current().select("name").collect()
    assert current["name"].to_list() == ["d"]


def test_a_slot_that_is_no_slot_of_this_table_is_refused(world: World, postgres_server: str) -> None:
    without_making(world)
    world.do(f"CREATE PUBLICATION {world.slot} FOR TABLE things")
    world.do("SELECT pg_create_physical_replication_slot(%s)", world.slot)
    assert "is physical and writes with no plugin. Next: name another slot" in refused(world)
    world.do("SELECT pg_drop_replication_slot(%s)", world.slot)
    with psycopg.connect(postgres_server, autocommit=True) as elsewhere:
        elsewhere.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (world.slot,))
        try:
            assert "belongs to the database 'postgres'. Next: name another slot" in refused(world)
        finally:
            elsewhere.execute("SELECT pg_drop_replication_slot(%s)", (world.slot,))


def test_a_slot_that_another_reads_is_left_to_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot, "_PATIENCE_SECONDS", 0.2)
    world.put(1, "x", "a", None)
    world.look()
    world.put(2, "x", "a", None)
    with closing(psycopg.connect(f"{world.url}&replication=database", autocommit=True)) as other:
        start = f"START_REPLICATION SLOT {world.slot} LOGICAL 0/0 (proto_version '1', publication_names '{world.slot}')"
        other.pgconn.exec_(start.encode())
        assert "another process reads the slot" in refused(world)
    monkeypatch.undo()
    assert world.look()
    assert world.held() == world.state()


def test_who_may_not_use_slots_is_told_what_to_grant(world: World) -> None:
    world.do("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN; GRANT SELECT ON things TO reader")
    world.put(1, "x", "a", None)
    world.look()
    world.put(2, "x", "a", None)
    try:
        url = world.url.replace("postgres:@", "reader:@")
        made = Settings(home=world.home, connections={"erp": {"url": url}})  # pyright: ignore[reportArgumentType]
        env = Resources(made, world.env.lake, world.env.recorder)
        with pytest.raises(NotConnected, match="ALTER ROLE … REPLICATION") as caught:
            execute(raw_step(world.source), env, "000002")
        assert caught.value.lack == DENIED
        world.do("ALTER ROLE reader REPLICATION")
        execute(raw_step(world.source), env, "000002")
        assert world.held() == world.state()
    finally:
        world.do("DROP OWNED BY reader; DROP ROLE reader")


def test_a_server_that_is_down_is_an_outage(world: World) -> None:
    made = Settings(home=world.home, connections={"erp": {"url": "postgresql://u:s3cret@127.0.0.1:1/shop"}})  # pyright: ignore[reportArgumentType]
    with pytest.raises(NotConnected) as caught:
        execute(raw_step(world.source), Resources(made, world.env.lake, world.env.recorder), "000001")
    assert caught.value.lack == UNREACHABLE
    assert "s3cret" not in str(caught.value)


def test_another_database_is_known_without_asking_it(tmp_path: Path) -> None:
    (tmp_path / "a.db").touch()
    made = Settings(home=tmp_path, connections={"erp": {"url": f"sqlite:///{tmp_path / 'a.db'}"}})  # pyright: ignore[reportArgumentType]
    reader = Rows("things", connection="erp", mode="changes", slot="mine")
    assert reader.lacks(made).startswith("mode='changes' reads PostgreSQL only")
    with pytest.raises(NotConnected, match="reads PostgreSQL only"):
        reader.warnings(made)


FACTS: dict[str, Any] = {
    "wal_level": "logical",
    "kind": "r",
    "database": "shop",
    "slot": {"plugin": "pgoutput", "slot_type": "logical", "database": "shop"},
    "publication": {"pubviaroot": False, "pubinsert": True, "pubupdate": True, "pubdelete": True, "pubtruncate": True},
    "published": {"attnames": ["id"], "rowfilter": None},
}
THINGS = Slot("mine", "mine", "public.Things", "postgresql://host/shop")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"wal_level": "replica"}, "Next: ALTER SYSTEM SET wal_level = 'logical', and restart the server"),
        (
            {"slot": FACTS["slot"] | {"wal_status": "lost"}},
            "Next: SELECT pg_drop_replication_slot('mine'), and create it anew",
        ),
        ({"slot": FACTS["slot"] | {"invalidation_reason": "idle_timeout"}}, "has given up the slot 'mine'"),
        ({"slot": FACTS["slot"] | {"plugin": "wal2json"}}, "writes with wal2json"),
        ({"published": None}, 'ADD TABLE public."Things"'),
    ],
)
def test_facts_that_no_test_server_has(facts: dict[str, Any], words: str) -> None:
    def judge(known: dict[str, Any]) -> None:
        require_log(THINGS, known)
        require_published(THINGS, known)
        require_slot(THINGS, known)

    judge(FACTS)
    with pytest.raises(NotConnected, match=re.escape(words)) as caught:
        judge(FACTS | facts)
    assert caught.value.lack == SETTING


def test_doctor_hears_of_a_slot_that_keeps_much(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = world.source.reader
    assert reader.warnings(world.env.settings) == (), "the first run makes it"
    world.put(1, "x", "a", None)
    world.look()
    assert reader.warnings(world.env.settings) == ()
    monkeypatch.setattr(settled, "_MUCH", 0)
    (warning,) = reader.warnings(world.env.settings)
    assert f"keeps 0.0 GB of its log for the slot '{world.slot}'" in warning
    assert f"SELECT pg_drop_replication_slot('{world.slot}')" in warning


def test_names_are_quoted() -> None:
    assert quoted('shop.My "Table"') == 'shop."My ""Table"""'


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mode": "changes"}, "name the replication slot of this source, slot="),
        ({"mode": "changes", "slot": "Big"}, "with small letters"),
        ({"mode": "changes", "slot": "mine", "cursor": "at"}, "needs no cursor"),
        ({"mode": "changes", "slot": "mine", "batch_size": 0}, "batch_size must be 1 or more"),
        ({"mode": "snapshot", "slot": "mine"}, "a slot has changes: declare mode='changes'"),
    ],
)
def test_a_declaration_says_what_it_lacks(given: dict[str, Any], words: str) -> None:
    with pytest.raises(AssayError, match=words):
        Rows("things", connection="erp", **given)
