"""Workbooks are read cell by cell, each with its own type, and refused by name where nobody can know what is meant."""

import random
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from io import BytesIO
from pathlib import Path

import fastexcel
import polars as pl
import pytest

from assay import AssayError, Contract, Excel, Field, Files, Partitioning, Timestamp, validate
from assay.assets.sources import dispatch
from assay.assets.sources.deliveries import Delivery, DeliveryError
from assay.assets.sources.dispatch import delivery_blocks, read_delivery
from assay.assets.sources.excel import excel_blocks
from assay.assets.sources.limits import SMALL, Limits
from tests.assets.sources.excel.books import book, header, number, other, sheet, text

LINKS = ("_defect", "_line", "_json", "_row_number")


def rows_of(content: bytes, excel: Excel = Excel(), limits: Limits = Limits()) -> pl.DataFrame:  # noqa: B008
    delivery = Delivery.of_bytes("in/o.xlsx", content, "")
    whole = read_delivery(delivery, content, limits=limits, excel=excel)
    assert pl.concat(delivery_blocks(delivery, limits=limits, excel=excel)).equals(whole)
    return whole


def values(content: bytes, excel: Excel = Excel()) -> list[tuple[str | None, ...]]:  # noqa: B008
    return rows_of(content, excel).drop(LINKS).rows()


class Orders(Contract):
    order: str = Field(key=True)
    count: int = Field()
    amount: float = Field()
    paid: bool = Field()
    day: date = Field()
    at: Timestamp = Field(naive_utc=True)
    note: str = Field()

    class Config(Contract.Config):
        version = "1.0.0"
        owner = "o"


def good(order: str) -> list[str]:
    return [text(order), number("3.0"), number("0.1"), other("b", 1), number(45000, 1), number("45000.5", 2), text("x")]


def test_each_cell_has_its_own_type_whatever_stands_above_it() -> None:
    """A column of a thousand texts and then a number is what readers that guess a column's type from its first rows lose."""
    bad = {
        "order": [number(1001), *good("")[1:]],  # a text of digits is no number, nor the other way round
        "count": [text("b"), number("3.5"), *good("")[2:]],
        "amount": [*good("c")[:2], other("e", "#DIV/0!"), *good("")[3:]],
        "paid": [*good("d")[:3], number(1), *good("")[4:]],
        "day": [*good("e")[:4], number(45000), *good("")[5:]],
        "at": [*good("f")[:5], number(45000, 1), *good("")[6:]],
        "note": [*good("g")[:6], other("e", "#N/A")],
    }
    filling = [good(f"A{at}") for at in range(1_200)]
    frame = rows_of(book({"Orders": sheet(header(*bad), *filling, *bad.values())}))
    outcome = validate(frame, Orders)
    assert outcome.clean.height == 1_200
    row = outcome.clean.row(0, named=True)
    assert (row["count"], row["amount"], row["paid"], row["day"]) == (3, 0.1, True, date(2023, 3, 15))
    assert row["at"].replace(tzinfo=None) == datetime(2023, 3, 15, 12)  # noqa: DTZ001
    assert outcome.quarantined["_rules"].to_list() == [[f"{name}.dtype"] for name in bad]
    assert outcome.quarantined["_row_number"].to_list() == list(range(1_201, 1_208))


def test_texts_are_kept_to_the_letter() -> None:
    shared = ["<t>007</t>", "<r><t>a</t></r><r><rPr><b/></rPr><t xml:space='preserve'> b</t></r><rPh><t>no</t></rPh>"]
    cells = [other("s", 0), other("s", 1), text("  &<é\n"), text(""), text("_x000D_"), other("str", "f"), ""]
    content = book({"A": sheet(header("v"), *([cell, text("x")] for cell in cells))}, shared)
    with pytest.raises(DeliveryError, match="cell B2 of sheet 'A' has a value, and its column has no name"):
        rows_of(content)
    content = book({"A": sheet(header("v", "k"), *([cell, number(1)] for cell in cells))}, shared)
    assert [row[0] for row in values(content)] == ["007", "a b", "  &<é\n", "", "\r", "f", None]
    assert rows_of(content)["_json"].unique().to_list() == ['["k"]']


