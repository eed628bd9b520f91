"""Dates and times in declared formats, against Python's `strptime`, which is less strict about lengths."""

import re
from datetime import UTC, date, datetime, time
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.checks.text.time_formats import MONTHS, iso_text, time_format
from assay.errors import AssayError

DATES = [
    "%d.%m.%Y",
    "%m/%d/%y",
    "%Y%m%d",
    "%F",
    "%d %b %Y",
    "%d-%b-%y",
    "%B %d, %Y",
    "%-d/%-m/%Y",
    "%y%m%d",
    "100%% %d-%m-%Y",
]
CLOCKS = ["%H:%M", "%T", "%H%M%S", "%I:%M %p", "%I:%M:%S%p", "%H.%M", "%H:%M:%S.%f"]
MOMENTS = [f"{day}{between}{clock}" for day in DATES for clock in CLOCKS for between in (" ", "T")]
LENGTHS = {"Y": "[0-9]{4}", "y": "[0-9]{2}", "M": "[0-9]{2}", "S": "[0-9]{2}", "f": "[0-9]{1,9}", "p": "[AaPp][Mm]"}
LENGTHS |= {"b": "[A-Za-z]{3}", "B": "[A-Za-z]+", "z": r"(?:[Zz]|[+-]\d\d:?\d\d)"}


def python(text: str, form: str) -> datetime | None:
    """What `strptime` reads, if each part also has the length that it should have."""
    whole = form.replace("%F", "%Y-%m-%d").replace("%T", "%H:%M:%S")
    parts = re.findall(r"%-?.|[^%]+", whole)
    pattern = ""
    for index, part in enumerate(parts):
        near = [parts[place] for place in (index - 1, index + 1) if 0 <= place < len(parts)]
        short = "{1,2}" if all(not one.startswith("%") or one == "%%" for one in near) else "{2}"
        pattern += (
            re.escape(part.replace("%%", "%"))
            if part[0] != "%" or part == "%%"
            else (LENGTHS.get(part[-1], f"[0-9]{short}"))
        )
    if not re.fullmatch(pattern, text, re.ASCII):
        return None
    if "%f" in whole:  # which Python has six digits of
        text = re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", text)
    try:
        return datetime.strptime(text, whole.replace("%-", "%"))  # noqa: DTZ007 - compared without a zone
    except ValueError:
        return None


def read(texts: list[str], form: str, *, day: bool = True, clock: bool = False) -> list[str | None]:
    made = time_format(form, day=day, clock=clock)
    return pl.DataFrame({"v": texts}, schema={"v": pl.String}).select(iso_text(pl.col("v"), made)).to_series().to_list()


def parsed(iso: str | None, kind: Any) -> Any:
    """The ISO text as a value; None for a day that there is not."""
    try:
        return None if iso is None else kind.fromisoformat(iso)
    except ValueError:
        return None


moments = st.datetimes(datetime(1969, 1, 1), datetime(2068, 12, 31, 23, 59, 59))  # noqa: DTZ001 - as above
changes = st.tuples(
    st.integers(0, 30), st.integers(0, 1), st.sampled_from(["", "", "0", "1", "3", ".", "-", " ", "x", "é"])
)


def changed(text: str, change: tuple[int, int, str]) -> str:
    place, lost, more = change
    return text[:place] + more + text[place + lost :]


def written(moment: datetime, form: str) -> str:
    return moment.strftime(form)


@given(st.sampled_from(DATES), moments, changes)
def test_dates(form: str, moment: datetime, change: tuple[int, int, str]) -> None:
    texts = [written(moment, form), changed(written(moment, form), change), re.sub(r"\b0", "", written(moment, form))]
    texts += [text.swapcase() for text in texts]
    found = [parsed(iso, date) for iso in read(texts, form)]
    expected = [None if (value := python(text, form)) is None else value.date() for text in texts]
    assert found == expected
    assert found[0] == moment.date()


@given(st.sampled_from(CLOCKS), moments, changes)
def test_times_of_day(form: str, moment: datetime, change: tuple[int, int, str]) -> None:
    texts = [written(moment, form), changed(written(moment, form), change), re.sub(r"\b0", "", written(moment, form))]
    found = [parsed(iso, time) for iso in read(texts, form, day=False, clock=True)]
    assert found == [None if (value := python(text, form)) is None else value.time() for text in texts]


@given(st.sampled_from(MOMENTS), moments, changes)
def test_moments(form: str, moment: datetime, change: tuple[int, int, str]) -> None:
    texts = [written(moment, form), changed(written(moment, form), change)]
    found = [parsed(iso, datetime) for iso in read(texts, form, clock=True)]
    expected = [None if (value := python(text, form)) is None else value.replace(tzinfo=UTC) for text in texts]
    assert found == expected
    assert found[0] is not None


@given(moments, st.integers(-14 * 60, 14 * 60))
def test_zones(moment: datetime, minutes: int) -> None:
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    text = moment.strftime("%d.%m.%Y %H:%M:%S ")
    spellings = [text + zone, text + zone.replace(":", "")]
    expected = datetime.strptime(spellings[0], "%d.%m.%Y %H:%M:%S %z")
    found = [parsed(iso, datetime) for iso in read(spellings, "%d.%m.%Y %H:%M:%S %z", clock=True)]
    assert found == [expected, expected]
    assert read([text + "Z", text + "CET", text], "%d.%m.%Y %T %z", clock=True)[1:] == [None, None]


def test_all_days_of_a_year_by_name() -> None:
    days = [date(2028, 1, 1).fromordinal(date(2028, 1, 1).toordinal() + number) for number in range(366)]
    texts = [f"{day.day} {MONTHS[day.month - 1]} {day.year}" for day in days]
    assert read(texts, "%d %B %Y") == [day.isoformat() for day in days]


def test_all_minutes_of_a_day_by_two_clocks() -> None:
    minutes = [time(number // 60, number % 60) for number in range(24 * 60)]
    texts = [minute.strftime("%I:%M %p") for minute in minutes]
    assert read(texts, "%I:%M %p", day=False, clock=True) == [minute.isoformat() for minute in minutes]


def test_years_of_two_digits_are_those_of_strptime() -> None:
    texts = [f"31.12.{year:02d}" for year in range(100)]
    wanted = [python(text, "%d.%m.%y") for text in texts]
    assert read(texts, "%d.%m.%y") == [day.date().isoformat() for day in wanted if day is not None]


@pytest.mark.parametrize("form", ["%", "%d.%m.%", "%d.%m.%Q", "%d.%m.%-Y", "", "x"])
def test_what_is_no_format(form: str) -> None:
    with pytest.raises(AssayError, match=r"^C\.v: "):
        time_format(form, day=True, clock=False, where="C.v")
