"""One digest for everything that a version of a table holds, at a cost that does not grow with the table.

A set hash (LtHash: Bellare and Micciancio, 1997; Lewi et al., 2019): SHAKE-256 makes 1,024 numbers of 16 bits of each element,
and the hash of a set is their sum, number by number. Elements come and go by one addition each, in any order. The index keeps the
two sums of a table's latest version, over its data files and over the commits that wrote their rows; those of an earlier version
follow from what has changed since.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

SET_TABLES = """
CREATE TABLE sets ( /* the sums over what the latest version holds */
    t INTEGER PRIMARY KEY, version INTEGER NOT NULL, files BLOB NOT NULL, commits BLOB NOT NULL);"""

_BYTES = 2048
_EVEN = int.from_bytes(b"\xff\xff\x00\x00" * (_BYTES // 4), "little")  # every other number, with room to carry
_CARRY = _EVEN // 0xFFFF << 16  # 2^16 for each of them
_Sum = tuple[int, int]  # the even numbers and the odd ones
_NOTHING: _Sum = (0, 0)


def set_digest(files: Iterable[str], commits: Iterable[tuple[int, str]]) -> str:
    """Hex SHA-256 over the set hashes of data files, by their paths, and of commits, by version and the SHA-256 of their file."""
    return _digest(_sum(files), _sum(map(_named, commits)))


def carry_sets_on(connection: sqlite3.Connection, t: int, version: int) -> None:
    """Carry the sums of a table on to the latest version that is indexed."""
    before, *sums = _kept(connection, t)
    if before != version:
        files, commits = (
            _plus(kept, came, _minus(gone))
            for kept, came, gone in zip(sums, *_changed(connection, t, before, version), strict=True)
        )
        row = (t, version, _to_bytes(files), _to_bytes(commits))
        connection.execute("INSERT OR REPLACE INTO sets VALUES (?, ?, ?, ?)", row)


def digest_at(connection: sqlite3.Connection, t: int, version: int, excluded: Sequence[str]) -> str:
    """The set digest of a version, without the `excluded` partitions. Costs what these hold, and what has changed since."""
    latest, *sums = _kept(connection, t)
    came, gone = _changed(connection, t, version, latest)
    out = _held(connection, t, version, excluded) if excluded else (_NOTHING, _NOTHING)
    return _digest(
        *(
            _plus(kept, back, _minus(_plus(new, left)))
            for kept, new, back, left in zip(sums, came, gone, out, strict=True)
        )
    )


# -- what the index has ------------------------------------------------------------------------------------------------


def _kept(connection: sqlite3.Connection, t: int) -> tuple[int, _Sum, _Sum]:
    found = connection.execute("SELECT version, files, commits FROM sets WHERE t = ?", (t,)).fetchone()
    return (found[0], _from_bytes(found[1]), _from_bytes(found[2])) if found else (-1, _NOTHING, _NOTHING)


def _changed(
    connection: sqlite3.Connection, t: int, before: int, after: int
) -> tuple[tuple[_Sum, _Sum], tuple[_Sum, _Sum]]:
    """Files and commits that a version holds and an earlier one does not, and the other way round."""
    given = {"t": t, "before": before, "after": after}
    came = (
        "SELECT path FROM files INDEXED BY files_since WHERE t = :t AND since > :before AND since <= :after AND until > :after",
        """SELECT version, sha256 FROM commits WHERE t = :t AND written AND version > :before AND version <= :after
            AND until > :after""",
    )
    gone = (
        "SELECT path FROM files INDEXED BY files_until WHERE t = :t AND until > :before AND until <= :after AND since <= :before",
        """SELECT version, sha256 FROM commits INDEXED BY held WHERE t = :t AND written AND until > :before AND until <= :after
            AND version <= :before""",
    )
    return _asked(connection, came, given), _asked(connection, gone, given)


def _held(connection: sqlite3.Connection, t: int, version: int, partitions: Sequence[str]) -> tuple[_Sum, _Sum]:
    """Files and commits of some partitions of a version."""
    among = "partition IN (SELECT value FROM json_each(:partitions))"
    held = (
        f"SELECT path FROM files INDEXED BY files_of WHERE t = :t AND {among} AND since <= :version AND until > :version",
        f"""SELECT version, sha256 FROM commits INDEXED BY written WHERE t = :t AND written AND {among}
            AND version <= :version AND until > :version""",
    )
    return _asked(connection, held, {"t": t, "version": version, "partitions": json.dumps(list(partitions))})


def _asked(
    connection: sqlite3.Connection, questions: tuple[str, str], given: Mapping[str, int | str]
) -> tuple[_Sum, _Sum]:
    files, commits = (connection.execute(question, given) for question in questions)
    return _sum(path for (path,) in files), _sum(map(_named, commits))


# -- sums --------------------------------------------------------------------------------------------------------------


def _named(commit: tuple[int, str]) -> str:
    return f"{commit[0]}:{commit[1]}"


def _sum(elements: Iterable[str]) -> _Sum:
    even, odd = _NOTHING
    for element in elements:
        numbers = int.from_bytes(hashlib.shake_256(element.encode()).digest(_BYTES), "little")
        even, odd = (even + (numbers & _EVEN)) & _EVEN, (odd + (numbers >> 16 & _EVEN)) & _EVEN
    return even, odd


def _plus(*sums: _Sum) -> _Sum:
    even, odd = _NOTHING
    for other in sums:
        even, odd = (even + other[0]) & _EVEN, (odd + other[1]) & _EVEN
    return even, odd


def _minus(one: _Sum) -> _Sum:
    return (_CARRY - one[0]) & _EVEN, (_CARRY - one[1]) & _EVEN


def _to_bytes(one: _Sum) -> bytes:
    return (one[0] | one[1] << 16).to_bytes(_BYTES, "little")


def _from_bytes(kept: bytes) -> _Sum:
    numbers = int.from_bytes(kept, "little")
    return numbers & _EVEN, numbers >> 16 & _EVEN


def _digest(files: _Sum, commits: _Sum) -> str:
    return hashlib.sha256(_to_bytes(files) + _to_bytes(commits)).hexdigest()
