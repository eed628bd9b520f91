"""Other dialects give what the same rows give with commas and in UTF-8; what is not declared is named, and never guessed."""

import csv as library
import gzip
import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from assay.assets.sources.csv_dialect import USUAL, Csv, dialect_seen
from assay.assets.sources.deliveries import Delivery, DeliveryError
from assay.assets.sources.dispatch import delivery_blocks, read_delivery
from assay.assets.sources.files import Files
from assay.assets.sources.text import refuse_utf8
from assay.cli import cli
from assay.errors import AssayError
from assay.features.tables.partitioning import Partitioning

DIALECTS = [
    Csv(";"),
    Csv("\t"),
    Csv(" ", "'"),
    Csv("|", "'"),
    Csv(quote="'"),
    Csv(";", encoding="cp1252"),
    Csv(";", encoding="utf-16"),
    Csv("\t", encoding="utf-16-le"),
    Csv(newline="\r"),
    Csv(";", "'", "latin-1", "\r", 3),
    Csv(skip_lines=1),
]
TEXTS = st.text(st.sampled_from("aé;,\t|'\"\n\r\x01 x"), max_size=6)
FEW_ENDS = {"\r": str.maketrans({"\r": " "}), "\n": str.maketrans({"\r": " "})}


def written(rows: list[tuple[str, ...]], dialect: Csv) -> bytes:
    """By Python's library, with a quote around every field."""
    out = io.StringIO(newline="")
    writer = library.writer(
        out,
        delimiter=dialect.separator,
        quotechar=dialect.quote,
        lineterminator=dialect.newline,
        quoting=library.QUOTE_ALL,
    )
    writer.writerows(rows)
    title = "".join(f"title {number}{dialect.newline}" for number in range(dialect.skip_lines))
    return (title + out.getvalue()).encode(dialect.encoding)


def read(content: bytes, dialect: Csv, name: str = "a.csv") -> pl.DataFrame:
    return pl.concat(delivery_blocks(Delivery.of_bytes(name, content, "d"), dialect))


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
@given(rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5))
def test_the_values_are_those_of_the_usual_dialect(dialect: Csv, rows: list[tuple[str, str]]) -> None:
    # A carriage return is no part of a value where lines end with it, nor in the usual dialect before a line feed.
    plain = [tuple(value.translate(FEW_ENDS["\n"]) for value in row) for row in rows]
    if dialect.newline == "\r":
        plain = [tuple(value.replace("\n", " ") for value in row) for row in plain]
    found = read(written([("first, one", "second"), *plain], dialect), dialect)
    assert found.columns[:2] == ["first, one", "second"]
    assert found["_defect"].null_count() == found.height
    assert found.select("first, one", "second").rows() == plain


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_a_large_file_is_read_in_blocks_as_a_small_one_is(dialect: Csv) -> None:
    rows = [(f"{number}", f'text, {number}; it\'s |\t"{number}"') for number in range(20_000)]
    content = written([("id", "text"), *rows], dialect)
    whole = read_delivery(Delivery.of_bytes("a.csv", content, "d"), content, dialect)
    assert whole.select("id", "text").rows() == rows
    assert_frame_equal(read(content, dialect), whole)


def test_a_bad_record_is_shown_as_it_was_written() -> None:
    found = read(b"id;text\n1;a,b\n2;x;y\n3;c\n", Csv(";"))
    assert found["id"].to_list() == ["1", None, "3"]
    assert found["text"].to_list() == ["a,b", None, "c"]
    assert found["_line"].to_list() == [None, "2;x;y", None]


def test_bytes_that_are_not_of_the_encoding_are_a_defect_of_their_line_or_refuse_the_file() -> None:
    found = read("id;text\n1;€\n2;b\n3;c\n".encode("cp1252") + b"4;\x81\n", Csv(";", encoding="cp1252"))
    assert found["text"].to_list() == ["€", "b", "c", None]
    assert found["_defect"].to_list() == [None, None, None, "encoding"]
    with pytest.raises(DeliveryError, match="is not utf-16 text, as is declared; declare another encoding"):
        read("id,text\n1,é\n".encode("utf-16")[:-1], Csv(encoding="utf-16"))
    many = b"id,text\n1,\x81\n2,\x81\n3,\x81\n"
    refused = "has 3 of 4 lines that are not cp1252, as is declared; declare another encoding"
    for more in (0, 30_000):  # a small file, and one that is read in blocks
        content = many.replace(b"\x81", b"\x81" + b"x" * more)
        with pytest.raises(DeliveryError, match=refused):
            read(content, Csv(encoding="cp1252"))
    with pytest.raises(DeliveryError, match="is UTF-16 or binary, not cp1252 text, as is declared; declare"):
        read(b"id,text\n" + bytes(9), Csv(encoding="cp1252"))
    with pytest.raises(DeliveryError, match="the header is not legal CSV in cp1252"):
        read(b"id,\x81\n1,a\n2,b\n", Csv(encoding="cp1252"))
    with pytest.raises(DeliveryError, match="has 3 of 4 lines that are not UTF-8; declare its encoding"):
        read(many, USUAL)


