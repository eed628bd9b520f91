"""Column lineage of a DuckDB query: sqlglot resolves its names, this module follows them.

sqlglot's own lineage omits columns that only decide which rows there are (filters, joins, groups, limits). Here every query
is a relation: per column the sources of its values, and for the whole relation the sources of its rows. Constructs that are
not understood (table functions, PIVOT, recursion, functions unknown to sqlglot) make their columns unknown.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify

from assay.errors import AssayError
from assay.features.views.columns import ColumnLineage

Source = tuple[str, str]  # table, column

_PAGE = frozenset(["with_", "distinct", "order", "limit", "offset"])
_SET = _PAGE | {"this", "expression"}
_SELECT = _PAGE | {"expressions", "from_", "joins", "where", "group", "having", "qualify", "windows"}
_JOIN = frozenset(["this", "on", "side", "kind", "method"])
_MORE_ROWS = frozenset(["generate_subscripts", "generate_series", "unnest"])  # one row in, several out
_NOT_FOLLOWED = (exp.Anonymous, exp.AnonymousAggFunc, exp.Columns, exp.Lambda, exp.Star, exp.TableColumn)


class NotKnown(Exception):
    """What is being looked at cannot be followed."""


@dataclass(frozen=True, slots=True)
class _Sources:
    direct: frozenset[Source] = frozenset()
    indirect: frozenset[Source] = frozenset()

    @property
    def every(self) -> frozenset[Source]:
        return self.direct | self.indirect

    def __or__(self, other: "_Sources") -> "_Sources":
        return _Sources(self.direct | other.direct, self.indirect | other.indirect)


@dataclass(frozen=True, slots=True)
class _Relation:
    """Where the values of each column come from (None: unknown), and what decides which rows there are, in which order."""

    columns: Mapping[str, _Sources | None]
    rows: frozenset[Source] = frozenset()

    def of(self, column: str) -> _Sources:
        sources = self.columns.get(column)
        if sources is None:
            raise NotKnown
        return sources

    @property
    def every(self) -> frozenset[Source]:
        return frozenset().union(*(self.of(name).every for name in self.columns))


_Scope = Mapping[str, _Relation]


def sql_lineage(sql: str, schema: Mapping[str, Iterable[str]], columns: Sequence[str] | None = None) -> ColumnLineage:
    """What every output column of a DuckDB query comes from.

    Direct sources give values; indirect ones decide which rows, groups or branches the values are taken from (WHERE, ON,
    GROUP BY, ORDER BY, CASE WHEN, …).

    Args:
        sql: One query.
        schema: The columns of the tables that the query may read, by table.
        columns: The names of the result's columns, in order, as the engine gave them. Default: the query names them all.

    Returns:
        `{"direct": [(table, column)…], "indirect": […]}` or `"unknown"` by column: the form in which outputs declare them.

    Raises:
        AssayError: The text is anything but one query, or, without `columns`, the names of its columns cannot be derived.
    """
    query = _parsed(sql)
    try:
        names = list(columns) if columns is not None else _names(query, schema)
    except NotKnown:
        raise AssayError(
            "The names of the query's columns cannot be derived: name every column (… AS name), name the tables it reads in "
            "the schema, or pass the result's columns."
        ) from None
    if len(set(names)) < len(names):
        raise AssayError("Two columns of the query have the same name: name them apart (… AS name).")
    try:
        relation = _resolved(query, schema)
    except NotKnown:
        return dict.fromkeys(names, "unknown")
    outputs = list(relation.columns.values())
    if len(outputs) != len(names):
        return dict.fromkeys(names, "unknown")
    return {name: _declared(sources, relation.rows) for name, sources in zip(names, outputs, strict=True)}


def _declared(sources: _Sources | None, rows: frozenset[Source]) -> dict[str, list[Source]] | Literal["unknown"]:
    if sources is None:
        return "unknown"
    return {"direct": sorted(sources.direct), "indirect": sorted(sources.indirect | rows)}


def _parsed(sql: str) -> exp.Query:
    try:
        statements = sqlglot.parse(sql, dialect="duckdb")
    except SqlglotError:  # its message quotes the query, which may hold values
        raise AssayError("The query cannot be read as DuckDB SQL: run it in DuckDB to see where it is wrong.") from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise AssayError("Column lineage is of one query (SELECT …), not of several statements or of another kind.")
    return statements[0]


def _names(query: exp.Query, schema: Mapping[str, Iterable[str]]) -> list[str]:
    """The names that DuckDB gives the columns, spelt as they are where they come from."""
    outer = _first_select(query)
    for item in outer.expressions:
        plain = isinstance(item, exp.Column) and not item.args.get("db")
        if not (isinstance(item, exp.Alias | exp.Star) or plain) or item.find(exp.Columns):
            raise NotKnown  # DuckDB makes a name from the text of the expression
    spelt = {name.lower(): name for table in schema.values() for name in table}
    spelt |= {alias.alias.lower(): alias.alias for alias in query.find_all(exp.Alias)}
    spelt |= {alias.alias.lower(): alias.alias for alias in outer.expressions if isinstance(alias, exp.Alias)}
    starred = any(item.is_star for item in outer.expressions)
    qualified = _first_select(qualified_query(query, schema)) if starred else outer
    if any(item.is_star for item in qualified.expressions):
        raise NotKnown
    return [spelt.get(item.alias_or_name.lower()) or str(item.alias_or_name) for item in qualified.expressions]


def _first_select(query: exp.Expr) -> exp.Select:
    while isinstance(query, exp.SetOperation | exp.Subquery):
        query = query.this
    if not isinstance(query, exp.Select):
        raise NotKnown
    return query


def _resolved(query: exp.Query, schema: Mapping[str, Iterable[str]]) -> _Relation:
    tables = {
        f"t{number}": _Relation({name.lower(): _Sources(frozenset([(table, name)])) for name in names})
        for number, (table, names) in enumerate(schema.items())
    }
    return _Reader(tables).query(qualified_query(query, schema), {}, {})


def qualified_query(query: exp.Query, schema: Mapping[str, Iterable[str]]) -> exp.Query:
    """The query with every column written as table.column and stars spelt out; tables are called t0, t1, … as in schema."""
    query = query.copy()
    numbers = {table.lower(): f"t{number}" for number, table in enumerate(schema)}
    named = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    if named & (set(numbers.values()) | set(numbers)):
        raise NotKnown  # whether a name means the table or the part of the query depends on where it stands
    for table in list(query.find_all(exp.Table)):
        name = ".".join(part.name for part in table.parts).lower()
        if name in named:
            continue
        if name not in numbers or not isinstance(table.this, exp.Identifier):
            raise NotKnown
        alias = table.alias or table.parts[-1].name
        table.set("this", exp.to_identifier(numbers[name], quoted=True))
        table.set("db", None)
        table.set("catalog", None)
        if not table.alias:
            table.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
    if _ambiguous(query, {name.lower() for names in schema.values() for name in names}):
        raise NotKnown
    types: dict[str, Any] = {
        numbers[table.lower()]: dict.fromkeys((f'"{name}"' for name in names), "int") for table, names in schema.items()
    }
    try:
        return qualify(query, schema=types, dialect="duckdb")
    except SqlglotError:
        raise NotKnown from None


def _ambiguous(query: exp.Query, names: set[str]) -> bool:
    """Whether a bare name could mean a column of the select list as well as one of the tables: DuckDB and sqlglot decide
    that differently from clause to clause. A bare ORDER BY key always means the select list."""
    made = Counter(alias.alias.lower() for alias in query.find_all(exp.Alias))
    columns = (item for alias in query.find_all(exp.TableAlias) for item in alias.args.get("columns") or ())
    names = names | {name for name, times in made.items() if times > 1} | {item.name.lower() for item in columns}
    for select in query.find_all(exp.Select):
        renamed = {
            item.alias.lower()
            for item in select.expressions
            if isinstance(item, exp.Alias)
            and not (isinstance(item.this, exp.Column) and item.this.name.lower() == item.alias.lower())
        }
        keys = {id(item.this) for item in select.args["order"].expressions} if select.args.get("order") else set[int]()
        bare = (item for item in select.find_all(exp.Column) if not item.table and id(item) not in keys)
        if renamed & names & {item.name.lower() for item in bare}:
            return True
    return False


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads relations out of a qualified query. `parts` are those that WITH named, `scope` the tables in sight."""

    tables: Mapping[str, _Relation]

    def query(self, node: exp.Expr, parts: _Scope, scope: _Scope) -> _Relation:
        with_ = node.args.get("with_")
        if with_ is not None:
            if with_.args.get("recursive"):
                raise NotKnown
            parts = dict(parts)
            for cte in with_.expressions:
                parts[cte.alias] = _renamed(self.query(cte.this, parts, scope), cte)
        if isinstance(node, exp.Subquery) and not _given(node) - {"this", "alias", "with_"}:
            return self.query(node.this, parts, scope)
        if isinstance(node, exp.SetOperation) and not _given(node) - _SET:
            return self.combined(node, parts, scope)
        if isinstance(node, exp.Select) and not _given(node) - _SELECT:
            return self.select(node, parts, scope)
        raise NotKnown

    def combined(self, node: exp.SetOperation, parts: _Scope, scope: _Scope) -> _Relation:
        left, right = self.query(node.this, parts, scope), self.query(node.expression, parts, scope)
        if len(left.columns) != len(right.columns):
            raise NotKnown
        both = zip(left.columns.items(), right.columns.values(), strict=True)
        union = isinstance(node, exp.Union)
        columns = {name: (one if not union else one and other and one | other) for (name, one), other in both}
        rows = left.rows | right.rows
        if not union or node.args.get("distinct"):
            rows |= left.every | right.every
        made = _Relation(columns)
        return _Relation(columns, rows | self.ordering(node, parts, scope, made))

    def select(self, node: exp.Select, parts: _Scope, outer: _Scope) -> _Relation:
        scope, rows = dict(outer), frozenset[Source]()
        joins: list[exp.Join] = node.args.get("joins") or []
        if node.args.get("from_"):
            for item in (node.args["from_"].this, *(join.this for join in joins)):
                relation = self.table(item, parts, outer)
                scope[item.alias_or_name] = relation
                rows |= relation.rows
        for join in joins:
            if _given(join) - _JOIN or join.method not in ("", "ASOF") or join.kind == "POSITIONAL":
                raise NotKnown
            if join.args.get("on"):
                rows |= self.every(join.args["on"], parts, scope)
        windows = {item.this.name: item for item in node.args.get("windows") or ()}
        for item in node.expressions:
            functions = {function.name.lower() for function in item.find_all(exp.Anonymous)}
            if item.find(exp.UDTF, exp.Explode) or functions & _MORE_ROWS or item.is_star:
                raise NotKnown
        columns = {item.alias_or_name: self.projected(item, parts, scope, windows) for item in node.expressions}
        if len(columns) < len(node.expressions):
            raise NotKnown
        made = _Relation(columns)
        for clause in ("where", "having", "qualify"):
            if node.args.get(clause):
                rows |= self.every(node.args[clause].this, parts, scope, windows)
        rows |= self.groups(node, parts, scope, made)
        distinct = node.args.get("distinct")
        if distinct is not None:
            rows |= self.every(distinct.args["on"], parts, scope, own=made) if distinct.args.get("on") else made.every
        return _Relation(columns, rows | self.ordering(node, parts, scope, made, windows))

    def table(self, node: exp.Expr, parts: _Scope, outer: _Scope) -> _Relation:
        if isinstance(node, exp.Subquery):
            return _renamed(self.query(node, parts, outer), node)
        if not isinstance(node, exp.Table) or _given(node) - {"this", "alias"}:
            raise NotKnown
        relation = parts.get(node.name) or self.tables.get(node.name)
        if relation is None:
            raise NotKnown
        return _renamed(relation, node)

    def projected(self, item: exp.Expr, parts: _Scope, scope: _Scope, windows: Mapping[str, Any]) -> Any:
        try:
            return self.sources(item, parts, scope, windows)
        except NotKnown:
            return None

    def groups(self, node: exp.Select, parts: _Scope, scope: _Scope, made: _Relation) -> frozenset[Source]:
        group = node.args.get("group")
        if group is None:
            return frozenset()
        if not group.args.get("all"):
            return self.every(group, parts, scope, own=made)
        keys = (item.alias_or_name for item in node.expressions if not item.find(exp.AggFunc, exp.Anonymous))
        return frozenset().union(*(made.of(key).every for key in keys))

    def ordering(
        self,
        node: exp.Expr,
        parts: _Scope,
        scope: _Scope,
        made: _Relation,
        windows: Mapping[str, Any] | None = None,
    ) -> frozenset[Source]:
        sources = frozenset[Source]()
        for clause in ("order", "limit", "offset"):
            part = node.args.get(clause)
            if part is None:
                continue
            if clause == "order" and any(item.this.name.upper() == "ALL" for item in part.expressions):
                sources |= made.every
            else:
                sources |= self.every(part, parts, scope, windows, made)
        return sources

    def every(
        self,
        node: exp.Expr,
        parts: _Scope,
        scope: _Scope,
        windows: Mapping[str, Any] | None = None,
        own: _Relation | None = None,
    ) -> frozenset[Source]:
        return self.sources(node, parts, scope, windows or {}, own).every

    def sources(
        self,
        node: exp.Expr,
        parts: _Scope,
        scope: _Scope,
        windows: Mapping[str, Any],
        own: _Relation | None = None,
    ) -> _Sources:
        """Where an expression's value comes from. `own`: the select list, which bare names may mean."""

        def of(child: exp.Expr) -> _Sources:
            return self.sources(child, parts, scope, windows, own)

        if isinstance(node, exp.Column):
            return _column(node, scope, own)
        if isinstance(node, exp.Count) and isinstance(node.this, exp.Star):
            return _Sources()  # how many rows there are is what `rows` says
        if isinstance(node, exp.Query):
            relation = self.query(node, parts, scope)
            if isinstance(node.parent, exp.Exists):
                return _Sources(indirect=relation.rows)
            values = (relation.of(name) for name in relation.columns)
            return _union(values) | _Sources(indirect=relation.rows)
        if isinstance(node, _NOT_FOLLOWED):
            raise NotKnown
        direct, chosen = _roles(node)
        if isinstance(node, exp.Window) and node.args.get("alias"):
            name = node.args["alias"].name
            if name not in windows:
                raise NotKnown
            chosen = [*chosen, *windows[name].iter_expressions()]
        return _union(of(child) for child in direct) | _Sources(indirect=_union(of(child) for child in chosen).every)


