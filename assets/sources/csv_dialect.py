"""CSV as other programs write it: another separator, quote, encoding or line end, and lines before the header.

Characters change places: in the bytes of a file, its separator and the comma, its quote and the usual one, carriage returns and
line feeds. What is read is then CSV by RFC 4180, and in the values that come out the same characters change places again. So
there is one reader, and no value is touched.
"""

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Literal

import polars as pl

from assay.errors import AssayError
from assay.own_columns import delivered_name, is_link, upstream_name

SEPARATORS = {";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
ANY = {**SEPARATORS, ",": "a comma"}
_UTF8 = "utf-8"
_LINE = "_line"
_RESERVED = '",\r\n'
_MARK = "\x01"
# What `_transcoded` makes of a byte that is not of the encoding, as a reader shows it, and how that byte is shown.
_ESCAPES = {
    "".join(f"\\x{part:02x}" for part in chr(0xDC00 + byte).encode(errors="surrogatepass")): f"\\x{byte:02x}"
    for byte in range(0x100)
}
_BYTES = {shown: shown for shown in [*_ESCAPES.values()][0x80:]}  # in UTF-8 all others are characters
_ANY_BYTE = "assay.any_byte"


def _any_byte(error: UnicodeError) -> tuple[str, int]:
    """What "surrogateescape" does, and with bytes below 128, too: in UTF-16 half of a pair has some. An odd byte at the end of
    UTF-16 or UTF-32 is an error all the same: such a file was cut off."""
    if not isinstance(error, UnicodeDecodeError) or error.reason == "truncated data":
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_ANY_BYTE, _any_byte)


def _decoder(encoding: str) -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder(encoding)(errors=_ANY_BYTE)


def _is_text_encoding(encoding: str) -> bool:
    """Whether files can be of it: Python's codecs are also for other things, such as base64 and the names of hosts."""
    text = 'a,"b"\n'
    try:
        content = text.encode(encoding)
        return _decoder(encoding).decode(content, final=True) == text
    except (LookupError, ValueError):
        return False


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
        if not _is_text_encoding(self.encoding):
            problem = "Python knows no such encoding of files, e.g. cp1252"
            raise AssayError(f"Csv(encoding={self.encoding!r}): {problem}.")

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
        """What each character becomes when a file is read. A comma never becomes white space, which names nothing."""
        swaps = {one: other for pair in self._pairs for one, other in (pair, pair[::-1])}
        return swaps | {",": _MARK, _MARK: self.separator} if self.separator.isspace() else swaps

    def _swaps_back(self) -> dict[str, str]:
        return {other: one for one, other in self._swaps().items()}

    @property
    def _is_transcoded(self) -> bool:
        return codecs.lookup(self.encoding).name != _UTF8

    def as_usual(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The bytes of a file as CSV by RFC 4180 in UTF-8. Lines that are skipped are blank lines then."""
        if self._is_transcoded:
            pieces = _transcoded(pieces, self.encoding)
        swaps = self._swaps()
        if swaps:
            table = bytes.maketrans("".join(swaps).encode(), "".join(swaps.values()).encode())
            pieces = (piece.translate(table) for piece in pieces)
        return _blanked(pieces, self.skip_lines) if self.skip_lines else iter(pieces)

    def restored(self, frame: pl.DataFrame) -> pl.DataFrame:
        """What was read of such bytes, with the characters of the file. Our columns keep their names."""
        swaps = self._swaps_back()
        if swaps:
            delivered = [name for name in frame.columns if not is_link(name)]
            odd = [name for name in [*delivered, _LINE] if frame[name].str.contains_any([*swaps]).any()]
            frame = frame.with_columns(pl.col(odd).str.replace_many([*swaps], [*swaps.values()]))
            table = str.maketrans(swaps)
            frame = frame.rename({name: delivered_name(upstream_name(name).translate(table)) for name in delivered})
        return self._with_bytes_shown(frame)

    def _with_bytes_shown(self, frame: pl.DataFrame) -> pl.DataFrame:
        r"""Bytes that are not of the encoding as `\xNN`, also where what shows them has changed places."""
        table = str.maketrans(self._swaps_back())
        escapes = _ESCAPES if self._is_transcoded else _BYTES
        changed = {read.translate(table): shown for read, shown in escapes.items()}
        foreign = pl.col("_defect") == "encoding"
        if changed == _BYTES or not frame.select(foreign.any()).item():
            return frame
        line = pl.col(_LINE).str.replace_many([*changed], [*changed.values()])
        return frame.with_columns(pl.when(foreign).then(line).otherwise(_LINE).alias(_LINE))


USUAL = Csv()


@dataclass(frozen=True, slots=True)
class Seen:
    """What the first line of a file shows of another dialect than the declared one: in words, and the dialect."""

    what: str
    csv: Csv

    @property
    def declare(self) -> str:
        return f"declare Files(…, csv={self.csv})" if self.csv != USUAL else "declare Files(…) without csv="

    @property
    def declares(self) -> dict[str, str]:
        """The fields of the other dialect that are not the usual ones, each with its value."""
        usual = {field.name: getattr(USUAL, field.name) for field in fields(USUAL)}
        return {
            name: str(value) for name, usual_value in usual.items() if (value := getattr(self.csv, name)) != usual_value
        }


def dialect_seen(header: str, declared: Csv = USUAL) -> Seen | None:
    """What a line that should be a header in the declared dialect shows; None where it shows nothing."""
    if declared.newline == "\n" and "\r" in header.rstrip("\r"):
        return Seen("lines end with \\r alone", replace(declared, newline="\r"))
    others = {one: words for one, words in ANY.items() if one not in (declared.separator, declared.quote)}
    if header.lower().startswith("sep=") and header[4:5] in others:
        csv = replace(declared, separator=header[4], skip_lines=declared.skip_lines + 1)
        return Seen(f"the first line says that {others[header[4]]} separates", csv)
    if declared.separator not in header:
        for separator, words in others.items():
            if separator in header:
                csv = replace(declared, separator=separator)
                return Seen(f"{words} stands between the names of the header", csv)
    return None


def _transcoded(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The same text in UTF-8. Bytes that are not of the encoding become surrogates, as in PEP 383, written as UTF-8 would write
    them if it had any: so the reader finds them, whatever they are. As they are they may be UTF-8."""
    decoder = _decoder(encoding)
    for piece in pieces:
        yield decoder.decode(piece).encode(errors="surrogatepass")
    yield decoder.decode(b"", final=True).encode(errors="surrogatepass")


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
