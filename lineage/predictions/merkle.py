"""Merkle trees: one digest for a list, and short proofs that an entry is in it (RFC 6962, section 2.1; RFC 9162).

A leaf is SHA-256 over a zero byte and the entry, a node SHA-256 over a one byte and its two children. A list of n entries is
split at the largest power of two below n. The tree of no entries is SHA-256 of nothing.
"""

import hashlib
from collections.abc import Sequence

_LEAF, _NODE = b"\x00", b"\x01"


def leaf(entry: bytes) -> bytes:
    """The digest of an entry, 32 bytes."""
    return hashlib.sha256(_LEAF + entry).digest()


def node(left: bytes, right: bytes) -> bytes:
    """The digest over two digests, 32 bytes."""
    return hashlib.sha256(_NODE + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The digest of the list whose leaves these are, in their order."""
    level = list(leaves)
    if not level:
        return hashlib.sha256(b"").digest()
    while len(level) > 1:
        level = _above(level)
    return level[0]


def inclusion(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The digests beside the way from a leaf (counted from 0) up to the root, lowest first: what `root_from` needs.

    Raises IndexError where there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"there is no leaf {index} in a tree of {len(leaves)}")
    level, path = list(leaves), list[bytes]()
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            path.append(level[beside])
        level, index = _above(level), index >> 1
    return path


def root_from(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root of the tree of `size` leaves of which this is the one at `index`, if the path is right; None where a path
    of this length cannot be one. Compare it with the root that is known."""
    if not 0 <= index < size:
        return None
    found, rest, last = leaf, list(path), size - 1
    while last:
        if index & 1 or index < last:
            if not rest:
                return None
            beside = rest.pop(0)
            found = node(beside, found) if index & 1 else node(found, beside)
        index, last = index >> 1, last >> 1
    return None if rest else found


def _above(level: Sequence[bytes]) -> list[bytes]:
    """The nodes over these; one without a neighbour goes up as it is, which splits the list as the RFC does."""
    pairs = [node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
    return pairs if len(level) % 2 == 0 else [*pairs, level[-1]]
