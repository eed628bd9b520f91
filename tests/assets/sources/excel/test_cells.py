"""What numbers and formats of Excel mean."""

import pytest

from assay.assets.sources.excel.cells import BUILT_IN, Kind, kind_of, moment_text, number_text, unescaped


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("General", Kind.NUMBER),
        ("0.00E+00", Kind.NUMBER),
        ('#,##0.00 "dmyhs"', Kind.NUMBER),
        ("0.00\\d", Kind.NUMBER),
        ("#,##0_d;[Red]-#,##0", Kind.NUMBER),
        ("0.0;yyyy", Kind.NUMBER),
        ("[$-409]0.00", Kind.NUMBER),
        ("@", Kind.NUMBER),
        ("yyyy-mm-dd", Kind.DATE),
        ("[$-407]TT.MM.YYYY", Kind.DATE),
        ("mmm", Kind.DATE),
        ("m", Kind.DATE),
        ("dd/mm/yyyy hh:mm", Kind.MOMENT),
        ("mmm hh", Kind.MOMENT),
        ("h:mm AM/PM", Kind.CLOCK),
        ("mm:ss.0", Kind.CLOCK),
        ("[h]:mm", Kind.ELAPSED),
        ("[mm]:ss", Kind.ELAPSED),
    ],
)
def test_a_format_says_what_its_numbers_are(code: str, kind: Kind) -> None:
    assert kind_of(code) is kind


def test_formats_without_a_code() -> None:
    assert [BUILT_IN.get(number, Kind.NUMBER) for number in (0, 4, 14, 21, 22, 46, 49)] == [
        *(Kind.NUMBER, Kind.NUMBER, Kind.DATE, Kind.CLOCK, Kind.MOMENT, Kind.ELAPSED, Kind.NUMBER)
    ]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("1001", "1001"),
        ("1001.0", "1001"),
        ("1.001E+3", "1001"),
        ("-0", "-0"),
        ("007", "7"),
        ("1.1000000000000001", "1.1"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("1E-12", "1e-12"),
        ("12345678901234567890", "12345678901234567890"),  # digits that are written are kept
        ("1.2345678901234567E+18", "1.2345678901234568e+18"),  # and none are made up
    ],
)
def test_a_number_keeps_its_value(written: str, said: str) -> None:
    assert number_text(written) == said
    assert float(said) == float(written)


@pytest.mark.parametrize("written", ["", "x", "NaN", "inf", "1,5", "1e999"])
def test_what_is_no_number(written: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        number_text(written)


@pytest.mark.parametrize(
    ("written", "kind", "said"),
    [
        ("1", Kind.DATE, "1900-01-01"),
        ("59", Kind.DATE, "1900-02-28"),
        ("60", Kind.DATE, "60"),  # 29 February 1900
        ("61", Kind.DATE, "1900-03-01"),
        ("45000", Kind.DATE, "2023-03-15"),
        ("45000.25", Kind.DATE, "2023-03-15T06:00:00"),
        ("45000", Kind.MOMENT, "2023-03-15T00:00:00"),
        ("45000.999999999999", Kind.MOMENT, "2023-03-16T00:00:00"),
        ("45000.500001157", Kind.MOMENT, "2023-03-15T12:00:00.100000"),
        ("2958465", Kind.DATE, "9999-12-31"),
        ("2958466", Kind.DATE, "2958466"),
        ("-1", Kind.DATE, "-1"),
        ("0", Kind.DATE, "0"),
        ("0.5", Kind.CLOCK, "12:00:00"),
        ("45000.5", Kind.CLOCK, "2023-03-15T12:00:00"),
        ("1.5", Kind.ELAPSED, "PT129600S"),
    ],
)
def test_a_serial_number_is_the_day_that_excel_shows(written: str, kind: Kind, said: str) -> None:
    assert moment_text(written, kind, from_1904=False) == said


def test_days_may_count_from_1904() -> None:
    assert moment_text("0", Kind.DATE, from_1904=True) == "1904-01-01"
    assert moment_text("43538.5", Kind.MOMENT, from_1904=True) == "2023-03-15T12:00:00"
    assert moment_text("2957004", Kind.DATE, from_1904=True) == "2957004"


def test_characters_that_xml_does_not_have() -> None:
    assert unescaped("a_x000D_\n_x005F_x000D_ _xD800_ _x1_") == "a\r\n_x000D_ _xD800_ _x1_"
