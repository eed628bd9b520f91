"""Rows are followed through a query by keys: only where no row with another key matters, asked of DuckDB itself."""

from collections.abc import Iterator, Mapping

import duckdb
import pytest

from assay.features.views.sql_keys import tables_by_keys
from assay.features.views.sql_query import SqlQuery

SCHEMA = {"clean.t": ["k", "x", "day"], "clean.e": ["k", "x", "day"]}
BOTH, T, NONE = {"clean.t", "clean.e"}, {"clean.t"}, set[str]()
QUERIES: Mapping[str, set[str]] = {
    "select t.k, count(*) as n from clean.t t group by t.k": T,
    "select t.k, sum(e.x) as n from clean.t t left join clean.e e on e.k = t.k and e.day <= t.day group by t.k": BOTH,
    "select e.k, sum(t.x) as n from clean.t t join clean.e e on (e.k = t.k and e.x = 3) group by all": BOTH,
    "select t.k, sum(e.x) as n from clean.t t, clean.e e where e.k = t.k and t.x > 0 group by t.k": BOTH,
    "select t.k, sum(e.x) as n from clean.t t cross join clean.e e group by t.k": T,
    "select t.k, sum(e.x) as n from clean.t t left join clean.e e on e.k = t.k or e.x = 2 group by t.k": T,
    "select t.k, sum(e.x) as n from clean.t t join clean.e e on e.x = t.x group by t.k": T,
    "select t.k, sum(u.x) as n from clean.t t join clean.t u on u.k = t.k group by t.k": T,
    "select t.k, sum(u.x) as n from clean.t t join clean.t u on u.x >= t.x group by t.k": NONE,
    "select t.k, t.x - (select max(e.x) from clean.e e) as n from clean.t t": T,
    "select t.k, t.x - (select max(u.x) from clean.t u) as n from clean.t t": NONE,
    "select t.k, rank() over (order by t.x) as n from clean.t t": NONE,
    "select t.k, rank() over (partition by t.k order by t.x) as n from clean.t t": T,
    "select t.k, count(*) over (partition by e.k) as n from clean.t t left join clean.e e on e.k = t.k and e.x > 2": NONE,
    "select t.k, sum(t.x) as n from clean.t t group by t.k order by n desc, t.k limit 1": NONE,
    "select distinct on (t.x) t.k, t.x as n from clean.t t order by t.x, t.k": NONE,
    "select t.k, t.x as n from clean.t t union all select e.k, e.x from clean.e e": BOTH,
    "select t.k, t.x as n from clean.t t except select e.k, e.x + 1 from clean.e e": BOTH,
    "select t.k, t.x as n from clean.t t union all (select e.k, e.x from clean.e e order by e.x, e.k limit 1)": T,
    "with s as (select e.k, max(e.x) as m from clean.e e group by e.k) "
    "select t.k, sum(s.m) as n from clean.t t join s on s.k = t.k group by t.k": BOTH,
    "with s as (select e.k, e.x from clean.e e) select t.k, sum(s.x) as n from clean.t t join s on s.x = t.x group by t.k": T,
    "with s as (select e.k, e.x from clean.e e) "
    "select t.k, sum(s.x + o.x) as n from clean.t t join s on s.k = t.k cross join s as o group by t.k": NONE,
    "with s(k, x) as (select e.x, e.k from clean.e e) "
    "select t.k, count(*) as n from clean.t t left join s on s.x = t.k group by t.k": BOTH,
    "select s.who as k, s.n from (select t.k as who, count(*) as n from clean.t t group by t.k) s": T,
    "select t.k, sum(e.x) as n from clean.t t full join clean.e e on e.k = t.k group by t.k": NONE,
    "select t.k, count(*) as n from clean.t t semi join clean.e e on e.x = t.x group by t.k": NONE,
    "select upper(t.k) as k, count(*) as n from clean.t t group by all": NONE,
    "select t.k as x, t.x as k from clean.t t": NONE,  # the key of the result is another column
    "select t.k, count(*) as n from clean.t t group by rollup (t.k)": NONE,
    "select t.k, count(*) as n from clean.t t group by grouping sets ((t.k), ())": NONE,
}


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        made.execute("create schema clean")
        yield made


@pytest.mark.parametrize("query", QUERIES)
def test_no_row_of_another_key_matters(query: str, engine: duckdb.DuckDBPyConnection) -> None:
    SqlQuery.parse(query, "a test")
    found = tables_by_keys(query, SCHEMA, ["k"])
    assert found == QUERIES[query]
    rows = "(values ('a', 1, 1), ('b', 2, 1), ('b', 1, 2), ('a', 3, 2), ('c', 2, 3), ('b', 0, 0)) as v(k, x, day)"

    def of(key: str, gone: str = "", others: str = "") -> list[tuple[object, ...]]:
        for table in SCHEMA:
            without = f" where k <> '{others}'" if table == gone else ""
            engine.execute(f"create or replace table {table} as select * from {rows}{without}")
        return sorted(row for row in engine.execute(query).fetchall() if row[0] == key)

    for table in found:
        for other in ("b", "c"):
            assert of("a", table, other) == of("a") != []


def test_every_key_counts() -> None:
    query = "select t.k, t.day, sum(e.x) as n from clean.t t join clean.e e on e.k = t.k group by t.k, t.day"
    assert tables_by_keys(query, SCHEMA, ["k"]) == BOTH
    assert tables_by_keys(query, SCHEMA, ["k", "day"]) == T
    latest = "select t.k, max(t.day) as day, sum(t.x) as n from clean.t t group by t.k"
    assert tables_by_keys(latest, SCHEMA, ["k", "day"]) == NONE