@pytest.mark.parametrize("header", ["a\t,\tb", "a\t,,\tb", '"a"\t","\t"b"', "a\tx,\tb"])
def test_a_column_that_is_named_like_the_usual_separator_is_a_column(header: str) -> None:
    found = read(f"{header}\n1\t,\t2,3\n".encode(), Csv("\t"))
    assert found.columns[:3] == [name.strip('"') for name in header.split("\t")]
    assert found.row(0)[:3] == ("1", ",", "2,3")


@pytest.mark.parametrize(
    ("encoding", "bad", "as_shown"),
    [
        ("ascii", "é€".encode(), r"\xc3\xa9\xe2\x82\xac"),
        ("ascii", b"\x80\xbf\xc0\xff", r"\x80\xbf\xc0\xff"),
        ("cp1252", b"\xe9\x81", r"é\x81"),
        ("iso8859-3", b"\xc3\xa5", r"\xc3\xa5"),
        ("utf-8-sig", b"\xed\xb3\x83", r"\xed\xb3\x83"),
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\\"])
@pytest.mark.parametrize("times", [1, 20_000])
def test_bytes_that_happen_to_be_utf_8_are_none_of_another_encoding(
    encoding: str, bad: bytes, as_shown: str, separator: str, times: int
) -> None:
    lines = [b"id", b"1", *(str(number).encode() for number in range(2, times + 2)), b"x" + bad + b"y", b"3"]
    content = b"\n".join(line + separator.encode() + b"t,t"[: 1 if separator == "," else 3] for line in lines) + b"\n"
    found = read(content, Csv(separator, encoding=encoding))
    assert found["_defect"].to_list() == [None] * (times + 1) + ["encoding", None]
    text = "t" if separator == "," else "t,t"
    assert found["_line"][times + 1] == f"x{as_shown}y{separator}{text}"
    assert found["id"][-1] == "3"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
@pytest.mark.parametrize("times", [5, 20_000])
def test_half_of_a_pair_that_another_program_cut_is_a_defect_of_its_line(encoding: str, times: int) -> None:
    halves = ["\ud83d", "\udc0a", "\ude00\ud83d"]
    lines = [
        "id,text",
        *(f"{number},😀" for number in range(times)),
        *(f"x{half}y,b" for half in halves),
        "3,c",
        "4,\ud83d",
    ]
    content = "\n".join(lines).encode(encoding, "surrogatepass")
    found = read(content, Csv(encoding=encoding))
    assert found["_defect"].to_list() == [None] * times + ["encoding"] * 3 + [None, "encoding"]
    assert found["text"].to_list() == ["😀"] * times + [None] * 3 + ["c", None]
    order = slice(None, None, -1 if encoding == "utf-16" else 1)
    shown = [["d8", "3d"], ["dc", "0a"], ["de", "00"]]
    high, low, other = ("".join(rf"\x{byte}" for byte in pair[order]) for pair in shown)
    assert found["_line"].to_list()[times:] == [f"x{high}y,b", f"x{low}y,b", f"x{other}{high}y,b", None, f"4,{high}"]


@pytest.mark.parametrize("dialect", [Csv("_"), Csv(";", "_"), Csv("_", "'", "cp1252")], ids=str)
def test_columns_of_ours_keep_their_names_whatever_separates(dialect: Csv) -> None:
    names = ("_line", ",line", "_x,y", "partition_key", "_defect", "line")
    content = written([names, ("a_b", "c,d", "e", "f", "g", "h")], dialect) + f"1{dialect.separator}2\n".encode()
    found = read(content, dialect)
    assert found.columns == [
        "__line", ",line", "_x,y", "_partition_key", "__defect", "line", "_row_number", "_defect", "_line",
    ]  # fmt: skip
    assert found.row(0) == ("a_b", "c,d", "e", "f", "g", "h", 1, None, None)
    assert found.row(1)[-3:] == (2, "unparsable", f"1{dialect.separator}2")


SEEN = [
    ("id;at;amount", "a semicolon stands between", Csv(";")),
    ("id\tat", "a tab stands between", Csv("\t")),
    ("id|at", "a vertical bar stands between", Csv("|")),
    ("sep=;", "the first line says that a semicolon", Csv(";", skip_lines=1)),
    ("id,at\ra,1", r"lines end with \r alone", Csv(newline="\r")),
    ("id;at\ra;1", r"lines end with \r alone", Csv(newline="\r")),
]


@pytest.mark.parametrize(("header", "words", "csv"), SEEN)
def test_a_header_of_another_dialect_is_named(header: str, words: str, csv: Csv) -> None:
    seen = dialect_seen(header)
    assert seen is not None
    assert (words in seen.what, seen.csv) == (True, csv)
    assert eval(str(csv), {"Csv": Csv}) == csv, "what is shown can be pasted"


@pytest.mark.parametrize(
    ("header", "declared", "words", "csv"),
    [
        ("id,at", Csv(";", encoding="cp1252"), "a comma stands between", Csv(encoding="cp1252")),
        ("id|at", Csv(";"), "a vertical bar stands between", Csv("|")),
        ("sep=,", Csv(";", skip_lines=1), "the first line says that a comma", Csv(skip_lines=2)),
    ],
)
def test_a_header_of_another_dialect_than_the_declared_one_is_named(
    header: str, declared: Csv, words: str, csv: Csv
) -> None:
    seen = dialect_seen(header, declared)
    assert seen is not None
    assert (words in seen.what, seen.csv) == (True, csv)
    assert dialect_seen("id;at", Csv(";")) is None
    assert dialect_seen("id|at", Csv(";", "|")) is None, "a quote separates nothing"


@pytest.mark.parametrize("header", ["id,at", "id", "id,a;b", "id,at\r", "sep=x", "first name"])
def test_a_usual_header_shows_nothing(header: str) -> None:
    assert dialect_seen(header) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"separator": ""}, "give one character"),
        ({"separator": ";;"}, "give one character"),
        ({"separator": "é"}, "give one character"),
        ({"separator": "a"}, "neither a letter"),
        ({"separator": '"'}, "give one character"),
        ({"separator": "\n"}, "give one character"),
        ({"separator": ";", "quote": ";"}, "the same character"),
        ({"quote": ","}, "give one character"),
        ({"encoding": "klingon"}, "no such encoding"),
        ({"encoding": "a\0b"}, "no such encoding"),
        ({"encoding": "\ud800"}, "no such encoding"),
        ({"encoding": ""}, "no such encoding"),
        *(({"encoding": one}, "no such encoding of files") for one in ("base64", "hex", "zip", "rot13", "bz2", "uu")),
        *(({"encoding": one}, "no such encoding of files") for one in ("undefined", "idna", "punycode")),
        ({"newline": "\r\n"}, "a line ends with"),
        ({"skip_lines": -1}, "a number of lines"),
    ],
)
def test_a_dialect_that_cannot_be_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(AssayError, match=message):
        Csv(**given)


