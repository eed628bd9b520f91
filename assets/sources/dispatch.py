"""Which reader a delivered file gets: its suffix says."""

from collections.abc import Iterator
from pathlib import PurePosixPath

import polars as pl

from assay.assets.sources.csv import SMALL, csv_blocks, read_csv
from assay.assets.sources.deliveries import Delivery, DeliveryError
from assay.assets.sources.jsonl import read_jsonl
from assay.assets.sources.parquet import read_parquet

READERS = {".csv": read_csv, ".jsonl": read_jsonl, ".ndjson": read_jsonl, ".parquet": read_parquet}


def read_delivery(delivery: Delivery, content: bytes) -> pl.DataFrame:
    """Every record of one file: the columns as delivered, then `_row_number`, `_defect` and `_line`.

    `_row_number` counts records from 1; `_defect` is null, "unparsable" or "encoding"; `_line` is the text of a defective
    record. Raises `DeliveryError` where the file as a whole cannot be used.
    """
    path = delivery.path
    reader = READERS.get(PurePosixPath(path).suffix)
    if reader is None:
        raise DeliveryError(path, "is of a kind that no reader knows", f"deliver one of {', '.join(READERS)}")
    if not content.strip():
        raise _empty(delivery)
    frame = reader(path, content)
    if frame.is_empty():
        raise _empty(delivery)
    return frame


def delivery_blocks(delivery: Delivery) -> Iterator[pl.DataFrame]:
    """What `read_delivery` gives of a file, frame by frame: a large CSV file in blocks, others at once."""
    if PurePosixPath(delivery.path).suffix != ".csv" or delivery.size <= SMALL:
        yield read_delivery(delivery, delivery.content())
        return
    blank = True

    def pieces() -> Iterator[bytes]:
        nonlocal blank
        for piece in delivery.pieces():
            blank = blank and not piece.strip()
            yield piece

    rows = 0
    try:
        for frame in csv_blocks(delivery.path, pieces()):
            rows += frame.height
            yield frame
            del frame
    except DeliveryError:
        if blank:
            raise _empty(delivery) from None
        raise
    if not rows:
        raise _empty(delivery)


def _empty(delivery: Delivery) -> DeliveryError:
    return DeliveryError(
        delivery.path,
        f"has no rows ({delivery.size:,} bytes)",
        delivery.how_to_correct,
    )
