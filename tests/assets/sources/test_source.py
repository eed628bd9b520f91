"""A source that cannot work says so where it is declared."""

from datetime import date

import pytest

from assay.assets.sources.source import Files, Source
from assay.checks import Contract, Field
from assay.errors import AssayError
from assay.features.tables.partitioning import Partitioning

DAYS = Partitioning.daily(date(2026, 9, 1))


class Sensors(Contract):
    id: str = Field(key=True)
    reading: float = Field(alias="t_.*", regex=True)


def test_a_source_knows_its_columns() -> None:
    with pytest.raises(AssayError, match=r"'t_\.\*' of the contract Sensors is a pattern"):
        Source("sensors", Files("{day}/*", (".csv",)), Sensors, key=("id",), event_time="at", partitioning=DAYS)