def test_rows_that_say_nothing_are_no_rows() -> None:
    content = book({"A": sheet(header("v"), [number(1)], [], [text("")], [number(2)], [""], ['<c r="@" s="1"/>'])})
    assert rows_of(content).select("v", "_row_number").rows() == [("1", 1), ("2", 2)]


def test_days_count_from_1904_where_the_workbook_says_so() -> None:
    content = book({"A": sheet(header("v"), [number("43538", 1)])}, properties='<workbookPr date1904="1"/>')
    assert values(content) == [("2023-03-15",)]


def test_the_numbers_and_moments_are_those_that_calamine_reads() -> None:
    """Another reader of Excel. As texts it rounds numbers to nine decimals and has no errors, so it is asked for numbers."""
    chance = random.Random(4)
    numbers = [
        chance.choice([chance.random(), chance.uniform(-1e15, 1e15), chance.randrange(10**9)]) for _ in range(400)
    ]
    serials = [f"{chance.randrange(61, 2_900_000) + chance.randrange(86_400_000) / 86_400_000:.10f}" for _ in numbers]
    rows = [[number(one), number(at, 3)] for one, at in zip(numbers, serials, strict=True)]
    content = book({"A": sheet(header("n", "at"), *rows)})
    theirs = fastexcel.read_excel(content).load_sheet(0, dtypes={"n": "float", "at": "datetime"}).to_polars()
    ours = rows_of(content).select(pl.col("n").cast(pl.Float64), pl.col("at").str.to_datetime(time_unit="ms"))
    assert ours.equals(theirs.cast({"at": pl.Datetime("ms")}))


def test_frames_are_small_however_many_rows_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    content = book({"A": sheet(header("v", "w"), *([number(at), text("x")] for at in range(100)))})
    whole = rows_of(content)
    monkeypatch.setattr(excel_blocks, "BLOCK", 30)
    frames = list(delivery_blocks(Delivery.of_bytes("o.xlsx", content, "")))
    assert len(frames) > 5
    assert pl.concat(frames).equals(whole)


TWO = book({"Orders": sheet(header("a"), [number(1)]), "Empty": sheet(), "Prices": sheet(header("b"), [number(2)])})


def test_of_several_sheets_the_source_declares_one() -> None:
    assert values(TWO, Excel(sheet="Prices")) == [("2",)]
    assert values(book({"Empty": sheet(), "Orders": sheet(header("a"), [number(1)])})) == [("1",)]
    with pytest.raises(DeliveryError, match=r"has rows in 2 sheets: 'Orders', 'Prices'; declare .*excel=Excel\(sheet="):
        rows_of(TWO)
    with pytest.raises(DeliveryError, match="has no sheet 'prices'; its sheets are 'Orders', 'Empty', 'Prices'"):
        rows_of(TWO, Excel(sheet="prices"))


def test_the_header_may_stand_below_a_title() -> None:
    content = book({"A": sheet([text("Orders of May")], [], header("a", "b"), [number(1)], first=2)})
    assert values(content, Excel(header_row=4)) == [("1", None)]
    with pytest.raises(DeliveryError, match=r"row 1 of sheet 'A', .* is empty; the next row that is not is 2; declare"):
        rows_of(content)
    with pytest.raises(DeliveryError, match="row 9 of sheet 'A', where the header should be, is empty; declare"):
        rows_of(content, Excel(header_row=9))
    with pytest.raises(AssayError, match="rows are counted from 1"):
        Excel(header_row=0)


def stored(content: bytes, **changed: str) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, changed.get(name.rpartition("/")[2].partition(".")[0], old.read(name)))
    return buffer.getvalue()


