"""A table that the foreign keys of a contract refer to: which values it has is found without reading all of it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from assay.assets.steps.watched import version_of
from assay.checks import Contract, contract_rules
from assay.checks.contract.contract import for_delivery
from assay.checks.contract.rules import Column, ForeignKeyRule, Rule
from assay.checks.validation.foreign_keys import as_referred, existing_values
from assay.checks.validation.reading import reading_of
from assay.features.serving.relevant_partitions import holding
from assay.features.tables.changes import current_rows
from assay.features.tables.key_index import KeyIndex, key_print
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake, TableState
from assay.features.tables.partitioning import Partitioning
from assay.features.tables.refusals import find_refusal

_FEW = 4  # partitions that are read as quickly as their keys are looked up


def referred_tables(contract: type[Contract]) -> tuple[str, ...]:
    """The tables that a contract's foreign keys look into."""
    return tuple(sorted(compared_columns(contract)))


def compared_columns(contract: type[Contract]) -> dict[str, list[list[str]]]:
    """By table that foreign keys look into: a column of the contract, and that of the table in which its value is looked for."""
    pairs: dict[str, list[list[str]]] = {}
    for rule in contract_rules(contract):
        if isinstance(rule, ForeignKeyRule):
            pairs.setdefault(rule.reference, []).append([rule.inputs[0], rule.reference_column])
    return pairs


@dataclass(frozen=True, slots=True)
class LookedUp:
    """A table at one version; where it holds changes, what is there now. Of a value it is enough to see it in one partition, so
    of those that may hold it (by the table's key index) the one that came last is read, and others only for values that are not
    there.
    """

    state: TableState

    @property
    def columns(self) -> Collection[str]:
        return self.state.schema.names()

    def among(self, name: str, values: pl.Series, column: Column) -> pl.Series:
        """Those of a referring column's values that the column `name` of this table has, in their type."""
        read = as_referred(pl.col(name), self.state.schema[name], column)
        found = self._among(name, values, column, read)
        changes = self.state.changes
        return found if changes is None or changes.states else self._current(name, found, read, changes.keys)

    def _current(self, name: str, values: pl.Series, read: pl.Expr, keys: Sequence[str]) -> pl.Series:
        """Those values that rows have which are there now."""
        rows = self.state.scan()
        if list(keys) == [name]:
            rows = holding(self.state, keys, values.to_frame(name).cast({name: self.state.schema[name]}))
        # Rows of a key in which it had another value count, too: they may be the last ones.
        found = current_rows(rows, keys).select(read.alias("value")).filter(pl.col("value").is_in(values.implode()))
        return found.unique().collect(engine="streaming").to_series()

    def _among(self, name: str, values: pl.Series, column: Column, read: pl.Expr) -> pl.Series:
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


def finds_the_same(
    rows: pl.LazyFrame,
    contract: type[Contract],
    tables: Mapping[str, TableState],
    before: Mapping[str, str],
    batch: str,
) -> bool:
    """Whether a batch would be judged by its foreign keys as it was before: they find the same values in the tables as these
    are now, and the batch's own partition is there or not there as it was (see `absent_parents`).

    Args:
        rows: The batch as it was delivered.
        contract: Whose foreign keys they are.
        tables: That are looked up in.
        before: Their versions when the batch was judged (`version_of`).
        batch: Its partition.
    """
    now = {name: state for name, state in tables.items() if before[name] != version_of(state.snapshot)}
    then: dict[str, TableState] = {}
    for name, state in now.items():
        then[name] = state.table.at(int(before[name].partition("@")[0]))
        if version_of(then[name].snapshot) != before[name] or then[name].partitioned != state.partitioned:
            return False  # another table, made anew
        if state.partitioned and bool(state.partitions([batch])) != bool(then[name].partitions([batch])):
            return False
    schema = rows.collect_schema()
    reading = reading_of(for_delivery(contract, schema.names()), tuple(schema.items()))
    found, found_then = (
        existing_values(rows, reading, {name: LookedUp(state) for name, state in states.items()}, {})
        for states in (now, then)
    )
    return found.keys() == found_then.keys() and all(set(found[rule]) == set(found_then[rule]) for rule in found)


def absent_parents(
    rules: Iterable[Rule], tables: Mapping[str, TableState], lake: Lake, partitioning: Partitioning, batch: str
) -> dict[str, str]:
    """By foreign-key rule: that the table it refers to does not have the batch's own partition, and why. Then it is not the
    keys that are wrong. Tables that are cut otherwise have no such partition.

    Args:
        rules: Of the contract.
        tables: That are looked up in, as the batch is judged.
        lake: What else has become of the partition.
        partitioning: Of the batch.
        batch: Its partition.
    """
    found: dict[str, str] = {}
    for rule in rules:
        state = tables.get(rule.reference) if isinstance(rule, ForeignKeyRule) else None
        if state is None or not state.partitioned or not partitioning.is_partitioned:
            continue
        last = state.last_partition()
        if last is None or not partitioning.is_key(last) or state.partitions([batch]):
            continue
        table = state.table.name
        upstream = (table, Kind.RAW.table(own_name(table))) if Kind.CLEAN.holds(table) else (table,)
        refusing = next((name for name in upstream if find_refusal(lake, name, batch) is not None), None)
        why = f"{refusing} refused it" if refusing else "it has not arrived"
        found[rule.name] = f"{table} has no {batch} ({why})"
    return found
