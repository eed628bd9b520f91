"""Rows of two definitions in one read: refused, since a column would mean two things."""

from collections.abc import Mapping, Sequence

from assay.errors import AssayError, plural

_SHOWN = 3  # partitions by name


class MixedDefinitions(AssayError):
    """Rows of a feature view that were computed by several of its definitions were to be read as one.

    Attributes:
        view: The view.
        partitions: By the number of the definition, the partitions whose rows it computed.
    """

    def __init__(self, message: str, view: str = "", partitions: Mapping[int, Sequence[str]] | None = None) -> None:
        super().__init__(message)
        self.view, self.partitions = view, {number: tuple(keys) for number, keys in (partitions or {}).items()}


def mixed(view: str, snapshot: str, partitions: Mapping[int, Sequence[str]], whole: int) -> MixedDefinitions:
    """The refusal of a read.

    Args:
        view: The view's name.
        snapshot: Its table at a version, as text.
        partitions: By the number of the definition, those that were to be read.
        whole: A version whose rows all have one definition.
    """
    table, _, _ = snapshot.rpartition("@")
    number = max(partitions)
    return MixedDefinitions(
        f"{snapshot} has rows of several definitions of {view}: {held(partitions)}. One read takes one: name it, such as "
        f"'{view}@{number}:…', or read {table} at a version that has one, such as {whole}. `assay features backfill {view}` "
        "computes what the declared one lacks.",
        view,
        partitions,
    )


def incomplete(view: str, number: int, partitions: Mapping[int, Sequence[str]]) -> MixedDefinitions:
    """The refusal of a definition by which not all rows are computed that a read needs. `partitions`: those that it needs."""
    others = {other: keys for other, keys in partitions.items() if other != number}
    return MixedDefinitions(
        f"Definition {number} of {view} has not computed all rows that are needed: {held(others)}. `assay features backfill "
        f"{view}` computes them; until then '{view}:…', without a number, is what was served before.",
        view,
        partitions,
    )


def held(partitions: Mapping[int, Sequence[str]]) -> str:
    """Which partitions have which definition, in a few words."""
    return "; ".join(f"definition {number} in {_named(keys)}" for number, keys in sorted(partitions.items()))


def _named(keys: Sequence[str]) -> str:
    if not any(keys):
        return "the whole table"
    if len(keys) <= _SHOWN:
        return ", ".join(keys)
    return f"{plural(len(keys), 'partition')} ({keys[0]} … {keys[-1]})"
