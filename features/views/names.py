"""Names of entities, views and features: what they may look like, and that each is used once."""

from __future__ import annotations

import re
from collections.abc import Sequence

from assay.errors import AssayError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def check_name(name: str, what: str) -> None:
    """Raises AssayError unless `name` can be part of a table name, a column name and a feature reference."""
    if not _NAME.fullmatch(name):
        raise AssayError(f"{what} name {name!r}: use letters, digits and underscores, beginning with a letter")


def refuse_repeats(names: Sequence[str], where: str, what: str) -> None:
    """Raises AssayError, naming `where`, if a name is used twice."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise AssayError(f"{where}: {what} named twice: {repeated}; give each its own name")
