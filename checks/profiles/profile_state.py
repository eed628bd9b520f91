"""The state of a table's columns: statistics of a part that can be joined with those of other parts.

What monitoring, drift and reports read instead of the data: a new partition costs one partition, not the table (the states
of Schelter et al., VLDB 2018). `merge` of the parts is the profile of the whole: counts, bounds, histograms, distinct sketches
and text classes exactly, moments up to rounding, quantiles and frequent values within the error that they state.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, NamedTuple

from assay.checks.profiles.array_codec import pack_number, unpack_number
from assay.checks.profiles.sketch_distinct import Distinct
from assay.checks.profiles.sketch_frequent import Frequent
from assay.checks.profiles.sketch_histogram import Histogram
from assay.checks.profiles.sketch_moments import Moments
from assay.checks.profiles.sketch_quantiles import Quantiles
from assay.errors import AssayError


class Bound(NamedTuple):
    """A smallest or largest value: by what it is compared, and as it is shown (JSON-ready)."""

    rank: int | float
    shown: Any


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts of a column without any of them: lengths in characters, how many are empty, and how many have any character of a
    class (digit, lower, upper, space, punctuation, non_ascii)."""

    lengths: Moments
    shortest: int | None
    longest: int | None
    empty: int
    classes: Mapping[str, int]

    def merge(self, other: "Texts") -> "Texts":
        """Of both."""
        return Texts(
            self.lengths.merge(other.lengths),
            _chosen(min, self.shortest, other.shortest),
            _chosen(max, self.longest, other.longest),
            self.empty + other.empty,
            {name: count + other.classes[name] for name, count in self.classes.items()},
        )


@dataclass(frozen=True, slots=True)
class ColumnState:
    """One column. Null is no value, NaN is a value of its own; both are left out of everything below them.

    infinite: values that are not finite; they are in low and high, but not in moments, quantiles and histogram. There
    numbers are float64, times seconds since 1970, durations and times of the day seconds. Columns of personal data have no
    low, high, moments, quantiles, histogram and frequent values. Texts that the contract does not list (isin, Enum) are
    kept nowhere: the frequent ones are counted by a digest.
    """

    dtype: str
    count: int
    null: int
    nan: int | None = None
    infinite: int = 0
    low: Bound | None = None
    high: Bound | None = None
    moments: Moments | None = None
    quantiles: Quantiles | None = None
    histogram: Histogram | None = None
    distinct: Distinct | None = None
    frequent: Frequent | None = None
    texts: Texts | None = None

    def merge(self, other: "ColumnState") -> "ColumnState":
        """The state of both parts together. Raises AssayError if their types differ."""
        if self.dtype != other.dtype:
            raise AssayError(
                f"Profiles of {self.dtype} and of {other.dtype} cannot be joined: profile the older part again."
            )
        # What one part keeps to itself, as personal data, is in no whole either.
        public = self.moments is not None and other.moments is not None
        return ColumnState(
            self.dtype,
            self.count + other.count,
            self.null + other.null,
            None if self.nan is None or other.nan is None else self.nan + other.nan,
            self.infinite + other.infinite,
            _chosen(min, self.low, other.low) if public else None,
            _chosen(max, self.high, other.high) if public else None,
            *(_joined(getattr(self, name), getattr(other, name)) for name in _PARTS),
        )

    def absent(self, rows: int) -> "ColumnState":
        """The state of rows that do not have this column yet: it is null there."""
        none = {name: kind() for name, kind in _SKETCHES.items() if getattr(self, name) is not None}
        if self.distinct is not None:
            none["distinct"] = Distinct(hash=self.distinct.hash)
        if self.texts is not None:
            none["texts"] = Texts(Moments(), None, None, 0, dict.fromkeys(self.texts.classes, 0))
        nan = None if self.nan is None else 0
        return replace(self, count=rows, null=rows, nan=nan, infinite=0, low=None, high=None, **none)

    @property
    def by_month(self) -> bool:
        """Whether the values are dates or times, so that the histogram counts months."""
        return self.dtype.startswith("Date")

    def summary(self) -> dict[str, Any]:
        """The figures that people look at, JSON-ready."""
        summary: dict[str, Any] = {"count": self.count, "null": self.null}
        if self.nan is not None:
            summary["nan"] = self.nan
        if self.distinct is not None:
            summary["distinct"] = min(self.distinct.estimate(), self.count - self.null - (self.nan or 0))
        if self.moments is not None:
            summary |= {
                "min": self.low and pack_number(self.low.shown),
                "max": self.high and pack_number(self.high.shown),
            }
            if not self.by_month:
                summary["mean"] = pack_number(self.moments.mean) if self.moments.count else None
        return summary

    def to_dict(self) -> dict[str, Any]:
        """As strict JSON."""
        parts = {name: part.to_dict() for name in _SKETCHES if (part := getattr(self, name)) is not None}
        bounds = {
            name: [pack_number(bound.rank), pack_number(bound.shown)]
            for name in ("low", "high")
            if (bound := getattr(self, name)) is not None
        }
        texts = self.texts and {
            "lengths": self.texts.lengths.to_dict(),
            **{name: getattr(self.texts, name) for name in ("shortest", "longest", "empty")},
            "classes": dict(self.texts.classes),
        }
        plain = {name: getattr(self, name) for name in ("dtype", "count", "null", "nan", "infinite")}
        return {**plain, **bounds, **parts, **({"texts": texts} if texts else {})}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ColumnState":
        """The inverse of `to_dict`."""
        made = {name: kind.from_dict(data[name]) for name, kind in _SKETCHES.items() if name in data}
        for name in {"low", "high"} & data.keys():
            rank, public = data[name]
            made[name] = Bound(unpack_number(rank), unpack_number(public) if isinstance(rank, str) else public)
        if "texts" in data:
            texts: dict[str, Any] = {**data["texts"], "lengths": Moments.from_dict(data["texts"]["lengths"])}
            made["texts"] = Texts(**texts)
        return cls(**{**data, **made})


