"""The most frequent values of a column and how often they occur, so that the answers of parts can be joined."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KEPT = 64


@dataclass(frozen=True, slots=True)
class Frequent:
    """A Misra-Gries summary of at most 64 values (joined as in Agarwal et al. 2012).

    A value's true count is between `counts` and `counts + error`, and `error` is at most 1/65 of all values. With up to 64
    different values the error is 0: all counts are exact. A value that is not listed occurs at most `error` times.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    error: int = 0

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> "Frequent":
        """The summary of exact counts: of all values, or at least of the 65 most frequent ones."""
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        cut = ranked[KEPT][1] if len(ranked) > KEPT else 0
        return cls({value: count - cut for value, count in ranked[:KEPT] if count > cut}, cut)

    def merge(self, other: "Frequent") -> "Frequent":
        """The summary of both."""
        both = {
            value: self.counts.get(value, 0) + other.counts.get(value, 0) for value in {**self.counts, **other.counts}
        }
        joined = Frequent.of(both)
        return Frequent(joined.counts, joined.error + self.error + other.error)

    def to_dict(self) -> dict[str, Any]:
        return {"counts": dict(self.counts), "error": self.error}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Frequent":
        return cls(**data)
