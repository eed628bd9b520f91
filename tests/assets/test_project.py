"""Where a project is found: by ASSAY_PROJECT, from the working directory upward, or among the installed packages."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import assay
from assay.assets.project import Project, ProjectMissing, active_project, find_project, place_of, project_of
from assay.errors import AssayError
from assay.settings import Settings

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """A project's folder with one package; nothing of it stays importable."""

    def made(name: str, table: str = "", package: str = "") -> Path:
        folder = tmp_path / name
        (folder / (package or name)).mkdir(parents=True)
        (folder / (package or name) / "__init__.py").touch()
        (folder / "pyproject.toml").write_text(
            table or f'[project]\nname = "{name}"\n[tool.assay]\ndomains = ["{name}"]\n'
        )
        return folder

    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    yield made
    for name in set(sys.modules) - before:
        if not name.startswith(("assay", "dagster")):
            del sys.modules[name]


def test_the_project_is_found_from_a_folder_below(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make("kiosk")
    below = folder / "kiosk" / "deep" / "down"
    below.mkdir(parents=True)
    (folder / "kiosk" / "pyproject.toml").write_text("[tool.other]\n")
    monkeypatch.chdir(below)
    assert find_project() == Project("kiosk", ("kiosk",), folder)


def test_the_environment_wins_over_the_folder(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = make("kiosk"), make("other")
    monkeypatch.chdir(here)
    monkeypatch.setenv("ASSAY_PROJECT", str(there))
    assert active_project().root == there
    monkeypatch.setenv("ASSAY_PROJECT", "../other")
    assert active_project().root == there
    monkeypatch.setenv("ASSAY_PROJECT", "assay.assets.support")
    chosen = active_project()
    assert (chosen.name, chosen.domains, chosen.root) == ("support", ("assay.assets.support",), None)


def test_an_installed_package_announces_its_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    def install(name: str) -> None:
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[assay.projects]\n{name} = {name}.declarations\n")

    monkeypatch.syspath_prepend(tmp_path)
    install("kiosk")
    assert find_project() == Project("kiosk", ("kiosk.declarations",))
    install("depot")
    with pytest.raises(AssayError, match=r"set ASSAY_PROJECT to one of depot, kiosk\."):
        find_project()
    monkeypatch.setenv("ASSAY_PROJECT", "depot")
    assert find_project() == Project("depot", ("depot.declarations",))
    monkeypatch.delenv("ASSAY_PROJECT")
    monkeypatch.chdir(make("nearer"))
    assert active_project().name == "nearer", "the folder comes before what is installed"


def test_without_a_project_the_way_to_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_project() is None
    with pytest.raises(ProjectMissing, match="`assay init NAME`"):
        active_project()
    assert assay.open().settings.home == Path("var"), "a lake can be read without one"


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("[tool.assay]\n", r"\[tool.assay\]: name the packages of declarations: domains = "),
        ('[tool.assay]\ndomains = "shop"\n', "name the packages of declarations"),
        ('[tool.assay]\ndomains = ["a"]\ndomain = 1\n', "'domain' is not known; there are domains, commands and name"),
        ("[tool.assay]\ndomains = [\n", "is not valid TOML"),
    ],
)
def test_what_is_declared_wrongly_is_named_with_its_file(
    make: Make, monkeypatch: pytest.MonkeyPatch, table: str, problem: str
) -> None:
    monkeypatch.chdir(make("kiosk", table))
    with pytest.raises(AssayError, match=problem) as refused:
        find_project()
    assert str(refused.value).startswith(str(Path.cwd() / "pyproject.toml"))


def test_a_wrong_environment_is_named(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    make("kiosk")
    for chosen, problem in (
        ("no/such/folder", "there is no such folder"),
        ("no_such_package", "There is no package no_such_package"),
    ):
        monkeypatch.setenv("ASSAY_PROJECT", chosen)
        with pytest.raises(AssayError, match=problem):
            find_project()


def test_a_package_beside_the_project_file_or_in_src_becomes_importable(make: Make) -> None:
    flat, nested = make("kiosk"), make("depot", package="src/depot")
    assert place_of("kiosk", flat) == flat / "kiosk"
    assert place_of("depot", nested) == nested / "src" / "depot"
    with pytest.raises(AssayError, match=r"There is no package kiosk\.nothing in .*kiosk"):
        place_of("kiosk.nothing", flat)


def test_the_projects_folder_is_not_taken_for_its_package(make: Make, tmp_path: Path) -> None:
    """A script beside the project can import from the folder above it, where the project's folder looks like a package."""
    root = make("kiosk")
    sys.path.insert(0, str(tmp_path))
    assert place_of("kiosk", root) == root / "kiosk"


def test_another_package_of_that_name_is_not_taken_for_the_projects(make: Make) -> None:
    folder = make("json")
    with pytest.raises(AssayError, match=r"The package json of the project in .* is hidden by another one"):
        place_of("json", folder)


def test_a_name_becomes_one_that_jobs_can_have(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make("my-shop.data", '[project]\nname = "my-shop.data"\n[tool.assay]\ndomains = ["kiosk"]\n'))
    assert active_project().name == "my_shop_data"


def test_packages_belong_to_the_project_above_them(make: Make) -> None:
    folder = make("kiosk")
    (folder / "kiosk" / "orders").mkdir()
    sys.path.append(str(folder))
    assert project_of(["kiosk.orders"]) == Project("kiosk", ("kiosk.orders",), folder)


def test_settings_are_those_of_the_project(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make("kiosk")
    monkeypatch.chdir(folder)
    assert Settings().home == Path("var")
    monkeypatch.chdir(folder / "kiosk")
    assert Settings().home == folder / "var"
    (folder / ".env").write_text("ASSAY_LANDING=drop\nASSAY_LAKE=s3://bucket/lake\nASSAY_DEVICE=cpu\nOTHER=1\n")
    found = Settings()
    assert (found.landing_path, found.lake_uri, found.device) == (folder / "drop", "s3://bucket/lake", "cpu")
    monkeypatch.setenv("ASSAY_DEVICE", "cuda")
    assert Settings().device == "cuda", "the environment wins over the file"
    assert Settings(home=Path("here")).home == Path("here")
    monkeypatch.chdir("/")
    assert assay.open(project=str(folder)).settings.landing_path == folder / "drop"
