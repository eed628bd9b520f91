"""The folder of a batch on disk: its own, private, gone with its process, whatever ends that."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from assay.features.storage.scratch import FOLDER, scratch

KILLED = """
import os, pathlib, signal, sys
from assay.features.storage.scratch import scratch
with scratch(pathlib.Path(sys.argv[1])) as folder:
    (folder / "rows").write_text("personal")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_folders_are_apart_private_and_gone_afterwards_also_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ends it"), scratch(tmp_path) as first, scratch(tmp_path) as second:
        assert first != second and first.is_dir(), "what another process or thread uses is left alone"
        assert all(place.stat().st_mode & 0o077 == 0 for folder in (first, second) for place in (folder, folder.parent))
        (second / "rows").touch()
        raise ValueError("ends it")
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_the_next_batch_deletes_what_a_killed_process_has_left(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list((tmp_path / FOLDER).glob("*/rows/rows"))) == 1
    with scratch(tmp_path) as folder:
        assert list((tmp_path / FOLDER).iterdir()) == [folder.parent]
