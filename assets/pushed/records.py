"""The records of a request's body, as JSON lines. Their text stays as it was sent: numbers keep their digits. Pure.

What the reader of JSON lines would not take is refused here already: an upstream that is asked can send it again.
"""

import json
from collections.abc import Collection
from typing import NoReturn

from assay.assets.sources.jsonl import record_of
from assay.assets.sources.limits import USUAL_LIMITS
from assay.errors import AssayError, refuse_case_twins

LINES = ("application/x-ndjson", "application/jsonl", "application/json-lines")
DOCUMENT = "application/json"
UNDECLARED = (
    "",
    "application/x-www-form-urlencoded",
)  # no type is declared: `curl -d` sends the second one with everything
_SPACE = " \t\r\n"


class UnusableBody(AssayError):
    """A body that is not what it says: where it is wrong, without what is there."""


def lines_of_body(content: bytes, media: str, declared: Collection[str] = ()) -> list[bytes]:
    """One line for each record, without its line feed.

    Args:
        content: The body.
        media: Its media type: JSON lines, or a JSON object, or a JSON array of objects.
        declared: The columns of the contract: no name may differ from one of them in case only.

    Raises:
        UnusableBody: It is not UTF-8, no JSON, holds something that is not an object, or nothing at all.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise UnusableBody(f"The body is not UTF-8 (byte {problem.start:,}). Send it in UTF-8.") from None
    try:
        lines = _document(text, declared) if media == DOCUMENT else _lines(text, declared)
    except RecursionError:
        raise UnusableBody("The body is nested too deeply.") from None
    if not lines:
        raise UnusableBody("The body holds no record.")
    return lines


def _lines(text: str, declared: Collection[str]) -> list[bytes]:
    lines = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip(_SPACE):
            _require_record(line, f"Line {number:,}", declared)
            lines.append(_on_one_line(line.strip(_SPACE)))
    return lines


def _require_record(text: str, where: str, declared: Collection[str]) -> None:
    """Raise UnusableBody for what a table cannot hold as one record."""
    record = record_of(text)
    if record is None:
        raise UnusableBody(
            f"{where} is not one JSON object that can be read: with distinct, non-blank names (no NUL, `*` or `^…$`), and not "
            "nested too deeply."
        )
    if len(record) > USUAL_LIMITS.columns:
        raise UnusableBody(f"{where} has more than {USUAL_LIMITS.columns:,} names.")
    try:
        refuse_case_twins(dict.fromkeys([*declared, *record]), where)
    except AssayError:
        raise UnusableBody(f"{where} has a name that differs only in case from another, or from a column.") from None


def _document(text: str, declared: Collection[str]) -> list[bytes]:
    """The objects of a document. JSON has line breaks between its tokens only, so that a space can take the place of each."""
    text = text.strip(_SPACE)
    if not text.startswith("["):
        _require_record(text, "The body", declared)
        return [_on_one_line(text)]
    decoder, lines, at = json.JSONDecoder(parse_constant=_refuse), [], _after_space(text, 1)
    while text[at : at + 1] != "]":
        number = len(lines) + 1
        try:
            _, end = decoder.raw_decode(text, at)
        except ValueError:
            raise UnusableBody(f"Element {number:,} of the body is not JSON.") from None
        _require_record(text[at:end], f"Element {number:,} of the body", declared)
        lines.append(_on_one_line(text[at:end]))
        at = _after_space(text, end)
        if text[at : at + 1] == ",":
            at = _after_space(text, at + 1)
            if text[at : at + 1] != "]":
                continue
        elif text[at : at + 1] == "]":
            continue
        raise UnusableBody(f"After element {number:,} the body is not a JSON array.")
    if at + 1 != len(text):
        raise UnusableBody("The body goes on after its JSON array.")
    return lines


def _after_space(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _SPACE:
        at += 1
    return at


def _on_one_line(text: str) -> bytes:
    return text.replace("\r", " ").replace("\n", " ").encode()


def _refuse(_constant: str) -> NoReturn:
    raise ValueError  # NaN and Infinity are no JSON
