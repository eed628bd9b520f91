"""Entities: what features describe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay.errors import AssayError
from assay.features.views.names import check_name, refuse_repeats


@dataclass(frozen=True, slots=True)
class Entity:
    """What features describe, and the columns that identify it: `Entity("customer", ["customer_id"])`.

    Args:
        name: Letters, digits and underscores, beginning with a letter.
        keys: Columns that identify one of them, in every table that features are computed from.

    Raises:
        AssayError: For a name that cannot be used, no keys, or a key named twice.
    """

    name: str
    keys: Sequence[str]

    @classmethod
    def none(cls) -> Entity:
        """Of a view whose rows are the same for all, such as an exchange rate: it is joined by time alone."""
        return cls("", ())

    def __post_init__(self) -> None:
        if not self.name and self.keys == ():
            return
        check_name(self.name, "entity")
        if isinstance(self.keys, str) or not self.keys:
            raise AssayError(f"entity {self.name!r}: keys must be a list of column names, e.g. ['customer_id']")
        in_order = sorted(self.keys) if isinstance(self.keys, set | frozenset) else self.keys
        object.__setattr__(self, "keys", tuple(in_order))
        refuse_repeats(self.keys, f"entity {self.name!r}", "key")
