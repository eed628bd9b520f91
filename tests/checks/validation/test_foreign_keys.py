"""What a foreign key may refer to, whatever type the lookup table has."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from assay.checks import Contract, Field, validate


@pytest.mark.parametrize(
    ("there", "referred", "broken"),
    [
        (pl.Series(["1", "al@example.com"]), pl.Int64, [2]),
        (pl.Series([1, 300]), pl.Int8, [2]),
        (pl.Series([1.0, 2.5]), pl.Int64, [2]),
        (pl.Series([1, 2]), pl.String, []),
        (pl.Series([1.0, 2.0]), pl.String, [1, 2]),
        (pl.Series([date(1970, 1, 2), date(1970, 1, 3)]), pl.Int64, [1, 2]),
    ],
)
def test_what_is_not_of_a_columns_type_cannot_be_referred_to(
    there: pl.Series, referred: Any, broken: list[int]
) -> None:
    class Child(Contract):
        parent: referred = Field(exists_in="clean/parents.id")  # pyright: ignore[reportInvalidTypeForm]

    batch = pl.DataFrame({"parent": [1, 2]}).cast(pl.Int64 if referred != pl.String else pl.String)
    outcome = validate(batch, Child, lookup_tables={"clean/parents": there.to_frame("id")})
    assert outcome.quarantined["parent"].cast(pl.Int64).to_list() == broken
