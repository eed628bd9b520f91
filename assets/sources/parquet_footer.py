"""What the end of a Parquet file says of it, read before anything else: how many rows and values are in it, and how large they
are when unpacked.

The footer is a structure in the compact protocol of Thrift; of it only numbers are read
(https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift).
"""

from dataclasses import dataclass
from typing import Any

MAGIC = b"PAR1"
_DEEPEST = 64
_VALUE = 16  # bytes that a value needs at most when it is decoded, besides what a text has


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A part of the file that was written at once.

    Attributes:
        rows: how many.
        values: of all its columns; lists have several in a row.
        unpacked: bytes of its pages when they are unpacked.
    """

    rows: int
    values: int
    unpacked: int

    @property
    def decoded(self) -> int:
        """Bytes that it needs in memory, as far as the footer tells."""
        return self.unpacked + _VALUE * self.values


@dataclass(frozen=True, slots=True)
class Footer:
    columns: int
    groups: tuple[RowGroup, ...]

    @property
    def rows(self) -> int:
        return sum(group.rows for group in self.groups)

    @property
    def decoded(self) -> int:
        return sum(group.decoded for group in self.groups)


def footer_size(tail: bytes) -> int:
    """How many bytes the footer has before the last eight, which are given. Raises ValueError for another kind of file."""
    if tail[-4:] != MAGIC or len(tail) < 8:
        raise ValueError("no Parquet")
    return int.from_bytes(tail[-8:-4], "little")


def footer_of(content: bytes) -> Footer:
    """The footer that these bytes begin with. Raises ValueError where they are none."""
    try:
        struct = _Reader(content).struct(0)
        footer = Footer(max((len(group[1]) for group in struct[4]), default=0), tuple(map(_group, struct[4])))
        if footer.rows != struct[3]:
            raise ValueError("no footer of Parquet")
        return footer
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError("no footer of Parquet") from error


def _group(struct: dict[int, Any]) -> RowGroup:
    columns = [column[3] for column in struct[1]]
    rows, values = struct[3], sum(column[5] for column in columns)
    unpacked = max(struct[2], sum(column[6] for column in columns))
    if min(rows, values, unpacked) < 0:
        raise ValueError("no footer of Parquet")
    return RowGroup(rows, values, unpacked)


class _Reader:
    """The compact protocol: fields by their numbers; texts are passed over."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def struct(self, depth: int) -> dict[int, Any]:
        if depth > _DEEPEST:
            raise ValueError("too deep")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            if number in fields:
                raise ValueError("a field twice")
            fields[number] = self._value(head & 15, depth, in_list=False)
        return fields

    def _value(self, kind: int, depth: int, *, in_list: bool) -> Any:
        match kind:
            case 1 | 2:  # a truth value, which is in the head, but in lists
                return self._byte() if in_list else kind
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._zigzag()
            case 7:
                return self._skip(8)
            case 8:
                return self._skip(self._varint())
            case 9 | 10:
                return self._list(depth)
            case 12:
                return self.struct(depth + 1)
        raise ValueError("an unknown kind of field")

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._varint()
        if count > len(self._content) - self._at:
            raise ValueError("more than there is")
        return [self._value(head & 15, depth + 1, in_list=True) for _ in range(count)]

    def _byte(self) -> int:
        self._at += 1
        return self._content[self._at - 1]

    def _skip(self, count: int) -> None:
        self._at += count
        if self._at > len(self._content):
            raise IndexError

    def _varint(self) -> int:
        number = shift = 0
        while True:
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7
            if shift > 63:
                raise ValueError("too long a number")

    def _zigzag(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)
