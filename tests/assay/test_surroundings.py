"""What `assay doctor` says of a full disk, a folder that cannot be written, and a clock that is wrong."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import assay
from assay.diagnosis import diagnose
from assay.errors import AssayError
from assay.surroundings import clock, space, writable

GIB = 1 << 30


@pytest.mark.parametrize(
    ("total", "free", "fine"),
    [(100, 0.9, False), (10, 0.9, False), (1000, 15, False), (1000, 25, True), (100, 6, True), (10, 1.1, True)],
)
def test_a_disk_that_is_nearly_full_is_named_with_what_to_do(
    total: float, free: float, fine: bool, tmp_path: Path
) -> None:
    def usage(folder: Path) -> tuple[int, int, int]:
        assert folder == tmp_path, "the nearest folder that is there"
        return int(total * GIB), int((total - free) * GIB), int(free * GIB)

    places = [tmp_path, tmp_path / "var" / "lake"]
    if fine:
        assert space(places, usage).count("free at") == 1
    else:
        with pytest.raises(AssayError, match=rf"Only .* free at {tmp_path}\. Next: free some space"):
            space(places, usage)


def test_a_place_where_nothing_can_be_made_is_named(tmp_path: Path) -> None:
    assert writable(tmp_path / "var") == f"{tmp_path} can be written"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(AssayError, match=r"Nothing can be written to /sys .*Next: mount it for writing"):
        writable(Path("/sys"))  # read-only for everybody


def test_what_comes_from_the_future_is_named(tmp_path: Path) -> None:
    store = assay.open(home=tmp_path)
    landing = tmp_path / "landing"
    with store.transaction("clean/x") as tx:
        tx.write("clean/x", pl.DataFrame({"x": [0]}))
    file = landing / "orders" / "2026-03-01" / "a.csv"
    file.parent.mkdir(parents=True)
    file.touch()
    assert "2 files and commits looked at" in clock(store.lake, landing)
    with pytest.raises(AssayError, match=r"(?s)is from the future.*and 1 more\. Next: set the clocks"):
        clock(store.lake, landing, datetime.now(UTC) - timedelta(hours=1))
    later = (datetime.now(UTC) + timedelta(hours=3)).timestamp()
    os.utime(file, (later, later))
    with pytest.raises(AssayError, match=rf"{file} is from the future"):
        clock(store.lake, landing)
    found = {symptom.what: symptom for symptom in diagnose(store)}
    assert (found["clocks"].ok, found["disk"].what, found["writing"].ok) == (False, "disk", True)
