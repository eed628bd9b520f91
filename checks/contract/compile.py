"""A pandera schema to rules: every built-in check becomes a polars expression with a stable name; the rest stays pandera's."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import pandera.polars as pa
import polars as pl

from assay.checks.contract.builtin import BUILTINS, values_of
from assay.checks.contract.field import (
    DUPLICATES,
    METADATA_KEY,
    Block,
    ColumnRule,
    FieldOptions,
    RowCount,
    RowRule,
    Severity,
    severity_of,
)
from assay.checks.contract.rules import (
    Column,
    CountRule,
    DtypeRule,
    ExprRule,
    ForeignKeyRule,
    NotNanRule,
    NotNullRule,
    PanderaRule,
    Rule,
    SequenceRule,
    SetRule,
    TableRule,
)
from assay.checks.contract.satisfiable import require_satisfiable
from assay.checks.contract.sorted_search import searches_unsorted
from assay.checks.contract.ties import any_of_ties
from assay.checks.contract.written_form import WrittenForm, form_of_column
from assay.checks.text.predicates import canonical
from assay.errors import AssayError
from assay.own_columns import PARTITION_KEY, delivered_name, is_link


def compile_columns(schema: pa.DataFrameSchema, written: WrittenForm) -> tuple[Column, ...]:
    """The columns of a contract, in its order. written: what it says of all columns. Raises AssayError for what Assay would have
    to guess about."""
    columns = tuple(_column(schema, name, column, written) for name, column in schema.columns.items())
    _require_own_names(str(schema.name), columns)
    return columns


def _require_own_names(contract: str, columns: Sequence[Column]) -> None:
    """Raise AssayError for a former name that says nothing, or that is another column's."""
    taken = {column.name: column.name for column in columns}
    for column in columns:
        where = f"{contract}.{column.name}: was"
        if column.options.was and column.pattern is not None:
            raise AssayError(
                f"{where}: a pattern stands for any number of columns; name the columns that had other names"
            )
        for name in column.options.was:
            if not isinstance(name, str) or not name or is_link(name):
                raise AssayError(f"{where}: {name!r} is no name that an upstream gives a column; write its former name")
            if name in taken:
                whose = "the column has that name now" if taken[name] == column.name else f"{taken[name]!r} has it, too"
                raise AssayError(f"{where}: {name!r} is not a former name of this column alone: {whose}; remove it")
            taken[name] = column.name