_SKETCHES: Mapping[str, Any] = {
    "moments": Moments,
    "quantiles": Quantiles,
    "histogram": Histogram,
    "distinct": Distinct,
    "frequent": Frequent,
}
_PARTS = (*_SKETCHES, "texts")


@dataclass(frozen=True, slots=True)
class ProfileState:
    """A part of a table: how many rows, and the state of each column."""

    rows: int
    columns: Mapping[str, ColumnState]

    def merge(self, other: "ProfileState") -> "ProfileState":
        """The profile of both parts. A column that one part does not have yet is null there."""
        names = {**self.columns, **other.columns}
        return ProfileState(
            self.rows + other.rows,
            {
                name: self.columns.get(name, column.absent(self.rows)).merge(
                    other.columns.get(name, column.absent(other.rows))
                )
                for name, column in names.items()
            },
        )

    def summary(self) -> dict[str, dict[str, Any]]:
        """Per column the figures that people look at, JSON-ready."""
        return {name: column.summary() for name, column in self.columns.items()}

    def to_dict(self) -> dict[str, Any]:
        """As strict JSON."""
        return {"rows": self.rows, "columns": {name: column.to_dict() for name, column in self.columns.items()}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ProfileState":
        """The inverse of `to_dict`."""
        return cls(data["rows"], {name: ColumnState.from_dict(column) for name, column in data["columns"].items()})


def merge(profiles: Iterable[ProfileState]) -> ProfileState:
    """The profile of all parts together; of none, an empty one. Raises AssayError for parts that do not go together."""
    return reduce(ProfileState.merge, profiles, ProfileState(0, {}))


def _joined(first: Any, second: Any) -> Any:
    return None if first is None or second is None else first.merge(second)


def _chosen(choose: Any, first: Any, second: Any) -> Any:
    values = [value for value in (first, second) if value is not None]
    return choose(values) if values else None
