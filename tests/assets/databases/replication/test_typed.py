"""Values of a slot have the types, and the texts, that the table's own rows have through `Rows`."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from assay.assets.databases.replication import last_states
from assay.assets.databases.replication.typed import portions
from assay.assets.databases.rows import Rows
from assay.assets.sources.source import Source
from assay.checks import Contract, Field
from tests.assets.databases.replication.world import World

COLUMNS = {
    "small": ["int2", "NULL", "'-32768'"],
    "big": ["int8", "'-9223372036854775808'", "'9223372036854775807'"],
    "exact": ["numeric(12, 3)", "'-0.001'", "'999999999.999'", "'NaN'"],
    "any_number": ["numeric", "'1e-40'", "'123456789012345678901234567890.5'", "'Infinity'", "'NaN'"],
    "floats": ["float8", "'-0'", "'0.1'", "'1e308'", "'-Infinity'", "'NaN'"],
    "real_one": ["float4", "'0.1'", "'3.4e38'"],
    "truth": ["boolean", "true", "false", "NULL"],
    "words": ["text", "''", "E'a\\tb\\n\"\\'\\\\N'", "repeat('Ä€\U0001f600', 3000)", "'{1,2}'", "'NULL'"],
    "padded": ["char(6)", "'ab'", "''"],
    "one": ['"char"', "'x'"],
    "short": ["varchar(4)", "'äöü'"],
    "bytes": ["bytea", "'\\x00ff27'", "''", "decode(repeat('00ff', 5000), 'hex')"],
    "day": ["date", "'2026-02-28'", "'infinity'", "'0044-03-15 BC'", "'5874897-12-31'"],
    "moment": ["timestamptz", "'2026-09-24 10:00:00.123456+05:30'", "'-infinity'", "'0001-01-01 BC'", "'294276-01-01'"],
    "local": ["timestamp", "'2026-09-24 10:00:00.5'", "'infinity'", "'0044-03-15 BC'"],
    "time_of_day": ["time", "'23:59:60'", "'00:00:00.000001'"],
    "zoned": ["timetz", "'10:00+02'"],
    "span": ["interval", "'1 year -2 days 03:04:05.6'", "'-1 mon'"],
    "id": ["uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"],
    "document": ["jsonb", "'{\"a\": [1, null, \"Ä\"], \"b\": 1e2}'", "'null'", "to_jsonb(repeat('x', 9000))"],
    "text_document": ["json", "'{\"a\" :  1, \"a\": 2}'"],
    "numbers": ["int[]", "'{}'", "'{1,NULL,3}'", "'{{1,2},{3,4}}'", "'[0:1]={7,8}'"],
    "moments": ["timestamptz[]", "'{\"2026-09-24 10:00+00\",infinity}'"],
    "texts": ["text[]", "'{\"a,b\",\"\\\"\",NULL,\"NULL\",\"\"}'"],
    "documents": ["jsonb[]", "ARRAY['{\"a\": 1}'::jsonb, 'null'::jsonb]"],
    "mood": ["mood", "'so so'", "'it''s'"],
    "moods": ["mood[]", "'{\"so so\"}'"],
    "positive": ["positive", "'7'"],
    "amount": ["amount", "'12.50'"],
    "list": ["list", "'{1,2}'"],
    "pair": ["pair", "ROW(1, 'a,\"b')::pair"],
    "between": ["int4range", "'[1,5)'", "'empty'"],
    "address": ["inet", "'10.0.0.1'", "'10.0.0.0/8'"],
    "money_of": ["money", "'-1.50'"],
    "bits": ["bit(3)", "B'101'"],
    "place": ["point", "'(1.5,-2)'"],
    "found": ["tsvector", "'a:1 b:2'"],
    'Of "me" %s:1': ["text", "'100 %'"],
}  # fmt: skip
KINDS = (
    "CREATE TYPE mood AS ENUM ('so so', 'it''s')",
    "CREATE DOMAIN positive AS int CHECK (value > 0)",
    "CREATE DOMAIN base_amount AS numeric(10, 2)",
    "CREATE DOMAIN amount AS base_amount",
    "CREATE DOMAIN list AS int[]",
    "CREATE TYPE pair AS (a int, b text)",
)


class Anything(Contract):
    key: int = Field(key=True)


@pytest.fixture
def world(postgres_url: str, tmp_path: Path) -> Iterator[World]:
    with World(postgres_url, tmp_path) as made:
        for statement in KINDS:
            made.do(statement)
        quoted = {name: '"{}"'.format(name.replace('"', '""')) for name in COLUMNS}
        columns = ", ".join(f"{quoted[name]} {kind}" for name, (kind, *_) in COLUMNS.items())
        made.do(f"CREATE TABLE hostile (key BIGINT PRIMARY KEY, {columns})")
        made.do("CREATE TABLE template (LIKE hostile)")
        number = 0
        for name, (_, *values) in COLUMNS.items():
            for value in values:
                number += 1
                made.do(
                    f"INSERT INTO template (key, {quoted[name]}) VALUES ({number}, {value})",
                )
        yield made


def sourced(reader: Rows) -> Source:
    return Source(name="hostile", reader=reader, contract=Anything, key=("key",), event_time="_seen_at")


def rows_of(world: World) -> pl.DataFrame:
    found = world.env.lake.table("raw/hostile").current().collect().sort("key", "_row_number")
    ours = ("_seen_at", "_source_file", "_source_sha256", "_batch_id", "_ingested_at", "_row_number", "_change")
    return found.drop(*ours, "partition_key", strict=False)


@pytest.mark.filterwarnings("ignore:Did not recognize type")
def test_they_are_those_of_the_table(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_states, "IN_MEMORY", 10_000)
    by_changes = Rows("hostile", connection="erp", mode="changes", slot=f"s_{uuid.uuid4().hex}", create_slot=True)
    world.source = sourced(by_changes)
    assert not world.look()
    world.do("INSERT INTO hostile SELECT * FROM template")
    world.do("UPDATE hostile SET small = 5 WHERE key % 2 = 0")
    assert world.look()
    changes = rows_of(world)
    snapshot = World(world.url, tmp_path / "other", slot="none")
    snapshot.source = sourced(Rows("hostile", connection="erp", mode="snapshot"))
    assert snapshot.look()
    whole = rows_of(snapshot)
    snapshot.close()
    assert changes.schema == whole.schema
    for name in whole.columns:
        assert changes[name].equals(whole[name], null_equal=True), name
    assert 0 < whole["_defect"].null_count() < whole.height
    # What was not sent is as it was, and looking at the whole table finds nothing else.
    world.do("UPDATE hostile SET small = 6")
    world.look()
    world.source = replace(world.source, reader=Rows("hostile", connection="erp", mode="snapshot"))
    assert not world.look()


def test_what_goes_to_the_server_together_is_bounded() -> None:
    states = [
        last_states.State((str(number),), (str(number), "x" * size))
        for number, size in enumerate([1, 1, 50, 1, 1, 1, 1])
    ]
    parts = list(portions(states, most=3, characters=40))
    assert [len(part) for part in parts] == [3, 3, 1]
    assert [state for part in parts for state in part] == states
    assert list(portions([])) == []


def test_a_text_that_its_type_does_not_have_any_more_is_found_in_the_table(world: World) -> None:
    world.do("CREATE TABLE moods (key BIGINT PRIMARY KEY, mood mood)")
    reader = Rows("moods", connection="erp", mode="changes", slot=f"s_{uuid.uuid4().hex}", create_slot=True)
    world.source = sourced(reader)
    assert not world.look()
    world.do("INSERT INTO moods VALUES (1, 'so so'), (2, NULL)")
    world.do("ALTER TYPE mood RENAME VALUE 'so so' TO 'fine'")
    assert world.look()
    assert rows_of(world).select("key", "mood").rows() == [(1, "fine"), (2, None)]