def compile_rules(
    schema: pa.DataFrameSchema,
    columns: Sequence[Column],
    severities: Mapping[str, Any],
    row_count: RowCount | None = None,
    duplicates: str | Mapping[str, str] = "first",
) -> tuple[Rule, ...]:
    """Every rule of a contract in the order in which reports show them.

    severities: rule name to severity, over the default. duplicates: which row of a key stays, of all keys or by rule name.
    Raises AssayError for an unknown column, a type that does not fit, a regular expression that does not compile,
    contradictory bounds, an unknown rule, severity or way with duplicates.
    """
    by_name = {column.name: column for column in columns}
    rules = [rule for column in columns for rule in _column_rules(schema, column, by_name)]
    rules += _joint_keys(schema, columns)
    for check in schema.checks or ():
        fn = check._check_fn
        if isinstance(fn, RowRule):
            rules.append(_row_rule(schema, check.name or "row", fn, by_name))
        else:
            rules.append(_pandera_rule(check.name or "check", None, check, tuple(by_name)))
    if row_count is not None:
        tolerance = {"reference": row_count.reference, "share": row_count.share, "rows": row_count.rows}
        rules.append(CountRule(name="row_count", column=None, severity=Severity.BLOCK, inputs=(), **tolerance))
    names = [rule.name for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise AssayError(f"{schema.name}: two rules are called {name}; give one of them another name")
    overrides = {name: severity_of(value, f"{schema.name}: severity of {name}") for name, value in severities.items()}
    for name in overrides:
        if name not in names:
            raise AssayError(
                f"{schema.name}: there is no rule {name!r} to set a severity for{_did_you_mean(name, names)}"
            )
    kept = _kept(schema, rules, duplicates)
    return tuple(
        _with_severity(
            schema,
            replace(rule, duplicates=kept[rule.name]) if isinstance(rule, SetRule) and rule.name in kept else rule,
            effect,
        )
        for rule, effect in ((rule, overrides.get(rule.name)) for rule in rules)
    )


def _kept(schema: pa.DataFrameSchema, rules: Iterable[Rule], duplicates: str | Mapping[str, str]) -> dict[str, str]:
    """Which row of a key stays, by rule."""
    keys = [rule.name for rule in rules if isinstance(rule, SetRule) and rule.entity is None]
    named = dict(duplicates) if isinstance(duplicates, Mapping) else {}
    for value in named.values() if isinstance(duplicates, Mapping) else [duplicates]:
        if value not in DUPLICATES:
            known = ", ".join(map(repr, DUPLICATES))
            raise AssayError(f"{schema.name}: Config.duplicates has {value!r}; write one of {known}")
    for name in named:
        if name not in keys:
            raise AssayError(
                f"{schema.name}: Config.duplicates names {name!r}, which is no rule about a key{_did_you_mean(name, keys)}"
            )
    return named if isinstance(duplicates, Mapping) else dict.fromkeys(keys, duplicates)


def _column(schema: pa.DataFrameSchema, name: str, column: pa.Column, written: WrittenForm) -> Column:
    where = f"{schema.name}.{name}"
    if column.dtype is None:
        raise AssayError(f"{where}: the column has no type; annotate it")
    if column.default is not None:
        raise AssayError(f"{where}: a default would hide what the source left out; remove it")
    if is_link(name):
        raise AssayError(
            f"{where}: Assay's own column has this name. An upstream's is kept as {delivered_name(name)!r}: declare that"
        )
    dtype = _dtype(where, column.dtype.type)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is None:
        raise AssayError(f"{where}: a time needs a zone; annotate it with assay.checks.Timestamp (microseconds, UTC)")
    options = (column.metadata or {}).get(METADATA_KEY, FieldOptions())
    if dtype.is_nested() and (column.unique or options.key or name in _unique(schema)):
        raise AssayError(f"{where}: values of type {dtype} cannot be compared, so they cannot be unique")
    if options.key and column.nullable:
        raise AssayError(f"{where}: a key column cannot be nullable")
    if options.key and not column.required:
        raise AssayError(f"{where}: a key column cannot be optional")
    if options.key and column.regex:
        raise AssayError(
            f"{where}: a pattern stands for any number of columns, so it cannot be the key; name the columns"
        )
    if options.required_if and not column.nullable:
        raise AssayError(
            f"{where}: the column is always required, so required_if adds nothing; say nullable=True or remove it"
        )
    form = form_of_column(where, options.written, written, dtype, naive_utc=options.naive_utc)
    options = replace(options, written=form)
    coerce = bool(column.coerce or schema.coerce)
    return Column(name, dtype, column.nullable, column.required, coerce, options, name if column.regex else None)


def _dtype(where: str, declared: Any) -> pl.DataType:
    try:
        dtype = declared() if isinstance(declared, type) else declared
    except TypeError as error:
        raise AssayError(
            f"{where}: the type {declared.__name__} alone does not say of what; "
            'annotate like pl.List(pl.Int64), pl.Struct({"a": pl.Int64}), pl.Array(pl.Int64, 2), Annotated[pl.Enum, ["a", "b"]]'
        ) from error
    if dtype in (pl.Object, pl.Unknown):
        raise AssayError(f"{where}: values of type {dtype} cannot be judged; annotate what they are")
    return dtype


def _column_rules(schema: pa.DataFrameSchema, column: Column, by_name: Mapping[str, Column]) -> Iterator[Rule]:
    name, value = column.name, pl.col(column.name)

    def common(rule: str, *others: str, severity: Severity = Severity.QUARANTINE) -> dict[str, Any]:
        return {"name": f"{name}.{rule}", "column": name, "severity": severity, "inputs": (name, *others)}

    yield DtypeRule(**common("dtype"))
    if not column.nullable:
        yield NotNullRule(**common("not_null"), expr=value.is_not_null())
    if column.dtype.is_float():
        yield NotNanRule(**common("not_nan"))
    pandera_column = schema.columns[name]
    checked: list[Rule] = []
    for check in pandera_column.checks or ():
        made = _check_rule(common, name, column, check)
        for other in made.inputs:
            _known(schema, made.name, other, by_name)
        checked.append(_checked(schema, made, by_name))
    require_satisfiable(str(schema.name), column, pandera_column.checks or (), checked)
    yield from checked
    if pandera_column.unique or _sole_key(column, by_name.values()) or _unique(schema) == [name]:
        yield SetRule(**common("unique"), key=(value,))
    if column.options.exists_in is not None:
        table, _, other = column.options.exists_in.partition(".")
        yield ForeignKeyRule(**common("exists"), reference=table, reference_column=other or name)
    if column.options.canonical_unique is not None:
        entity = column.options.canonical_unique
        for other in entity:
            _known(schema, f"{name}.canonical_unique", other, by_name)
        rule = SetRule(**common("canonical_unique", *entity), key=(canonical(value),), entity=entity)
        yield _checked(schema, rule, by_name)


def _check_rule(common: Callable[..., dict[str, Any]], name: str, column: Column, check: pa.Check) -> Rule:
    severity = Severity.WARN if check.raise_warning else Severity.QUARANTINE
    fn, value = check._check_fn, pl.col(name)
    if isinstance(fn, ColumnRule):
        kind = SequenceRule if fn.sequence else ExprRule
        return kind(**common(str(check.name), *fn.others, severity=severity), expr=fn.predicate(value))
    builtin = getattr(fn, "__name__", "") if check.registry_name else ""
    if builtin in BUILTINS:
        rule_name, build = BUILTINS[builtin]
        made = common(rule_name, severity=severity)
        try:
            expr = build(value, check._check_kwargs, column.dtype, made["name"])
        except (pl.exceptions.InvalidOperationError, OverflowError):
            raise AssayError(
                f"{made['name']}: its value is too large for polars; give one of the column's type"
            ) from None
        # With ignore_na=False null is a value that does not meet the check.
        return ExprRule(**made, expr=expr if check.ignore_na else expr & value.is_not_null())
    if builtin == "unique_values_eq":
        made = common(builtin, severity=Severity.WARN if check.raise_warning else Severity.BLOCK)
        wanted = values_of(check._check_kwargs["values"], column.dtype, made["name"])
        distinct = value.drop_nulls().unique()
        expr = (distinct.len() == wanted.n_unique()) & distinct.is_in(wanted.implode()).all()
        return TableRule(**made, expr=expr)
    return _pandera_rule(f"{name}.{check.name or 'check'}", name, check, (name,))


def _pandera_rule(name: str, column: str | None, check: pa.Check, inputs: tuple[str, ...]) -> PanderaRule:
    severity = Severity.WARN if check.raise_warning else Severity.QUARANTINE
    return PanderaRule(name=name, column=column, severity=severity, inputs=inputs, check=check)


def _sole_key(column: Column, columns: Iterable[Column]) -> bool:
    return [other.name for other in columns if other.options.key] == [column.name]


def _unique(schema: pa.DataFrameSchema) -> list[str]:
    return [schema.unique] if isinstance(schema.unique, str) else list(schema.unique or ())


def _joint_keys(schema: pa.DataFrameSchema, columns: Sequence[Column]) -> Iterator[SetRule]:
    by_name = {column.name: column for column in columns}
    unique = _unique(schema)
    for name in unique:
        _known(schema, "Config.unique", name, by_name)
    keys = dict.fromkeys([tuple(column.name for column in columns if column.options.key), tuple(unique)])
    for key in keys:
        if len(key) > 1:
            yield SetRule(
                name=f"{'+'.join(key)}.unique",
                column=None,
                severity=Severity.QUARANTINE,
                inputs=key,
                key=tuple(map(pl.col, key)),
            )


def _row_rule(schema: pa.DataFrameSchema, name: str, row: RowRule, by_name: Mapping[str, Column]) -> Rule:
    inputs = tuple(dict.fromkeys(row.expr.meta.root_names()))
    for other in inputs:
        if not is_link(other):
            _known(schema, name, other, by_name)
    column = name.partition(".")[0]
    rule = ExprRule(
        name=name,
        column=column if column in by_name else None,
        severity=Severity.QUARANTINE,
        inputs=inputs,
        expr=row.expr,
        compares=True,  # such as with the mean: Polars cannot say of an expression whether it does
    )
    # Another link column's type is the store's business, so an expression over it cannot be tried here.
    if all(other in by_name or other == PARTITION_KEY for other in inputs):
        _checked(schema, rule, by_name)
        _require_defined(schema, rule, by_name)
    return _with_severity(schema, rule, row.severity)


def _checked(schema: pa.DataFrameSchema, rule: Rule, by_name: Mapping[str, Column]) -> Rule:
    """Try the rule on an empty frame of the contract's types: what does not fit fails here, not on the first delivery."""
    exprs = (
        rule.key
        if isinstance(rule, SetRule)
        else (rule.expr,)
        if isinstance(rule, (ExprRule, SequenceRule, TableRule))
        else ()
    )
    types = {name: column.dtype for name, column in by_name.items()}
    empty = pl.DataFrame(schema={**types, PARTITION_KEY: pl.String})
    try:
        dtypes = [empty.select(expr).dtypes for expr in exprs]
    except pl.exceptions.PolarsError as error:
        reason = str(error).split("\n", 1)[0]
        raise AssayError(f"{schema.name}: the rule {rule.name} does not fit the columns' types: {reason}") from error
    if not isinstance(rule, SetRule) and any(dtype != [pl.Boolean] for dtype in dtypes):
        raise AssayError(f"{schema.name}: the rule {rule.name} must give one truth value per row, not {dtypes[0]}")
    return rule


def _require_defined(schema: pa.DataFrameSchema, rule: ExprRule, by_name: Mapping[str, Column]) -> None:
    """Raise AssayError for an expression whose result depends on how rows lie in memory or in files: one of another length than
    the table, which one engine repeats and the other refuses, a search in values that are not sorted, and one of several values
    that are as frequent or as great."""
    where, types = f"{schema.name}: the rule {rule.name}", {name: column.dtype for name, column in by_name.items()}
    rows = pl.DataFrame(schema={**types, PARTITION_KEY: pl.String}).clear(3)
    try:
        rows.select(pl.int_range(pl.len()).alias("number of the row"), rule.expr.alias("truth value"))
    except pl.exceptions.ShapeError:
        raise AssayError(
            f"{where} must give one truth value per row, or one for all; end what has another length with .first(), .len(), "
            ".implode() or the like"
        ) from None
    except pl.exceptions.PolarsError:
        pass  # Nulls alone may be too little for it, such as for `get`: then the rows of a batch say whether it runs.
    if searches_unsorted(rule.expr):
        raise AssayError(
            f"{where} searches in values that are not sorted, which gives any place; write .sort().search_sorted(…)"
        )
    if why := any_of_ties(rule.expr):
        raise AssayError(f"{where} {why}")


def _with_severity(schema: pa.DataFrameSchema, rule: Rule, severity: Severity | Block | None) -> Rule:
    if severity is None:
        return rule
    if isinstance(severity, Block):
        return replace(rule, severity=Severity.BLOCK, block=severity)
    if severity is Severity.QUARANTINE and isinstance(rule, (TableRule, CountRule)):
        raise AssayError(
            f"{schema.name}: {rule.name} judges the whole batch, no row can leave; use info, warn or block"
        )
    return replace(rule, severity=severity, block=Block() if severity is Severity.BLOCK else None)


def _known(schema: pa.DataFrameSchema, rule: str, name: str, by_name: Mapping[str, Column]) -> None:
    if name not in by_name or (by_name[name].pattern is not None and not rule.startswith(f"{name}.")):
        raise AssayError(f"{schema.name}: {rule} names an unknown column {name!r}{_did_you_mean(name, by_name)}")


def _did_you_mean(name: str, candidates: Iterable[str]) -> str:
    names = list(candidates)
    close = get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names)}"
