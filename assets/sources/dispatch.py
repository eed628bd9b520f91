"""Which reader a delivered file gets: its suffix says. A compressed one is read as what it was made from."""

import zlib
from collections.abc import Iterable, Iterator

import polars as pl

from assay.assets.sources.csv import SMALL, csv_blocks, read_csv
from assay.assets.sources.csv_dialect import USUAL, Csv
from assay.assets.sources.deliveries import PIECE, Delivery, DeliveryError
from assay.assets.sources.file_names import COMPRESSED, suffix_of
from assay.assets.sources.jsonl import read_jsonl
from assay.assets.sources.parquet import read_parquet
from assay.assets.sources.text import UTF8

LARGEST_SMALL = 1 << 26  # bytes of content that a compressed file may have however small it is
MOST_TIMES = 250  # as large as the file; gzip reaches 1,030 with one byte repeated, and seldom 100 with tables
_GZIP = 16 + zlib.MAX_WBITS  # zlib's word for gzip's header
_BY_SUFFIX = {".jsonl": read_jsonl, ".ndjson": read_jsonl, ".parquet": read_parquet}
_CSV = (".csv", ".tsv", ".txt")
# Of a file of no lines nobody knows whether they are all; a file of Parquet ends with its footer.
_LINES = (*_CSV, ".jsonl", ".ndjson")
#: The suffixes of files that are read.
SUFFIXES = (*_CSV, *_BY_SUFFIX)
_KINDS = f"deliver one of {', '.join(SUFFIXES)}, or one of them with {COMPRESSED}"


def read_delivery(delivery: Delivery, content: bytes, csv: Csv = USUAL) -> pl.DataFrame:
    """Every record of one file: the columns as delivered, then `_row_number`, `_defect` and `_line`.

    `_row_number` counts records from 1; `_defect` is null, "unparsable" or "encoding"; `_line` is the text of a defective
    record. Raises `DeliveryError` where the file as a whole cannot be used.

    Args:
        delivery: The file.
        content: Its bytes.
        csv: How it is written if it is CSV.
    """
    kind = suffix_of(delivery.path)
    plain = kind.removesuffix(COMPRESSED)
    if plain not in SUFFIXES:
        raise DeliveryError(delivery.path, "is of a kind that no reader knows", _KINDS)
    if kind.endswith(COMPRESSED):
        content = b"".join(_unpacked(delivery, [content]))
    if plain in _CSV and csv != USUAL:
        content = b"".join(_as_usual(delivery, csv, [content]))
    if not content.strip():
        raise _empty(delivery)
    if plain in _CSV:
        frame = csv.restored(read_csv(delivery.path, content, _encoding(csv)))
    else:
        frame = _BY_SUFFIX[plain](delivery.path, content)
    if frame.is_empty() and plain in _LINES:
        raise _empty(delivery)
    return frame


def delivery_blocks(delivery: Delivery, csv: Csv = USUAL) -> Iterator[pl.DataFrame]:
    """What `read_delivery` gives of a file, frame by frame: a large CSV file in blocks, others at once."""
    kind = suffix_of(delivery.path)
    if kind.removesuffix(COMPRESSED) not in _CSV or delivery.size <= SMALL:
        yield read_delivery(delivery, delivery.content(), csv)
        return
    blank = False

    def pieces() -> Iterator[bytes]:
        nonlocal blank
        only_space, whole = True, delivery.pieces()
        whole = _unpacked(delivery, whole) if kind.endswith(COMPRESSED) else whole
        for piece in _as_usual(delivery, csv, whole) if csv != USUAL else whole:
            only_space = only_space and not piece.strip()
            yield piece
        blank = only_space  # now that all of it could be read

    rows = 0
    try:
        for frame in csv_blocks(delivery.path, pieces(), encoding=_encoding(csv)):
            rows += frame.height
            yield csv.restored(frame)
            del frame
    except DeliveryError:
        if blank:
            raise _empty(delivery) from None
        raise
    if not rows:
        raise _empty(delivery)


def _encoding(csv: Csv) -> str:
    return UTF8 if csv.encoding == USUAL.encoding else csv.encoding


def _as_usual(delivery: Delivery, csv: Csv, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes in the usual dialect. Raises DeliveryError for a file that is not of its encoding."""
    try:
        yield from csv.as_usual(pieces)
    except UnicodeError:
        problem = f"is not {csv.encoding} text, as its source declares"
        raise DeliveryError(
            delivery.path, problem, "declare another encoding, or ask the upstream to re-send it"
        ) from None


def _unpacked(delivery: Delivery, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes that a compressed file was made from, in pieces. Raises DeliveryError for one that is damaged, is cut off, or is
    so much larger than its file that no upstream would have made it."""
    limit, given = max(LARGEST_SMALL, MOST_TIMES * delivery.size), 0
    unpacking = zlib.decompressobj(wbits=_GZIP)
    try:
        for piece in pieces:
            while piece:
                if unpacking.eof:  # several parts in one file, one after the other, or zeros that fill it up
                    piece = piece.lstrip(b"\0")
                    if not piece:
                        break
                    unpacking = zlib.decompressobj(wbits=_GZIP)
                part = unpacking.decompress(piece, PIECE)
                given += len(part)
                if given > limit:
                    problem = f"is compressed to less than a {MOST_TIMES}th of its content, as no usual file is"
                    raise DeliveryError(delivery.path, problem, "ask the upstream to send it uncompressed")
                if part:
                    yield part
                piece = unpacking.unconsumed_tail or unpacking.unused_data
    except zlib.error:
        raise DeliveryError(delivery.path, "is not gzip, or is damaged", delivery.how_to_correct) from None
    if not unpacking.eof:
        raise DeliveryError(delivery.path, "ends in the middle of its compressed content", delivery.how_to_correct)


def _empty(delivery: Delivery) -> DeliveryError:
    return DeliveryError(
        delivery.path,
        f"has no rows ({delivery.size:,} bytes)",
        delivery.how_to_correct,
    )