PLAIN = book({"A": sheet(header("a"), [number(1)])})
LAUGHS = '<!DOCTYPE w [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + sheet([other("str", "&b;")])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a,b\n1,2\n", "is not an Excel workbook, or is damaged; ask the upstream to re-send it"),
        (PLAIN[:-40], "is not an Excel workbook, or is damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "has a password, or is of an Excel before 2007"),
        (book({"A": sheet()}), "has no rows in any sheet"),
        (book({"A": sheet(header("a"))}), "has no rows"),
        (book({"A": sheet(header("a", "b", "a"), [number(1)])}), "gives columns A and C the same name"),
        (
            book({"A": sheet(header("a", " "), [number(1), number(2)])}),
            "cell B2 of sheet 'A' has a value, and its column",
        ),
        (
            book({"A": sheet(header("a"), ['<c r="@"><f>SUM(B1:B9)</f><v></v></c>'])}),
            "cell A2 .* has a formula and no value",
        ),
        (book({"A": sheet(header("a"), [text("x" * 32_768)])}), "a text of more than 32,767 characters"),
        (book({"A": sheet(header("a"), [other("s", 7)])}), "is damaged"),
        (book({"A": sheet(header("a"), [other("s", -1)])}, ["<t>x</t>"]), "is damaged"),
        (book({"A": sheet(header("a"), [number(1, 99)])}), "is damaged"),
        (book({"A": sheet(header("a"), [number("secret")])}), "is damaged"),
        (stored(PLAIN, sheet1=LAUGHS), "is damaged"),
        # Not made where the tests are collected, which every worker does.
        (
            lambda: stored(PLAIN, styles="<a>" + " " * SMALL),
            "is compressed to less than a 250th of its content",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(content: bytes | Callable[[], bytes], problem: str) -> None:
    with pytest.raises(DeliveryError, match=problem) as refused:
        rows_of(content() if callable(content) else content)
    assert "secret" not in str(refused.value)


def test_a_text_that_many_cells_share_cannot_fill_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excel_blocks, "BLOCK", 1 << 18)
    content = book({"A": sheet(header("a"), *[[other("s", 0)]] * 6_000)}, [f"<t>{'x' * 32_767}</t>"])
    with pytest.raises(DeliveryError, match="says more than 100 times what it holds"):
        for _ in delivery_blocks(Delivery.of_bytes("o.xlsx", content, ""), limits=Limits(times=100)):
            pass


def test_columns_are_limited() -> None:
    with pytest.raises(DeliveryError, match="has more than 2 columns"):
        rows_of(book({"A": sheet(header("a", "b", "c"), [number(1)])}), limits=Limits(columns=2))


def test_a_large_one_is_read_where_it_lies_and_is_what_was_scanned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "SMALL_CONTENT", 10)
    (tmp_path / "o.xlsx").write_bytes(PLAIN)
    delivery = Delivery.of_bytes("o.xlsx", PLAIN, "")
    there = Delivery("o.xlsx", tmp_path / "o.xlsx", delivery.sha256, delivery.size, "")
    assert pl.concat(delivery_blocks(there))["a"].to_list() == ["1"]
    (tmp_path / "o.xlsx").write_bytes(TWO)
    with pytest.raises(DeliveryError, match="changed while it was being read"):
        list(delivery_blocks(there, excel=Excel("Orders")))


def test_a_source_declares_it() -> None:
    daily = Partitioning.daily(date(2026, 9, 1))
    plain = Files("o/{day}/*", (".xlsx", ".XLSM"))
    declared = Files("o/{day}/*", (".xlsx", ".XLSM"), excel=Excel("Prices"))
    assert "excel" not in plain.identity(daily)
    assert "excel=Excel(sheet='Prices', header_row=1)" in declared.identity(daily)
    assert declared.read(Delivery.of_bytes("o.xlsm", TWO, ""))["b"].to_list() == ["2"]


def test_a_prefix_that_nobody_has_declared_is_damage() -> None:
    """An element that was damaged so is not simply another one: its value would be lost."""
    whole = sheet(header("a", "b"), [number(1), number(2)])
    assert whole.count("<v>2</v>") == 1
    damaged = whole.replace("<v>2</v>", "<x:v>2</x:v>")
    with pytest.raises(DeliveryError, match=r"^in/o\.xlsx"):
        values(book({"A": damaged}))
    declared = damaged.replace(
        "<worksheet", '<worksheet xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main"', 1
    )
    assert values(book({"A": declared})) == values(book({"A": whole}))
