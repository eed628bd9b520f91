"""Which reader a delivered file gets: its suffix says. A compressed one is read as what it was made from."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from assay.assets.sources.csv import SMALL, csv_blocks, read_csv
from assay.assets.sources.csv_dialect import USUAL, Csv
from assay.assets.sources.deliveries import Delivery, DeliveryError, Part
from assay.assets.sources.excel.declared import USUAL_EXCEL, Excel
from assay.assets.sources.excel.excel_blocks import excel_blocks
from assay.assets.sources.file_names import COMPRESSED, suffix_of, uncompressed
from assay.assets.sources.jsonl import jsonl_blocks
from assay.assets.sources.limits import SMALL as SMALL_CONTENT
from assay.assets.sources.limits import USUAL_LIMITS, Limits
from assay.assets.sources.packed import unpacked
from assay.assets.sources.parquet import parquet_blocks
from assay.assets.sources.text import UTF8, refuse_utf8
from assay.assets.sources.zipped import united, zip_parts
from assay.own_columns import is_link

_CSV, _JSON, _PARQUET, _EXCEL = (".csv", ".tsv", ".txt"), (".jsonl", ".ndjson"), (".parquet",), (".xlsx", ".xlsm")
_ZIP = ".zip"  # of files of the other kinds
#: The suffixes of files that are read.
SUFFIXES = (*_CSV, *_JSON, *_PARQUET, *_EXCEL, _ZIP)
_KINDS = f"deliver one of {', '.join(SUFFIXES)}, or one of them with {' or '.join(COMPRESSED)}"
Pieces = Callable[[], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class _As:
    """How files are read: as their source declares."""

    csv: Csv
    limits: Limits
    excel: Excel


def read_delivery(
    delivery: Delivery,
    content: bytes,
    csv: Csv = USUAL,
    limits: Limits = USUAL_LIMITS,
    excel: Excel = USUAL_EXCEL,
) -> pl.DataFrame:
    """Every record of one file: the columns as delivered, then `_row_number`, `_defect` and `_line`.

    `_row_number` counts records from 1; `_defect` is null, "unparsable" or "encoding"; `_line` is the text of a defective
    record. Raises `DeliveryError` where the file as a whole cannot be used.

    Args:
        delivery: The file.
        content: Its bytes.
        csv: How it is written if it is CSV.
        limits: What it may be at most.
        excel: Where its rows stand if it is an Excel workbook.
    """
    frames = list(_blocks(delivery, lambda: [content], _As(csv, limits, excel)))
    # Column by column: the parts of one are freed before the next one is put together.
    columns = [pl.concat([frame.drop_in_place(name) for frame in frames]).rechunk() for name in frames[0].columns]
    return pl.DataFrame(columns)


def delivery_blocks(
    delivery: Delivery, csv: Csv = USUAL, limits: Limits = USUAL_LIMITS, excel: Excel = USUAL_EXCEL
) -> Iterator[pl.DataFrame]:
    """What `read_delivery` gives of a file, frame by frame, so that memory holds one of them at a time."""
    return _at_hand(delivery, _As(csv, limits, excel))


def delivery_parts(
    delivery: Delivery,
    csv: Csv = USUAL,
    limits: Limits = USUAL_LIMITS,
    excel: Excel = USUAL_EXCEL,
    suffixes: Sequence[str] = (),
) -> Iterator[Part]:
    """The files that a delivery holds: those in a zip file, of which all but the ones with these suffixes are not read (of
    none: all are), or itself."""
    how = _As(csv, limits, excel)
    if suffix_of(delivery.path) != _ZIP:
        yield Part(delivery.path, _at_hand(delivery, how), csv=csv)
        return
    any_kind, here = {suffix.lower() for suffix in suffixes} <= {_ZIP}, delivery.at_hand()
    for part in _zipped(here, here.pieces, how, () if any_kind else suffixes):
        yield replace(part, csv=csv)


def _at_hand(delivery: Delivery, how: _As) -> Iterator[pl.DataFrame]:
    """What is in an object store is read from a copy, which is there as long as it is read."""
    here = delivery.at_hand()
    yield from _blocks(here, here.pieces, how)


def _blocks(delivery: Delivery, whole: Pieces, how: _As) -> Iterator[pl.DataFrame]:
    kind = suffix_of(delivery.path)
    plain = uncompressed(kind)
    if plain not in SUFFIXES:
        raise DeliveryError(delivery.path, "is of a kind that no reader knows", _KINDS)
    is_packed = plain != kind
    if plain == _ZIP:
        if is_packed:
            raise DeliveryError(delivery.path, "is a compressed zip file", "ask the upstream to send it as .zip")
        yield from united(delivery.path, lambda: _zipped(delivery, whole, how))
        return
    blank = False

    def pieces() -> Iterator[bytes]:
        nonlocal blank
        only_space, given = True, whole()
        given = unpacked(delivery, given, how.limits) if is_packed else given
        for piece in _as_usual(delivery, how.csv, given) if plain in _CSV and how.csv != USUAL else given:
            only_space = only_space and not piece.strip()
            yield piece
        blank = only_space  # now that all of it could be read

    rows = 0
    try:
        for frame in _read(delivery, plain, pieces, how, in_place=not is_packed):
            how.limits.require_columns(delivery.path, sum(not is_link(name) for name in frame.columns))
            rows += frame.height
            yield frame
            del frame
    except DeliveryError:
        if blank:
            raise _empty(delivery) from None
        raise
    if blank or (not rows and plain not in _PARQUET):  # of a file of no lines nobody knows whether they are all
        raise _empty(delivery)


def _read(delivery: Delivery, plain: str, pieces: Pieces, how: _As, *, in_place: bool) -> Iterator[pl.DataFrame]:
    path, csv, limits = delivery.path, how.csv, how.limits
    if plain in _JSON:
        yield from jsonl_blocks(path, pieces, limits, beside=delivery.beside)
    elif plain in _PARQUET:
        # It is mapped into memory: where somebody cuts the file off meanwhile, the process would die of it.
        own = delivery.kept or (delivery.file if delivery.held is not None else None)
        at = own if in_place else None
        yield from _at_rest(delivery, pieces, lambda file: parquet_blocks(path, file, limits), at, is_whole=in_place)
    elif plain in _EXCEL:
        at = delivery.file if in_place else None
        yield from _at_rest(
            delivery, pieces, lambda file: excel_blocks(path, file, how.excel, limits), at, is_whole=in_place
        )
    elif delivery.size <= SMALL and in_place:
        yield csv.restored(read_csv(path, b"".join(pieces()), _encoding(csv)))
    else:
        for frame in csv_blocks(path, pieces(), encoding=_encoding(csv), limits=limits):
            yield csv.restored(frame)
            del frame


def _zipped(delivery: Delivery, whole: Pieces, how: _As, suffixes: Sequence[str] = ()) -> Iterator[Part]:
    """A large file is read where it lies, and is what was scanned also after it was read."""

    def read(path: str, size: int, pieces: Pieces) -> Iterator[pl.DataFrame]:
        if suffix_of(path) == _ZIP:
            raise DeliveryError(path, "is a zip file in another", "ask the upstream to send its files")
        member = replace(delivery, path=path, size=size, file=None, kept=None, elsewhere=None)
        return _blocks(member, pieces, how)

    if delivery.file is None or delivery.size <= SMALL_CONTENT:
        yield from zip_parts(delivery.path, b"".join(whole()), how.limits, read, suffixes)
        return
    yield from zip_parts(delivery.path, delivery.file, how.limits, read, suffixes)
    for _ in whole():
        pass


def _at_rest(
    delivery: Delivery,
    pieces: Pieces,
    read: Callable[[bytes | Path], Iterator[pl.DataFrame]],
    at: Path | None,
    *,
    is_whole: bool,
) -> Iterator[pl.DataFrame]:
    """A large file is read in its middle: where it lies (`at`), or where it is copied or unpacked to. `is_whole`: the pieces are
    the bytes that were delivered."""
    if delivery.size <= SMALL_CONTENT and (is_whole or delivery.file is None):
        yield from read(b"".join(pieces()))
        return
    if at is not None:
        yield from read(at)
        for _ in replace(delivery, file=at).pieces():  # it is what was scanned, also after it was read
            pass
        return
    with tempfile.NamedTemporaryFile() as file:
        for piece in pieces():
            file.write(piece)
        file.flush()
        yield from read(Path(file.name))


def _encoding(csv: Csv) -> str:
    return UTF8 if csv.encoding == USUAL.encoding else csv.encoding


def _as_usual(delivery: Delivery, csv: Csv, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes in the usual dialect. Raises DeliveryError for a file that is not of its encoding."""
    try:
        yield from csv.as_usual(refuse_utf8(delivery.path, pieces, csv.encoding))
    except UnicodeError:
        problem = f"is not {csv.encoding} text, as is declared"
        action = "declare another encoding, or ask the upstream to re-send it"
        raise DeliveryError(delivery.path, problem, action, declares={"encoding": ""}) from None


def _empty(delivery: Delivery) -> DeliveryError:
    return DeliveryError(
        delivery.path,
        f"has no rows ({delivery.size:,} bytes)",
        delivery.how_to_correct,
    )
