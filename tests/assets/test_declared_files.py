"""A change of a project's files is noticed: in whatever module of its packages, new ones, gone ones, and nothing else."""

import os
import uuid
from pathlib import Path

import pytest

from assay.assets.declared_files import DeclaredFiles, changed_files, digest_of_files
from assay.assets.project import Project


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A package of its own name: another test's would be found in its place."""
    return tmp_path / f"shop_{uuid.uuid4().hex}"


@pytest.fixture
def files(shop: Path, tmp_path: Path) -> DeclaredFiles:
    package = shop / "declarations"
    package.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.assay]\ndomains = ["shop"]\n')
    for name in ("__init__.py", "orders.py", "../__init__.py", "../helpers.py"):
        (package / name).write_text("X = 1\n")
    return DeclaredFiles(Project("shop", (f"{shop.name}.declarations",), tmp_path))


def test_new_changed_and_gone_files_are_named(files: DeclaredFiles, shop: Path, tmp_path: Path) -> None:
    before = files.contents()
    assert len(before) == 5
    orders, helpers = shop / "declarations" / "orders.py", shop / "helpers.py"
    for change, changed in (
        (lambda: helpers.write_text("X = 2\n"), helpers),
        (lambda: orders.unlink(), orders),
        (lambda: orders.with_name("more.py").write_text(""), orders.with_name("more.py")),
        (lambda: (tmp_path / "pyproject.toml").write_text("[tool.assay]\n"), tmp_path / "pyproject.toml"),
    ):
        earlier = files.contents()
        change()
        now = files.contents()
        assert changed_files(earlier, now) == [str(changed)]
        assert digest_of_files(earlier) != digest_of_files(now)


def test_what_is_only_touched_or_no_module_is_no_change(files: DeclaredFiles, shop: Path) -> None:
    before = digest_of_files(files.contents())
    os.utime(shop / "helpers.py")
    for folder in ("__pycache__", ".venv", "node_modules"):
        (shop / folder).mkdir()
        (shop / folder / "other.py").touch()
    (shop / "notes.txt").touch()
    assert digest_of_files(files.contents()) == before


def test_a_package_that_is_gone_is_a_change(files: DeclaredFiles, shop: Path, tmp_path: Path) -> None:
    before = files.contents()
    shop.rename(tmp_path / "other")
    assert set(files.contents()) < set(before)
