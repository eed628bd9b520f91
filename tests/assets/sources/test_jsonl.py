import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.assets.sources.deliveries import DeliveryError
from assay.assets.sources.jsonl import read_jsonl
from assay.assets.sources.limits import USUAL_LIMITS

MOST_COLUMNS = USUAL_LIMITS.columns


def _read(text: str | bytes) -> pl.DataFrame:
    return read_jsonl("t/a.jsonl", text.encode() if isinstance(text, str) else text)


def test_scalars_keep_their_json_text_and_null_stays_null() -> None:
    frame = _read('\ufeff{"s":"7","i":123456789012345678901234567890,"f":1.50,"e":1E2,"b":true,"n":null,"z":""}\r\n')
    assert frame.drop("_row_number", "_defect", "_line", "_json").row(0, named=True) == {
        "s": "7",
        "i": "123456789012345678901234567890",
        "f": "1.50",
        "e": "1E2",
        "b": "true",
        "n": None,
        "z": "",
    }


def test_nested_values_are_json_text_with_numbers_as_written() -> None:
    frame = _read('{"o":{"a":[1.10,"ü",null,{"b":false}]},"l":[]}')
    assert frame["o"][0] == '{"a": [1.10, "ü", null, {"b": false}]}'
    assert frame["l"][0] == "[]"


def test_columns_are_those_of_all_lines_and_blank_lines_are_no_records() -> None:
    frame = _read('{"a":1}\n\n  \n{"b":2}\noops\n{"a":3,"b":4}\n')
    assert frame.rows() == [
        ("1", None, 1, None, None, '["a"]'),
        (None, "2", 2, None, None, '["b"]'),
        (None, None, 3, "unparsable", "oops", None),
        ("3", "4", 4, None, None, '["a", "b"]'),
    ]


@pytest.mark.parametrize(
    "line",
    [
        '{"a":1',
        "[1]",
        "3",
        "null",
        '{"a":1}{"a":2}',
        '{"a":NaN}',
        '{"a":1,"a":2}',
        '{"":1}',
        r'{"a":"\ud800"}',
        "[" * 100_000,
    ],
    ids=lambda line: line[:16],
)
def test_a_line_that_is_not_one_plain_object_is_a_defect(line: str) -> None:
    frame = _read(f'{{"a":0}}\n{line}\n{{"a":9}}')
    assert frame["a"].to_list() == ["0", None, "9"]
    assert frame.select("_row_number", "_defect", "_line").row(1) == (2, "unparsable", line)


def test_a_line_in_another_encoding_is_a_defect_with_its_bytes_shown() -> None:
    frame = _read(b'{"a":0}\n{"a":"caf\xe9"}\n{"a":1}')
    assert frame.select("_defect", "_line").row(1) == ("encoding", r'{"a":"caf\xe9"}')


def test_data_in_keys_are_refused_before_they_need_memory_for_each_row_and_key() -> None:
    few = "".join(json.dumps({f"k{number}": number}) + "\n" for number in range(MOST_COLUMNS))
    assert _read(few).shape == (MOST_COLUMNS, MOST_COLUMNS + 4)
    with pytest.raises(DeliveryError, match="line 2001: has more than 2,000 different keys"):
        _read(few + '{"one": "more"}')


values = st.none() | st.booleans() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.integers()
objects = st.lists(st.dictionaries(st.sampled_from(["a", "b", "ü c"]), values, min_size=1), min_size=1)


@given(objects, st.booleans())
def test_what_json_writes_is_read_back(rows: list[dict[str, object]], ascii_only: bool) -> None:
    frame = _read("".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows))
    assert frame["_defect"].null_count() == len(rows)
    for row, got in zip(rows, frame.iter_rows(named=True), strict=True):
        for name in frame.columns[:-4]:
            value = row.get(name)
            text = value if isinstance(value, str) else json.dumps(value)
            assert got[name] == (None if value is None else text)
        others = [name for name, value in row.items() if not (value is None or isinstance(value, str))]
        assert json.loads(got["_json"] or "[]") == others


@given(objects, st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=3)), min_size=1, max_size=4))
def test_no_line_is_lost_whatever_is_broken(rows: list[dict[str, object]], damage: list[tuple[int, bytes]]) -> None:
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    for position, replacement in damage:
        at = position % (len(content) + 1)
        content = content[:at] + replacement + content[at + 1 :]
    try:
        frame = _read(content)
    except DeliveryError:
        return
    records = [
        line for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.decode(errors="replace").strip()
    ]
    assert frame.height == len(records)
