"""Compressed files: what they were made from, in pieces, and never more of it than a file may have."""

import io
import zlib
from collections.abc import Iterable, Iterator

from assay.assets.sources.deliveries import PIECE, Delivery, DeliveryError
from assay.assets.sources.file_names import ZSTD, suffix_of
from assay.assets.sources.limits import Limits
from assay.optional import require

_GZIP = 16 + zlib.MAX_WBITS  # zlib's word for gzip's header


def unpacked(delivery: Delivery, pieces: Iterable[bytes], limits: Limits) -> Iterator[bytes]:
    """The bytes that a compressed file was made from, in pieces. Raises DeliveryError for one that is damaged, is cut off, or is
    so much larger than its file that no upstream would have made it."""
    limit, given = limits.content(delivery.size), 0
    is_zstd = suffix_of(delivery.path).endswith(ZSTD)
    for part in _of_zstd(delivery, pieces) if is_zstd else _of_gzip(delivery, pieces):
        given += len(part)
        if given > limit:
            problem = f"is compressed to less than a {limits.times}th of its content, as no usual file is"
            raise DeliveryError(delivery.path, problem, "ask the upstream to send it uncompressed")
        yield part


def _of_gzip(delivery: Delivery, pieces: Iterable[bytes]) -> Iterator[bytes]:
    unpacking = zlib.decompressobj(wbits=_GZIP)
    try:
        for piece in pieces:
            while piece:
                if unpacking.eof:  # several parts in one file, one after the other, or zeros that fill it up
                    piece = piece.lstrip(b"\0")
                    if not piece:
                        break
                    unpacking = zlib.decompressobj(wbits=_GZIP)
                if part := unpacking.decompress(piece, PIECE):
                    yield part
                piece = unpacking.unconsumed_tail or unpacking.unused_data
    except zlib.error:
        raise DeliveryError(delivery.path, "is not gzip, or is damaged", delivery.how_to_correct) from None
    if not unpacking.eof:
        raise _cut_off(delivery)


def _of_zstd(delivery: Delivery, pieces: Iterable[bytes]) -> Iterator[bytes]:
    require("pyarrow", "Reading .zst files", extra="zst")
    import pyarrow as pa

    try:
        with pa.input_stream(_Stream(iter(pieces)), compression="zstd") as stream:
            while part := stream.read(PIECE):
                yield part
    except OSError as error:
        if "Truncated" in str(error):
            raise _cut_off(delivery) from None
        raise DeliveryError(delivery.path, "is not Zstandard, or is damaged", delivery.how_to_correct) from None


def _cut_off(delivery: Delivery) -> DeliveryError:
    return DeliveryError(delivery.path, "ends in the middle of its compressed content", delivery.how_to_correct)


class _Stream(io.RawIOBase):
    """Pieces as a file that is read from its start to its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._left = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
