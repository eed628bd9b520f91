"""Whether another contract only loosens an earlier one, so that what the earlier one judged may stay as it is.

Two declarations are compared as data (`contract_text`), since of the earlier one there is no class any more. Each part has
either a relation here, by which more is accepted than before, or must be the same. What is not known is not the same.
"""

import ast
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import starmap
from typing import Any

from pandera.api.function_dispatch import Dispatcher

from assay.checks.contract.builtin import BUILTINS
from assay.checks.contract.contract import LISTED, reads_as_set
from assay.checks.contract.field import TEXT_RULES, QuarantineLimits, Severity
from assay.checks.exchange.constraint_order import narrower

#: What is declared of a contract as a whole, and what of it decides neither rows nor verdicts.
_PARTS = frozenset(("name", "options", "strict", "ordered", "columns", "checks", "rules"))
_ABOUT = frozenset(("version", "owner"))
#: Options of a field that are a rule and nothing else: without them there is one rule less.
_RULES = frozenset(("exists_in", "canonical_unique", "required_if", "sequence", "format", "normal"))
#: Options that only say within which rows a rule holds: without them it holds among more, so they may only go with it.
_QUALIFIES = {"per": "sequence"}
_NOTHING = (None, ())
_BUILTIN = repr(Dispatcher)  # how a declaration names the function of a check of pandera's own
_ARGUMENTS = {
    "greater_than": ("min_value",),
    "greater_than_or_equal_to": ("min_value",),
    "less_than": ("max_value",),
    "less_than_or_equal_to": ("max_value",),
    "in_range": ("include_max", "include_min", "max_value", "min_value"),
    "str_length": ("exact_value", "max_value", "min_value"),
    "isin": ("allowed_values",),
    "notin": ("forbidden_values",),
}
_LISTED = ("isin", "notin")
_BOUNDS = ("min_value", "max_value")
_VALUES: dict[str, Callable[..., Any]] = {
    "datetime.date": date,
    "datetime.datetime": datetime,
    "datetime.time": time,
    "datetime.timedelta": timedelta,
    "datetime.timezone": timezone,
    "Decimal": Decimal,
}
#: What a broken rule does, the mildest first.
_MILDER = (Severity.INFO, Severity.WARN, Severity.QUARANTINE, Severity.BLOCK)
_USUAL: dict[str, Any] = {name: getattr(QuarantineLimits(), name) for name in ("warn", "block", "rows")} | {"rules": {}}


class _Tighter(Exception):
    """Something is not the same, and not known to be looser."""


def loosened(old: str, new: str) -> frozenset[str] | None:
    """By which rules another contract may take rows that an earlier one did not.

    A batch of which every row is clean under the earlier contract has the same clean rows under the other one. In a batch of
    which rows left, those that the earlier contract took stay clean, unless a row that comes back has their key or is compared
    with them.

    Args:
        old: The earlier contract's declaration, as `contract_text` gives it.
        new: The other one's.

    Returns:
        Names of rules by which rows left before, and fewer or none leave now; none where only what decides nothing has
        changed (name, version, owner, a rule that only counted). None where anything else has, or it cannot be decided.
    """
    try:
        return frozenset(_changes(json.loads(old), json.loads(new)))
    except (_Tighter, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, SyntaxError, RecursionError):
        return None


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    _require(old.keys() == new.keys() == _PARTS)
    _require(not _is_strict(new["strict"]) or _is_strict(old["strict"]))
    _require(not new["ordered"] or old["ordered"])
    _options(old["options"], new["options"])
    before, after = _by_name(old["rules"]), _by_name(new["rules"])
    _require(after.keys() <= before.keys())
    _checks("", "", old["checks"], new["checks"])
    loose = {name for name in before if name not in after or _lowered(before[name], after[name])}
    own = not new["checks"] and all(_is_own(check) for column in new["columns"] for check in _checks_of(column))
    for one, other in zip(old["columns"], new["columns"], strict=True):
        # Where a row stays although its value cannot be read, it would get that value.
        leaves = _removes_row(before[f"{one[0]}.dtype"])
        loose.update(_column(one, other, widens=own and leaves))
    return (name for name in loose if _removes_row(before[name]))


def _require(holds: object) -> None:
    if not holds:
        raise _Tighter


def _is_strict(strict: Any) -> bool:
    """Whether deliveries with further columns are refused; a clean table never has them."""
    return strict is True


