"""What a machine or a service lacks: space, a file system that can be written, a database or a store that answers.

None of it is the fault of a batch. So it uses up none of a batch's attempts, and while it lasts no run is requested.
"""

import errno
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from assay.assets.steps.step import Resources
from assay.errors import AssayError

FULL = "the disk is full"
READ_ONLY = "a file system cannot be written"
UNREACHABLE = "a database, a store or a server does not answer"

_TRIAL = 1 << 20  # bytes: with less than that free, no run ends well
_NUMBERS = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EROFS: READ_ONLY,
    errno.ESTALE: UNREACHABLE,
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETUNREACH: UNREACHABLE,
}
# Rust, SQLite and the drivers of databases have no numbers for it, only words.
_WORDS = (
    (FULL, r"no space left on device|os error 28\b|quota exceeded|os error 122\b|database or disk is full"),
    (READ_ONLY, r"read-only file system|os error 30\b|readonly database"),
    (
        UNREACHABLE,
        r"connection (refused|reset|timed out|is lost)|os error 111\b|could(n't| not) connect|connection to server"
        r"|error sending request|dns error|name resolution|could not translate host|server closed the connection"
        r"|terminating connection|database system is (starting|shutting)|the connection is closed",
    ),
)


def outage_of(problem: BaseException) -> str | None:
    """What was lacking, if that is why something failed; None for every other reason.

    Args:
        problem: With all that it was raised from. Of our own errors the texts are not read: they are about data.
    """
    for one in _chain(problem):
        if isinstance(one, OSError) and one.errno in _NUMBERS:
            return _NUMBERS[one.errno]
        if isinstance(one, ConnectionError):
            return UNREACHABLE
        if not isinstance(one, AssayError) and (lack := outage_in(str(one))) is not None:
            return lack
    return None


def outage_in(text: str) -> str | None:
    """The same of an error of which only the text was kept."""
    return next((lack for lack, words in _WORDS if re.search(words, text, re.IGNORECASE)), None)


def _chain(problem: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    todo: list[BaseException | None] = [problem]
    while todo:
        one = todo.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            todo += [one.__context__, one.__cause__]


def outage_now(env: Resources, also: Iterable[Path] = ()) -> str | None:
    """What is lacking now, and where: found by writing a file that is gone at once, and by asking the object store.

    Args:
        env: What steps use.
        also: Other folders that runs write to.
    """
    storage = env.lake.storage
    lake = [Path(storage.root)] if storage.is_local else []
    for folder in dict.fromkeys([env.settings.home, *lake, *also]):
        if folder.is_dir() and (lack := _refused(folder)) is not None:
            return f"{lack} ({folder})"
    if not storage.is_local:
        try:
            storage.size("_assay/is_there")
        except Exception as problem:
            lack = outage_of(problem)
            return f"{lack} ({storage.root})" if lack else None
    return None


def _refused(folder: Path) -> str | None:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, _TRIAL)
    except OSError as problem:
        return outage_of(problem)
    return None
