"""Which earlier commits a commit vouches for, so that few commits lead from any version to any earlier one.

Each commit carries the digests of the one before it and of those a power of two before it that divides its own number: 12 those
of 11, 10 and 8, 16 those of 15, 14, 12, 8 and 0. That is two on average, and from n to any earlier version there is a way of at
most 2·log₂(n) commits, each vouched for by the one before it on the way: a skip list (Pugh, 1990) whose levels are decided by
the number, as in skipchains (Nikitin et al., 2017).
"""

from collections.abc import Callable, Iterable, Mapping


def far_back(version: int) -> list[int]:
    """The versions besides the one before that a version vouches for, the nearest first."""
    steps = (1 << power for power in range(1, (version & -version).bit_length()))
    return [version - step for step in steps]


def way_back(start: int, wanted: Iterable[int], vouched: Callable[[int], Mapping[int, str]]) -> list[int]:
    """The versions on a way from `start` back to all the `wanted` ones.

    Args:
        start: The version to begin with.
        wanted: Versions; later ones than `start` are left out.
        vouched: The versions that a version vouches for. Where nobody vouches for any on the way, as in a log of another tool,
            the next step goes to the version before.

    Returns:
        Versions from `start` on, each lower than the one before.
    """
    way, known = [start], set[int]()
    for goal in sorted({version for version in wanted if version <= start}, reverse=True):
        while way[-1] > goal:
            here = way[-1]
            known = {version for version in {*known, *vouched(here)} if version < here}
            way.append(min((version for version in known if version >= goal), default=here - 1))
    return way