# -- the contract as a whole -------------------------------------------------------------------------------------------


def _options(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    looser = {"quarantine": _limits_raised, "row_count": _count_loosened}
    for name in {*old, *new} - _ABOUT:
        one, other = old.get(name), new.get(name)
        _require(one == other or (name in looser and looser[name](one, other)))


def _limits_raised(old: str | None, new: str | None) -> bool:
    """Whether a batch that was published would be, and none warns that did not."""
    before, after = (_given(text, "QuarantineLimits") if text else _USUAL for text in (old, new))
    _require(before.keys() == after.keys() == _USUAL.keys())
    shares = [(before[name], after[name]) for name in ("warn", "block")]
    shares += [(before["rules"].get(name), share) for name, share in after["rules"].items()]
    return before["rows"] <= after["rows"] and all(starmap(_raised, shares))


def _raised(old: float | None, new: float | None) -> bool:
    """Whether a limit is as high as before, or higher; None is none."""
    return (math.inf if new is None else new) >= (math.inf if old is None else old)


def _count_loosened(old: str | None, new: str | None) -> bool:
    """Whether the number of rows may be as far off as before, or farther."""
    if old is None or new is None:
        return False  # another table is read, or one less: its rows are an input
    before, after = _given(old, "RowCount"), _given(new, "RowCount")
    same = before.keys() == after.keys() == {"reference", "share", "rows"} and before["reference"] == after["reference"]
    return same and before["share"] <= after["share"] and before["rows"] <= after["rows"]


def _by_name(items: Sequence[Sequence[Any]]) -> dict[Any, Sequence[Any]]:
    """Rules or checks, each of which begins with its name."""
    found = {item[0]: item for item in items}
    _require(len(found) == len(items))
    return found


def _removes_row(rule: Sequence[str]) -> bool:
    return Severity(rule[1]).removes_row


def _lowered(old: Sequence[str], new: Sequence[str]) -> bool:
    """Whether rows that break a rule stay now. False: what becomes of them is the same."""
    step = _MILDER.index(Severity(old[1])) - _MILDER.index(Severity(new[1]))
    _require(step > 0 or old == new or (step == 0 and _threshold_raised(old[2], new[2])))
    return not _removes_row(new) and _removes_row(old)


def _threshold_raised(old: str, new: str) -> bool:
    before, after = _given(old, "Block"), _given(new, "Block")
    one_stops = [all(value is None for value in given.values()) for given in (before, after)]
    _require(before.keys() == after.keys() == {"share", "rows"})
    return one_stops[0] or (not one_stops[1] and all(_raised(before[name], after[name]) for name in before))


# -- columns -----------------------------------------------------------------------------------------------------------


def _column(old: Sequence[Any], new: Sequence[Any], *, widens: bool) -> Iterator[str]:
    """The looser rules of a column. widens: whether its type may have more values; not if a rule of the contract is an author's
    own expression or code, which may compare them."""
    name, pattern, dtype, nullable, required, coerce, options = new[:7]
    _require((name, pattern, coerce) == (old[0], old[1], old[5]))
    _require(nullable or not old[3])
    _require(not required or old[4])
    _field_options(old[6], options)
    forms = [[item for item in column[7:] if not isinstance(item, list)] for column in (old, new)]
    _require(forms[0] == forms[1])  # how texts are written, and former names
    if old[2] != dtype:
        _require(widens and _categories_added(old[2], dtype))
        yield f"{name}.dtype"
    yield from _checks(name, dtype, _checks_of(old), _checks_of(new))


def _checks_of(column: Sequence[Any]) -> list[Any]:
    return [item for item in column[7:] if isinstance(item, list)]


def _categories_added(old: str, new: str) -> bool:
    """Whether an enumeration has more values now, after those that it had: their order stays."""
    before, after = (_given(text, "Enum")["categories"] for text in (old, new))
    return after[: len(before)] == before


def _field_options(old: str, new: str) -> None:
    before, after = _given(old, "FieldOptions"), _given(new, "FieldOptions")
    _require(before.keys() == after.keys())
    for name, value in after.items():
        rule = _QUALIFIES.get(name, name)
        _require(value == before[name] or (rule in _RULES and value in _NOTHING and after[rule] in _NOTHING))


def _checks(column: str, dtype: str, old: Sequence[Any], new: Sequence[Any]) -> list[str]:
    """The rules of looser checks of a column; those of the table have no column, and are the same or gone."""
    before, after = _by_name(old), _by_name(new)
    _require(after.keys() <= before.keys())
    # As texts: 1 and 1.0 are equal, and not the same to the engine.
    changed = [name for name, check in after.items() if json.dumps(check) != json.dumps(before[name])]
    _require(all(column and name in _ARGUMENTS and _wider(dtype, before[name], after[name]) for name in changed))
    return [f"{column}.{BUILTINS[name][0]}" for name in changed]


def _is_own(check: Sequence[Any]) -> bool:
    """Whether pandera or Assay has made a check, of arguments that are declared."""
    name, _, function, _ = check
    ours = (*TEXT_RULES, "required_if", "sequence", "format", "normal")
    return (name in BUILTINS and function == _BUILTIN) or (name in ours and "\n" not in function)


def _wider(dtype: str, old: Sequence[Any], new: Sequence[Any]) -> bool:
    """Whether every value that is valid under one check of pandera's is valid under another of the same name."""
    name, *_, ignores_null = old
    _require(_is_own(old) and _is_own(new) and ignores_null == new[3])
    _require({*old[1]} == {*new[1]} == {*_ARGUMENTS[name]})
    if name in _LISTED:
        (key,) = _ARGUMENTS[name]
        before, after = ({key: {json.dumps(value) for value in _members(check[1][key])}} for check in (old, new))
    elif name == "str_length":
        before, after = old[1], new[1]
    else:
        before, after = ({**check[1], **_bounds(dtype, check[1])} for check in (old, new))
        _require(all(_alike(dtype, before[bound], after[bound]) for bound in _BOUNDS if bound in before))
    return narrower(name, after, before)


def _members(listed: Any) -> Sequence[Any]:
    """The values that a check lists: of texts the texts themselves, whether a list or a set has them."""
    if isinstance(listed, Mapping):
        return listed[LISTED]
    return [ast.literal_eval(value) for value in listed] if reads_as_set(listed) else listed


def _bounds(dtype: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The bounds of a check as values that can be compared as the column's are."""
    kind = dtype.partition("(")[0]
    bounds = {name: given[name] for name in _BOUNDS if name in given}
    if kind == "String":
        _require(all(isinstance(value, str) for value in bounds.values()))
        return bounds
    if kind in ("Date", "Datetime", "Time", "Decimal"):
        return {name: _value(value) for name, value in bounds.items()}
    _require(kind.startswith(("Int", "UInt", "Float")))
    _require(all(isinstance(value, int | float) and not isinstance(value, bool) for value in bounds.values()))
    _require(all(_fits(kind, value) for value in bounds.values() if isinstance(value, int)))
    return bounds


def _fits(kind: str, value: int) -> bool:
    """Whether the engine compares a whole number exactly with a column of whole numbers: not if the column cannot hold it."""
    if kind.startswith("Float"):
        return True
    signed, bits = kind.startswith("Int"), int(kind.lstrip("UInt"))
    return -(2 ** (bits - 1)) <= value < 2 ** (bits - 1) if signed else 0 <= value < 2**bits


def _alike(dtype: str, one: Any, other: Any) -> bool:
    """Whether the engine compares a column with both bounds in one type, so that their order is that of what they let through.
    With a float it compares whole numbers as floats, which have 53 bits, and a Float32 with a whole number as Float64."""
    return type(one) is type(other) or dtype == "Float64"


# -- values as a declaration holds them --------------------------------------------------------------------------------


def _given(text: str, kind: str) -> dict[str, Any]:
    """The arguments that `repr` names of a value of a kind, such as `Block(share=0.1, rows=None)`."""
    call = ast.parse(text, mode="eval").body
    _require(isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == kind and not call.args)
    assert isinstance(call, ast.Call)
    return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}


def _value(value: Any) -> Any:
    """A number, day, time or decimal, of which a declaration holds the `repr`."""
    return _evaluated(ast.parse(value, mode="eval").body) if isinstance(value, str) else value


def _evaluated(node: ast.expr) -> Any:
    if isinstance(node, ast.Attribute) and ast.unparse(node) == "datetime.timezone.utc":
        return UTC
    if not isinstance(node, ast.Call):
        return ast.literal_eval(node)
    make = _VALUES[ast.unparse(node.func)]
    return make(*map(_evaluated, node.args), **{str(item.arg): _evaluated(item.value) for item in node.keywords})
