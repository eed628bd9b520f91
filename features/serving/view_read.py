"""One view to read in a join: its rows, by which columns they are joined to a spine, and what is taken of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from assay.errors import AssayError, nearest
from assay.features.serving.join_options import KnownAt, checked_known_at, checked_skip_nulls
from assay.features.tables.serving import Serving
from assay.features.views.columns import require_columns

_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")


@dataclass(frozen=True, slots=True, eq=False)
class ViewRead:
    """One view to read, in one role: how it is served, its rows, and which features to take from them.

    The rows need be no table: `ViewRead("rate", Serving.as_of([], "at"), frame, ["usd"])` joins a frame of one's own.

    Args:
        name: What messages call it.
        serving: By which columns it is joined, and how old a row may be.
        frame: The rows.
        features: The columns to take; a mapping gives them other names.
        prefix: Put before each output name.
        position: An integer column that orders rows equal in event and known time. Default: their order in `frame`.
        states: The times (µs since 1970, sorted) of all states of a table that is served so.
        keys: A key of the view → the spine's column that is compared with it, where the two are called differently.
        known_at: `event` or `known`, for this view. Default: that of the join.
        skip_nulls: Likewise.
        repeatable: Whether `frame` gives the same rows in the same order each time, as the files of a table do. Then features
            are read of those rows alone that answer, in a second pass.

    Raises:
        AssayError: For a prefix or an output that is no name, keys that the view does not have, an unknown option.
    """

    name: str
    serving: Serving
    frame: pl.LazyFrame | pl.DataFrame
    features: Sequence[str] | Mapping[str, str]
    prefix: str | None = None
    position: str | None = None
    states: Sequence[int] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    known_at: KnownAt | None = None
    skip_nulls: bool | None = None
    repeatable: bool = False

    def __post_init__(self) -> None:
        where = f"view {self.name!r}"
        if isinstance(self.features, str):
            raise AssayError(f"{where}: features is a list of columns: write [{self.features!r}]")
        if self.serving.kind != "as_of":
            raise AssayError(f"{where} is looked up by its keys, whatever the time: it cannot be joined as of one")
        if self.prefix is not None and not (isinstance(self.prefix, str) and _PREFIX.fullmatch(self.prefix)):
            raise AssayError(f"{where}: prefix {self.prefix!r} cannot begin a column's name: begin with a letter")
        for output in self.outputs().values():
            if not isinstance(output, str) or not output:
                raise AssayError(f"{where}: {output!r} cannot be the name of a column")
        for key in self.keys:
            if key not in self.serving.keys:
                close = nearest(key, self.serving.keys)
                raise AssayError(f"{where} is not joined by {key!r}; its keys are {list(self.serving.keys)}.{close}")
        if self.known_at is not None:
            checked_known_at(self.known_at)
        if self.skip_nulls is not None:
            checked_skip_nulls(self.skip_nulls)

    @property
    def rows(self) -> pl.LazyFrame:
        return self.frame.lazy()

    @property
    def spine_keys(self) -> tuple[str, ...]:
        """The spine's columns that are compared with the view's keys, in their order."""
        return tuple(self.keys.get(key, key) for key in self.serving.keys)

    def outputs(self) -> dict[str, str]:
        """Feature name → output column."""
        named = self.features if isinstance(self.features, Mapping) else {name: name for name in self.features}
        return {feature: (self.prefix or "") + output for feature, output in named.items()}


def key_types(
    name: str,
    serving: Serving,
    frame: pl.LazyFrame,
    spine: Mapping[str, pl.DataType],
    columns: Mapping[str, str] | None = None,
    *,
    called: str = "the spine",
) -> tuple[pl.DataType, ...]:
    """The types in which the spine's keys are compared with those of the view `name`: the view's own. `columns`: the spine's
    names of keys, where they are other ones. `called`: what the error calls the spine.

    Raises AssayError if a key is missing, or could not match.
    """
    table, named = frame.collect_schema(), columns or {}
    asked = {key: named.get(key, key) for key in serving.keys}
    mapped = f" by {list(asked.values())} of {called}" if named else ""
    require_columns(spine, list(asked.values()), f"view {name!r} joins on {list(serving.keys)}{mapped}; {called}")
    require_columns(table, serving.keys, f"the table of view {name!r}")
    for key, column in asked.items():
        ours, theirs = table[key], spine[column]
        same_kind = ours == theirs or (ours.is_integer() and theirs.is_integer()) or pl.Null in (ours, theirs)
        if ours.is_float() or not (same_kind or (is_text(ours) and is_text(theirs))):
            raise AssayError(
                f"key {column!r} is {theirs} in {called} and {ours} in view {name!r}: "
                "cast it to the view's type (floating-point keys never match reliably)"
            )
    return tuple(pl.String() if is_text(table[key]) else table[key] for key in serving.keys)


def is_text(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.String | pl.Categorical | pl.Enum)
