"""Column lineage of SQL: what known queries say, and that no random query's output depends on what it does not say."""

import os
import random
from collections.abc import Iterator

import duckdb
import pytest

from assay.errors import AssayError
from assay.features.views.sql_lineage import sql_lineage

QUERIES = 250 if os.environ.get("SOAK") else 20
SCHEMA = {"clean/t": ["a", "b", "Foo"], "u": ["a", "d"]}
T = '"clean/t"'


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (f"select a, b + Foo as s from {T}", {"a": "t.a|", "s": "t.b t.Foo|"}),
        ("select 1 as one from u", {"one": "|"}),
        (f"select a from {T} where b > 1", {"a": "t.a|t.b"}),
        (f"select t.a from {T} t join u on t.b = u.d", {"a": "t.a|t.b u.d"}),
        (f"select d from {T} left join u using (a)", {"d": "u.d|t.a u.a"}),
        (f"select a from {T} full join u using (a)", {"a": "t.a u.a|t.a u.a"}),
        (f"select b from {T} semi join u using (a)", {"b": "t.b|t.a u.a"}),
        ("select a, sum(d) as s from u group by 1", {"a": "u.a|u.a", "s": "u.d|u.a"}),
        ("select a, sum(d) as s from u group by all", {"a": "u.a|u.a", "s": "u.d|u.a"}),
        ("select count(*) as n from u where a > 0", {"n": "|u.a"}),
        ("select a from u group by a having max(d) > 1", {"a": "u.a|u.a u.d"}),
        (f"select a from {T} order by b limit 3", {"a": "t.a|t.b"}),
        (f"select a from {T} limit (select max(d) from u)", {"a": "t.a|u.d"}),
        ("select rank() over (partition by a order by d) as r from u", {"r": "|u.a u.d"}),
        ("select sum(d) over w as s from u window w as (order by a)", {"s": "u.d|u.a"}),
        (f"select b from {T} qualify row_number() over (order by a) = 1", {"b": "t.b|t.a"}),
        ("select distinct a from u", {"a": "u.a|u.a"}),
        (f"select distinct on (a) a, b from {T} order by Foo", {"a": "t.a|t.a t.Foo", "b": "t.b|t.a t.Foo"}),
        (f"select a from {T} where a in (select a from u where d > b)", {"a": "t.a|t.a t.b u.a u.d"}),
        (f"select exists (select 1 from u where u.a = t.a) as e from {T} t", {"e": "|t.a u.a"}),
        (f"select (select max(d) from u where u.a = t.a) as m from {T} t", {"m": "u.d|t.a u.a"}),
        ("with x(p, q) as (select a, d from u) select p from x where q > 1", {"p": "u.a|u.d"}),
        ("select x.p from (select d as p from u where a = 1) x", {"p": "u.d|u.a"}),
        (f"select a from {T} union all select d from u", {"a": "t.a u.d|"}),
        (f"select a from {T} union select d from u", {"a": "t.a u.d|t.a u.d"}),
        (f"select a from {T} except select d from u", {"a": "t.a|t.a u.d"}),
        ("select case when a > 1 then d else 0 end as c from u", {"c": "u.d|u.a"}),
        ("select sum(d) filter (where a > 1) as s from u", {"s": "u.d|u.a"}),
        ("select list(d order by a) as l from u", {"l": "u.d|u.a"}),
        ("select * exclude (a) from u", {"d": "u.d|"}),
        ("select * replace (d + 1 as a) from u", {"a": "u.d|", "d": "u.d|"}),
        ("select a as z, z + d as y from u", {"z": "u.a|", "y": "u.a u.d|"}),
        ("select d as a from u order by a", {"a": "u.d|u.d"}),
        (f"select FOO, b as Bar from {T}", {"Foo": "t.Foo|", "Bar": "t.b|"}),
        ("from u", {"a": "u.a|", "d": "u.d|"}),
    ],
)
def test_direct_and_indirect_sources(sql: str, expected: dict[str, str]) -> None:
    found = sql_lineage(sql, SCHEMA)
    for name, (direct, indirect) in ((name, text.split("|")) for name, text in expected.items()):
        for kind, text in (("direct", direct), ("indirect", indirect)):
            tables = {"t": "clean/t", "u": "u"}
            pairs = {(tables[item.split(".")[0]], item.split(".")[1]) for item in text.split()}
            sources = found[name]
            assert sources != "unknown" and set(sources[kind]) == pairs, (name, kind)
    assert list(found) == list(expected)


@pytest.mark.parametrize(
    "sql",
    [
        "select x from (select unnest([a, d]) as x from u)",
        "select n as x from range(3) as r(n)",
        "select my_function(a) as x from u",
        "select list_transform([a], v -> v + d) as x from u",
        "select u as x from u",
        "select a as x from u using sample 2",
        "select a as x from elsewhere",
        "select x from read_parquet('f.parquet')",
        "with recursive r as (select 1 as x union all select x + 1 from r where x < 5) select x from r",
        "select d as x, x + 1 as y, a from (select a, d, 1 as x from u)",
        "select a as x from u union by name select d as x from u",
        "select g as x from u, lateral (select u.a as g)",
    ],
)
def test_what_is_not_understood_is_unknown(sql: str) -> None:
    assert sql_lineage(sql, SCHEMA)["x"] == "unknown"


def test_one_unknown_column_leaves_the_others_known() -> None:
    assert sql_lineage("select my_function(a) as x, d from u", SCHEMA) == {
        "x": "unknown",
        "d": {"direct": [("u", "d")], "indirect": []},
    }


def test_the_engine_names_the_columns() -> None:
    named = sql_lineage("select count(*), d + 1 from u group by d", SCHEMA, columns=["count_star()", "(d + 1)"])
    assert named["(d + 1)"] == {"direct": [("u", "d")], "indirect": [("u", "d")]}
    assert sql_lineage("select * from elsewhere", SCHEMA, columns=["p", "q"]) == {"p": "unknown", "q": "unknown"}
    assert sql_lineage("select * from u", SCHEMA, columns=["only"]) == {"only": "unknown"}


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select 'secret' from where", "cannot be read"),
        ("select 1 as a; select 2 as a", "one query"),
        ("drop table u", "one query"),
        ("select * from elsewhere", "names of the query's columns"),
        ("select a + 1 from u", "names of the query's columns"),
        ("select columns('a') from u", "names of the query's columns"),
        ("select a, d as a from u", "same name"),
    ],
)
def test_what_is_refused(sql: str, message: str) -> None:
    with pytest.raises(AssayError, match=message) as refused:
        sql_lineage(sql, SCHEMA)
    assert "secret" not in str(refused.value)


# -- the oracle --------------------------------------------------------------------------------------------------------

TABLES = {"t": ["a", "b", "c"], "u": ["a", "d", "e"]}


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """Schema `base`, and beside it per column two with only that column changed: shuffled, and drawn anew."""
    chance = random.Random(7)
    data = {table: {name: _draw(chance) for name in names} for table, names in TABLES.items()}
    with duckdb.connect(config={"threads": 1}) as connection:
        _store(connection, "base", data)
        for table, names in TABLES.items():
            for name in names:
                for number in range(2):
                    old = data[table][name]
                    new = chance.sample(old, len(old)) if number % 2 else _draw(chance)
                    _store(connection, f"{table}_{name}_{number}", data | {table: data[table] | {name: new}})
        yield connection


def _draw(chance: random.Random) -> list[int]:
    return [chance.randint(0, 6) for _ in range(12)]


def _store(connection: duckdb.DuckDBPyConnection, schema: str, data: dict[str, dict[str, list[int]]]) -> None:
    connection.execute(f"create schema {schema}")
    for table, columns in data.items():
        rows = ", ".join(str(row) for row in zip(*columns.values(), strict=True))
        connection.execute(f"create table {schema}.{table} as from (values {rows}) as v({', '.join(columns)})")


def _columns(connection: duckdb.DuckDBPyConnection, schema: str, sql: str) -> dict[str, list[object]]:
    """Each column's values, sorted: in which order rows come out is the engine's affair."""
    connection.execute(f"use {schema}")
    result = connection.execute(sql)
    names = [item[0] for item in result.description or ()]
    rows = result.fetchall()
    return {name: sorted((row[n] for row in rows), key=repr) for n, name in enumerate(names)}


