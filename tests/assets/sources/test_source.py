"""A source that cannot work says so where it is declared."""

from datetime import date

import pytest

from assay.assets.sources.source import Files, Source
from assay.checks import Contract, Field
from assay.errors import AssayError


class Sensors(Contract):
    id: str = Field(key=True)
    reading: float = Field(alias="t_.*", regex=True)


def test_a_source_knows_its_columns() -> None:
    with pytest.raises(AssayError, match=r"'t_\.\*' of the contract Sensors is a pattern"):
        Source("sensors", Files("{day}", (".csv",), date(2026, 9, 1)), Sensors, key=("id",), event_time="at")
