"""A forked program is like one that was started: in its folder, environment, files, exit code, signals and threads."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.forked import run_forked

ENVIRONMENT = {"PATH": os.environ["PATH"], "WHO": "ada"}
COMPUTES = """
import tempfile
import deltalake, duckdb, polars as pl
frame = pl.DataFrame({"a": range(50_000)}).with_columns(b=pl.col("a") % 7)
assert frame.lazy().group_by("b").agg(pl.col("a").sum()).collect().height == 7
assert frame.join(frame, on="a").height == 50_000
assert duckdb.sql("SELECT count(*) FROM frame").fetchall() == [(50_000,)]
with tempfile.TemporaryDirectory() as folder:
    deltalake.write_deltalake(folder, frame)
    assert deltalake.DeltaTable(folder).to_pyarrow_table().num_rows == 50_000
"""
ITSELF = """
import atexit, os, sys
atexit.register(print, "at the end")
print(os.getcwd(), dict(os.environ), sys.argv, __name__, sys.stdin.read(), sys.stdout.isatty())
print("a complaint", file=sys.stderr)
sys.exit(5)
"""


def test_a_program_is_a_process_of_its_own(tmp_path: Path) -> None:
    ended = run_forked("-c", ITSELF, "one", "two", folder=tmp_path, environment=ENVIRONMENT, given=b"given")
    assert ended.code == 5
    assert ended.out == f"{tmp_path} {ENVIRONMENT} ['-c', 'one', 'two'] __main__ given False\nat the end\n"
    assert ended.err == "a complaint\n"
    merged = run_forked("-c", ITSELF, folder=tmp_path, environment=ENVIRONMENT, merged=True)
    assert "a complaint\n" in merged.out and merged.err == ""


def test_libraries_compute_after_the_fork_as_before(tmp_path: Path) -> None:
    ended = run_forked("-c", COMPUTES, folder=tmp_path, environment=ENVIRONMENT)
    assert (ended.code, ended.err) == (0, "")


def test_what_one_program_changes_no_other_one_has(tmp_path: Path) -> None:
    changes = "import builtins, os; builtins.changed = os.environ['CHANGED'] = 'yes'; os.chdir('/')"
    assert run_forked("-c", changes, folder=tmp_path, environment=ENVIRONMENT).code == 0
    looks = "import builtins, os; print(hasattr(builtins, 'changed'), 'CHANGED' in os.environ, os.getcwd())"
    assert run_forked("-c", looks, folder=tmp_path, environment=ENVIRONMENT).out == f"False False {tmp_path}\n"


def test_the_command_and_files_are_run(tmp_path: Path) -> None:
    wrong = run_forked("assay", "tabels", folder=tmp_path, environment=ENVIRONMENT)
    assert wrong.code == 2
    assert "Usage: assay [OPTIONS]" in wrong.err
    (tmp_path / "beside.py").write_text("name = 'beside'")
    (tmp_path / "script.py").write_text("import beside, sys; print(beside.name, sys.argv, __name__)")
    script = str(tmp_path / "script.py")
    assert (
        run_forked(script, "one", folder=tmp_path, environment=ENVIRONMENT).out
        == f"beside {[script, 'one']} __main__\n"
    )


def test_a_signal_is_a_negative_exit_code(tmp_path: Path) -> None:
    ended = run_forked(
        "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", folder=tmp_path, environment=ENVIRONMENT
    )
    assert ended.code == -signal.SIGKILL
    raises = run_forked("-c", "raise ValueError('this')", folder=tmp_path, environment=ENVIRONMENT)
    assert raises.code == 1
    assert raises.err.endswith("ValueError: this\n")


def test_it_ends_with_the_tests_also_when_they_are_killed() -> None:
    code = (
        "import os, signal; from tests.forked import zygote\n"
        "print(zygote().process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    until_gone(int(done.stdout))


def until_gone(process: int) -> None:
    ends = time.monotonic() + 60
    while Path(f"/proc/{process}").exists():
        assert time.monotonic() < ends, "it goes on"
        time.sleep(0.05)
