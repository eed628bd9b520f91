"""What `benchmarks.contracts` measures, written by hand in Polars for that one contract: what an engine can be compared with.

In memory: the verdicts, their counts, and the rows that leave with what each breaks. On disk: what a batch costs there that
nobody judges: read in blocks, written, read again for the rows that stay and for those that leave, both written as Parquet.
"""

import tempfile
from collections.abc import Iterator

import polars as pl
from polars.io.plugins import register_io_source

ROWS = 245_760  # of a block


def judged(batch: pl.DataFrame, channels: list[str], states: list[str]) -> int:
    """How many rows leave."""
    col = pl.col
    ends = pl.datetime(1, 1, 1, time_zone="UTC"), pl.datetime(9999, 12, 31, time_zone="UTC")
    filled = ("order_id", "customer", "ordered_at", "channel", "state")
    verdicts = batch.select(
        *(col(name).is_not_null().alias(f"{name}.not_null") for name in filled),
        *(col(name).is_between(*ends).alias(f"{name}.year") for name in ("ordered_at", "shipped_at")),
        *(col(name).is_not_nan().alias(f"{name}.not_nan") for name in ("price", "discount")),
        order_matches=col("order_id").str.contains(r"^O[0-9]{9}$"),
        order_unique=col("order_id").hash().is_first_distinct(),
        customer=col("customer") >= 1,
        channel=col("channel").is_in(channels),
        state=col("state").is_in(states),
        country=col("country").str.len_chars() == 2,
        email=col("email").str.contains(r"^[^@ ]+@[^@ ]+\.[a-z]+$"),
        quantity=col("quantity").is_between(1, 99),
        price=(col("price") > 0) & (col("price") <= 10_000),
        discount=col("discount") <= 0.9,
        after_order=col("shipped_at") >= col("ordered_at"),
    )
    assert len(verdicts.select((~pl.all()).sum()).row(0)) == verdicts.width
    leaves = verdicts.select(~pl.all_horizontal(pl.all().fill_null(True))).to_series()
    broken = (pl.when(~col(name)).then(pl.lit(name)) for name in verdicts.columns)
    rules = verdicts.filter(leaves).select(_rules=pl.concat_list(broken).list.drop_nulls())
    return batch.filter(leaves).hstack(rules).height


def moved(batch: pl.LazyFrame) -> int:
    """How many rows have a quantity out of bounds, or no customer: about those that leave."""
    schema = batch.collect_schema()
    with tempfile.TemporaryDirectory() as folder:
        stays: list[pl.Series] = []
        for block in batch.collect_batches(chunk_size=ROWS, engine="streaming"):
            block.write_ipc(f"{folder}/{len(stays)}.arrow")
            stays.append(block["quantity"].is_between(1, 99) & block["customer"].is_not_null())

        def rows(wanted: bool) -> pl.LazyFrame:
            def made(*_: object) -> Iterator[pl.DataFrame]:
                for number, stay in enumerate(stays):
                    block = pl.scan_ipc(f"{folder}/{number}.arrow", glob=False).collect()
                    yield from block.filter(stay if wanted else ~stay).iter_slices(30_720)

            return register_io_source(made, schema=schema)

        rows(True).sink_parquet(f"{folder}/clean.parquet")
        rows(False).sink_parquet(f"{folder}/quarantined.parquet")
        return sum(int((~stay).sum()) for stay in stays)
