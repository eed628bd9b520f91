"""Docstrings of exported names follow Google's form: a summary, and every argument of a function by its name."""

import importlib.util
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).parent / "docstrings.txt"


def exported() -> Iterator[tuple[str, Any]]:
    """Exported names, each object once, under the name of its folder's face."""
    spec = importlib.util.spec_from_file_location("make_api", ROOT / "docs" / "make_api.py")
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    yield from ((f"{face}.{name}", value) for face, name, value in maker.exported() if not maker.home(face, name))


def described(text: str) -> set[str]:
    """The arguments that an `Args` section names."""
    section = re.search(r"^Args:\n((?: +.*\n?|\n)*)", inspect.cleandoc(text), re.MULTILINE)
    return set(re.findall(r"^ {4}\*{0,2}(\w+):", section[1], re.MULTILINE)) if section else set()


def lacking(value: Any) -> bool:
    """Whether a function's docstring leaves an argument out, or names one that is not there."""
    if not inspect.isfunction(value):
        return False
    arguments = set(inspect.signature(value).parameters)
    named = described(value.__doc__ or "")
    return named != arguments if len(arguments) > 1 or named else False


def test_everything_exported_has_a_summary() -> None:
    classes = {name: value for name, value in exported() if inspect.isclass(value) or inspect.isfunction(value)}
    assert len(classes) > 60
    bare = {
        name
        for name, value in classes.items()
        if not (value.__doc__ or "").strip() or (value.__doc__ or "").startswith(f"{value.__name__}(")
    }
    assert bare == set()


def test_functions_name_their_arguments() -> None:
    """The list has functions whose arguments are described in running prose. It only gets shorter."""
    still = {line for line in LIST.read_text().splitlines() if line and not line.startswith("#")}
    assert {name for name, value in exported() if lacking(value)} == still


def test_what_is_lacking_is_seen() -> None:
    def good(a: int, *, b: int) -> None:
        """Do it.

        Args:
            a: One.
            b: Two, on
                two lines.
        """

    def bad(a: int, b: int) -> None:
        """Do it.

        Args:
            a: One.
        """

    assert not lacking(good)
    assert lacking(bad)
