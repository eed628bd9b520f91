"""Times and numbers in the usual form are read another way than all others, to the same values."""

from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from assay.checks import Contract, Field
from assay.checks.contract.contract import compiled
from assay.checks.validation.parse import _any_float, _any_timestamp, _timestamp, typed


class Numbers(Contract):
    number: float = Field()


digits = st.integers(0, 99).map("{:02d}".format)
plain = st.builds(
    "{}-{}-{}T{}:{}:{}Z".format, st.integers(0, 9999).map("{:04d}".format), digits, digits, digits, digits, digits
)
moments = st.datetimes().map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ").zfill(20))
odd = st.sampled_from(["2026-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00Z "])
edges = st.sampled_from(
    ["0000-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "0001-01-01 00:00:00+01:00", "9999-12-31 23:59:59-01:00"]
)
others = st.sampled_from(["2026-01-01t00:00z", "2026-01-01 00:00:00.5+02:00", "2026-01-01T00:00:00", "x", "", None])


@given(st.lists(plain | moments | odd | edges | others, max_size=30))
def test_the_usual_form_is_read_as_the_general_one(texts: list[str | None]) -> None:
    batch = pl.DataFrame({"text": pl.Series(texts, dtype=pl.String)})
    target, text = pl.Datetime("us", "UTC"), pl.col("text")
    for naive_utc in (False, True):
        read = batch.select(_timestamp(text, target, naive_utc)).to_series()
        assert read.equals(batch.select(_any_timestamp(text, target, naive_utc)).to_series(), null_equal=True)
        for given_text, moment in zip(texts, read, strict=True):
            if given_text is not None and len(given_text) == 20 and given_text.endswith("Z"):
                assert moment == python(given_text)


@given(
    st.lists(
        st.from_regex(r"[+-]?[0-9]{0,3}(0{36})?[.]?[0-9]{0,2}(e[0-9]{1,3}|inf|nan| |x)?", fullmatch=True), max_size=20
    )
)
def test_simple_numbers_are_read_as_all_numbers(texts: list[str]) -> None:
    batch = pl.DataFrame({"text": pl.Series(texts, dtype=pl.String)})
    for dtype in (pl.Float64(), pl.Float32(), pl.Float16()):
        column = replace(compiled(Numbers).columns[0], dtype=dtype)
        read = batch.select(typed(pl.col("text"), pl.String(), column)).to_series()
        assert read.equals(batch.select(_any_float(pl.col("text"), dtype)).to_series(), null_equal=True)


def python(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
