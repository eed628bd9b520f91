"""Names of columns that no table can hold, whoever gives them; and those that records may have together."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl


@dataclass(slots=True)
class RecordNames:
    """The names that records which came one by one bring to a table: it grows with them, and a record that does not fit beside
    the ones before it is left out.

    Attributes:
        most: how many names there may be.
        there: columns that the table has or will have: no other name may differ from one in case only.
        one_column: names of one column each, of which a record has a value under one at most.
        names: those of the records taken so far, in order.
    """

    most: int
    there: Collection[str] = ()
    one_column: Sequence[Collection[str]] = ()
    names: dict[str, None] = field(default_factory=dict)
    _spelt: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self._spelt = {name.lower(): name for name in self.there}

    def take(self, record: Mapping[str, object]) -> None:
        """Take the names of a record, if all of them fit beside those before."""
        new = {name: name.lower() for name in record if name not in self.names}
        alike = len(set(new.values())) < len(new) or any(
            self._spelt.get(low, name) != name for name, low in new.items()
        )
        if not alike and len(self.names) + len(new) <= self.most and not self._is_twofold(record):
            self.names |= dict.fromkeys(new)
            self._spelt |= {low: name for name, low in new.items()}

    def fit(self, record: Mapping[str, object]) -> bool:
        """Whether a record can be a row, once all of them have been looked at."""
        return record.keys() <= self.names.keys() and not self._is_twofold(record)

    def _is_twofold(self, record: Mapping[str, object]) -> bool:
        return any(sum(record.get(name) is not None for name in names) > 1 for names in self.one_column)


def unusable(name: str) -> str:
    """Why no table can hold a column of this name, without the name; nothing where one can."""
    if "\0" in name:
        return "has a NUL in its name, which ends a name in Arrow"
    if name == "*" or (name.startswith("^") and name.endswith("$")):
        return "has a name that means several columns (`*`, or from `^` to `$`)"
    return ""


def first_unusable(columns: Iterable[tuple[str, pl.DataType]]) -> tuple[int, str] | None:
    """The position, counted from 1, of the first such column, or one with such a name within its values; and why."""
    for position, (name, dtype) in enumerate(columns, start=1):
        if why := unusable(name) or ("has a NUL in the name of a nested field" if _has_nul(dtype) else ""):
            return position, why
    return None


def _has_nul(dtype: pl.DataType) -> bool:
    if isinstance(dtype, pl.Struct):
        return any("\0" in field.name or _has_nul(_instance(field.dtype)) for field in dtype.fields)
    return isinstance(dtype, pl.List | pl.Array) and _has_nul(_instance(dtype.inner))


def _instance(dtype: Any) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype
