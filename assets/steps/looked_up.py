"""A table that the foreign keys of a contract refer to: which values it has is found without reading all of it."""

from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from assay.checks.contract.rules import Column
from assay.checks.validation.foreign_keys import as_referred
from assay.features.tables.key_index import KeyIndex, key_print
from assay.features.tables.lake import TableState

_FEW = 4  # partitions that are read as quickly as their keys are looked up


@dataclass(frozen=True, slots=True)
class LookedUp:
    """A table at one version. Of a value it is enough to see it in one partition, so of those that may hold it (by the table's
    key index) the one that came last is read, and others only for values that are not there."""

    state: TableState

    @property
    def columns(self) -> Collection[str]:
        return self.state.schema.names()

    def among(self, name: str, values: pl.Series, column: Column) -> pl.Series:
        """Those of a referring column's values that the column `name` of this table has, in their type."""
        read = as_referred(pl.col(name), self.state.schema[name], column)
        holders = self._holders(name, values, column, read)
        if holders is None:
            return self._seen(read, values, None)
        missing = pl.DataFrame({"value": values, "key": _prints(values)})
        found, left, size = [values.clear()], holders.sort("number", descending=True), 1
        while not (left := left.filter(pl.col("key").is_in(missing["key"].implode()))).is_empty():
            partitions = left.group_by("key", maintain_order=True).head(size)["partition"].unique()
            found.append(self._seen(read, missing["value"], partitions.to_list()))
            missing = missing.filter(~pl.col("value").is_in(found[-1].implode()))
            left = left.filter(~pl.col("partition").is_in(partitions.implode(), nulls_equal=True))
            size *= 2
        unknown = holders.filter(pl.col("key").is_null())["partition"]
        if not unknown.is_empty() and not missing.is_empty():
            found.append(self._seen(read, missing["value"], unknown.to_list()))
        return pl.concat(found)

    def _holders(self, name: str, values: pl.Series, column: Column, read: pl.Expr) -> pl.DataFrame | None:
        """Which partitions may hold which value; None where all of the table is read."""
        state, dtype = self.state, values.dtype
        exact = dtype.is_integer() or dtype in (pl.String, pl.Boolean, pl.Date) or isinstance(dtype, pl.Datetime)
        if not exact or not state.partitioned or state.checkpointed is not None or state.count_partitions() <= _FEW:
            return None
        # Polars gives its hashes another form at times.
        identity = f"polars {pl.__version__} {column.coerce} {column.options.naive_utc}"
        print_ = key_print([read])
        index = KeyIndex(f"values {name} {dtype}", identity, lambda rows: rows.select(key=print_))
        return index.holders(state, _prints(values))

    def _seen(self, read: pl.Expr, values: pl.Series, partitions: list[str | None] | None) -> pl.Series:
        """The values that occur in some partitions, or (None) in any. Other tools write rows that are in none."""
        named = None if partitions is None or None in partitions else [key for key in partitions if key is not None]
        rows = self.state.scan(named).select(read.alias("value"))
        return rows.filter(pl.col("value").is_in(values.implode())).unique().collect(engine="streaming").to_series()


def _prints(values: pl.Series) -> pl.Series:
    return values.to_frame("value").select(key_print([pl.col("value")])).to_series()
