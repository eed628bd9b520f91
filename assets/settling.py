"""Letting upstreams forget what the lake holds. It is never urgent: one that cannot now is asked again the next time."""

import logging
from collections.abc import Callable

from assay.errors import AssayError

log = logging.getLogger("assay")


def settled(table: str, settle: Callable[[], None]) -> None:
    """Let the upstream of a table forget; what it raises is logged.

    Args:
        table: The table that holds what comes from there.
        settle: Does it.
    """
    try:
        settle()
    except Exception as problem:  # the commit is made, whatever becomes of this
        text = str(problem) if isinstance(problem, AssayError) else type(problem).__name__
        log.warning("%s: its upstream keeps what the lake holds for now: %s", table, text)
