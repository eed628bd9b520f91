"""Formats that python-stdnum and phonenumbers judge: by name, each different text once, whatever the text is."""

import random
import string
import sys
import warnings
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum.exceptions import ValidationError

from assay.checks import Contract, Field, canonical_spellings, from_odcs, to_odcs, validate, validate_spilled
from assay.checks.text import number_validators
from assay.checks.text.codes import CALLING_CODES
from assay.checks.text.formats import parser
from assay.checks.text.number_validators import LONGEST
from assay.errors import AssayError
from assay.optional import ExtraMissing
from tests.conftest import SOAK

NAMES = number_validators._stdnum_names()
# No register has such a number, and a validator was made for none of them.
NASTY = [
    *("", "\0", "a\0b", " " * 200, "0" * LONGEST, "9" * LONGEST, "-" * LONGEST, "ß" * 50, "İ", "Ⅷ", "\n", "[](((", "nan"),
    *("１２３４５６７８９０", "²³¹", "日本語", "👩‍👩‍👧", "%s%n", "../..", "DE", "+", "A1" * 100),
    *("٣٤٥٦٧٨٩٠١٢", "\u202e123", "\ufeff123"),
]  # fmt: skip


def spellings(spec: str, texts: list[str | None]) -> list[str | None]:
    frame = pl.DataFrame({"v": texts}, schema={"v": pl.String})
    return frame.select(parser(spec, "Field(format=…)")(pl.col("v"))).to_series().to_list()


# The examples are those of the registers or of the libraries' own documentation.
KNOWN = [
    ("stdnum:isbn", "978-0-471-11709-4", "9780471117094", "978-0-471-11709-5"),
    ("stdnum:lei", "213800KUD8LAJWSQ9D15", "213800KUD8LAJWSQ9D15", "213800KUD8LAJWXQ9D15"),
    ("stdnum:de.idnr", "36 574 261 809", "36574261809", "36574261890"),
    ("stdnum:nl.vat", "NL4495445B01", "004495445B01", "NL4495446B01"),
    ("stdnum:iso7064.mod_97_10", "9999123456789012141490", "9999123456789012141490", "9999123456789012141491"),
    ("phone:DE", "030 901820", "+4930901820", "030"),
    ("phone:DE", "+49 (0)30 901820", "+4930901820", "+999 1234567"),
    ("phone:DE", "+44 20 7183 8750", "+442071838750", "030 901820 ext. 5"),
    ("phone:US", "(212) 736-5000", "+12127365000", "1-800-FLOWERS"),
    ("phone:international", "+1 212 736 5000", "+12127365000", "(212) 736-5000"),
]


@pytest.mark.parametrize(("spec", "valid", "canonical", "invalid"), KNOWN)
def test_a_validator_by_name(spec: str, valid: str, canonical: str, invalid: str) -> None:
    assert spellings(spec, [valid, invalid, None, valid]) == [canonical, None, None, canonical]


def test_a_plain_phone_has_an_assigned_country_code() -> None:
    assert spellings("phone", ["+999 1234567", "+49 30 1234567", "+210 1234567"]) == [None, "+49301234567", None]
    import phonenumbers

    # 379 is the Vatican's, which uses Italy's.
    assert {str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE} == CALLING_CODES - {"379"}


REFUSED = [
    ("stdnum:isb", "Did you mean 'isbn'?"),
    ("stdnum:de.idn", "Did you mean 'de.idnr'?"),
    *((f"stdnum:{name}", "has no validator") for name in ("", "de", "util", "exceptions", "..", "os", "luhn.x", "_x")),
    ("phone:de", "Did you mean 'DE'?"),
    ("phone:Germany", "has no region 'Germany'"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "message"), REFUSED)
def test_an_unknown_validator_is_refused_where_it_is_written(spec: str, message: str) -> None:
    with pytest.raises(AssayError) as refused:
        Field(format=spec)
    assert str(refused.value).startswith("Field(format=…): ")
    assert message in str(refused.value)


@pytest.mark.parametrize(("spec", "package"), [("stdnum:isbn", "stdnum"), ("phone:DE", "phonenumbers")])
def test_without_the_extra_the_message_says_what_to_install(
    spec: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ExtraMissing, match=r"needs .*pip install 'assay\[formats\]'"):
        Field(format=spec)
    assert spellings("phone", ["+49 30 1234567"]) == ["+49301234567"]


def test_every_validator_can_be_named_and_takes_any_text() -> None:
    assert len(NAMES) > 200
    for name in NAMES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a name that python-stdnum has changed
            parse = parser(f"stdnum:{name}", "")
        chance = random.Random(name)
        digits = ["".join(chance.choices(string.digits, k=chance.randint(1, LONGEST))) for _ in range(20)]
        signs = ["".join(chance.choices(string.printable + "é٣", k=chance.randint(1, 40))) for _ in range(20)]
        texts = pl.DataFrame({"v": [*NASTY, *digits, *signs, "1" * 10_000, None]})
        read = texts.select(parse(pl.col("v"))).to_series()
        assert read[-2:].to_list() == [None, None]
        other_digits = texts["v"].str.contains(r"[\p{N}&&[^0-9]]").fill_null(False)
        assert read.filter(other_digits).null_count() == other_digits.sum(), name


@settings(max_examples=300 if SOAK else 40, deadline=None)
@given(st.text(max_size=300))
def test_no_text_stops_a_phone(text: str) -> None:
    assert all(read is None or read.startswith("+") for read in spellings("phone:DE", [text, "+49" + text]))


def test_what_a_validator_raises_is_a_broken_value(monkeypatch: pytest.MonkeyPatch) -> None:
    from stdnum import isbn

    asked: list[str] = []

    def raising(number: str) -> str:
        asked.append(number)
        error = {"a": ValidationError, "b": RecursionError, "c": KeyError}.get(number)
        if error is not None:
            raise error(number)
        return number

    monkeypatch.setattr(isbn, "validate", raising)
    assert spellings("stdnum:isbn", ["a", "b", "c", "d", "d", "a", "x" * 300]) == [
        None,
        None,
        None,
        "d",
        "d",
        None,
        None,
    ]
    assert sorted(asked) == ["a", "b", "c", "d"]  # each different text once


class Books(Contract):
    number: int = Field(key=True)
    isbn: str = Field(nullable=True, format="stdnum:isbn")
    phone: str = Field(nullable=True, format="phone:DE")


BOOKS = pl.DataFrame(
    {
        "number": range(12),
        "isbn": ["978-0-471-11709-4", "9780471117095", None, "0"] * 3,
        "phone": ["030 901820", "030", "+999 1234567", None] * 3,
    }
)


@pytest.mark.usefixtures("small_blocks")
def test_a_spilled_batch_has_the_same_verdicts(tmp_path: Path) -> None:
    outcome, spilled = validate(BOOKS, Books), validate_spilled(BOOKS.lazy(), Books, tmp_path)
    assert spilled.report == outcome.report
    assert outcome.clean["number"].to_list() == [0, 4, 8]
    assert spilled.clean.collect().equals(outcome.clean)
    assert "471" not in str(outcome.report)
    assert "9018" not in str(outcome.report)


def test_pandera_alone_and_an_exchanged_contract_judge_alike() -> None:
    again = from_odcs(to_odcs(Books))
    assert validate(BOOKS, again).report.rules == validate(BOOKS, Books).report.rules
    assert Books.to_schema().validate(BOOKS[:1], lazy=True).height == 1
    assert canonical_spellings(BOOKS[:1], Books)["_proposed"].to_list() == [
        {"isbn": "9780471117094", "phone": "+4930901820"}
    ]
