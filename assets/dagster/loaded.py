"""With which declarations a code location runs: it notes them, so that everybody can tell whether those on disk are newer."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from assay.assets.dagster.run_recovery import process_tag
from assay.assets.declared_files import DeclaredFiles, changed_files, digest_of_files
from assay.assets.project import Project
from assay.assets.trial_load import broken_modules

_KEY = "assay/loaded/"  # and the project's name: in the storage of Dagster's daemons


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a code location has loaded: its files, when, the modules that could not be, and the process that it is."""

    contents: Mapping[str, str]
    at: float
    broken: tuple[str, ...] = ()
    process: str = ""


@dataclass(slots=True)
class LoadedDeclarations:
    """Those of this process. Made before they are loaded, so that no change is missed."""

    files: DeclaredFiles
    loaded: Loaded
    noted: bool = False
    _tried: tuple[str, str] = ("", "")  # a digest of files, and what came of trying to load them

    @classmethod
    def now(cls, project: Project) -> "LoadedDeclarations":
        files = DeclaredFiles(project)
        return cls(files, Loaded(files.contents(), datetime.now(UTC).timestamp(), process=process_tag()))

    def without(self, modules: Iterable[str]) -> None:
        """These could not be loaded."""
        self.loaded = replace(self.loaded, broken=tuple(modules))

    def note(self, instance: dg.DagsterInstance) -> None:
        """For other processes; once."""
        if not self.noted:
            loaded = self.loaded
            value = json.dumps(
                {
                    "contents": dict(loaded.contents),
                    "at": loaded.at,
                    "broken": loaded.broken,
                    "process": loaded.process,
                }
            )
            instance.daemon_cursor_storage.set_cursor_values({f"{_KEY}{self.files.project.name}": value})
            self.noted = True

    def unloadable(self) -> str:
        """Which modules cannot be loaded as they are on disk now, and why, though they could be when this process loaded them. A
        run would load them. Each state of the files is tried once, in a process of its own."""
        contents = self.files.contents()
        now = digest_of_files(contents)
        if now == digest_of_files(self.loaded.contents):
            return ""
        if self._tried[0] != now:
            broken = {module: why for module, why in broken_modules().items() if module not in self.loaded.broken}
            self._tried = now, " ".join(broken.values())
        return self._tried[1]

    def outdated(self) -> str:
        """A sentence, where the files on disk are other ones now; empty where they are the same."""
        return _sentence(self.loaded, self.files.contents())


def loaded_by(instance: dg.DagsterInstance, project: str) -> Loaded | None:
    """What the project's code location has loaded, as far as one ever reported it."""
    key = f"{_KEY}{project}"
    try:
        found = json.loads(instance.daemon_cursor_storage.get_cursor_values({key})[key])
        return Loaded(found["contents"], found["at"], tuple(found["broken"]), found.get("process", ""))
    except (KeyError, ValueError, TypeError):
        return None


def outdated_declarations(instance: dg.DagsterInstance, project: Project) -> str:
    """A sentence, where the project's code location runs with other declarations than those on disk; else nothing."""
    loaded = loaded_by(instance, project.name)
    return _sentence(loaded, DeclaredFiles(project).contents()) if loaded is not None else ""


def _sentence(loaded: Loaded, now: Mapping[str, str]) -> str:
    if digest_of_files(loaded.contents) == digest_of_files(now):
        return ""
    names = [Path(path).name for path in changed_files(loaded.contents, now)]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (
        f"The declarations of {datetime.fromtimestamp(loaded.at, UTC):%Y-%m-%d %H:%M} UTC run; {', '.join(names[:3])}{more} "
        "changed since. `assay up` loads that by itself when every module can be loaded (`assay status`); elsewhere, reload "
        "the code location."
    )
