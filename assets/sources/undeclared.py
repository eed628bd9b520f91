"""Columns that a contract does not know: raw keeps them, and whatever their types are, they stop nothing.

A type that no table holds is kept as text. Where files of a batch disagree, the column is text, too. Where the table has the
column with another type, the new values stand in a column of their own, which says in its name what they are.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from assay.assets.sources.value_text import as_text
from assay.checks import Contract
from assay.checks.contract.contract import compiled
from assay.errors import AssayError
from assay.features.storage.parquet_files import stored_type
from assay.own_columns import OWN_COLUMNS, is_link

_NAIVE = "%Y-%m-%dT%H:%M:%S%.f"


@dataclass(frozen=True, slots=True)
class Kept:
    """How the undeclared columns of a batch are kept: for each its name and type in raw; and what people should know of it."""

    columns: Mapping[str, tuple[str, pl.DataType]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def of(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with its undeclared columns so."""
        changed = [
            name for name in frame.columns if name in self.columns and frame.schema[name] != self.columns[name][1]
        ]
        texts = [_converted(name, frame.schema[name], self.columns[name][1]) for name in changed]
        names = {name: self.columns[name][0] for name in frame.columns if name in self.columns}
        return frame.with_columns(texts).rename({old: new for old, new in names.items() if old != new})


def kept_of(files: Sequence[pl.Schema], declared: Collection[str], known: Mapping[str, pl.DataType]) -> Kept:
    """How the columns of some files that are not among the declared ones are kept.

    Args:
        files: The columns of each file.
        declared: The names that are not looked at: the contract's, and ours.
        known: The columns that the table has.
    """
    columns: dict[str, tuple[str, pl.DataType]] = {}
    remarks: list[str] = []
    for name in dict.fromkeys(name for schema in files for name in schema if name not in declared):
        delivered = dict.fromkeys(schema[name] for schema in files if name in schema)
        types = {dtype if dtype == pl.Null else _kept_type(dtype) for dtype in delivered} - {pl.Null()}
        (agreed,) = types if len(types) == 1 else (pl.String(),)
        before = known.get(name)
        if before is None or before in (agreed, pl.String()) or not types:
            columns[name] = name, agreed if before is None else before
        else:
            new = f"{name}__{re.sub('[^A-Za-z0-9]+', '_', str(agreed)).strip('_').lower()}"  # which every engine reads
            columns[name] = new, agreed
            remarks.append(f"Column {name!r}, which the contract does not know, was {before}: kept as {new!r}.")
        if len(types) > 1:
            kinds = ", ".join(map(str, delivered))
            remarks.append(
                f"Column {name!r}, which the contract does not know, is {kinds} in different files: kept as text."
            )
    return Kept(columns, tuple(remarks))


def kept_of_rows(
    files: Sequence[pl.Schema], declared: Collection[str], known: Mapping[str, pl.DataType], where: str
) -> Kept:
    """The same for rows that come with types of their own, as from a database. A declared column becomes text where the table
    has it as text. Raises AssayError where it has another type: the contract means one column."""
    kept = kept_of(files, declared, known)
    columns = dict(kept.columns)
    for name, dtype in [(name, dtype) for schema in files for name, dtype in schema.items() if name in declared]:
        before = known.get(name)
        if before is None or dtype == pl.Null or before == _kept_type(dtype) or is_link(name):
            continue
        if before != pl.String:
            raise AssayError(
                f"{where}: column {name!r} is {dtype} now, and raw has it as {before}. Change it back there, or give the source "
                "another name, under which it is read anew."
            )
        columns[name] = name, before
    return Kept(columns, kept.remarks)


def declared_names(contract: type[Contract]) -> frozenset[str]:
    """The columns that are not undeclared: the contract's, by any of their names, and ours."""
    return OWN_COLUMNS.union(*((column.name, *column.options.was) for column in compiled(contract).columns))


def _kept_type(dtype: pl.DataType) -> pl.DataType:
    return stored_type(dtype) or pl.String()


def _converted(name: str, dtype: pl.DataType, target: pl.DataType) -> pl.Expr:
    value = pl.col(name)
    if dtype == pl.Null:
        return pl.lit(None, target).alias(name)
    if target == pl.String and dtype != pl.String:
        return _text(value, dtype)
    return value.cast(target)  # as tables hold it


def _text(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Values of any type as text that says all of them."""
    match dtype:
        case pl.Datetime(time_zone=None):
            return value.dt.to_string(_NAIVE)
        case pl.Datetime():
            return value.dt.convert_time_zone("UTC").dt.to_string(f"{_NAIVE}Z")
        case pl.Time():
            return value.dt.to_string("%H:%M:%S%.f")
        case pl.Duration():
            return value.dt.to_string("iso")
        case pl.Binary():
            return value.bin.encode("hex")
    if dtype.is_nested() or dtype == pl.Object:
        return value.map_batches(_json, return_dtype=pl.String)
    return value.cast(pl.String)


def _json(values: pl.Series) -> pl.Series:
    texts = [None if one is None else json.dumps(one, ensure_ascii=False, default=as_text) for one in values.to_list()]
    return pl.Series(values.name, texts, pl.String)
