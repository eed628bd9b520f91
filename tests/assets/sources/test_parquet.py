import subprocess
import sys
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

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


CUT_OFF = """
import hashlib, os, sys, threading
from pathlib import Path
from assay.assets.sources import dispatch, parquet
from assay.assets.sources.deliveries import Delivery, DeliveryError

file, kept = Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None
dispatch.SMALL_CONTENT, parquet.BLOCK = 0, 1 << 20
begun, real = threading.Event(), parquet._read

def read(*given):
    begun.set()
    return real(*given)

def cut_off():
    begun.wait()
    os.truncate(file, 4096)

parquet._read = read
content = file.read_bytes()
threading.Thread(target=cut_off, daemon=True).start()
delivery = Delivery("t/a.parquet", file, hashlib.sha256(content).hexdigest(), len(content), "d", kept=kept)
try:
    print(sum(frame.height for frame in dispatch.delivery_blocks(delivery)))
except DeliveryError as problem:
    print(problem)
"""


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_file_that_is_cut_off_while_it_is_read_kills_nobody(tmp_path: Path, is_kept: bool) -> None:
    """A file that is mapped into memory would: the system ends a process that looks at what is not there any more."""
    frame = pl.DataFrame({f"c{column}": range(200_000) for column in range(8)})
    files = [tmp_path / "a.parquet", *([tmp_path / "kept"] if is_kept else [])]
    for file in files:
        frame.write_parquet(file, compression="uncompressed", row_group_size=20_000)
    done = subprocess.run([sys.executable, "-c", CUT_OFF, *files], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "200000\n"), done.stderr[-2000:]
