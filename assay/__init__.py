"""Assay: data quality, versioned features and lineage that carries the version actually read.

>>> import assay
>>> store = assay.open()                                    # doctest: +SKIP
>>> store.table("clean/tickets").scan().collect()           # doctest: +SKIP
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import AssayError

if TYPE_CHECKING:
    from assay.assets.dagster.definitions import Definitions
    from assay.store import Store

__all__ = ["AssayError", "definitions", "open"]


def open(lake: str | Path | None = None, **settings: Any) -> "Store":
    """Open a lake: settings come from `ASSAY_*` variables, arguments win (`assay.open(lake="var/lake")`).

    Nothing is created and nothing heavy is imported until it is needed.
    """
    from assay.store import open_store

    return open_store(lake, **settings)


def definitions(*domains: str, store: "Store | None" = None) -> "Definitions":
    """A project for Dagster: assets, checks, jobs, sensor and executor, to be loaded or merged with a team's own.

    >>> defs = assay.definitions("shop.declarations")           # doctest: +SKIP

    Args:
        domains: packages of declarations; none: those of the active project.
        store: where its tables are kept; default: as the project's settings say.

    Raises:
        AssayError: for a package that is not there, and for two declarations that write one table.
    """
    from assay.assets.dagster.definitions import definitions as of_project

    return of_project(*domains, store=store)
