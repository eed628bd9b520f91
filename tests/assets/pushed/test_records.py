"""Bodies of requests: every record keeps its text, and what is no record is named by its place, without a value."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.assets.pushed.records import DOCUMENT, LINES, UnusableBody, lines_of_body

NAMES = st.text(min_size=1).filter(
    lambda name: name.strip() and "\0" not in name and name != "*" and not (name[0] == "^" and name[-1] == "$")
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.lists(
    st.dictionaries(NAMES, VALUES, max_size=4).filter(
        lambda record: len({name.lower() for name in record}) == len(record)
    ),
    min_size=1,
    max_size=6,
)


@given(RECORDS, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_records_are_the_same_however_they_are_sent(
    records: list[dict[str, object]], indent: int | str | None, ascii_only: bool
) -> None:
    document = json.dumps(records, indent=indent, ensure_ascii=ascii_only)
    lines = "\r\n".join(json.dumps(record, ensure_ascii=ascii_only) for record in records)
    for content, media in ((document, DOCUMENT), (lines, LINES[0])):
        try:
            body = content.encode()
        except UnicodeEncodeError:  # a lone surrogate, which only an escape can send
            continue
        found = lines_of_body(body, media)
        assert [json.loads(line) for line in found] == records
        assert not any(b"\n" in line or b"\r" in line for line in found)


def test_a_carriage_return_between_tokens_is_a_space() -> None:
    assert lines_of_body(b'{"a": 1,\r"b": 2}\r\n', LINES[0]) == [b'{"a": 1, "b": 2}']


def test_numbers_keep_their_digits() -> None:
    body = b'[ {"amount": 1.10, "id": 12345678901234567890123} , {"amount":\n1e2} ]'
    assert lines_of_body(body, DOCUMENT) == [b'{"amount": 1.10, "id": 12345678901234567890123}', b'{"amount": 1e2}']


@pytest.mark.parametrize(
    ("body", "media", "message"),
    [
        (b'{"a": 1}\nSECRET\n', LINES[0], "Line 2 is not one JSON object"),
        (b'{"a": 1}\n["SECRET"]\n', LINES[0], "Line 2 is not one JSON object"),
        (b'{"a": NaN}', LINES[0], "Line 1 is not one JSON object"),
        (b'{"a": "\xff"}', LINES[0], "not UTF-8"),
        (b" \n\n", LINES[0], "no record"),
        (b"", DOCUMENT, "The body is not one JSON object"),
        (b"[]", DOCUMENT, "no record"),
        (b'[{"a": 1} {"a": "SECRET"}]', DOCUMENT, "After element 1"),
        (b'[{"a": 1},]', DOCUMENT, "After element 1"),
        (b'[{"a": 1}, "SECRET"]', DOCUMENT, "Element 2 of the body is not one JSON object"),
        (b'[{"a": 1}] "SECRET"', DOCUMENT, "goes on after"),
        (b'[{"a": 1}', DOCUMENT, "After element 1"),
        (b"[", DOCUMENT, "Element 1 of the body is not JSON"),
        (b'{"a": Infinity}', DOCUMENT, "is not one JSON object"),
        (b'{"a": 1, "a": "SECRET"}', DOCUMENT, "distinct"),
        (b'{" ": "SECRET"}', DOCUMENT, "non-blank"),
        (b'{"a": "SECRET", "A": 1}', DOCUMENT, "in case"),
        (b'{"Order": "SECRET"}', DOCUMENT, "in case"),
        (b'{"a\\u0000b": "SECRET"}', DOCUMENT, "NUL"),
        (b'{"a": ' + b"[" * 101 + b"]" * 101 + b"}", LINES[0], "too deeply"),
        (b"{%s}" % b",".join(b'"k%d": 1' % n for n in range(2_001)), LINES[0], "more than 2,000 names"),
        (b'[{"a": ' + b"[" * 100_000, DOCUMENT, "nested too deeply"),
    ],
)
def test_what_is_no_record_is_refused_with_its_place(body: bytes, media: str, message: str) -> None:
    with pytest.raises(UnusableBody, match=message) as refused:
        lines_of_body(body, media, ["order"])
    assert "SECRET" not in str(refused.value)
