"""The rules of `benchmarks.contracts` in dataframely, run by the interpreter of its own environment.

    dataframely/bin/python benchmarks/contracts_dataframely.py CONTRACT in-memory|scan BATCH...

Prints one line of JSON like the other engines: CPU s, seconds, peak MB and how many rows leave, the mean of all batches.
It is asked for what Assay's report and quarantine say: how many rows break each rule, and the rows, with what each breaks.
"""

import json
import resource
import sys
import time
from pathlib import Path

import dataframely as dy
import polars as pl

CHANNELS = ["web", "shop", "phone", "partner"]
STATES = ["open", "paid", "sent", "closed"]


class Orders(dy.Schema):
    order_id = dy.String(nullable=False, regex=r"^O[0-9]{9}$", check=lambda column: column.is_unique())
    customer = dy.Int64(nullable=False, min=1)
    ordered_at = dy.Datetime(nullable=False, time_zone="UTC", time_unit="us")
    shipped_at = dy.Datetime(nullable=True, time_zone="UTC", time_unit="us")
    channel = dy.String(nullable=False, check=lambda column: column.is_in(CHANNELS))
    state = dy.String(nullable=False, check=lambda column: column.is_in(STATES))
    country = dy.String(nullable=True, min_length=2, max_length=2)
    email = dy.String(nullable=True, regex=r"^[^@ ]+@[^@ ]+\.[a-z]+$")
    quantity = dy.Int64(nullable=True, min=1, max=99)
    price = dy.Float64(nullable=True, min_exclusive=0, max=10_000)
    discount = dy.Float64(nullable=True, max=0.9)
    note = dy.String(nullable=True)

    @dy.rule()
    def after_order(cls) -> pl.Expr:
        return pl.col("shipped_at") >= pl.col("ordered_at")


class Shipped(dy.Schema):
    """The rule across columns alone. All columns are named: those that are not would be left out of both results."""

    order_id = dy.String(nullable=True)
    customer = dy.Int64(nullable=True)
    ordered_at = dy.Datetime(nullable=True, time_zone="UTC", time_unit="us")
    shipped_at = dy.Datetime(nullable=True, time_zone="UTC", time_unit="us")
    channel = dy.String(nullable=True)
    state = dy.String(nullable=True)
    country = dy.String(nullable=True)
    email = dy.String(nullable=True)
    quantity = dy.Int64(nullable=True)
    price = dy.Float64(nullable=True)
    discount = dy.Float64(nullable=True)
    note = dy.String(nullable=True)

    @dy.rule()
    def after_order(cls) -> pl.Expr:
        return pl.col("shipped_at") >= pl.col("ordered_at")


CONTRACTS = {"all": Orders, "one": Shipped}


def filtered(batch: pl.DataFrame | pl.LazyFrame, contract: type[dy.Schema]) -> int:
    result = contract.filter(batch)
    failure = result.collect_all(engine="streaming").failure if isinstance(batch, pl.LazyFrame) else result.failure
    failure.counts()
    return failure.details().height


def main(contract: str, how: str, *paths: str) -> None:
    scans = [pl.scan_parquet(f"{path}/*.parquet" if Path(path).is_dir() else path) for path in paths]
    batches = scans if how == "scan" else [scan.collect() for scan in scans]
    before, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    found = sum(filtered(batch, CONTRACTS[contract]) for batch in batches)
    seconds, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    each = {"cpu": cpu / len(batches), "s": seconds / len(batches), "rows": found / len(batches)}
    print(json.dumps({**each, "mb": after.ru_maxrss / 1024}))


if __name__ == "__main__":
    main(*sys.argv[1:])
