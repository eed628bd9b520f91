"""Whether a machine or a service lacks something now. While it lasts no run is requested."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from assay.assets.lacking import outage_of
from assay.assets.steps.step import Resources

_TRIAL = 1 << 20  # bytes: with less than that free, no run ends well


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
