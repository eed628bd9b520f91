"""The folder of a batch on disk: its own, private, gone with its process, whatever ends that."""

import os
import signal
from pathlib import Path

import pytest

import assay
from assay.assets.upkeep import keep_up
from assay.diagnosis import diagnose
from assay.features.storage.scratch import FOLDER, free_scratch, scratch
from tests.forked import run_forked

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
    assert run_forked("-c", KILLED, str(tmp_path)).code == -signal.SIGKILL
    assert len(list((tmp_path / FOLDER).glob("*/rows/rows"))) == 1
    with scratch(tmp_path) as folder:
        assert list((tmp_path / FOLDER).iterdir()) == [folder.parent]


def test_what_killed_processes_have_left_is_freed_on_request_and_nothing_else(tmp_path: Path) -> None:
    assert free_scratch(tmp_path) == (0, 0), "there may be no folder at all"
    run_forked("-c", KILLED, str(tmp_path))
    begun, unlocked = tmp_path / FOLDER / "begun", tmp_path / FOLDER / "unlocked"
    begun.mkdir()  # at this moment: its process will lock it
    unlocked.mkdir()
    os.utime(unlocked, (0, 0))  # it was killed before it could
    with scratch(tmp_path) as folder:
        run_forked("-c", KILLED, str(tmp_path))
        os.utime(begun)
        assert free_scratch(tmp_path, do=False) == (1, len("personal"))
        assert free_scratch(tmp_path) == (1, len("personal"))
        assert set((tmp_path / FOLDER).iterdir()) == {begun, folder.parent}, "those that live are left alone"
        assert free_scratch(tmp_path) == (0, 0)


@pytest.mark.parametrize("who", ["doctor", "upkeep", "recover"])
def test_whoever_looks_after_a_lake_frees_what_killed_processes_have_left(tmp_path: Path, who: str) -> None:
    run_forked("-c", KILLED, str(tmp_path))
    store = assay.open(home=tmp_path)
    if who == "doctor":
        (symptom,) = [item for item in diagnose(store) if item.what == "scratch"]
        assert symptom.detail == "8 bytes in 1 folder of killed processes: freed"
    elif who == "upkeep":
        (looked,) = [item for item in keep_up(store.env(), do=False) if item.what == "scratch"]
        assert (looked.count, looked.done) == (1, False)
        (done,) = [item for item in keep_up(store.env(), do=True) if item.what == "scratch"]
        assert (done.count, done.done) == (1, True)
    else:
        store.recover_events()
    assert list((tmp_path / FOLDER).iterdir()) == []
