"""`assay up` loads changed declarations by itself, when everything can be loaded, which is tried in a process of its own. Else
the ones loaded before stay, and a message gives the reason."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from assay.assets.declared_files import DeclaredFiles, changed_files, digest_of_files
from assay.assets.trial_load import broken_modules

SECONDS = 2.0  # between two looks; what changed must have been the same for as long
log = logging.getLogger("assay")


@dataclass(slots=True)
class Reloading:
    """Looks at a project's files.

    Args:
        files: Of the project.
        loaded: Their contents, from before they were loaded.
        reload: Loads the code locations again.
        broken_before: The modules that could not be loaded when it was loaded last.
        broken: The modules that cannot be loaded now, with the reasons.
    """

    files: DeclaredFiles
    loaded: dict[str, str]
    reload: Callable[[], None]
    broken_before: Callable[[], Sequence[str]] = tuple
    broken: Callable[[], dict[str, str]] = broken_modules
    _seen: str = ""
    _tried: str = ""

    def __post_init__(self) -> None:
        self._seen = self._tried = digest_of_files(self.loaded)

    def look(self) -> None:
        """Reload, if something has changed, is not being changed at this moment, and can be loaded."""
        contents = self.files.contents()
        now, before, self._seen = digest_of_files(contents), self._seen, digest_of_files(contents)
        if now != before or now == self._tried:
            return
        self._tried = now
        if now == digest_of_files(self.loaded):
            return
        broken = {module: why for module, why in self.broken().items() if module not in self.broken_before()}
        if broken:
            log.error(
                "%s The declarations of before stay; runs are requested again when it is corrected.",
                " ".join(broken.values()),
            )
            return
        log.warning("Loading what has changed: %s", ", ".join(changed_files(self.loaded, contents)[:3]))
        self.reload()
        self.loaded = contents


@contextmanager
def reloading(watched: Reloading) -> Iterator[None]:
    """Look now and then while the block works."""
    stopped = threading.Event()

    def go_on() -> None:
        while not stopped.wait(SECONDS):
            try:
                watched.look()
            except Exception as problem:  # the UI goes on; the next change is tried again
                log.error("The declarations could not be loaded again (%s).", type(problem).__name__)

    thread = threading.Thread(target=go_on, name="reloading", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
