"""Of which tables all the rows behind one row of a query's result have that row's keys."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import sqlglot
from sqlglot import exp

from assay.features.views.sql_lineage import NotKnown, qualified_query

_CLAUSES = frozenset(
    ["with_", "distinct", "order", "expressions", "from_", "joins", "where", "group", "having", "qualify"]
)
_Column = tuple[str, str]  # of a relation, as the query calls both


def tables_by_keys(sql: str, schema: Mapping[str, Iterable[str]], keys: Sequence[str]) -> frozenset[str]:
    """The tables of a DuckDB query of which a result row depends on the rows with its keys alone, in columns of the same names.

    A table is one of them if, wherever it is read, its keys are those of the result: as selected, or as compared by `=` in a join
    or in WHERE. Nothing is claimed of what takes rows across keys: a limit, a subquery in an expression, OVER without
    PARTITION BY the keys.

    Args:
        sql: One query.
        schema: The columns of the tables that it may read, by table.
        keys: Columns of its result.
    """
    names, written = list(schema), sqlglot.parse_one(sql, dialect="duckdb")
    try:
        query = qualified_query(written, schema) if isinstance(written, exp.Query) else None
    except NotKnown:
        query = None
    if query is None:
        return frozenset()
    ctes = list(query.find_all(exp.CTE))
    parts = {cte.alias: cte for cte in ctes}
    reads = Counter(table.name for table in query.find_all(exp.Table))
    recursive = any(item.args.get("recursive") for item in query.find_all(exp.With))
    if recursive or len(parts) < len(ctes) or any(reads[cte.alias] > 1 or cte.args["alias"].columns for cte in ctes):
        return frozenset()
    wanted = [key.lower() for key in keys]
    followed = Counter(table for table, own in _followed(query, wanted, parts) if own == wanted)
    return frozenset(names[int(table[1:])] for table, times in followed.items() if times == reads[table])


def _followed(query: exp.Expr, columns: Sequence[str], parts: Mapping[str, exp.CTE]) -> Iterator[tuple[str, list[str]]]:
    """The tables that the rows with certain values in these columns are read from by the same values, and in which columns."""
    given = {clause for clause, value in query.args.items() if value}
    if given & {"limit", "offset", "by_name"}:
        return
    if isinstance(query, exp.Subquery):
        yield from _followed(query.this, columns, parts)
    elif isinstance(query, exp.SetOperation):
        named = _names(query)
        if set(columns) <= set(named) and len(set(named)) == len(named):
            places = [named.index(column) for column in columns]
            for side in (query.this, query.expression):
                own = _names(side)
                yield from _followed(side, [own[place] for place in places], parts)
    elif isinstance(query, exp.Select) and given <= _CLAUSES:
        yield from _selected(query, columns, parts)


def _selected(
    query: exp.Select, columns: Sequence[str], parts: Mapping[str, exp.CTE]
) -> Iterator[tuple[str, list[str]]]:
    group, distinct = query.args.get("group"), query.args.get("distinct")
    if (group and group.find(exp.Rollup, exp.Cube, exp.GroupingSets)) or (distinct and distinct.args.get("on")):
        return
    made = {item.alias_or_name.lower(): item.unalias() for item in query.expressions}
    wanted = [made.get(column) for column in columns]
    joins: list[exp.Join] = query.args.get("joins") or []
    if not query.args.get("from_") or not all(isinstance(item, exp.Column) for item in wanted):
        return
    selected = [_of(item) for item in wanted if isinstance(item, exp.Column)]
    equal = _equal(query, joins)
    alike = [_alike(column, equal) for column in selected]
    for over in _windows(query):
        given = {_of(item) for item in over.args.get("partition_by") or () if isinstance(item, exp.Column)}
        if over.args.get("alias") or not set(selected) <= given:  # one that is only equal may be null
            return
    plain = {join.this.alias_or_name for join in joins if _is_plain(join)} | {query.args["from_"].this.alias_or_name}
    if len(plain) < 1 + len(joins):  # of a join of another kind, what a row depends on is not looked into
        return
    for item in (query.args["from_"].this, *(join.this for join in joins)):
        own = [sorted(column for relation, column in same if relation == item.alias_or_name) for same in alike]
        if not all(own) or (isinstance(item.args.get("alias"), exp.TableAlias) and item.args["alias"].columns):
            continue
        if isinstance(item, exp.Table) and {name for name, value in item.args.items() if value} - {"this", "alias"}:
            continue
        if isinstance(item, exp.Table) and item.name not in parts:
            same_name = [key if key in names else names[0] for key, names in zip(columns, own, strict=True)]
            yield item.name, same_name
        elif isinstance(item, exp.Table | exp.Subquery):
            inner = parts[item.name].this if isinstance(item, exp.Table) else item.this
            yield from _followed(inner, [names[0] for names in own], parts)


def _equal(query: exp.Select, joins: Sequence[exp.Join]) -> list[tuple[_Column, _Column]]:
    """The pairs of columns that are equal wherever the rows of both are there."""
    pairs = []
    for join in joins:
        # What is not about the joined rows need not hold where a LEFT JOIN finds none.
        pairs += [
            pair for pair in _compared(join.args.get("on")) if join.this.alias_or_name in (pair[0][0], pair[1][0])
        ]
    where = query.args.get("where")
    return pairs + list(_compared(where.this if where else None))


def _compared(condition: exp.Expr | None) -> Iterator[tuple[_Column, _Column]]:
    if isinstance(condition, exp.Paren):
        yield from _compared(condition.this)
    elif isinstance(condition, exp.And):
        yield from _compared(condition.left)
        yield from _compared(condition.right)
    elif isinstance(condition, exp.EQ):
        left, right = condition.left, condition.right
        if isinstance(left, exp.Column) and isinstance(right, exp.Column):
            yield _of(left), _of(right)


def _alike(column: _Column, equal: Sequence[tuple[_Column, _Column]]) -> set[_Column]:
    found, before = {column}, 0
    while len(found) > before:
        before = len(found)
        found |= {one for pair in equal if found & set(pair) for one in pair}
    return found


def _windows(query: exp.Select) -> Iterator[exp.Window]:
    """Those of the query itself, not of queries within it."""
    return (over for over in query.find_all(exp.Window) if over.parent_select is query)


def _is_plain(join: exp.Join) -> bool:
    return not join.method and join.side in ("", "LEFT") and join.kind in ("", "INNER", "OUTER", "CROSS")


def _names(query: exp.Expr) -> list[str]:
    while isinstance(query, exp.SetOperation | exp.Subquery):
        query = query.this
    return [item.alias_or_name.lower() for item in query.expressions]


def _of(column: exp.Column) -> _Column:
    return column.table, column.name.lower()
