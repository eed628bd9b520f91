"""Parquet: typed columns, kept as delivered. The file is usable as a whole or not at all."""

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import polars as pl

from assay.assets.sources.deliveries import DeliveryError
from assay.assets.sources.limits import USUAL_LIMITS, Limits
from assay.assets.sources.parquet_footer import Footer, footer_of, footer_size
from assay.errors import plural
from assay.own_columns import delivered_names

BLOCK = 1 << 26  # bytes of a frame, about
_FEW = 1 << 30  # bytes that may be decoded of a file however small it is: they are never all in memory
_LARGEST_FOOTER = 1 << 26
_TAIL = 1 << 16


def read_parquet(path: str, content: bytes, limits: Limits = USUAL_LIMITS) -> pl.DataFrame:
    """All rows with their types, plus `_row_number` and the two defect columns, which stay null. See `read_delivery`."""
    return pl.concat(list(parquet_blocks(path, content, limits)))


def parquet_blocks(path: str, source: bytes | Path, limits: Limits = USUAL_LIMITS) -> Iterator[pl.DataFrame]:
    """What `read_parquet` gives of some bytes or a file, frame by frame: at least one. Raises `DeliveryError` for a file that is
    not Parquet, or of which more is to be decoded than the limits allow."""
    size = source.stat().st_size if isinstance(source, Path) else len(source)
    footer = _footer(path, source)
    most = max(_FEW, limits.times * size)
    limits.require_columns(path, footer.columns)
    if footer.decoded > most:
        raise _too_large(path, f"has {footer.rows:,} rows of {plural(footer.columns, 'column')}", limits)
    if _rows(path, source) != footer.rows:
        raise _unreadable(path, "another number of rows than its end says")
    texts = before = 0
    for frame in _slices(path, source, footer):
        frame.columns = delivered_names(frame.columns)
        ours = (
            pl.int_range(before + 1, before + pl.len() + 1, dtype=pl.Int64).alias("_row_number"),
            pl.lit(None, pl.String).alias("_defect"),
            pl.lit(None, pl.String).alias("_line"),
        )
        size_of_texts = _size_of_texts(frame)
        texts += size_of_texts
        if texts > most:  # of a dictionary, whose texts stand in the file once
            raise _too_large(path, "has texts that are repeated", limits)
        before += frame.height
        pieces = max(1, size_of_texts // BLOCK)
        yield from (
            frame.with_columns(ours).iter_slices(-(-frame.height // pieces) or 1)
            if frame.height
            else [frame.with_columns(ours)]
        )


def _slices(path: str, source: bytes | Path, footer: Footer) -> Iterator[pl.DataFrame]:
    """The rows, so many at a time as need about BLOCK bytes."""
    offset = 0
    for rows, decoded in [(group.rows, group.decoded) for group in footer.groups] or [(0, 0)]:
        step, done = max(1, rows * BLOCK // max(decoded, 1)), 0
        while done < rows or not (offset or done):
            frame = _read(path, source, offset + done, min(step, rows - done))
            if frame.height != min(step, rows - done):
                raise _unreadable(path, "fewer rows than its end says")
            done += frame.height
            yield frame
            if not rows:
                break
        offset += rows


def _rows(path: str, source: bytes | Path) -> int:
    return _collected(path, _scanned(source).select(pl.len())).item()


def _read(path: str, source: bytes | Path, offset: int, rows: int) -> pl.DataFrame:
    return _collected(path, _scanned(source).slice(offset, rows))


def _scanned(source: bytes | Path) -> pl.LazyFrame:
    file = BytesIO(source) if isinstance(source, bytes) else source
    return pl.scan_parquet(file, hive_partitioning=False, glob=False)


def _collected(path: str, rows: pl.LazyFrame) -> pl.DataFrame:
    try:
        return rows.collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise _unreadable(path, type(error).__name__) from None


def _footer(path: str, source: bytes | Path) -> Footer:
    try:
        if isinstance(source, bytes):
            size = footer_size(source[-8:])
            return footer_of(source[max(0, len(source) - 8 - size) : -8])
        with source.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - 8))
            size = footer_size(file.read(8))
            if size > _LARGEST_FOOTER:
                raise ValueError
            file.seek(max(0, end - 8 - size))
            return footer_of(file.read(size))
    except (ValueError, OSError):
        raise _unreadable(path, "no footer") from None


def _size_of_texts(frame: pl.DataFrame) -> int:
    sizes = [
        pl.col(name).str.len_bytes().sum() if dtype == pl.String else pl.col(name).bin.size().sum()
        for name, dtype in frame.schema.items()
        if dtype in (pl.String, pl.Binary)
    ]
    return sum(frame.select(sizes).row(0)) if sizes else 0


def _unreadable(path: str, what: str) -> DeliveryError:
    action = "ask the upstream to re-send it: it was cut off, or is not Parquet"
    return DeliveryError(path, f"is not a readable Parquet file ({what})", action)


def _too_large(path: str, what: str, limits: Limits) -> DeliveryError:
    problem = f"{what}, more than {limits.times:,} times the size of the file, as no usual file has"
    action = f"ask the upstream what it has sent, or declare Files(…, limits=Limits(times={4 * limits.times}))"
    return DeliveryError(path, problem, action)
