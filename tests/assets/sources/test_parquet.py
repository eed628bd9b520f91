from datetime import UTC, datetime
from io import BytesIO

import polars as pl
import pytest

from assay.assets.sources.deliveries import DeliveryError
from assay.assets.sources.parquet import read_parquet


def _written(frame: pl.DataFrame) -> bytes:
    buffer = BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


FRAME = pl.DataFrame(
    {"id": ["a", None], "at": [datetime(2026, 9, 1, tzinfo=UTC)] * 2, "amount": [1.5, float("nan")], "n": [1, 2]},
    schema_overrides={"n": pl.Int16, "at": pl.Datetime("us", "UTC")},
)


def test_types_and_values_stay_as_delivered() -> None:
    frame = read_parquet("t/a.parquet", _written(FRAME))
    assert frame.drop("_row_number", "_defect", "_line").equals(FRAME)
    assert frame["n"].dtype == pl.Int16
    assert frame.select("_row_number", "_defect", "_line").rows() == [(1, None, None), (2, None, None)]
    assert frame.schema["_row_number"] == pl.Int64
    assert frame.schema["_defect"] == frame.schema["_line"] == pl.String


@pytest.mark.parametrize("damage", ["cut", "head", "footer", "text"])
def test_what_is_not_parquet_is_an_error_that_says_so(damage: str) -> None:
    content = _written(FRAME)
    broken = {
        "cut": content[: len(content) // 2],
        "head": content[4:],
        "footer": content[:-12] + b"\xff" * 8 + content[-4:],
        "text": b"event_id,amount\n1,2\n",
    }[damage]
    with pytest.raises(DeliveryError, match=r"t/a\.parquet: is not a readable Parquet file") as caught:
        read_parquet("t/a.parquet", broken)
    assert "re-send" in caught.value.action
