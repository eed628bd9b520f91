"""Bytes that come in pieces, taken in blocks of whole lines."""

from collections.abc import Iterator

import numpy as np

from assay.assets.sources.deliveries import DeliveryError
from assay.assets.sources.limits import USUAL_LIMITS, Limits


class LineBlocks:
    """The bytes of a file, block by block. Memory holds one block, or one line where that is longer."""

    def __init__(self, path: str, pieces: Iterator[bytes], limits: Limits = USUAL_LIMITS) -> None:
        self._path, self._pieces, self._limits = path, pieces, limits
        self._rest, self._line, self.ended = b"", 1, False

    def peek(self, size: int) -> bytes:
        """The first bytes."""
        self._fill(size)
        return self._rest[:size]

    def next(self, size: int) -> bytes:
        """At most `size` bytes up to the end of a line, or one longer line; nothing at the end. Raises DeliveryError for a line
        that is longer than it may be."""
        size = min(size, self._limits.line)
        if (block := self._ending_in_a_piece(size)) is not None:
            self._line += _lines(block)
            return block
        self._fill(size)
        stop = len(self._rest) if self.ended and len(self._rest) <= size else self._rest.rfind(b"\n", 0, size) + 1
        while not stop:
            known = len(self._rest)
            self._require_short(known)
            self._fill(min(2 * known, self._limits.line + 1))
            stop = self._rest.find(b"\n", min(known, size)) + 1 or (len(self._rest) if self.ended else 0)
            self._require_short(stop - 1)
            if self.ended and not self._rest:
                return b""
        block, self._rest = self._rest[:stop], self._rest[stop:]
        self._line += _lines(block)
        return block

    def _ending_in_a_piece(self, size: int) -> bytes | None:
        """The next block, if one more piece has as many bytes, and its end. They are copied once."""
        piece = next(self._pieces, None) if len(self._rest) < size and not self.ended else None
        if piece is None:
            return None
        stop = 0
        if len(self._rest) + len(piece) >= size:
            stop = piece.rfind(b"\n", 0, size - len(self._rest)) + 1
        if not stop:
            self._rest += piece
            return None
        block = b"".join((self._rest, memoryview(piece)[:stop]))
        self._rest = piece[stop:]
        return block

    def _require_short(self, length: int) -> None:
        if length > self._limits.line:
            declare = f"declare Files(…, limits=Limits(line_mb={2 * self._limits.line_mb}))"
            problem = f"has a line of more than {self._limits.line_mb:,} MB"
            raise DeliveryError(
                self._path, problem, f"ask the upstream to end its lines, or {declare}", line=self._line
            )

    def _fill(self, size: int) -> None:
        parts, held = [self._rest], len(self._rest)
        while held < size and not self.ended:
            piece = next(self._pieces, None)
            self.ended = piece is None
            parts.append(piece or b"")
            held += len(parts[-1])
        if len(parts) > 1:
            self._rest = b"".join(parts)

    @property
    def empty(self) -> bool:
        """Whether everything was taken."""
        self._fill(1)
        return not self._rest


def _lines(block: bytes) -> int:
    """How many lines end in it: numpy counts several times as fast as `bytes.count`."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord("\n")))
