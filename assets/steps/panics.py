"""A library that panics (Rust code of Polars or delta-rs) raises what is no Exception: it would pass every `except Exception`,
and one bad file would end the sensor, the planner and the command with everything else."""

from collections.abc import Iterator
from contextlib import contextmanager

from assay.errors import AssayError


class PanicError(AssayError):
    """A library gave up in the middle. Of its text nothing is shown: it may hold values."""


@contextmanager
def panics_as_errors(what: str) -> Iterator[None]:
    """Raises PanicError for a panic in the block; exceptions and the end of the process pass."""
    try:
        yield
    except (Exception, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as panic:
        raise PanicError(
            f"{what}: a library panicked ({type(panic).__module__}.{type(panic).__name__}). Look at the newest file or at "
            "the code of this step; everything else goes on."
        ) from panic
