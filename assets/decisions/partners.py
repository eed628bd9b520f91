"""Rows that are held because what they refer to was not there, and that find it now: nothing else would tell anybody.

Only the values of those rows are looked up, by the index of the tables' keys.
"""

import polars as pl

from assay.assets.sources.source import Source
from assay.assets.steps.apply_decisions import HELD, STATUS
from assay.assets.steps.looked_up import LookedUp
from assay.checks.contract.contract import compiled, for_delivery
from assay.checks.contract.rules import ForeignKeyRule
from assay.checks.validation.foreign_keys import existing_values
from assay.checks.validation.reading import Doubts, reading_of
from assay.features.tables.lake import Lake, TableMissing

MOST = 10_000  # rows of a source that are looked at


def held_for_partners(source: Source, rows: pl.LazyFrame) -> pl.LazyFrame:
    """The quarantined rows, with their status, that are held for foreign keys and for nothing else."""
    names = [rule.name for rule in _foreign_keys(source)]
    only = pl.col("_rules").list.eval(pl.element().is_in(names)).list.all()
    return rows.filter(pl.col(STATUS) == HELD, pl.col("_rules").list.len() > 0, only)


def find_partners(source: Source, lake: Lake, rows: pl.DataFrame) -> pl.Series:
    """Which quarantined rows would fit now, since they broke nothing but foreign keys, and all of these find their values.

    Args:
        source: Whose rows.
        lake: Where the tables are that they refer to.
        rows: As the quarantine table has them, with their status. Of more than `MOST` that are held for foreign keys nothing
            is reported.

    Returns:
        For each row true or false. Only a release is certain: it judges the whole batch.
    """
    rules = _foreign_keys(source)
    numbered = rows.with_row_index("\x1fposition")
    chosen = held_for_partners(source, numbered.lazy()).collect()
    nothing = pl.repeat(value=False, n=rows.height, dtype=pl.Boolean, eager=True)
    if chosen.is_empty() or chosen.height > MOST:
        return nothing
    tables: dict[str, LookedUp] = {}
    for name in {rule.reference for rule in rules}:
        try:
            tables[name] = LookedUp(lake.table(name).at())
        except TableMissing:
            continue
    reading = reading_of(for_delivery(source.contract, rows.columns), tuple(rows.schema.items()))
    found = existing_values(chosen, reading, tables, {})
    columns = {column.name: column for column in reading.plan.columns}

    def fits(rule: ForeignKeyRule) -> pl.Expr:
        kept = ~pl.col("_rules").list.contains(rule.name)
        if rule.name not in found:
            return kept
        column = columns[rule.inputs[0]]
        value = reading.typed(column, Doubts(far=frozenset([column.name])))
        return kept | value.is_in(found[rule.name].implode())

    fitting = chosen.select(
        pl.all_horizontal([fits(rule) for rule in rules]).fill_null(value=False).alias("fits")
    ).to_series()
    return numbered["\x1fposition"].is_in(chosen["\x1fposition"].filter(fitting).implode())


def _foreign_keys(source: Source) -> list[ForeignKeyRule]:
    return [rule for rule in compiled(source.contract).rules if isinstance(rule, ForeignKeyRule)]
