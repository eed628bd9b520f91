"""One process at a time over a folder, and a port that is free: checked before a server starts."""

import fcntl
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from assay.errors import AssayError


@contextmanager
def only_one(lock: Path, what: str, address: str) -> Iterator[None]:
    """Hold a lock while the block runs. The system forgets it with the process.

    Args:
        lock: The file; its folder is made.
        what: What is one at a time, for the message.
        address: Where this one is, for whoever tries the same.

    Raises:
        AssayError: There is one already.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise AssayError(
                f"{what} already over {lock.parent}: open {file.read().strip()}, or end it first."
            ) from None
        with suppress(OSError):  # a full disk
            file.truncate(0)
            file.write(address)
            file.flush()
        yield


def require_free(port: int, host: str = "127.0.0.1", *, options: str = "--port") -> None:
    """Raise AssayError where nothing can listen on a port; `options` name another one."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except (OSError, OverflowError) as problem:
            raise AssayError(
                f"Port {port} of {host} cannot be used ({getattr(problem, 'strerror', None) or problem}). Next: give another one "
                f"({options}), or end what listens there."
            ) from None
