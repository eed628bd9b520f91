"""Names of a package that are imported when they are first used (PEP 562), and names that have moved.

`import assay` and `assay --help` must not pay for what they do not use. Each face keeps its names once more under
`TYPE_CHECKING`, for type checkers and editors, which cannot see through this; a test compares the two.
"""

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

Getter = Callable[[str], Any]


def lazy(package: str, homes: Mapping[str, str], deprecated: Mapping[str, str] | None = None) -> tuple[Getter, Any]:
    """A package's `__getattr__` and `__dir__`.

    Args:
        package: The package's `__name__`.
        homes: Exported name to the module that defines it.
        deprecated: Former name to `module:name`; it still works for one version, with a DeprecationWarning.
    """

    def getter(name: str) -> Any:
        if name in homes:
            value = getattr(importlib.import_module(homes[name]), name)
            setattr(sys.modules[package], name, value)  # the next use is an ordinary one
            return value
        if deprecated and name in deprecated:
            return _moved(package, name, deprecated[name])
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return getter, lambda: sorted({*vars(sys.modules[package]), *homes})


def moved(module: str, names: Mapping[str, str]) -> Getter:
    """The `__getattr__` of a module that only forwards former names (`name` to `module:name`), with a warning."""
    return lazy(module, {}, names)[0]


def _moved(package: str, name: str, target: str) -> Any:
    home, _, new = target.partition(":")
    warnings.warn(
        f"{package}.{name} has moved and will be removed in the next version: use {home}.{new}.",
        DeprecationWarning,
        stacklevel=3,
    )
    return getattr(importlib.import_module(home), new)
