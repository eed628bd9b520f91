"""Parquet: typed columns, kept as delivered. The file is usable as a whole or not at all."""

from io import BytesIO

import polars as pl

from assay.assets.sources.deliveries import DeliveryError
from assay.own_columns import delivered_names


def read_parquet(path: str, content: bytes) -> pl.DataFrame:
    """All rows with their types, plus `_row_number` and the two defect columns, which stay null. See `read_delivery`."""
    try:
        frame = pl.read_parquet(BytesIO(content), hive_partitioning=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        action = "ask the upstream to re-send it: it was cut off, or is not Parquet"
        raise DeliveryError(path, f"is not a readable Parquet file ({type(error).__name__})", action) from None
    frame.columns = delivered_names(frame.columns)
    ours = (
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("_row_number"),
        pl.lit(None, pl.String).alias("_defect"),
        pl.lit(None, pl.String).alias("_line"),
    )
    return frame.with_columns(ours)
