"""A project: the packages whose modules declare sources, views and everything else, and where they are found.

In this order, a project is: what `ASSAY_PROJECT` names (a folder, a package, or an installed project), the nearest folder at
or above the working directory whose `pyproject.toml` has

    [tool.assay]
    domains = ["shop.declarations"]        # packages or modules; sub-packages are searched too
    commands = "shop.commands:commands"    # a click group whose commands join `assay` (optional)
    name = "shop"                          # of jobs and sensors (optional; default: [project] name)

or the one installed package that announces itself by an entry point of the group `assay.projects`
(`shop = "shop.declarations"`).
"""

import importlib
import importlib.util
import os
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from assay.errors import AssayError
from assay.project_folder import PROJECT_FILE, folder_above, project_folder

ENTRY_POINTS = "assay.projects"


class ProjectMissing(AssayError):
    """No project was found."""

    def __init__(self) -> None:
        super().__init__(
            "There is no Assay project here: no pyproject.toml with [tool.assay] in this folder or above it. "
            "Make one with `assay init NAME`, or look at the shipped example with ASSAY_PROJECT=assay.assets.support."
        )


@dataclass(frozen=True, slots=True)
class Project:
    """Packages of declarations, and the folder that they belong to (None: they are installed).

    Attributes:
        name: letters, digits and underscores; the beginning of the names of its jobs and its sensor.
        domains: importable packages or modules, searched with everything below them.
        root: the folder of its `pyproject.toml`, `.env`, `workspace.yaml` and `dagster_home/`.
        commands: `module:group`, a click group of its own commands; empty: none.
    """

    name: str
    domains: tuple[str, ...]
    root: Path | None = None
    commands: str = ""


def find_project() -> Project | None:
    """The active project, or None where there is none. Raises AssayError for one that is declared wrongly."""
    chosen = os.environ.get("ASSAY_PROJECT", "")
    folder = project_folder(chosen)
    if folder is not None:
        return read_project(folder)
    if chosen:
        return _named(chosen)
    installed = _installed()
    if len(installed) > 1:
        raise AssayError(f"Several projects are installed: set ASSAY_PROJECT to one of {', '.join(sorted(installed))}.")
    return next(iter(installed.values()), None)


def active_project() -> Project:
    """The active project. Raises ProjectMissing where there is none."""
    project = find_project()
    if project is None:
        raise ProjectMissing
    return project


def project_of(domains: Sequence[str]) -> Project:
    """The project that these packages belong to: that of the nearest `pyproject.toml` above their files, cut to them.

    Raises AssayError for a package that is not there.
    """
    if not domains:
        return active_project()
    if len(domains) == 1 and domains[0] in (installed := _installed()):
        return installed[domains[0]]
    here = project_folder(os.environ.get("ASSAY_PROJECT", ""))
    place = place_of(domains[0], here)
    root = folder_above(place)
    if root is None:
        return Project(_identifier(domains[0].partition(".")[0]), tuple(domains))
    return replace(read_project(root), domains=tuple(domains))


