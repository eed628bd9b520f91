"""The way from a commit back to an earlier one, along the commits that vouch for each other.

Each commit vouches for the one before it, and for some far back (see `assay.features.storage.delta_log.far_back`), so that from n
to any earlier version there is a way of at most 2·log₂(n) commits: a skip list (Pugh, 1990) whose levels are decided by the
number, as in skipchains (Nikitin et al., 2017).
"""

from collections.abc import Callable, Iterable, Mapping


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
