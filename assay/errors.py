"""The errors a person is meant to read. A leaf: every folder may import it, it imports nothing."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class AssayError(Exception):
    """Something a user can act on. The message says what happened, where, and what to do next, never a cell value."""


def nearest(name: str, known: Iterable[str], most: int = 1) -> str:
    """The end of a message about an unknown name: ` Did you mean 'clean/tickets'?`, or nothing. At most so many are named."""
    from difflib import get_close_matches

    matches = get_close_matches(name, list(known), n=most)
    return f" Did you mean {' or '.join(map(repr, matches))}?" if matches else ""


def known_names(names: Iterable[str]) -> str:
    """The end of such a message where no name is near: those that there are."""
    return f" There are: {', '.join(sorted(names)) or 'none'}."


def refuse_case_twins(names: Iterable[str], where: str) -> None:
    """Raise AssayError for two columns that differ only in case: Delta, Spark and SQL take them for one."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise AssayError(
                f"{where}: columns {other!r} and {name!r} differ only in case, and tables take them for one. Rename one."
            )


def plural(count: int, noun: str) -> str:
    """`1 run`, `2 runs`, `1,000 runs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


# A library that panics (Rust code of Polars or delta-rs) raises what is no Exception: it would pass every `except Exception`,
# and one bad file would end the sensor, the planner and the command with everything else.


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
