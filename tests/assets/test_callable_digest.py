"""The identity of a function follows what decides its result in its own package, and nothing else."""

import functools
import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.assets.callable_digest import callable_digest

MODULE = '''
"""A model's functions."""

import math

from codeof_pack.helpers import help_out

LIMIT = 0.5
NAMES = {"b", "a"}


class Scale:
    def apply(self, x):
        return x * LIMIT


def inner(x):
    return Scale().apply(x)


def fit(frame):
    # A comment.
    return [inner(help_out(x)) + math.pi for x in frame if x not in NAMES]
'''
HELPERS = "def help_out(x):\n    return x + 1\n"


@pytest.fixture
def digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """The digest of `fit` as the package has it after changes (old text, new text)."""
    folder = tmp_path / "codeof_pack"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def made(old: str = "", new: str = "") -> str:
        for name in [name for name in sys.modules if name.startswith("codeof_pack")]:
            del sys.modules[name]
        (folder / "helpers.py").write_text(HELPERS.replace(old, new) if old else HELPERS)
        (folder / "fit.py").write_text(MODULE.replace(old, new) if old else MODULE)
        importlib.import_module("linecache").checkcache()
        importlib.invalidate_caches()
        return callable_digest(importlib.import_module("codeof_pack.fit").fit)

    yield made
    for name in [name for name in sys.modules if name.startswith("codeof_pack")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("math.pi", "math.e"),
        ("LIMIT = 0.5", "LIMIT = 0.6"),
        ("return x * LIMIT", "return x / LIMIT"),
        ("return Scale().apply(x)", "return -Scale().apply(x)"),
        ("return x + 1", "return x + 2"),
        ('{"b", "a"}', '{"b", "c"}'),
    ],
)
def test_code_that_it_reaches_in_its_package_decides(digest: Callable[..., str], old: str, new: str) -> None:
    assert digest(old, new) != digest()


def test_comments_blank_lines_and_the_order_of_sets_do_not(digest: Callable[..., str]) -> None:
    assert digest("# A comment.", "# Another.\n\n") == digest()
    assert digest('"b", "a"', '"a", "b"') == digest()


def test_it_is_the_same_in_every_process(digest: Callable[..., str], tmp_path: Path) -> None:
    here = digest()
    code = (
        "from codeof_pack.fit import fit\nfrom assay.assets.callable_digest import callable_digest as d\nprint(d(fit))"
    )
    for seed in ("1", "2"):
        environment = {"PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}", "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
        assert done.stdout.strip() == here, done.stderr


def test_partials_closures_and_instances_differ_by_what_they_hold() -> None:
    def add(number: int) -> Callable[[int], int]:
        return lambda x: x + number

    class Adder:
        def __call__(self, x: int) -> int:
            return x + 1

    def plain(x: int, y: int = 0) -> int:
        return x + y

    digests = [
        callable_digest(add(1)),
        callable_digest(add(2)),
        callable_digest(plain),
        callable_digest(functools.partial(plain, 1)),
        callable_digest(functools.partial(plain, y=1)),
        callable_digest(Adder()),
        callable_digest(None),
        callable_digest(plain, None),
    ]
    assert len(set(digests)) == len(digests)
    assert callable_digest(add(1)) == digests[0]


def test_a_function_that_was_typed_in_has_one_too() -> None:
    space: dict[str, Any] = {"__name__": "typed"}
    exec("def f(x):\n    return x + 1\ndef g(x):\n    return x + 2", space)
    assert callable_digest(space["f"]) != callable_digest(space["g"])
