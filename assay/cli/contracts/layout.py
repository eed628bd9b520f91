"""A declaration as the lake keeps it (`contract_text`), laid out for people: a line for each column, and what else holds."""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from assay.checks.contract.builtin import BUILTINS
from assay.checks.contract.contract import LISTED

_TYPES = {
    "String": "str",
    "Int64": "int",
    "Float64": "float",
    "Boolean": "bool",
    "Datetime(time_unit='us', time_zone='UTC')": "Timestamp",
}
#: Shown as columns of their own, or nothing that was declared.
_APART = frozenset(("key", "pii"))
_UNSET = ("None", "False", "()")
#: What happens to a row that breaks a rule, where nothing else is declared; and of how many values of a list the first are shown.
_USUAL, _MOST = ["quarantine", "None"], 12


def column_rows(
    declared: Mapping[str, Any], descriptions: Mapping[str, str]
) -> list[tuple[str, str, str, str, str, str]]:
    """Of each column: name, type, whether it may be null or left out, class of personal data, what its values must be, and what
    it is. `descriptions` are no part of a declaration, since they decide nothing."""
    return [
        (
            name,
            str(_TYPES.get(dtype, dtype)),
            "optional" if not required else "yes" if nullable else "no",
            str(ast.literal_eval(options["pii"])) if "pii" in options else "",
            "; ".join([*(["key"] if "key" in options else []), *_demands(options, more)]),
            descriptions.get(name, ""),
        )
        for name, _, dtype, nullable, required, _, given, *more in declared["columns"]
        for options in [_options(given)]
    ]


def other_rules(declared: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The rules that no line of a column shows, or that do something else than to send a row to quarantine: name, severity, and
    what stops the batch."""
    columns = {name for name, *_ in declared["columns"]}
    whole = {check[0] for check in declared["checks"] if isinstance(check, list)}
    return [
        (name, severity, "" if block == "None" else block)
        for name, severity, block in declared["rules"]
        if [severity, block] != _USUAL or name in whole or name.partition(".")[0] not in columns
    ]


def about(declared: Mapping[str, Any]) -> str:
    """What is declared of the contract as a whole, but for its name, version and rules."""
    options = {
        name: value for name, value in declared["options"].items() if value not in (None, {}) and name != "version"
    }
    flags = [name for name in ("strict", "ordered") if declared[name]]
    return ", ".join([*(f"{name} {value}" for name, value in options.items()), *flags])


def _options(given: str) -> dict[str, str]:
    """The options of a field that are set, as source text by name."""
    call = ast.parse(given, mode="eval").body
    keywords = call.keywords if isinstance(call, ast.Call) else []
    options = {str(one.arg): ast.unparse(one.value) for one in keywords}
    return {name: text for name, text in options.items() if text not in _UNSET}


def _demands(options: Mapping[str, str], more: Sequence[Any]) -> list[str]:
    named = [f"{name} {_value(ast.literal_eval(text))}" for name, text in options.items() if name not in _APART]
    # What only an option says is in the declaration a second time, as a check of that name.
    checks = [_check(one[0], one[1]) for one in more if isinstance(one, list) and one[0] not in options]
    return [*checks, *named, *(one for one in more if isinstance(one, str))]


def _check(name: str, arguments: Any) -> str:
    """A check as reports call it, with what it is given: `isin new, paid`, `ge 0`, `in_range min 1, max 5`."""
    called = BUILTINS[name][0] if name in BUILTINS else name
    given = arguments if isinstance(arguments, Mapping) else {}
    if len(given) == 1:
        return f"{called} {_value(next(iter(given.values())))}"
    set_ = {key: given[key] for key in sorted(given, reverse=True) if given[key] is not None}  # min before max
    return " ".join(
        [called, ", ".join(f"{key.removesuffix('_value')} {_value(value)}" for key, value in set_.items())]
    ).strip()


def _value(value: Any) -> str:
    if isinstance(value, Mapping) and set(value) == {LISTED}:
        return _value(value[LISTED])
    if not isinstance(value, list | tuple) or not all(isinstance(one, str | int | float) for one in value):
        return str(value)
    left = len(value) - _MOST
    return ", ".join([*map(str, value[:_MOST]), *([f"and {left:,} more (--json)"] if left > 0 else [])])
