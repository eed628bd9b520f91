"""The contracts by which rows were judged, as the lake keeps them: which columns are personal, and what each rule demands."""

import ast
import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from assay.assets.stored_contracts import stored_contract
from assay.checks.contract.builtin import BUILTINS
from assay.checks.contract.contract import LISTED
from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.storage import Storage

Declared = Mapping[str, Any]  # a contract's declaration, as `contract_text` gives it
DeclaredNow = Mapping[str, Declared]  # by clean table, what the project declares today: it may have judged nothing yet
_FEW = 8
_STRICTEST = "free_text"


def declared_by(storage: Storage, commit: Commit | None) -> Declared | None:
    """The contract that judged what a commit wrote; None where there was none, or the lake keeps no sound copy of it."""
    digest = str((commit.contract or {}).get("digest") or "") if commit is not None else ""
    try:
        text = stored_contract(storage, digest) if digest else None
        return json.loads(text) if text is not None else None
    except (AssayError, ValueError):
        return None


def personal_classes(contracts: Iterable[Declared | None]) -> dict[str, str | None]:
    """The class of personal data of each column that any of the contracts knows. Where one calls a column personal, it is,
    whatever the others say; free text is masked most."""
    found: dict[str, str | None] = {}
    for declared in filter(None, contracts):
        for column in declared["columns"]:
            name, pii = column[0], _personal_class(column[6])
            if pii == _STRICTEST or found.get(name) is None:
                found[name] = pii
    return found


@functools.lru_cache(maxsize=10_000)
def _personal_class(options: str) -> str | None:
    """The `pii` of a field's options, as a declaration writes them. What cannot be read is masked like free text."""
    try:
        call = ast.parse(options, mode="eval").body
        assert isinstance(call, ast.Call)
        return next((ast.literal_eval(one.value) for one in call.keywords if one.arg == "pii"), None)
    except (SyntaxError, ValueError, AssertionError):
        return _STRICTEST


# What a rule of this kind demands of its column. Those with `{}` take what the contract names.
_DEMANDS = {
    "dtype": "can be read as the agreed type",
    "not_null": "is there",
    "not_nan": "is a number",
    "unique": "occurs once",
    "exists": "is known in the table that it refers to",
    "canonical_unique": "is not another spelling of a known one",
    "not_empty": "is not blank",
    "no_email": "holds no e-mail address",
    "no_card_number": "holds no payment-card number",
    "format": "has the agreed format",
    "normal": "is written in the agreed way",
    "sequence": "follows the value before it",
    "required_if": "is there wherever it has to be",
    "isin": "is one of the agreed values{}",
    "notin": "is none of the excluded values{}",
    "matches": "has the agreed form",
    "contains": "contains the agreed text",
    "startswith": "begins with the agreed text",
    "endswith": "ends with the agreed text",
    "length": "has the agreed length{}",
    "ge": "is at least{}",
    "gt": "is more than{}",
    "le": "is at most{}",
    "lt": "is less than{}",
    "eq": "is{}",
    "ne": "is not{}",
    "in_range": "lies in the agreed range{}",
}
# What stands there where the lake does not keep what the contract names.
_UNKNOWN = {
    **dict.fromkeys(("gt", "lt", "eq", "ne"), " the agreed value"),
    "le": " the agreed most",
    "ge": " the agreed least",
}
_OF_BATCHES = {
    "volume": "the day has about as many rows as usual",
    "quarantined": "few of the day's rows were set aside",
    "releases": "every row that a person let in again still fits",
    "delivery": "every delivered file is readable and has the agreed columns",
    "resent": "no delivered file is one that had come before",
    "unread": "everything that was delivered was read",
    "window_complete": "every day that was counted over had arrived",
    "row.unparsable": "every record could be read",
    "row.encoding": "every text could be read, without a broken character",
    "row.rejected": "no row is one that a person refused for good",
    "row.corrected": "a corrected row is taken as corrected only",
    "row_count": "the batch has as many rows as its counterpart",
}

COUNTS_ONLY = frozenset({"changes"})  # checks that demand nothing: they say how much has changed


def demand(rule: str, declared: Declared | None) -> tuple[str, str]:
    """What a rule demands, and of what: (`amount`, `is at least 0`). Rules about batches, and own ones, have no subject."""
    if rule in _OF_BATCHES:
        return "", _OF_BATCHES[rule]
    subject, _, kind = rule.rpartition(".")
    if not subject or kind not in _DEMANDS:
        return "", f"the project's own rule {rule} holds"
    given = _arguments(subject, kind, declared) if "{}" in _DEMANDS[kind] else ""
    return subject, _DEMANDS[kind].format(given or _UNKNOWN.get(kind, ""))


def meaning(rule: str, declared: Declared | None) -> str:
    """The same as a plain clause: `amount is at least 0`."""
    return " ".join(filter(None, demand(rule, declared)))


def _arguments(column: str, kind: str, declared: Declared | None) -> str:
    for one in declared["columns"] if declared is not None else ():
        for check in (item for item in one[7:] if isinstance(item, list) and one[0] == column):
            if BUILTINS.get(check[0], (check[0],))[0] == kind and isinstance(check[1], Mapping):
                return _in_words(kind, check[1])
    return ""


def _in_words(kind: str, given: Mapping[str, Any]) -> str:
    values = [value for value in given.values() if value is not None]
    if kind in ("in_range", "length") and "min_value" in given:
        low, high = given.get("min_value"), given.get("max_value")
        bounds = [f"from {low}" if low is not None else "", f"up to {high}" if high is not None else ""]
        return f" ({' '.join(filter(None, bounds))})" if any(bounds) else ""
    if kind in ("isin", "notin") and len(values) == 1:
        return f" ({_listed(values[0])})"
    return f" {values[0]}" if len(values) == 1 and kind in ("ge", "gt", "le", "lt", "eq", "ne") else ""


def _listed(value: Any) -> str:
    listed = value[LISTED] if isinstance(value, Mapping) and LISTED in value else value
    if not isinstance(listed, list | tuple):
        return str(listed)
    names = [str(item).strip("'") for item in listed[:_FEW]]
    return ", ".join(names) + (f" and {len(listed) - _FEW} more" if len(listed) > _FEW else "")
