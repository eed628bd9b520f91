"""Assay: data quality, versioned features and lineage that carries the version actually read.

>>> import assay
>>> store = assay.open()                                    # doctest: +SKIP
>>> store.table("clean/tickets").scan().collect()           # doctest: +SKIP
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import AssayError

if TYPE_CHECKING:
    from assay.store import Store

__all__ = ["AssayError", "open"]


def open(lake: str | Path | None = None, **settings: Any) -> "Store":
    """Open a lake: settings come from `ASSAY_*` variables, arguments win (`assay.open(lake="var/lake")`).

    Nothing is created and nothing heavy is imported until it is needed.
    """
    from assay.store import open_store

    return open_store(lake, **settings)
