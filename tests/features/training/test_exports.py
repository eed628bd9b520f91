"""Training sets in other tools' forms: the same rows, streamed where they can be, and files that are whole or not there."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from assay.errors import AssayError
from assay.features.serving.training import TrainingSetVersion
from assay.features.training import exports
from assay.optional import installed


def test_numbers_have_a_matrix_a_label_and_names(made: TrainingSetVersion) -> None:
    features, label, names = made.to_numpy(label="bought")
    frame = made.frame()
    assert names == ["tickets_1d", "tickets_7d", "spent_1d", "spent_7d"]
    assert features.dtype == np.float32 and features.shape == (frame.height, 4)
    expected = frame.select(pl.col(names).cast(pl.Float32).fill_null(float("nan"))).to_numpy()
    np.testing.assert_array_equal(features, expected)
    assert label is not None
    assert label.tolist() == frame["bought"].to_list()
    assert np.isnan(features).any(), "of a new customer nothing is known"
    assert made.to_numpy(columns=["spent_1d"], dtype="float64").features.dtype == np.float64
    with pytest.raises(AssayError, match="'customer_id' is String, which is no number"):
        made.to_numpy(columns=["customer_id"])
    with pytest.raises(AssayError, match="a null is NaN"):
        made.to_numpy(dtype="int32")
    with pytest.raises(AssayError, match="no column 'boght'"):
        made.to_numpy(label="boght")


def test_arrow_comes_in_batches(made: TrainingSetVersion) -> None:
    assert_frame_equal(pl.DataFrame(pa.table(made)), made.frame())
    reader = made.to_arrow()
    assert isinstance(reader, pa.RecordBatchReader)
    assert_frame_equal(pl.DataFrame(reader.read_all()), made.frame())
    assert [part.height for part in exports.parts(made, size=100)] == [100, 100, 100, 90]


def test_parquet_is_whole_or_not_there(
    made: TrainingSetVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out" / "rows.parquet"
    assert made.write_parquet(path) == made.manifest["content_digest"]
    assert_frame_equal(pl.DataFrame(pq.read_table(path)), made.frame())
    before = path.read_bytes()
    monkeypatch.setattr(exports, "content_digest", lambda frame: "another")
    with pytest.raises(AssayError, match="nothing is kept"):
        made.write_parquet(path)
    assert path.read_bytes() == before
    assert [item.name for item in path.parent.iterdir()] == ["rows.parquet"]


@pytest.mark.skipif(installed("pandas"), reason="pandas is installed")
def test_pandas_that_is_not_installed_is_named(made: TrainingSetVersion) -> None:
    with pytest.raises(AssayError, match=r"needs pandas, which is not installed. Next: pip install pandas"):
        made.to_pandas()


def test_a_notebook_shows_facts_and_no_values(made: TrainingSetVersion) -> None:
    shown = made._repr_html_()
    assert "bought@1" in shown and "390" in shown and "activity:*" in shown
    assert not re.search(r"\bc\d+\b", shown), "no customer is named"
    split = made.split(by_entity="customer_id", test=0.3, lookback="0d")
    assert made.id in split._repr_html_() and "train" in split._repr_html_()
    assert "features/activity" in made.lake.table("features/activity").at().snapshot._repr_html_()
