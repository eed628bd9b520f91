"""Workbooks as Excel writes them, from the XML of their cells."""

import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from xml.sax.saxutils import escape, quoteattr

_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_RELATED = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'
#: Formats by the style of a cell: 0 general, 1 date, 2 date and time, 3 with milliseconds, 4 elapsed, 5 time of day, 6 amount.
FORMATS = (0, 14, 22, 170, 171, 21, 172)
_CODES = {170: "yyyy\\-mm\\-dd hh:mm:ss.000", 171: "[h]:mm:ss", 172: '#,##0.00\\ [$€-407];[Red]-0 "day"'}


def number(written: object, style: int = 0) -> str:
    return f'<c r="@" s="{style}"><v>{written}</v></c>'


def text(value: str) -> str:
    return f'<c r="@" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'


def other(kind: str, written: object) -> str:
    """A cell of a kind: `b` true and false, `e` an error, `s` a shared text, `str` what a formula says, `d` a date as text."""
    return f'<c r="@" t="{kind}"><v>{written}</v></c>'


def sheet(*rows: Sequence[str], first: int = 1) -> str:
    """A sheet with cells in columns from A on; an empty text for a cell that is not there."""
    lines: list[str] = []
    for at, row in enumerate(rows, start=first):
        cells = "".join(cell.replace("@", f"{chr(65 + column)}{at}") for column, cell in enumerate(row))
        lines.append(f'<row r="{at}">{cells}</row>')
    return f"<worksheet {_MAIN}><sheetData>{''.join(lines)}</sheetData></worksheet>"


def header(*names: str) -> list[str]:
    return [text(name) for name in names]


def book(sheets: Mapping[str, str | bytes], texts: Sequence[str] = (), properties: str = "", **members: str) -> bytes:
    """A workbook with these sheets and shared texts (each the XML within `si`)."""
    parts = {f"worksheets/sheet{at}.xml": content for at, content in enumerate(sheets.values(), start=1)}
    related = [("styles", "styles.xml"), ("sharedStrings", "/xl/sharedStrings.xml")]
    related = [("worksheet", name) for name in parts] + related
    parts["sharedStrings.xml"] = f"<sst {_MAIN}>{''.join(f'<si>{one}</si>' for one in texts)}</sst>"
    codes = "".join(f"<numFmt numFmtId='{key}' formatCode={quoteattr(code)}/>" for key, code in _CODES.items())
    styles = "".join(f'<xf numFmtId="{one}"/>' for one in FORMATS)
    parts["styles.xml"] = f"<styleSheet {_MAIN}><numFmts>{codes}</numFmts><cellXfs>{styles}</cellXfs></styleSheet>"
    listed = "".join(
        f'<sheet name="{escape(name)}" sheetId="{at}" r:id="r{at}"/>' for at, name in enumerate(sheets, start=1)
    )
    parts["workbook.xml"] = f'<workbook {_MAIN} xmlns:r="{_OFFICE}">{properties}<sheets>{listed}</sheets></workbook>'
    parts["_rels/workbook.xml.rels"] = _relations(related)
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        everything = {f"xl/{name}": content for name, content in parts.items()} | members
        for name, content in {"_rels/.rels": _relations([("officeDocument", "xl/workbook.xml")]), **everything}.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _relations(targets: Sequence[tuple[str, str]]) -> str:
    one = '<Relationship Id="r{at}" Type="{office}/{kind}" Target="{target}"/>'
    listed = (
        one.format(at=at, office=_OFFICE, kind=kind, target=target)
        for at, (kind, target) in enumerate(targets, start=1)
    )
    return f"<Relationships {_RELATED}>{''.join(listed)}</Relationships>"
