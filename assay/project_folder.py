"""Where the active project's folder is. Apart from the settings, whose library takes longer to import than `assay --help`."""

import re
from pathlib import Path

PROJECT_FILE = "pyproject.toml"
PROJECT_TABLE = re.compile(r"^\s*\[tool\.assay[\].]", re.MULTILINE)


def project_folder(chosen: str | Path = "") -> Path | None:
    """The project's folder: the chosen one, or the nearest at or above the working directory that holds a project.

    Args:
        chosen: a folder, or the name of a package or an installed project (which has no folder here); empty: look upward
            from the working directory, like git.

    Returns:
        An absolute path, or None where there is no project.
    """
    if chosen:
        return Path(chosen).resolve() if Path(chosen).is_dir() else None
    return folder_above(Path.cwd())


def folder_above(start: Path) -> Path | None:
    """The nearest folder, from `start` upward, whose pyproject.toml has a table `[tool.assay]`."""
    for folder in (start, *start.parents):
        try:
            text = (folder / PROJECT_FILE).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if PROJECT_TABLE.search(text):
            return folder
    return None
