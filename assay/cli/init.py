"""`assay init`: a project that runs at once, to be changed."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from assay.cli.output import json_option, out, print_json
from assay.errors import AssayError, plural

SUFFIX = ".tmpl"
# What is called otherwise in the template: names that tools here would take for their own.
RENAMED = {"dot-gitignore": ".gitignore", "dot-github": ".github", "delivered": "var/landing"}


@click.command()
@click.argument("name")
@click.option("--dir", "folder", type=click.Path(file_okay=False, path_type=Path), help="Where (default: ./NAME).")
@click.option("--force", is_flag=True, help="Write over files that are there.")
@json_option
def init(name: str, folder: Path | None, force: bool, as_json: bool) -> None:
    """Write a project called NAME: a source with its contract and delivered files, two views, a test, what Dagster needs.

    \b
    Examples:
      assay init shop
      assay init my-shop --dir .
    """
    package = package_name(name)
    folder = folder or Path(name)
    texts = {folder / path: text for path, text in project_files(name, package)}
    there = [path for path in texts if path.exists()]
    if there and not force:
        listed = ", ".join(str(path) for path in there)
        raise AssayError(f"{folder} has {listed} already, and nothing was written. Choose another --dir, or --force.")
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as problem:
            raise AssayError(f"{path} cannot be written ({problem.strerror}); choose another --dir.") from None
    if as_json:
        print_json({"project": name, "package": package, "folder": str(folder), "files": [str(path) for path in texts]})
        return
    out.print(f"{plural(len(texts), 'file')} written to {folder}/. Next:", highlight=False, soft_wrap=True)
    if folder.resolve() != Path.cwd():
        out.print(f"  cd {folder}", highlight=False, soft_wrap=True)
    out.print("  assay materialize         # two of the delivered rows break the contract", highlight=False)
    out.print("  assay quarantine list     # which, and why", highlight=False)
    out.print("  assay up                  # Dagster and the console", highlight=False)


def package_name(name: str) -> str:
    """The package of a project. Raises AssayError for a name that cannot be one, and for one that is taken."""
    package = name.lower().replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", package):
        raise AssayError(f"{name!r} cannot name a project: use letters, digits, - and _, beginning with a letter.")
    if package in {"assay", *sys.stdlib_module_names} or _is_elsewhere(package):
        raise AssayError(
            f"A package called {package} is installed already, and would hide the project's; choose another."
        )
    return package


def _is_elsewhere(package: str) -> bool:
    """Whether Python finds a package of this name that is not in this folder (which has the project itself, with --force)."""
    spec = importlib.util.find_spec(package)
    places = [*(spec.submodule_search_locations or ()), spec.origin] if spec else []
    # Not merely below this folder: an environment may lie in it.
    own = [Path.cwd() / package, Path.cwd() / "src" / package]
    return any(place and not any(Path(place).resolve().is_relative_to(one) for one in own) for place in places)


def project_files(project: str, package: str) -> Iterator[tuple[Path, str]]:
    """Path (in the project's folder) and text of every file of a new project, in the order of the paths."""
    for parts, file in sorted(_walk(files("assay.cli") / "template"), key=lambda entry: entry[0]):
        path = Path(*(RENAMED.get(part, package if part == "package" else part) for part in parts))
        text = file.read_text(encoding="utf-8")
        yield path, text.replace("@project@", project).replace("@package@", package)


def _walk(folder: Traversable, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Traversable]]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _walk(item, (*above, item.name))
        elif item.name.endswith(SUFFIX):
            yield (*above, item.name.removesuffix(SUFFIX)), item
