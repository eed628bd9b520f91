"""The parts of a workbook: its sheets, the texts and formats that they share, and from when its days count."""

import posixpath
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from assay.assets.sources.deliveries import DeliveryError
from assay.assets.sources.excel.cells import BUILT_IN, Kind, kind_of, unescaped
from assay.assets.sources.excel.xml import Attributes, parsed
from assay.assets.sources.limits import Limits

RESEND = "ask the upstream to re-send it"
MOST_TEXT = 32_767  # characters of a cell
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_TRUE = ("1", "true", "on")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet with cells: its name, and where in the file it is."""

    name: str
    member: str


@dataclass(frozen=True, slots=True)
class Workbook:
    """An open workbook. `kinds` are what the numbers of each cell style are."""

    path: str
    archive: zipfile.ZipFile
    sheets: Sequence[Sheet]
    texts: Sequence[str]
    kinds: Sequence[Kind]
    from_1904: bool


def opened(path: str, source: bytes | Path, limits: Limits) -> zipfile.ZipFile:
    """The file that a workbook's parts are in. Raises DeliveryError for one with a password, or of an older kind, and for one
    whose content is far larger than it is."""
    if isinstance(source, Path):
        size = source.stat().st_size
        with source.open("rb") as stream:
            head = stream.read(len(_OLE))
    else:
        size, head = len(source), source[: len(_OLE)]
    if head == _OLE:
        problem = "has a password, or is of an Excel before 2007"
        raise DeliveryError(path, problem, "ask the upstream to send it as .xlsx, without a password")
    archive = zipfile.ZipFile(source if isinstance(source, Path) else BytesIO(source))
    if sum(one.file_size for one in archive.infolist()) > limits.content(size):
        archive.close()
        problem = f"is compressed to less than a {limits.times}th of its content, as no usual file is"
        raise DeliveryError(path, problem, "ask the upstream to send it as CSV")
    return archive


def workbook(path: str, archive: zipfile.ZipFile) -> Workbook:
    """What the sheets of a workbook need to be read."""
    (main, *_) = (target for kind, target in _related(archive, "").values() if kind == "officeDocument")
    related = _related(archive, main)
    sheets, from_1904 = list[Sheet](), False

    def start(name: str, attributes: Attributes) -> None:
        nonlocal from_1904
        if name == "workbookPr":
            from_1904 = attributes.get("date1904") in _TRUE
        elif name == "sheet":
            (part,) = (value for key, value in attributes.items() if key.endswith(" id"))
            kind, member = related[part]
            if kind == "worksheet":  # others are charts and macros
                sheets.append(Sheet(attributes["name"], member))

    with archive.open(main) as stream:
        for _ in parsed(stream, start):
            pass
    parts = dict(related.values())
    texts = _texts(path, archive, parts["sharedStrings"]) if "sharedStrings" in parts else []
    kinds = _kinds(archive, parts["styles"]) if "styles" in parts else []
    return Workbook(path, archive, sheets, texts, kinds, from_1904)


def _related(archive: zipfile.ZipFile, part: str) -> dict[str, tuple[str, str]]:
    """What a part of the file refers to: by its id, what it is and where it is."""
    folder, name = posixpath.split(part)
    related: dict[str, tuple[str, str]] = {}

    def start(name: str, attributes: Attributes) -> None:
        if name == "Relationship" and attributes.get("TargetMode") != "External":
            kind, target = attributes["Type"].rpartition("/")[2], attributes["Target"]
            related[attributes["Id"]] = kind, posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")

    with archive.open(posixpath.join(folder, "_rels", f"{name}.rels")) as stream:
        for _ in parsed(stream, start):
            pass
    return related


def _texts(path: str, archive: zipfile.ZipFile, member: str) -> list[str]:
    """The texts that cells refer to by number."""
    texts, reading = list[str](), Text(path)

    def end(name: str) -> None:
        reading.end(name)
        if name == "si":
            texts.append(reading.taken())

    with archive.open(member) as stream:
        for _ in parsed(stream, lambda name, _: reading.start(name), end, reading.add):
            pass
    return texts


class Text:
    """The text of one cell, put together from its runs of different looks. How it is pronounced is no part of it."""

    def __init__(self, path: str) -> None:
        self._path, self._parts, self._length, self._in_text, self._in_reading = path, list[str](), 0, False, False

    def start(self, name: str) -> None:
        self._in_reading = self._in_reading or name == "rPh"
        self._in_text = name == "t" and not self._in_reading

    def end(self, name: str) -> None:
        self._in_text = False
        self._in_reading = self._in_reading and name != "rPh"

    def add(self, text: str) -> None:
        if self._in_text:
            self._length += len(text)
            if self._length > MOST_TEXT:
                problem = f"has a text of more than {MOST_TEXT:,} characters, as no cell of Excel has"
                raise DeliveryError(self._path, problem, "ask the upstream to send it as CSV")
            self._parts.append(text)

    def taken(self) -> str:
        """The text, and the next one begins."""
        text = unescaped("".join(self._parts))
        self._parts, self._length = [], 0
        return text


def _kinds(archive: zipfile.ZipFile, member: str) -> list[Kind]:
    """What the numbers of each cell style are."""
    formats, kinds, in_cells = dict(BUILT_IN), list[Kind](), False

    def start(name: str, attributes: Attributes) -> None:
        nonlocal in_cells
        if name == "numFmt" and "formatCode" in attributes:
            formats[int(attributes["numFmtId"])] = kind_of(attributes["formatCode"])
        elif name == "cellXfs":
            in_cells = True
        elif name == "xf" and in_cells:
            kinds.append(formats.get(int(attributes.get("numFmtId", "0")), Kind.NUMBER))

    def end(name: str) -> None:
        nonlocal in_cells
        in_cells = in_cells and name != "cellXfs"

    with archive.open(member) as stream:
        for _ in parsed(stream, start, end):
            pass
    return kinds