class Writer:
    """Random queries over whole numbers whose result does not depend on chance (no ties are left to the engine)."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.count = 0

    def name(self) -> str:
        self.count += 1
        return f"n{self.count}"

    def value(self, columns: list[str], depth: int = 2) -> str:
        pick = self.chance.choice
        if depth == 0 or self.chance.random() < 0.3:
            return pick([*columns, *columns, str(self.chance.randint(0, 5))])
        one, two = self.value(columns, depth - 1), self.value(columns, depth - 1)
        forms = ["({0} + {1})", "({0} * {1})", "greatest({0}, {1})", "coalesce({0}, {1})", "abs({0} - {1})"]
        forms += [
            f"case when {self.test(columns)} then {{0}} else {{1}} end",
            "if({0} > 2, {1}, 0)",
            "nullif({0}, {1})",
        ]
        return pick(forms).format(one, two)

    def test(self, columns: list[str]) -> str:
        one, two = self.chance.choice(columns), self.chance.choice([*columns, "2", "3"])
        forms = ["{0} > {1}", "{0} <> {1}", "{0} is not null", "{0} between 1 and {1} + 3"]
        forms += ["{0} in (select d from u where e > 2)", "exists (select 1 from u as v where v.d = {0})"]
        return self.chance.choice(forms).format(one, two)

    def source(self, depth: int) -> tuple[str, list[str]]:
        """A FROM clause and the columns in it."""
        kind = self.chance.choice(["table", "table", "join", "nested", "nested"] if depth else ["table", "join"])
        one, two = self.name(), self.name()
        if kind == "table":
            table = self.chance.choice(["t", "u"])
            return f"{table} as {one}", [f"{one}.{name}" for name in TABLES[table]]
        if kind == "join":
            side = self.chance.choice(["join", "left join", "full join", "semi join", "anti join"])
            sql = (
                f"t as {one} {side} u as {two} on {one}.{self.chance.choice('abc')} = {two}.{self.chance.choice('ade')}"
            )
            right = [] if side in ("semi join", "anti join") else [f"{two}.{name}" for name in "ade"]
            return sql, [f"{one}.{name}" for name in "abc"] + right
        sql, names = self.query(depth - 1)
        return f"({sql}) as {one}", [f"{one}.{name}" for name in names]

    def query(self, depth: int) -> tuple[str, list[str]]:
        kind = self.chance.choice(
            ["plain", "group", "window", "set", "with"] if depth else ["plain", "group", "window"]
        )
        if kind == "set":
            (left, names), (right, others) = self.query(depth - 1), self.query(depth - 1)
            width = min(len(names), len(others))
            word = self.chance.choice(["union", "union all", "except", "intersect"])
            pairs = ((left, names), (right, others))
            sides = [f"select {', '.join(part[:width])} from ({sql}) as {self.name()}" for sql, part in pairs]
            return f" {word} ".join(sides), names[:width]
        if kind == "with":
            inner, names = self.query(depth - 1)
            part, made = self.name(), self.name()
            chosen = self.value(names)
            return f"with {part} as ({inner}) select {chosen} as {made} from {part} where {self.test(names)}", [made]
        sql, columns = self.source(depth)
        where = f" where {self.test(columns)}" if self.chance.random() < 0.4 else ""
        made = [self.name() for _ in range(self.chance.randint(1, 3))]
        if kind == "group":
            key = self.chance.choice(columns)
            values = [key, *(self.aggregate(columns) for _ in made[1:])]
            tail = f" group by {self.chance.choice([key, 'all', '1'])}"
            tail += f" having {self.aggregate(columns)} > 1" if self.chance.random() < 0.4 else ""
        else:
            give = self.window if kind == "window" else self.value
            values = [give(columns) for _ in made]
            by, of = self.chance.choice(columns), self.chance.choice(columns)
            tail = f" qualify rank() over (partition by {by} order by {of}) < 3" if self.chance.random() < 0.2 else ""
        ordered = self.chance.random() < 0.3
        distinct = self.chance.choice(["", "", "distinct ", f"distinct on ({made[0]}) " if ordered else ""])
        shown = ", ".join(f"{value} as {name}" for value, name in zip(values, made, strict=True))
        first = [self.chance.choice(columns)] if kind != "group" and not distinct else []  # not a column of the result
        tail += f" order by {', '.join(first + made)} limit {self.chance.randint(1, 6)}" if ordered else ""
        return f"select {distinct}{shown} from {sql}{where}{tail}", made

    def aggregate(self, columns: list[str]) -> str:
        forms = ["sum({0})", "max({0})", "count({0})", "count(*)", "count(distinct {0})", "arg_max({0}, ({0}, {1}))"]
        forms += [f"sum({{0}}) filter (where {self.chance.choice(columns)} > 2)"]
        return self.chance.choice(forms).format(self.chance.choice(columns), self.chance.choice(columns))

    def window(self, columns: list[str]) -> str:
        forms = ["rank() over (order by {0})", "sum({0}) over (partition by {1})", "count(*) over (partition by {0})"]
        forms += ["max({0}) over (order by {1})", "dense_rank() over (partition by {0} order by {1})"]
        return self.chance.choice(forms).format(self.chance.choice(columns), self.chance.choice(columns))


def test_an_output_changes_only_with_the_columns_it_names(engine: duckdb.DuckDBPyConnection) -> None:
    changed = known = columns = 0
    for seed in range(QUERIES):
        sql, names = Writer(seed).query(2)
        lineage = sql_lineage(sql, TABLES)
        assert list(lineage) == names
        base = _columns(engine, "base", sql)
        columns += len(names)
        known += sum(item != "unknown" for item in lineage.values())
        for table, name, number in ((t, c, n) for t in TABLES for c in TABLES[t] for n in range(2)):
            after = _columns(engine, f"{table}_{name}_{number}", sql)
            for output, sources in lineage.items():
                if after[output] != base[output]:
                    changed += 1
                    said = sources == "unknown" or (table, name) in [*sources["direct"], *sources["indirect"]]
                    assert said, f"query {seed}: {output} depends on {table}.{name}: {sql}"
    assert known == columns, "all of this is understood"
    assert changed > 4 * QUERIES
