import csv
import io
from collections.abc import Callable, Iterator

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from assay.assets.sources.csv import SMALL, csv_blocks, read_csv
from assay.assets.sources.csv_records import Fields, read_records, records
from assay.assets.sources.deliveries import DeliveryError

OURS = ["_row_number", "_defect", "_line"]


def _read(text: str | bytes) -> pl.DataFrame:
    return read_csv("t/a.csv", text.encode() if isinstance(text, str) else text)


def _rows(frame: pl.DataFrame) -> list[tuple[str | None, ...]]:
    return frame.drop(OURS).rows()


def _defects(frame: pl.DataFrame) -> list[tuple[int, str, str]]:
    return frame.filter(pl.col("_defect").is_not_null()).select(OURS).rows()


def test_null_is_not_the_empty_string_and_every_column_is_text() -> None:
    frame = _read('id,text,n\n1,,"007"\n2,"",1.50\n3,"  ",\n')
    assert _rows(frame) == [("1", None, "007"), ("2", "", "1.50"), ("3", "  ", None)]
    assert frame.schema == {
        "id": pl.String,
        "text": pl.String,
        "n": pl.String,
        "_row_number": pl.Int64,
    } | dict.fromkeys(OURS[1:], pl.String)
    assert frame["_row_number"].to_list() == [1, 2, 3]


def test_byte_order_mark_carriage_returns_blank_lines_and_a_missing_last_line_feed_are_fine() -> None:
    frame = _read('\ufeffa,b\r\n\r\n1,"x\r\ny"\r\n\r\n2,"say ""hi"""')
    assert _rows(frame) == [("1", "x\r\ny"), ("2", 'say "hi"')]
    assert _defects(frame) == []


@pytest.mark.parametrize(
    "line", ["1", "1,2,3", '1,a"b', '1,"a"b', '1,"a" ', '1,"a""', "1,a\rb", '"1,2'], ids=lambda line: repr(line)
)
def test_an_illegal_line_is_one_defect_between_good_neighbours(line: str) -> None:
    frame = _read(f'id,text\n0,"x, y"\n{line}\n2,"z\nz"\n3,\n')
    assert frame["_row_number"].to_list() == [1, 2, 3, 4]
    assert _defects(frame) == [(2, "unparsable", line)]
    assert _rows(frame) == [("0", "x, y"), (None, None), ("2", "z\nz"), ("3", None)]


def test_an_open_quote_does_not_swallow_the_good_lines_after_it() -> None:
    frame = _read('a,b,c\n1,"open,x\n2,good,y\n3,"quoted, good",z\n4,"",w\n5,"half')
    assert [(number, line) for number, _, line in _defects(frame)] == [(1, '1,"open,x'), (5, '5,"half')]
    assert _rows(frame)[1:4] == [("2", "good", "y"), ("3", "quoted, good", "z"), ("4", "", "w")]


def test_a_line_in_another_encoding_is_one_defect_with_its_bytes_shown() -> None:
    frame = _read("id,text\n1,café\n".encode() + "2,café au lait\n".encode("latin-1") + b"3,\xff,x\n4,ok\n")
    assert _defects(frame) == [(2, "encoding", r"2,caf\xe9 au lait"), (3, "encoding", r"3,\xff,x")]
    assert _rows(frame)[0] == ("1", "café")


@pytest.mark.parametrize(
    ("header", "column", "problem"),
    [
        ("a,b,a", "#3", "the name of column #1"),
        ("a,,c", "#2", "without a name"),
        ('a," ",c', "#2", "without a name"),
        ('a,"b', None, "not legal CSV"),
        ("a\rb", None, "not legal CSV"),
    ],
)
def test_a_bad_header_stops_the_file_and_names_line_and_position(header: str, column: str | None, problem: str) -> None:
    with pytest.raises(DeliveryError, match=problem) as caught:
        _read(f"\n{header}\n1,2,3\n")
    assert (caught.value.path, caught.value.line, caught.value.column) == ("t/a.csv", 2, column)
    assert "ask the upstream" in str(caught.value)


def test_errors_hold_no_values() -> None:
    with pytest.raises(DeliveryError) as caught:
        _read("jane@example.com,jane@example.com\n1,2\n")
    assert "jane" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_refused(encoding: str) -> None:
    with pytest.raises(DeliveryError, match="UTF-16"):
        _read("id,text\n1,hello\n".encode(encoding))


def test_a_file_with_more_undecodable_lines_than_others_is_refused() -> None:
    good, bad = b"1,ok\n", "1,é!\n".encode("latin-1")
    assert len(_defects(_read(b"id,text\n" + 2 * good + 3 * bad))) == 3
    with pytest.raises(DeliveryError, match="4 of 7 lines"):
        _read(b"id,text\n" + 2 * good + 4 * bad)


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6) | st.sampled_from(
    ['"', ",", "\n", '",\n"', "\r\n", '""', " "]
)


@given(st.integers(2, 4).flatmap(lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1)))
@example([["\r", ""], ["", "\n"]])
def test_what_the_standard_writer_writes_is_read_back(rows: list[list[str]]) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
    writer.writerow([f"c{n}" for n in range(len(rows[0]))])
    writer.writerows(rows)
    frame = _read(stream.getvalue())
    assert _defects(frame) == []
    assert _rows(frame) == list(map(tuple, rows))


@given(st.lists(st.tuples(cells, cells), min_size=1))
def test_minimal_quoting_differs_only_in_null(rows: list[tuple[str, str]]) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerows([("a", "b"), *rows])
    assert [tuple(cell or "" for cell in row) for row in _rows(_read(stream.getvalue()))] == rows


lines = st.lists(
    st.sampled_from(['1,"x"', "2,y", '3,"a\nb"', '4,"', '5,a"', "6", '"",""', '7,"é"', '8,"""', ""]), max_size=12
)


