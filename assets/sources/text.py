"""What the line-based formats share: decoding that loses no byte, and the frame of rows and defects.

Undecodable bytes become lone surrogates (PEP 383), so that one bad line stays one bad line and its neighbours stay good.
"""

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import polars as pl

from assay.assets.sources.deliveries import DeliveryError
from assay.assets.sources.file_names import suffix_of

UNPARSABLE, ENCODING = "unparsable", "encoding"
UTF8 = "UTF-8"
HEAD = 4096

_SURROGATE = re.compile("[\udc80-\udcff]")
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def refuse_binary(path: str, head: bytes, encoding: str = UTF8) -> None:
    """Raise `DeliveryError` for a file whose first HEAD bytes are no text at all. `encoding`: which one it was read by."""
    if head.startswith(_UTF16_MARKS) or 4 * head.count(0) > len(head):
        likely = "utf-16" if head.startswith(_UTF16_MARKS) else ""
        raise _unlike(path, f"is UTF-16 or binary, not {encoding} text", encoding, likely)


def refuse_undecodable(path: str, bad: int, filled: int, encoding: str = UTF8) -> None:
    """Raise `DeliveryError` for a file of whose lines with any text more than half are not of the encoding."""
    if 2 * bad > filled:
        raise _unlike(path, f"has {bad:,} of {filled:,} lines that are not {encoding}", encoding, "cp1252")


def refuse_utf8(path: str, pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The pieces of a text that should have this encoding, which is not UTF-8. Raises `DeliveryError` for one that is UTF-8: with
    its mark at once; at the end where some bytes are no ASCII, they would be read as other characters, and all of them together
    are UTF-8, as by chance only a few are."""
    if not _keeps_ascii(encoding):
        yield from pieces
        return
    decoder, is_utf8, is_misread, start = codecs.getincrementaldecoder("utf-8")(), True, False, b""
    no_characters = bytes(byte for byte in range(0x100) if byte < 0x80 or not _is_character(byte, encoding))
    usual = {"encoding": "utf-8"}
    declared = f"although {encoding} is declared"
    action = f"remove encoding={encoding!r} from the source's Csv(…), or ask the upstream to re-send it in {encoding}"
    for piece in pieces:
        if len(start) < len(codecs.BOM_UTF8):
            start += piece[: len(codecs.BOM_UTF8) - len(start)]
            if start == codecs.BOM_UTF8:
                raise DeliveryError(path, f"starts with the mark of UTF-8, {declared}", action, declares=usual)
        if is_utf8:
            is_misread = is_misread or bool(piece.translate(None, no_characters))
            try:
                decoder.decode(piece)
            except UnicodeDecodeError:
                is_utf8 = False
        yield piece
    if is_utf8 and is_misread and not decoder.getstate()[0]:
        raise DeliveryError(path, f"reads as UTF-8, {declared}", action, declares=usual)


def _keeps_ascii(encoding: str) -> bool:
    """Whether ASCII is the same in it, as in UTF-8, and each byte is one character or none."""
    try:
        every = bytes(range(0x100)).decode(encoding, errors="replace")
    except UnicodeError:
        return False
    is_other = not codecs.lookup(encoding).name.startswith("utf")
    return is_other and len(every) == 0x100 and every.startswith(bytes(range(0x80)).decode("ascii"))


def _is_character(byte: int, encoding: str) -> bool:
    try:
        return bool(bytes([byte]).decode(encoding))
    except UnicodeDecodeError:
        return False


def lines_of(path: str, content: bytes, encoding: str = UTF8) -> list[str]:
    """The physical lines of UTF-8 text, made from what had this encoding, without their line feeds. Raises `DeliveryError` for
    a file that is not of it at all."""
    refuse_binary(path, content[:HEAD], encoding)
    try:
        return content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        lines = content.decode("utf-8-sig", errors="surrogateescape").split("\n")
    refuse_undecodable(path, sum(map(undecodable, lines)), sum(map(bool, lines)), encoding)
    return lines


def undecodable(text: str) -> bool:
    """Whether the text holds bytes that were not UTF-8."""
    return not text.isascii() and _SURROGATE.search(text) is not None


def shown(text: str) -> str:
    r"""The text with undecodable bytes as `\xNN`."""
    return _SURROGATE.sub(lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}", text)


def frame_of(
    columns: Mapping[str, Sequence[str | None] | pl.Series], defects: Mapping[int, tuple[str, str]], rows: int
) -> pl.DataFrame:
    """String columns and the three of ours. `defects` maps a record's index to its kind and its text."""
    kinds: list[str | None] = [None] * rows
    texts: list[str | None] = [None] * rows
    for index, (kind, text) in defects.items():
        kinds[index], texts[index] = kind, shown(text)
    ours = (
        pl.Series("_row_number", range(1, rows + 1), pl.Int64),
        pl.Series("_defect", kinds, pl.String),
        pl.Series("_line", texts, pl.String),
    )
    return pl.DataFrame([*(pl.Series(name, values, pl.String) for name, values in columns.items()), *ours])


def _unlike(path: str, problem: str, encoding: str, likely: str) -> DeliveryError:
    """`likely`: which encoding it may have instead, if it is text."""
    if encoding != UTF8:
        action = "declare another encoding, or ask the upstream to re-send it"
        return DeliveryError(path, f"{problem}, as is declared", action, declares={"encoding": ""})
    resend = "ask the upstream to re-send the file in UTF-8"
    if not suffix_of(path).startswith((".csv", ".tsv", ".txt")) or not likely:
        return DeliveryError(path, problem, resend)
    action = f"declare its encoding, e.g. Files(…, csv=Csv(encoding={likely!r})), or {resend}"
    return DeliveryError(path, problem, action, declares={"encoding": likely})
