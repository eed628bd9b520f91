"""Partitions that have a whole state each: how one differs from the one before it."""

from dataclasses import replace
from datetime import timedelta

import polars as pl

from assay.assets.sources.source import Source
from assay.features.storage.sections import Changes
from assay.features.tables.lake import TableMissing
from assay.features.tables.row_prints import KnownRows, Rows, fingerprinted, last_of_each_key
from assay.features.tables.run_record import CheckResult
from assay.features.tables.transaction import Transaction

CHANGES = "changes"
COUNTS = ("inserted", "updated", "deleted", "unchanged")


def partition_before(source: Source, partition: str) -> str | None:
    """The partition that ends where this one begins; None for the first one."""
    begin, _ = source.partitioning.bounds(partition)
    return next(iter(source.partitioning.overlapping(begin - timedelta(microseconds=1), begin)), None)


def state_before(source: Source, tx: Transaction) -> pl.LazyFrame | None:
    """The state before this work's, for comparing; None where there is none, or none yet.

    No row of it gets into this state: it is only counted what has changed. So it is a lookup, and nothing leads from a state
    through all that were before it. The counts depend on it, therefore its digest is a parameter of the work.
    """
    before = partition_before(source, tx.work.partition or "")
    try:
        there = before is not None and bool(tx.state(source.clean).partitions([before]))
    except TableMissing:
        return None
    if not there or before is None:
        return None
    state = tx.note(source.clean, [before], lookup=True)
    counted_from = f"{state.table_id}:{state.slice([before]).digest}"
    tx.work = replace(tx.work, params={**tx.work.params, "before": counted_from})
    return state.scan([before])


def state_changes(source: Source, tx: Transaction, rows: pl.LazyFrame, before: pl.LazyFrame | None) -> Changes:
    """How many keys came, went, and have other values than in the state before."""
    changes = Changes(keys=source.key, states=True)
    if before is None:
        return changes
    names = [name for name in rows.collect_schema() if name in before.collect_schema()]
    now, then = (KnownRows(_prints(frame.select(names), source)) for frame in (rows, before))
    at = then.find(now.rows)
    found = at >= 0
    was, is_now = then.rows[at[found]], now.rows[found]
    same = int(((was["values"] == is_now["values"]) & (was["values_2"] == is_now["values_2"])).sum())
    return Changes(
        keys=source.key,
        states=True,
        against=partition_before(source, tx.work.partition or "") or "",
        inserted=int((~found).sum()),
        updated=int(found.sum()) - same,
        deleted=len(then.rows) - int(found.sum()),
        unchanged=same,
    )


def _prints(rows: pl.LazyFrame, source: Source) -> Rows:
    """Of a large state not all rows are held at a time."""
    batches = rows.collect_batches(engine="streaming")
    none = fingerprinted(pl.DataFrame(schema=rows.collect_schema()), source.key)
    return last_of_each_key([none, *(fingerprinted(batch, source.key) for batch in batches)])


def changes_check(source: Source, tx: Transaction, changes: Changes) -> CheckResult:
    """What people read of it."""
    before = partition_before(source, tx.work.partition or "")
    if changes.against:
        message = f"{changes}, against {changes.against}."
    elif before is None:
        message = "Not compared: it is the first partition."
    else:
        message = f"Not compared: {source.clean} has no {before} yet."
    return CheckResult(
        CHANGES,
        source.clean,
        passed=True,
        severity="info",
        evaluated=changes.total + (changes.unchanged or 0) if changes.against else 0,
        unknown=0 if changes.against else 1,
        message=message,
    )