def read_project(folder: Path) -> Project:
    """The project of a folder. Raises AssayError where its `pyproject.toml` does not declare one."""
    file = folder / PROJECT_FILE
    try:
        content = _parsed(file.read_bytes())
    except OSError as problem:
        raise AssayError(f"{file} cannot be read ({problem.strerror}); a project's folder has one.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise AssayError(f"{file} is not valid TOML: {problem}. Correct it.") from None
    table = content.get("tool", {}).get("assay", {})
    domains, commands = table.get("domains"), table.get("commands", "")
    if not isinstance(domains, list) or not domains or not all(isinstance(name, str) for name in domains):
        raise AssayError(f'{file}, [tool.assay]: name the packages of declarations: domains = ["shop.declarations"].')
    if unknown := sorted(set(table) - {"domains", "commands", "name"}):
        raise AssayError(f"{file}, [tool.assay]: {unknown[0]!r} is not known; there are domains, commands and name.")
    name = table.get("name") or content.get("project", {}).get("name") or domains[0].partition(".")[0]
    return Project(_identifier(name), tuple(domains), folder, commands)


@lru_cache(4)
def _parsed(content: bytes) -> Mapping[str, Any]:
    """Every page asks what its project declares; nobody changes what is returned."""
    return tomllib.loads(content.decode("utf-8"))


def _named(chosen: str) -> Project:
    """What ASSAY_PROJECT names, if it is no folder: an installed project, or an importable package."""
    installed = _installed()
    if chosen in installed:
        return installed[chosen]
    if "/" in chosen or not all(part.isidentifier() for part in chosen.split(".")):
        raise AssayError(f"ASSAY_PROJECT={chosen}: there is no such folder. Give a project's folder, or a package.")
    commands = f"{chosen}.commands"
    place = place_of(chosen, None)
    has_commands = (place / "commands.py").is_file()
    return Project(
        _identifier(chosen.rpartition(".")[2]), (chosen,), None, f"{commands}:commands" if has_commands else ""
    )


def _installed() -> dict[str, Project]:
    return {entry.name: Project(_identifier(entry.name), (entry.value,)) for entry in entry_points(group=ENTRY_POINTS)}


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def load_object(project: Project, where: str) -> Any:
    """What `module:name` of a project is. Raises AssayError where it cannot be had."""
    module, _, name = where.partition(":")
    place_of(module, project.root)
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as problem:
        raise AssayError(
            f"{where} of project {project.name} cannot be loaded: {type(problem).__name__}: {problem}. Correct it, or "
            "`commands` in [tool.assay]."
        ) from problem


def place_of(domain: str, root: Path | None) -> Path:
    """The folder of a package, or the file of a module. Makes the project's folder importable where it has to be.

    Raises AssayError where there is none, or where another package of that name is in front of the project's own.
    """
    top, *rest = domain.split(".")
    own = _side_with(top, root)
    if own is not None and not _is_at(_spec(top), own / top):
        if str(own) not in sys.path:
            sys.path.append(str(own))
            importlib.invalidate_caches()
        if (top_spec := _spec(top)) is not None and not _is_at(top_spec, own / top):
            raise AssayError(
                f"The package {top} of the project in {root} is hidden by another one of that name "
                f"({top_spec.origin or top}); rename one of them."
            )
    spec = _spec(top)
    bases = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    candidates = [base.joinpath(*rest) for base in bases] if rest or bases else []
    candidates += [candidate.with_name(f"{candidate.name}.py") for candidate in candidates]
    candidates += [Path(spec.origin)] if spec and spec.origin and not rest else []
    for candidate in candidates:
        if candidate.exists():
            return candidate
    where = f" in {root}" if root else ""
    raise AssayError(f"There is no package {domain}{where}: correct `domains` in [tool.assay], or install it.")


def _side_with(top: str, root: Path | None) -> Path | None:
    """The project's folder, or its `src`, whichever holds the package. None for Assay itself, which is imported already."""
    if root is None or top == __name__.partition(".")[0]:
        return None
    sides = (root, root / "src")
    return next((side for side in sides if (side / top).is_dir() or (side / f"{top}.py").is_file()), None)


def _spec(top: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(top)
    except ValueError:  # `__main__`
        return None


def _is_at(spec: ModuleSpec | None, place: Path) -> bool:
    """Whether it is the package in this folder, or the module of that name. A folder that only holds the package, such as
    the project's own when its parent can be imported from, is another (namespace) package."""
    places = [*(spec.submodule_search_locations or ()), spec.origin] if spec else []
    wanted = {place.resolve(), place.with_name(f"{place.name}.py").resolve()}
    return any(item and ({Path(item).resolve(), *Path(item).resolve().parents} & wanted) for item in places)
