"""Whether something failed because a machine, a service or a setting lacks something: space, a file system that can be written,
a database or a store that answers and takes the login.

None of it is the fault of a batch. So it uses up none of a batch's attempts, and the batch is asked for again.
"""

import errno
import re
import sys
from collections.abc import Collection, Iterable, Iterator

from assay.errors import AssayError

FULL = "the disk is full"
READ_ONLY = "a file system cannot be written"
UNREACHABLE = "a database, a store or a server does not answer"
DENIED = "a database or a server refuses the login"
SETTING = "a setting is missing or wrong"

_NUMBERS = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EROFS: READ_ONLY,
    errno.ESTALE: UNREACHABLE,
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETUNREACH: UNREACHABLE,
}
# Rust, SQLite and the drivers of databases have no numbers for it, only words.
# In this order: of several addresses of a server one may not answer, and another refuse the login.
_WORDS = (
    (FULL, r"no space left on device|os error 28\b|disk quota exceeded|os error 122\b|database or disk is full"),
    (READ_ONLY, r"read-only file system|os error 30\b|readonly database"),
    (
        DENIED,
        r"FATAL:(?!(?s:.*)(database system is|terminating connection|too many clients|remaining connection))"
        r"|authentication failed|no password supplied|no pg_hba|access denied for user|login failed|unknown database"
        r"|certificate|\[SSL|SSL was required|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken",
    ),
    (
        UNREACHABLE,
        r"connection (refused|reset|timed out|is lost)|os error 111\b|could(n't| not) connect|is the server running"
        r"|timeout expired|no route to host|network is unreachable|error sending request|dns error|name resolution"
        r"|could not translate host|failed to resolve host|name or service not known|server closed the connection"
        r"|terminating connection|the connection is closed|database system is|too many clients|remaining connection slots",
    ),
)
# Any text may quote a cell or a person's own words, so words count only in what these raise when they lack something.
_READ = {
    "builtins.OSError",
    "sqlite3.OperationalError",
    "psycopg.OperationalError",
    "psycopg.InterfaceError",
    "psycopg2.OperationalError",
    "psycopg2.InterfaceError",
    "sqlalchemy.OperationalError",
    "sqlalchemy.InterfaceError",
    "_internal.DeltaError",  # of deltalake
}
_NOT_READ = {"_internal.DeltaProtocolError", "_internal.SchemaMismatchError"}  # are about rows and columns
_POLARS = "polars.ComputeError"  # what Polars raises for files and for cells
# Clients of HTTP quote much, but have kinds for it.
_UNREACHABLE = {
    "builtins.ConnectionError",
    "urllib3.ConnectTimeoutError",
    "urllib3.NewConnectionError",
    "requests.ConnectionError",
    "httpx.ConnectTimeout",
    "httpx.NetworkError",
    "botocore.ConnectionError",
}
# What a database calls a user who may not do something, or whom it does not know.
_DENIED = {
    f"{driver}.{name}"
    for driver in ("psycopg", "psycopg2")
    for name in ("InsufficientPrivilege", "InvalidPassword", "InvalidAuthorizationSpecification", "InvalidCatalogName")
}
_CERTIFICATE = r"certificate|\[SSL"
_QUOTED = r"""(?<!\w)'[^']*'|"[^"]*"|`[^`]*`"""


class NotConnected(AssayError):
    """A database cannot be used as the settings name it. That is no verdict on any data.

    Args:
        message: What is wrong, and the name of the setting; nothing of its value but host and database.
        lack: One of the words above.
    """

    def __init__(self, message: str, lack: str) -> None:
        self.lack = lack
        super().__init__(message)


def outage_of(problem: BaseException) -> str | None:
    """What was lacking, if that is why something failed; None for every other reason.

    Args:
        problem: With what it was raised from. Only the words of libraries' own kinds of errors count: those of other errors
            are a person's, or about data.
    """
    return next((lack for one in _chain(problem) if (lack := _lack(one)) is not None), None)


def outage_in(messages: Iterable[str]) -> str | None:
    """The same of errors of which only the texts were kept.

    Args:
        messages: As Python prints them, each after its kind ("psycopg.OperationalError: ..."): the error, and what it was
            raised from.
    """
    for message in messages:
        kind, _, text = message.partition(":")
        if (lack := _lack_of(_kinds(kind.strip()), text)) is not None:
            return lack
    return None


def _lack(one: BaseException) -> str | None:
    if isinstance(one, NotConnected):
        return one.lack
    if isinstance(one, OSError) and one.errno in _NUMBERS:
        return _NUMBERS[one.errno]
    # Without the name of the file, which may be anything.
    text = one.strerror if isinstance(one, OSError) and one.strerror else str(one)
    return _lack_of(_names(type(one)), text)


def _lack_of(kinds: Collection[str], text: str) -> str | None:
    if not _DENIED.isdisjoint(kinds):
        return DENIED
    if not _UNREACHABLE.isdisjoint(kinds):
        return DENIED if re.search(_CERTIFICATE, text) else UNREACHABLE
    if _POLARS in kinds:
        before_any_cell = re.split(r"[\"'`\[]", text)[0]
        text = " ".join(re.findall(r"os error \d+", before_any_cell))
    elif _READ.isdisjoint(kinds) or not _NOT_READ.isdisjoint(kinds):
        return None
    # SQLAlchemy shows the statement, and what went into it.
    text = re.sub(_QUOTED, "", text.partition("[SQL:")[0])
    return next((lack for lack, words in _WORDS if re.search(words, text, re.IGNORECASE)), None)


def _names(kind: type) -> set[str]:
    """Of a kind of errors and of those it is one of, each as package and name: where in a package is its own affair."""
    return {f"{base.__module__.partition('.')[0]}.{base.__name__}" for base in kind.__mro__}


def _kinds(name: str) -> set[str]:
    """The same of a kind of which only the name was kept, as far as it is known in this process."""
    module, _, last = name.rpartition(".")
    kind = getattr(sys.modules.get(module or "builtins"), last, None)
    if isinstance(kind, type):
        return _names(kind)
    return {f"{module.partition('.')[0]}.{last}"}


def _chain(problem: BaseException) -> Iterator[BaseException]:
    """An error and what it says that it was raised from. What was merely being handled when it was raised is another matter; but
    our own errors are raised "from None" where what they stand for may hold values."""
    seen: set[int] = set()
    one: BaseException | None = problem
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        stands_for = one.__context__ if isinstance(one, AssayError) and one.__suppress_context__ else None
        one = one.__cause__ or stands_for
