"""The messages of PostgreSQL's output plugin `pgoutput`, protocol version 1, with values as text.

https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

#: A large value that an update has not changed, so that the server does not send it.
UNCHANGED: Final = 0
Value = str | int | None
Values = tuple[Value, ...]

_BEGIN, _COMMIT = Struct(">QqI"), Struct(">BQQq")
_U32, _U16 = Struct(">I"), Struct(">H")
_COLUMN = Struct(">Ii")


@dataclass(frozen=True, slots=True)
class Begin:
    """A transaction that was committed by the record at `lsn`. `xid` has 32 bits."""

    lsn: int
    xid: int


@dataclass(frozen=True, slots=True)
class Commit:
    """The end of a transaction. `end` is where the next record may begin."""

    end: int


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its type by oid and modifier, and whether old values of it are sent."""

    name: str
    type: int
    modifier: int
    identifies: bool


@dataclass(frozen=True, slots=True)
class Relation:
    """The columns that a table has for the messages that follow."""

    oid: int
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Insert:
    """A new row."""

    oid: int
    new: Values


@dataclass(frozen=True, slots=True)
class Update:
    """A changed row. `old` is what it was: `whole`, or the columns of the replica identity; None: those are as before."""

    oid: int
    old: Values | None
    whole: bool
    new: Values


@dataclass(frozen=True, slots=True)
class Delete:
    """A deleted row: `whole`, or the columns of the replica identity."""

    oid: int
    old: Values
    whole: bool


@dataclass(frozen=True, slots=True)
class Truncate:
    """All rows of some tables are gone."""

    oids: tuple[int, ...]


Message = Begin | Commit | Relation | Insert | Update | Delete | Truncate


def decoded(message: bytes) -> Message | None:
    """A message; None for those that say nothing about rows (origins, types, messages of applications).

    Raises ValueError for a message of another form, and UnicodeDecodeError for text that is not UTF-8.
    """
    match message[:1]:
        case b"I":
            return Insert(_U32.unpack_from(message, 1)[0], _values(message, 6)[0])
        case b"U":
            return _update(message)
        case b"D":
            return Delete(_U32.unpack_from(message, 1)[0], _values(message, 6)[0], message[5:6] == b"O")
        case b"B":
            lsn, _, xid = _BEGIN.unpack_from(message, 1)
            return Begin(lsn, xid)
        case b"C":
            return Commit(_COMMIT.unpack_from(message, 1)[2])
        case b"R":
            return _relation(message)
        case b"T":
            (count,) = _U32.unpack_from(message, 1)
            return Truncate(tuple(_U32.unpack_from(message, 6 + 4 * number)[0] for number in range(count)))
        case b"O" | b"Y" | b"M":
            return None
    raise ValueError("a message of pgoutput that protocol version 1 does not have")


def _update(message: bytes) -> Update:
    (oid,) = _U32.unpack_from(message, 1)
    kind, at, old = message[5:6], 5, None
    if kind in (b"K", b"O"):
        old, at = _values(message, 6)
    return Update(oid, old, kind == b"O", _values(message, at + 1)[0])


def _values(message: bytes, at: int) -> tuple[Values, int]:
    """The values of a row that begin at a place, and where they end."""
    (count,) = _U16.unpack_from(message, at)
    at += 2
    values: list[Value] = []
    for _ in range(count):
        kind = message[at]
        at += 1
        if kind == 0x74:  # t
            (size,) = _U32.unpack_from(message, at)
            at += 4
            values.append(message[at : at + size].decode())
            at += size
        elif kind == 0x6E:  # n
            values.append(None)
        elif kind == 0x75:  # u
            values.append(UNCHANGED)
        else:
            raise ValueError("a value that is no text")
    return tuple(values), at


def _relation(message: bytes) -> Relation:
    (oid,) = _U32.unpack_from(message, 1)
    _, at = _name(message, 5)
    _, at = _name(message, at)
    (count,) = _U16.unpack_from(message, at + 1)
    at += 3
    columns: list[Column] = []
    for _ in range(count):
        identifies = bool(message[at] & 1)
        name, at = _name(message, at + 1)
        kind, modifier = _COLUMN.unpack_from(message, at)
        at += _COLUMN.size
        columns.append(Column(name, kind, modifier, identifies))
    return Relation(oid, tuple(columns))


def _name(message: bytes, at: int) -> tuple[str, int]:
    end = message.index(0, at)
    return message[at:end].decode(), end + 1


def position(lsn: str) -> int:
    """A place in the write-ahead log as a number: `16/B374D848` as its 64 bits."""
    high, _, low = lsn.partition("/")
    return int(high, 16) << 32 | int(low, 16)


def as_text(position: int) -> str:
    """The same as PostgreSQL writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def names(columns: Sequence[Column]) -> tuple[str, ...]:
    """The names of columns."""
    return tuple(column.name for column in columns)
