"""Keys as bytes: one form for tables and requests, so that a search compares bytes, whatever the keys' types are."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import polars as pl

_DIGEST = 8


def key_bytes(keys: Sequence[pl.Series], rows: int) -> list[bytes | None]:
    """Of each row its key; None where a part of it is null.

    Args:
        keys: The key columns, in the types of the table. None: one stream of rows for all.
        rows: How many rows there are.
    """
    parts = [_texts(column) for column in keys]
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return [b""] * rows
    return [_joined(values) for values in zip(*parts, strict=True)]


def key_hashes(keys: Sequence[bytes | None]) -> npt.NDArray[np.uint64]:
    """64 bits of BLAKE2b of each key (None: of nothing). They only say where a row is looked for: keys are compared, too."""
    there = [key for key in keys if key is not None]
    if len(there) < len(keys):
        there = [key or b"" for key in keys]
    return np.frombuffer(b"".join([blake2b(key, digest_size=_DIGEST).digest() for key in there]), "<u8")


def _texts(column: pl.Series) -> list[bytes | None]:
    if isinstance(column.dtype, pl.Binary):
        return column.to_list()
    if isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum):
        texts = column if isinstance(column.dtype, pl.String) else column.cast(pl.String)
        if column.null_count():
            return [None if value is None else value.encode() for value in texts.to_list()]
        return [value.encode() for value in texts.to_list()]
    if isinstance(column.dtype, pl.Decimal):
        column = column.cast(pl.String)
    return [None if value is None else str(value).encode() for value in column.to_physical().to_list()]


def _joined(values: Sequence[bytes | None]) -> bytes | None:
    """Each part with its length before it, so that no two keys look alike."""
    parts = [value for value in values if value is not None]
    return b"".join(len(part).to_bytes(4) + part for part in parts) if len(parts) == len(values) else None
