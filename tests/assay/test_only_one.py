"""The error of a second process names where the first is; a lock and a port are free when who held them has gone."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from assay.errors import AssayError
from assay.only_one import only_one, require_free

HOLD = """
import sys
from pathlib import Path
from assay.only_one import only_one
with only_one(Path(sys.argv[1]), "It runs", "http://there"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_one_is_refused_until_the_first_is_gone_however_it_went(tmp_path: Path) -> None:
    lock = tmp_path / "home" / "one.lock"
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None and first.stdout.readline() == "held\n"
        with (
            pytest.raises(
                AssayError, match=rf"^It runs already over {lock.parent}: open http://there, or end it first\.$"
            ),
            only_one(lock, "It runs", "http://here"),
        ):
            pytest.fail("two hold it")
        first.kill()
    with only_one(lock, "It runs", "http://here"):
        assert lock.read_text() == "http://here"


def test_a_port_that_is_taken_is_named_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            AssayError, match=rf"^Port {port} of 127\.0\.0\.1 cannot be used .*another one \(--this\), or end"
        ):
            require_free(port, options="--this")
    require_free(port)
    with pytest.raises(AssayError, match="Port 70000 of 127"):
        require_free(70_000)
