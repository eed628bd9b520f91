"""Lakes to test on: a local folder and an object store speaking S3 (moto's server, in a process of its own)."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.error import URLError

import polars as pl
import pytest

from assay.features.tables.lake import Lake, open_lake
from assay.features.tables.run_record import NullRecorder, RunResult, Work
from assay.features.tables.transaction import transaction

Write = Callable[..., RunResult]


@pytest.fixture(scope="session")
def s3_options() -> Iterator[dict[str, str]]:
    """Options for `s3://lake/…` on a server that lives as long as the test session."""
    pytest.importorskip("moto", reason="the S3 tests need moto[server]")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(urllib.request.Request(f"{endpoint}/lake", method="PUT"), timeout=5).close()
                break
            except URLError:
                time.sleep(0.05)
        yield {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }
    finally:
        server.kill()
        server.wait()


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
