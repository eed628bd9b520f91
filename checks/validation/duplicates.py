"""Which of several rows with one key stays: decided by an order of the rows themselves, never by when they were judged.

The order: by event time where one is declared, then by partition, then by file and row number. A row without an event time
loses to one that has it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from assay.checks.contract.rules import Column, SetRule
from assay.own_columns import PARTITION_KEY

#: Columns that rows of other batches may bring: how they take part, whether they break the rule by now, and whether they would
#: stay if it were not for the rule.
RANK, OUT, ELIGIBLE = "\x1frank", "\x1fout", "\x1feligible"
#: Rows that go before all others, whatever the order; rows of the order; rows that stay only where no other has the key.
BEFORE, AMONG, AFTER = 0, 1, 2

_EVENT, _PARTITION, _PLACE, _CONTENT = "\x1fevent", "\x1fpartition", "\x1fplace", "\x1fcontent"
_POSITION = "\x1fposition"
_SEEDS = (11, 29)  # of two hashes of 64 bits: rows in which both are equal are taken for equal


@dataclass(frozen=True, slots=True)
class Entry:
    """A row in its order. `position`: in the batch; None: it is of another batch, `rule` says by which rule it takes part, and
    `row` which of that rule's it is."""

    position: int | None
    rule: int
    row: int
    partition: str | None


def content(columns: Mapping[str, Column]) -> pl.Expr:
    """What a row says in all columns of the contract: an equal text for an equal row."""
    return pl.concat_str(pl.struct(list(columns)).hash(seed).cast(pl.String) for seed in _SEEDS).alias(_CONTENT)


def batch_places(rows: pl.LazyFrame, event_time: str | None, columns: Mapping[str, Column] | None) -> pl.LazyFrame:
    """By what the rows of a batch are put in order, and what each says, where `columns` are given."""
    present = rows.collect_schema()
    return rows.select(
        pl.int_range(pl.len(), dtype=pl.Int64).alias(_PLACE),
        (pl.col(event_time) if event_time is not None and event_time in present else pl.lit(None)).alias(_EVENT),
        (pl.col(PARTITION_KEY) if PARTITION_KEY in present else pl.lit(None, pl.String)).alias(_PARTITION),
        *([content(columns)] if columns is not None else []),
        pl.lit(AMONG, pl.Int8).alias(RANK),
    )


def other_places(present: Iterable[str], event_time: str | None, columns: Mapping[str, Column] | None) -> list[pl.Expr]:
    """The same of the rows of other batches, in the contract's types and by file and row number. Those of which nobody says
    how they take part came before, unless an event time puts them in order."""
    names = set(present)
    rank = BEFORE if event_time is None else AMONG
    return [
        (pl.int_range(pl.len(), dtype=pl.Int64) - pl.len().cast(pl.Int64)).alias(_PLACE),
        (pl.col(event_time) if event_time is not None and event_time in names else pl.lit(None)).alias(_EVENT),
        (pl.col(PARTITION_KEY) if PARTITION_KEY in names else pl.lit(None, pl.String)).alias(_PARTITION),
        *([content(columns)] if columns is not None else []),
        (pl.col(RANK) if RANK in names else pl.lit(rank)).cast(pl.Int8).alias(RANK),
        (pl.col(OUT) if OUT in names else pl.lit(False)).alias(OUT),
        (pl.col(ELIGIBLE) if ELIGIBLE in names else pl.lit(True)).alias(ELIGIBLE),
    ]


def no_others(key: pl.DataFrame, entities: Sequence[str]) -> pl.DataFrame:
    """No row of another batch."""
    places = {_PLACE: pl.Int64, _EVENT: pl.Null, _PARTITION: pl.String, RANK: pl.Int8}
    marks = {OUT: pl.Boolean, ELIGIBLE: pl.Boolean}
    return pl.DataFrame(schema={**key.schema, **dict.fromkeys(entities, pl.Null), **places, **marks})


def resolved(rule: SetRule, rows: pl.DataFrame, others: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """The rows of a rule's keys, with what becomes of each.

    Args:
        rule: About a key, without an entity.
        rows: Of the batch, with their position, whether they are eligible, their key and their places.
        others: Of other batches, likewise.
        key: The columns of the key.

    Returns:
        `position` (null: of another batch), `partition`, RANK, OUT, `broken`, and `to`: the partition of the row that it lost to.
    """
    both = pl.concat([rows, others], how="diagonal_relaxed")
    ordered = in_order(both.lazy(), rule.duplicates).with_row_index(_POSITION + "s")
    eligible, place = pl.col(ELIGIBLE), pl.col(_POSITION + "s")
    best = place.filter(eligible).min().over(key)
    judged = ordered.with_columns(
        broken=(place > best).fill_null(False), to=pl.col(_PARTITION).filter(eligible).first().over(key)
    )
    if rule.duplicates == "none":
        values = pl.col(_CONTENT)
        counted = eligible & (pl.col(RANK) < AFTER)
        judged = judged.with_columns(
            differ=values.filter(counted).n_unique().over(key) > 1, first=values.filter(eligible).first().over(key)
        ).with_columns(other=pl.col(_PARTITION).filter(eligible & (values != pl.col("first"))).first().over(key))
        judged = judged.with_columns(
            broken=pl.col("broken") | pl.col("differ"),
            to=pl.when(pl.col("differ") & (values == pl.col("first"))).then("other").otherwise("to"),
        )
    return judged.select(
        pl.col(_POSITION).alias("position"), pl.col(_PARTITION).alias("partition"), RANK, OUT, "broken", "to"
    ).collect(engine="in-memory")


def in_order(rows: pl.LazyFrame, duplicates: str) -> pl.LazyFrame:
    """The rows, the one that stays before those that it displaces."""
    back = duplicates == "latest"
    return rows.sort(
        RANK,
        pl.col(_EVENT).is_null(),
        _EVENT,
        _PARTITION,
        _PLACE,
        descending=[False, False, back, back, back],
        maintain_order=True,
    )


def eligible_rows(key: pl.DataFrame, places: pl.DataFrame, positions: pl.Series, eligible: pl.Series) -> pl.DataFrame:
    """Rows of the batch for `resolved`."""
    marks = [positions.cast(pl.Int64).alias(_POSITION), eligible.gather(positions).alias(ELIGIBLE)]
    return pl.concat([key[positions], places[positions]], how="horizontal").with_columns(marks)


def entries(places: pl.DataFrame, positions: pl.Series, others: Sequence[pl.DataFrame]) -> Iterator[Entry]:
    """Rows of the batch and of others, the first before those that it displaces."""
    mine = places[positions].with_columns(position=positions.cast(pl.Int64), rule=pl.lit(-1), row=pl.lit(-1))
    theirs = [
        rows.select(
            _PLACE, _EVENT, _PARTITION, RANK, position=pl.lit(None, pl.Int64), rule=number, row=pl.int_range(pl.len())
        )
        for number, rows in enumerate(others)
        if not rows.is_empty()
    ]
    both = pl.concat(
        [mine.select(_PLACE, _EVENT, _PARTITION, RANK, "position", "rule", "row"), *theirs], how="vertical_relaxed"
    )
    ordered = in_order(both.lazy(), "first").select("position", "rule", "row", _PARTITION).collect(engine="in-memory")
    return (Entry(*row) for row in ordered.iter_rows())
