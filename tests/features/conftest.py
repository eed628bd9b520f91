"""Lakes to test on: a local folder and an object store speaking S3 (moto's server, in a process of its own)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest

from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import NullRecorder, RunResult, Work
from assay.features.tables.transaction import transaction

Write = Callable[..., RunResult]


@pytest.fixture(params=["local", "s3"])
def any_lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A new lake of each kind."""
    if request.param == "local":
        return open_lake(tmp_path / "lake")
    return open_lake(f"s3://lake/{tmp_path.name}", request.getfixturevalue("s3_options"))


@pytest.fixture
def write() -> Write:
    """Write one frame as one piece of work, without inputs."""

    def _write(
        lake: Lake,
        table: str,
        frame: pl.DataFrame,
        partition: str | None = None,
        *,
        mode: Literal["replace", "append"] = "replace",
        params: Mapping[str, Any] | None = None,
        statistics: Sequence[str] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> RunResult:
        work = Work(table, partition, "test", params=params or {})
        with transaction(lake, NullRecorder(), work) as tx:
            tx.write(table, frame, mode=mode, statistics=statistics, extra=extra)
        assert tx.done is not None
        return tx.done

    return _write
