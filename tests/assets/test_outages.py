"""What is lacking now is found by trying."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


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
from assay.assets.lacking import FULL, READ_ONLY
from assay.assets.outages import outage_now
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
