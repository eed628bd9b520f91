"""XML of a workbook, piece by piece. A document type, by which XML can grow without end, is refused."""

from collections.abc import Callable, Iterator
from typing import IO
from xml.parsers import expat

from assay.assets.sources.deliveries import PIECE

_PIECE = PIECE >> 6

Attributes = dict[str, str]


def parsed(
    stream: IO[bytes],
    start: Callable[[str, Attributes], None],
    end: Callable[[str], None] = lambda name: None,
    text: Callable[[str], None] = lambda text: None,
) -> Iterator[None]:
    """Call `start`, `end` and `text` for what is in the stream, with names of elements without their namespace; that of an
    attribute, if it has one, stands before its name and a blank. Yields after each piece."""
    parser = expat.ParserCreate(
        namespace_separator=" "
    )  # a prefix that nobody has declared is damage, which it refuses
    parser.buffer_text = True
    parser.StartElementHandler = lambda name, attributes: start(name.rpartition(" ")[2], attributes)
    parser.EndElementHandler = lambda name: end(name.rpartition(" ")[2])
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = _refuse
    while piece := stream.read(_PIECE):
        parser.Parse(piece, False)
        yield
    parser.Parse(b"", True)
    yield


def _refuse(*_: object) -> None:
    raise ValueError("a document type")
