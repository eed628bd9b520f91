"""What is lacking is told from what is wrong with a batch: by numbers, by the words of libraries, and by trying."""

import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import psycopg
import pytest
import sqlalchemy as sa

from assay.assets.outages import FULL, READ_ONLY, UNREACHABLE, outage_of
from assay.assets.sources.sql import connected, database_url
from assay.errors import AssayError


def caught(work: Any) -> BaseException:
    with pytest.raises(Exception) as problem:
        work()
    return problem.value


def test_what_is_lacking_is_known_by_its_number_or_its_words_however_deep() -> None:
    assert outage_of(OSError(errno.ENOSPC, "full")) == outage_of(OSError(errno.EDQUOT, "quota")) == FULL
    assert outage_of(OSError(errno.EROFS, "ro")) == READ_ONLY
    assert outage_of(ConnectionRefusedError(errno.ECONNREFUSED, "no")) == UNREACHABLE
    assert outage_of(sqlite3.OperationalError("database or disk is full")) == FULL
    assert outage_of(sqlite3.OperationalError("attempt to write a readonly database")) == READ_ONLY
    assert outage_of(pl.exceptions.ComputeError("No space left on device (os error 28)")) == FULL

    def wrapped() -> None:
        try:
            raise OSError(errno.ENOSPC, "full")
        except OSError:
            raise AssayError("clean/t could not be published.") from None

    assert outage_of(caught(wrapped)) == FULL


def test_what_is_wrong_with_a_batch_is_no_outage() -> None:
    for other in (
        AssayError("column note: 3 rows hold 'connection refused', no space left on device"),
        ValueError("x"),
        FileNotFoundError(errno.ENOENT, "gone"),
        PermissionError(errno.EACCES, "denied"),
        sqlite3.OperationalError("no such table: t"),
    ):
        assert outage_of(other) is None, other


def test_servers_that_do_not_answer_are_outages_in_the_words_of_their_clients() -> None:
    """Nothing listens on port 1: the real errors of psycopg, of SQLAlchemy, of our reader and of delta-rs."""
    url = "postgresql+psycopg://u@127.0.0.1:1/d"
    nobody = {
        "aws_endpoint_url": "http://127.0.0.1:1",
        "aws_allow_http": "true",
        "aws_access_key_id": "k",
        "aws_secret_access_key": "s",
        "aws_region": "r",
        "max_retries": "0",
        "retry_timeout": "1s",
    }

    def ours() -> None:
        with connected(database_url(url), "t"):
            pass

    for work in (
        lambda: psycopg.connect("postgresql://u@127.0.0.1:1/d", connect_timeout=2),
        lambda: sa.create_engine(url).connect(),
        ours,
        lambda: deltalake.DeltaTable("s3://nobody/t", storage_options=nobody),
    ):
        problem = caught(work)
        assert outage_of(problem) == UNREACHABLE, problem


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
@pytest.mark.skipif(sys.platform != "linux", reason="mounts as Linux does")
def test_a_full_disk_and_one_that_cannot_be_written_are_found_by_trying(tmp_path: Path) -> None:
    """In a mount namespace of its own, so that nothing has to be unmounted."""
    script = f"""
mount -t tmpfs -o size=3m none {tmp_path} || exit 77
exec {sys.executable} - <<'EOF'
import os, subprocess
from pathlib import Path
from types import SimpleNamespace as Space
from assay.assets.outages import FULL, READ_ONLY, outage_now
from assay.features.storage.storage import Storage
folder = Path({str(tmp_path)!r})
env = Space(settings=Space(home=folder), lake=Space(storage=Storage(str(folder / "lake"))))
assert outage_now(env) is None
(folder / "ballast").write_bytes(bytes(2_500_000))
assert outage_now(env) == f"{{FULL}} ({{folder}})", outage_now(env)
(folder / "ballast").unlink()
assert outage_now(env) is None
subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
assert outage_now(env) == f"{{READ_ONLY}} ({{folder}})", outage_now(env)
assert outage_now(env, [Path("/proc/nothing")]) == f"{{READ_ONLY}} ({{folder}})"
EOF
"""
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no disk can be mounted here")
    assert done.returncode == 0, done.stderr
