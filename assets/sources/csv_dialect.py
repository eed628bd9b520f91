"""CSV as other programs write it: another separator, quote, encoding or line end, and lines before the header.

Characters change places: in the bytes of a file, its separator and the comma, its quote and the usual one, carriage returns and
line feeds. What is read is then CSV by RFC 4180, and in the values that come out the same characters change places again. So
there is one reader, and no value is touched.
"""

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Literal

import polars as pl

from assay.errors import AssayError

SEPARATORS = {";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
_UTF8 = "utf-8"
_RESERVED = '",\r\n'
_LONGEST_HEADER = 1 << 16


@dataclass(frozen=True, slots=True)
class Csv:
    r"""How the CSV files of a source are written, where it is not with commas and in UTF-8, e.g. `Csv(separator=";")`.

    Attributes:
        separator: what stands between fields: one ASCII character.
        quote: what stands around fields that hold separators: one ASCII character. Within them it stands twice.
        encoding: one that Python knows, e.g. `cp1252`, `utf-16`. A line that is not of it goes to quarantine.
        newline: what ends a line: `\n`, also after `\r`, or `\r` alone.
        skip_lines: lines before the header, such as `sep=;` or a title.
    """

    separator: str = ","
    quote: str = '"'
    encoding: str = _UTF8
    newline: Literal["\n", "\r"] = "\n"
    skip_lines: int = 0

    def __post_init__(self) -> None:
        for name, usual in (("separator", ","), ("quote", '"')):
            char = getattr(self, name)
            if len(char) != 1 or not char.isascii() or char.isalnum() or (char in _RESERVED and char != usual):
                raise AssayError(f"Csv({name}={char!r}): give one character that is neither a letter nor a digit.")
        if self.separator == self.quote:
            raise AssayError(f"Csv(separator={self.separator!r}): the quote is the same character.")
        if self.newline not in ("\n", "\r"):
            raise AssayError(f"Csv(newline={self.newline!r}): a line ends with \\n (also after \\r) or with \\r.")
        if self.skip_lines < 0:
            raise AssayError(f"Csv(skip_lines={self.skip_lines}): give a number of lines.")
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise AssayError(f"Csv(encoding={self.encoding!r}): Python knows no such encoding, e.g. cp1252.") from None

    def __str__(self) -> str:
        given = [
            (field.name, getattr(self, field.name))
            for field in fields(self)
            if getattr(self, field.name) != field.default
        ]
        return f"Csv({', '.join(f'{name}={value!r}' for name, value in given)})"

    @property
    def _pairs(self) -> list[tuple[str, str]]:
        pairs = [(self.separator, ","), (self.quote, '"'), (self.newline, "\n")]
        return [pair for pair in pairs if pair[0] != pair[1]]

    def _swaps(self) -> dict[str, str]:
        return {one: other for pair in self._pairs for one, other in (pair, pair[::-1])}

    def as_usual(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The bytes of a file as CSV by RFC 4180 in UTF-8. Lines that are skipped are blank lines then."""
        if codecs.lookup(self.encoding).name != _UTF8:
            pieces = _transcoded(pieces, self.encoding)
        swaps = self._swaps()
        if swaps:
            table = bytes.maketrans("".join(swaps).encode(), "".join(swaps.values()).encode())
            pieces = (piece.translate(table) for piece in pieces)
        return _blanked(pieces, self.skip_lines) if self.skip_lines else iter(pieces)

    def restored(self, frame: pl.DataFrame) -> pl.DataFrame:
        """What was read of such bytes, with the characters of the file."""
        swaps = self._swaps()
        if not swaps:
            return frame
        texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
        odd = [name for name in texts if frame[name].str.contains_any([*swaps]).any()]
        back = pl.col(odd).str.replace_many([*swaps], [*swaps.values()])
        table = str.maketrans(swaps)
        return frame.with_columns(back).rename(lambda name: name.translate(table))


USUAL = Csv()


@dataclass(frozen=True, slots=True)
class Seen:
    """What the first line of a file shows of another dialect than the declared one: in words, and the dialect."""

    what: str
    csv: Csv

    def __str__(self) -> str:
        return f"{self.what}: declare Files(…, csv={self.csv})"


def dialect_seen(header: str) -> Seen | None:
    """What a line that should be a header with commas shows; None where it shows nothing."""
    if "\r" in header.rstrip("\r"):
        return Seen("lines end with \\r alone", Csv(newline="\r"))
    if header.lower().startswith("sep=") and header[4:5] in SEPARATORS:
        return Seen(f"the first line says that {SEPARATORS[header[4]]} separates", Csv(header[4], skip_lines=1))
    if "," not in header:
        for separator, words in SEPARATORS.items():
            if separator in header:
                return Seen(f"{words} stands between the names of the header", Csv(separator))
    return None


def _transcoded(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The same text in UTF-8. Bytes that are not of the encoding stay as they are, which UTF-8 is not either, so that the
    reader finds them."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="surrogateescape")
    for piece in pieces:
        yield decoder.decode(piece).encode(errors="surrogateescape")
    yield decoder.decode(b"", final=True).encode(errors="surrogateescape")


def _blanked(pieces: Iterable[bytes], lines: int) -> Iterator[bytes]:
    """The pieces, with nothing in the first lines."""
    left = lines
    for piece in pieces:
        while left:
            before, end, rest = piece.partition(b"\n")
            del before
            if not end:
                piece = b""
                break
            yield end
            left, piece = left - 1, rest
        if piece:
            yield piece