def test_only_another_dialect_makes_a_source_another_one() -> None:
    daily = Partitioning.daily("2026-09-01")
    plain = Files("a/{day}/*", (".csv",))
    assert Files("a/{day}/*", (".csv",), csv=USUAL).identity(daily) == plain.identity(daily)
    assert Files("a/{day}/*", (".csv",), csv=Csv(";")).identity(daily) != plain.identity(daily)


def test_a_draft_of_another_dialect_says_how_to_read_it(tmp_path: Path) -> None:
    file = tmp_path / "semi.csv"
    file.write_text("id;betrag\n" + "".join(f"K{number};{number}\n" for number in range(60)))
    refused = CliRunner().invoke(cli, ["contract", "draft", str(file)])
    assert refused.exit_code == 1
    assert "a semicolon stands between the names of the header. Give --separator ';'." in str(
        refused.exception or refused.output
    )
    drafted = CliRunner().invoke(cli, ["contract", "draft", str(file), "--separator", ";"])
    assert "betrag: int = Field(" in drafted.output


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp850", "koi8-r"])
@pytest.mark.parametrize("times", [1, 20_000])
def test_utf_8_under_another_encoding_is_named_and_its_mark_too(encoding: str, times: int) -> None:
    text = "id,Störung\n" + "1,€\n" * times
    refused = f"reads as UTF-8, although {encoding} is declared; remove encoding='{encoding}'"
    with pytest.raises(DeliveryError, match=refused):
        read(text.encode(), Csv(encoding=encoding))
    with pytest.raises(DeliveryError, match=f"starts with the mark of UTF-8, although {encoding} is declared"):
        read("id\n1\n".encode("utf-8-sig"), Csv(encoding=encoding))
    with pytest.raises(DeliveryError, match=refused):
        read(gzip.compress(text.encode()), Csv(encoding=encoding), "a.csv.gz")
    assert read(b"id\n1\n", Csv(encoding=encoding)).height == 1, "ASCII is both"


@given(st.text(st.characters(codec="cp1252", exclude_characters='\r\n",\0')), st.integers(1, 9))
def test_pieces_of_a_text_with_a_byte_that_is_not_utf_8_are_given_as_they_are(text: str, size: int) -> None:
    content = f"{text}é x".encode("cp1252")  # a lone byte, wherever the pieces end
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    assert list(refuse_utf8("a.csv", pieces, "cp1252")) == pieces


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 9))
def test_every_text_in_utf_8_that_would_be_read_otherwise_is_refused(text: str, size: int) -> None:
    content = f"x{text}".encode()
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    if content.isascii():
        assert list(refuse_utf8("a.csv", pieces, "latin-1")) == pieces
        return
    with pytest.raises(DeliveryError, match="reads as UTF-8"):
        list(refuse_utf8("a.csv", pieces, "latin-1"))
