"""Which side of a split an entity is on: decided by its key and the seed alone, on every machine and in every version of a
training set."""

import hashlib
from collections.abc import Sequence

import polars as pl

from assay.features.tables.digest import row_digests
from assay.features.training.leaks import Numbers, SplitLeaks

_VERSION = b"assay.split/1\n"


def places_of(frame: pl.DataFrame, keys: Sequence[str], seed: int) -> Numbers:
    """A number in [0, 1) for each row: SHA-256 over the seed and the canonical form of its key (see `tables.digest`)."""
    entities = frame.select(keys).unique()
    numbers = [_place(seed, digest) for digest in row_digests(entities)]
    placed = entities.with_columns(pl.Series("__place", numbers, dtype=pl.Float64))
    return (
        frame.select(keys)
        .join(placed, on=list(keys), how="left", nulls_equal=True, maintain_order="left")["__place"]
        .to_numpy()
    )


def _place(seed: int, digest: str) -> float:
    head = hashlib.sha256(_VERSION + f"{seed}\n{digest}".encode()).digest()[:8]
    return (int.from_bytes(head, "big") >> 11) / 2**53


def refuse_nobody(frame: pl.DataFrame, keys: Sequence[str], where: str) -> None:
    """Raise SplitLeaks where a key is null: nobody knows on which side its entity is."""
    nobody = frame.select(pl.any_horizontal(pl.col(key).is_null() for key in keys).sum()).item()
    if nobody:
        raise SplitLeaks(
            f"{where}: {nobody:,} rows have no {' and '.join(keys)}, so that their entity may be in every part. "
            "Leave them out of the spine.",
            "entity",
        )
