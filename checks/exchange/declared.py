"""What a contract declares, as data: rules with their arguments, to be compared with another's or written to a file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandera.polars as pa
import polars as pl

from assay.checks.contract.builtin import BUILTINS
from assay.checks.contract.contract import Compiled, Contract, compiled
from assay.checks.contract.field import METADATA_KEY, TEXT_RULES, ColumnRule, RowRule
from assay.checks.contract.patterns import templates
from assay.checks.contract.rules import Rule

#: The check of a row rule: its one argument is the expression.
EXPRESSION = "expression"
#: The check of a rule that is Python code: only Python can read it.
CODE = "code"


@dataclass(frozen=True, slots=True)
class DeclaredRule:
    """One rule that an author wrote. `check`: pandera's name of a built-in check, a text rule, EXPRESSION or CODE."""

    rule: Rule
    check: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Declaration:
    """A contract as data. `written`: rule name to what was written, for the rules that are not implied by a column.

    unique: the columns that are unique together without being the key.
    """

    plan: Compiled
    written: Mapping[str, DeclaredRule]
    unique: tuple[str, ...]


def declaration(contract: type[Contract]) -> Declaration:
    """What a contract declares. Raises AssayError if it is not a contract."""
    plan = compiled(contract)
    schema = templates(contract.to_schema())
    rules = {rule.name: rule for rule in plan.rules}
    written = {
        name: DeclaredRule(rules[name], check, arguments)
        for name, check, arguments in _written(schema)
        if name in rules  # a rule whose name we do not know has no arguments that we could read
    }
    unique = (schema.unique,) if isinstance(schema.unique, str) else tuple(schema.unique or ())
    return Declaration(plan, written, () if unique == plan.info.key else unique)


def metadata_of_table(contract: type[Contract]) -> Mapping[str, Any]:
    """`Config.metadata`. pandera's schema of a polars model leaves it out."""
    return (contract.__config__ and contract.__config__.metadata) or {}


def _written(schema: pa.DataFrameSchema) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for name, column in schema.columns.items():
        options = (column.metadata or {}).get(METADATA_KEY)
        for check in column.checks or ():
            kind, arguments = _check(check, options)
            rule = BUILTINS[kind][0] if kind in BUILTINS else kind if kind != CODE else check.name or "check"
            yield f"{name}.{rule}", kind, arguments
    for check in schema.checks or ():
        kind, arguments = _check(check)
        yield check.name or ("row" if kind == EXPRESSION else "check"), kind, arguments


def _check(check: pa.Check, options: Any = None) -> tuple[str, Mapping[str, Any]]:
    fn = check._check_fn
    if isinstance(fn, RowRule):
        return EXPRESSION, {EXPRESSION: fn.expr}
    if isinstance(fn, ColumnRule):
        if check.name in TEXT_RULES:
            return str(check.name), {}
        # Such a rule is made of the field's options of its name; a sequence also runs within others' values.
        names = (str(check.name), "per") if check.name == "sequence" else (str(check.name),)
        return str(check.name), {name: getattr(options, name) for name in names}
    builtin = getattr(fn, "__name__", "") if check.registry_name else ""
    if builtin in BUILTINS or builtin == "unique_values_eq":
        written = check.statistics or {}  # pandera runs a check with sets in place of the lists that were written
        return builtin, {name: _listed(written.get(name, value)) for name, value in check._check_kwargs.items()}
    return CODE, {}


def _listed(value: Any) -> Any:
    """Sets have no order of their own; a file and a comparison need one."""
    return sorted(value, key=lambda item: (str(type(item)), item)) if isinstance(value, (set, frozenset)) else value


def same_arguments(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two rules have equal arguments; expressions are equal when they are written alike."""
    return {name: _comparable(name, value) for name, value in old.items()} == {
        name: _comparable(name, value) for name, value in new.items()
    }


def _comparable(name: str, value: Any) -> Any:
    if name in ("allowed_values", "forbidden_values"):
        return _listed(set(value))
    return value.meta.serialize(format="json") if isinstance(value, pl.Expr) else value