def _roles(node: exp.Expr) -> tuple[list[exp.Expr], list[exp.Expr]]:
    """The parts of an expression that give its value, and those that decide which of them does."""
    children = list(node.iter_expressions())
    given = node.args
    if isinstance(node, exp.Case | exp.If):
        chosen = [given.get("this")]
    elif isinstance(node, exp.Filter):
        chosen = [given.get("expression")]
    elif isinstance(node, exp.Window | exp.Order):
        chosen = [child for child in children if child is not given.get("this")]
    else:
        chosen = []
    return [child for child in children if not any(child is item for item in chosen)], [item for item in chosen if item]


def _column(node: exp.Column, scope: _Scope, own: _Relation | None) -> _Sources:
    if node.args.get("db"):
        raise NotKnown
    relation = scope.get(node.table) if node.table else own
    if relation is None:
        raise NotKnown
    return relation.of(node.name)


def _renamed(relation: _Relation, node: exp.Expr) -> _Relation:
    """The relation under the column names that its alias gives: `x(a, b)`."""
    alias = node.args.get("alias")
    names = [item.name for item in alias.args.get("columns") or ()] if isinstance(alias, exp.TableAlias) else []
    if not names:
        return relation
    if len(set(names)) != len(relation.columns):
        raise NotKnown
    return _Relation(dict(zip(names, relation.columns.values(), strict=True)), relation.rows)


def _union(items: Iterable[_Sources]) -> _Sources:
    sources = _Sources()
    for item in items:
        sources |= item
    return sources


def _given(node: exp.Expr) -> set[str]:
    return {key for key, value in node.args.items() if value}
