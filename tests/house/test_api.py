"""Only exported names are API: the faces agree with themselves, changes stand in the changelog, former paths still work."""

import ast
import importlib
import importlib.util
import re
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
FACES = ("assay", "assay.checks", "assay.features", "assay.lineage", "assay.assets")
RELEASED = Path(__file__).parent / "released" / "api-0.1.0.txt"
# What README and docs of 0.1.0 imported from where it stood then.
FORMER = {
    "assay.assets.source": ("Files", "Rows", "Source"),
    "assay.features.views": ("Entity", "Feature", "FeatureView", "windows"),
    "assay.checks.compare": ("Change", "compare"),
    "assay.checks.delivery": ("delivery_drift",),
    "assay.checks.draft": ("draft",),
    "assay.checks.odcs": ("from_odcs", "to_odcs"),
    "assay.checks": ("Drift", "measure", "propose"),
    "assay.lineage.attachments": ("retrieval",),
    "assay.lineage.columns_polars": ("polars_lineage",),
    "assay.lineage.columns_sql": ("sql_lineage",),
}


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """The script that writes the list and the reference."""
    spec = importlib.util.spec_from_file_location("make_api", ROOT / "docs" / "make_api.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_name(lines: list[str]) -> dict[str, str]:
    return {line.partition("(")[0]: line for line in lines}


def test_the_list_and_the_reference_are_those_of_the_code(maker: ModuleType) -> None:
    assert maker.LIST.read_text().splitlines() == maker.lines(), "run `make api` and write a line in CHANGELOG.md"
    assert maker.REFERENCE.read_text() == maker.reference(), "run `make api`"


def test_every_change_since_the_release_is_in_the_changelog(maker: ModuleType) -> None:
    before, now = by_name(RELEASED.read_text().splitlines()), by_name(maker.lines())
    text = (ROOT / "CHANGELOG.md").read_text().partition("## Unreleased")[2].partition("\n## ")[0]
    named = {part for quoted in re.findall(r"`([^`]+)`", text) for part in (quoted, quoted.removeprefix("assay."))}
    missing = []
    for name in sorted(before.keys() | now.keys()):
        owner = name.rpartition(".")[0]
        new = name not in before
        if before.get(name) == now.get(name) or (new and owner in now and owner not in before):
            continue  # unchanged, or a method of a class that is new itself
        short = next((name.removeprefix(f"{face}.") for face in reversed(FACES) if name.startswith(f"{face}.")), name)
        if short not in named and name not in named:
            missing.append(name)
    assert missing == [], "say in CHANGELOG.md, under Unreleased, what became of these"


@pytest.mark.parametrize("face", FACES)
def test_a_face_shows_type_checkers_what_it_exports(face: str) -> None:
    module = importlib.import_module(face)
    tree = ast.parse(Path(str(module.__file__)).read_text())
    shown = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    homes: dict[str, str] = vars(module)["_HOMES"]
    assert shown == homes
    own = {name for name in module.__all__ if name not in homes}
    assert set(module.__all__) == homes.keys() | own
    assert own <= {"AssayError", "open", "__version__"}
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.parametrize("face", FACES)
def test_no_module_hides_an_exported_name(face: str) -> None:
    """Importing `assay.x.y` sets the attribute `y` of `assay.x`: a function of that name would be gone from then on."""
    module = importlib.import_module(face)
    folder = Path(str(module.__file__)).parent
    beside = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert beside & set(module.__all__) == set()


def test_an_unknown_name_is_an_attribute_error() -> None:
    for face in FACES:
        with pytest.raises(AttributeError, match="no_such_name"):
            _ = importlib.import_module(face).no_such_name


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in FORMER.items() for name in names])
def test_a_former_path_still_works_and_says_the_new_one(module: str, name: str) -> None:
    with pytest.warns(DeprecationWarning, match=r"use assay\.") as caught:
        value = getattr(importlib.import_module(module), name)
    target = str(caught[-1].message).rpartition("use ")[2].rstrip(".")
    home, _, new = target.rpartition(".")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert value is getattr(importlib.import_module(home), new)


def test_the_warning_names_the_line_of_the_importer() -> None:
    code = "from assay.features.views import FeatureView, windows\nassert callable(windows)"
    done = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "<string>:1: DeprecationWarning: assay.features.views.windows has moved" in done.stderr


def test_the_functions_are_functions_whatever_was_imported_before() -> None:
    import assay
    import assay.features
    import assay.lineage
    import assay.lineage.tracing.trace

    assert callable(assay.lineage.trace)
    assert callable(assay.lineage.graph)
    assert callable(assay.features.as_of_join)
    assert assay.trace is assay.lineage.trace