@given(lines, st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=3)), max_size=4))
def test_no_physical_line_is_lost_whatever_is_broken(lines: list[str], damage: list[tuple[int, bytes]]) -> None:
    content = "\n".join(lines).encode()
    for position, replacement in damage:
        at = position % (len(content) + 1)
        content = content[:at] + replacement + content[at + 1 :]
    try:
        frame = _read(b"a,b\n" + content)
    except DeliveryError:
        return
    physical = content.split(b"\n")
    covered = sum(
        1 + sum((value or "").count("\n") for value in row) for row in frame.drop("_row_number", "_defect").rows()
    )
    assert sum(line.rstrip(b"\r") != b"" for line in physical) <= covered <= len(physical)
    assert frame["_row_number"].to_list() == list(range(1, frame.height + 1))
    defective = frame["_defect"].is_not_null()
    assert (frame["_line"].is_not_null() == defective).all()
    assert frame.filter(defective).select("a", "b").null_count().row(0) == (defective.sum(), defective.sum())


texts = ("1", "a b", "é", "x" * 20, "", " ", "\0", "\ufeff", "\x1c", "\u2028")
marks = (
    ",",
    ",",
    ",",
    ",,",
    "\n",
    "\n",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    '"',
    '"',
    '""',
    '"a"',
    '"a,b"',
    '"\n"',
    "1,2\n",
    '"x","y"\n',
)
pieces = st.sampled_from((*texts, *marks))
LEGAL = ("1,2", '"",', ',""', '"a ""b""","x,y"', "\xe9,", ",", "5,6\r", "")


@given(
    st.sampled_from(
        ["a", "a,b", "a,b,c", '"a","b\r"', "\ufeffa,b", "\r\n\na,b", "a,a", 'a,"', 'a,"b\nc"', "\xe9,b", ""]
    ),
    st.lists(pieces, max_size=30) | st.lists(st.sampled_from(LEGAL).map("{}\n".format), max_size=12),
    st.integers(1, 60),
    st.integers(1, 60),
    st.sampled_from([b"", b"", b"", b"\xff", b"\n\xe9,x", b'\n1,"\xe9\n2"\n3,\xe9\n"']),
    st.sampled_from([1 << 25, 1 << 25, 9]),
)
@example("a,b", ["1,2\n", '3,"x\n', "4,5\n", 'y"\n', "6,7\n"], 4, 3, b"", 1 << 25)
@example("a,b", ['1,"open\n', "2,3\n", "4,5\n"], 4, 60, b"", 1 << 25)
@example("a,b", ["1,2\n", "3\n", "4,5,6\n"], 60, 60, b"", 1 << 25)
@example("a,b", ["1,2\n", "\n", "4,5,6\n"], 60, 60, b"", 1 << 25)
@example("a", ["1\n", "\n", "2\n"], 60, 60, b"", 1 << 25)
@example("a", ["\ufeff1\n", "2\n"], 1, 1, b"", 1 << 25)
@example("a,b", ['1,"open\n', "22222,3\n", '4,5"\n'], 4, 60, b"", 9)
def test_blocks_give_what_the_record_reader_gives(
    header: str, body: list[str], size: int, piece: int, bad: bytes, longest: int
) -> None:
    content = f"{header}\n{''.join(body)}".encode().replace(b"\xc3\xa9,b", b"\xe9,b", 1) + bad
    with pytest.MonkeyPatch.context() as patch:
        for module in ("csv", "csv_records"):
            patch.setattr(f"assay.assets.sources.{module}.LONGEST", longest)
        expected = _of(lambda: read_records("t/a.csv", content))
        parts = (content[start : start + piece] for start in range(0, len(content), piece))
        found = _of(lambda: pl.concat(csv_blocks("t/a.csv", parts, size)))
    if isinstance(expected, pl.DataFrame) and isinstance(found, pl.DataFrame):
        assert_frame_equal(found, expected)
    else:
        assert str(found) == str(expected)


def _of(read: Callable[[], pl.DataFrame]) -> pl.DataFrame | str:
    """The rows, or the error's text."""
    try:
        return read()
    except DeliveryError as problem:
        return str(problem)


def test_a_quote_that_nothing_closes_does_not_hold_the_rest_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("csv", "csv_records"):
        monkeypatch.setattr(f"assay.assets.sources.{module}.LONGEST", 1000)
    lines = [f"{number},x" for number in range(2000)]
    lines[5] = '5,"x'
    heights = [block.height for block in csv_blocks("t/a.csv", ["\n".join(["a,b", *lines]).encode()], 100)]
    assert sum(heights) == 2000
    assert max(heights) < 300


def test_of_a_large_file_the_record_reader_has_only_what_is_not_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = [f"{number},text {number},\r" for number in range(5000)]
    quoted = [f'{number},"text, ""{number}""",""' for number in range(5000)]
    broken = [f"{number},x,y,z" if number % 500 == 0 else f"{number},x,y" for number in range(5000)]
    joined = [f'{number},"two\nlines",y' if number % 500 == 0 else f"{number},x,y" for number in range(5000)]
    content = "\n".join(["a,b,c", *plain, *quoted, *broken, *joined]).encode()
    expected = read_records("t/a.csv", content)
    assert len(content) > SMALL
    read = list[str]()

    def counting(lines: list[str], start: int, width: int) -> Iterator[tuple[Fields | None, str]]:
        for fields, text in records(lines, start, width):
            read.append(text)
            yield fields, text

    monkeypatch.setattr("assay.assets.sources.csv.records", counting)
    assert_frame_equal(read_csv("t/a.csv", content), expected)
    assert len(read) == 20
    assert expected["_defect"].count() == 10
