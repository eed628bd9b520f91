"""The values of a feature in numbers: of its newest partition, so that it costs the same however long the history is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assay.errors import plural
from assay.features.catalogue.feature_info import FeatureInfo
from assay.features.tables.lake import TableState
from assay.features.training.distribution import Distribution, distribution

_TEXT = "free_text"  # the class of personal data of which counts and lengths say nothing about anybody


@dataclass(frozen=True, slots=True)
class FeatureValues:
    """The values of a feature in one partition (None: in a table without partitions)."""

    partition: str | None
    distribution: Distribution

    @property
    def null_share(self) -> float:
        """The share of rows without a value; 0 where there are no rows."""
        return self.distribution.nulls / self.distribution.rows if self.distribution.rows else 0.0

    def to_dict(self) -> dict[str, Any]:
        return {"partition": self.partition, "null_share": self.null_share, **self.distribution.to_dict()}

    def __str__(self) -> str:
        found = self.distribution
        parts = [f"{plural(found.rows, 'row')} {f'in {self.partition}' if self.partition else 'in all'}"]
        parts.append(f"{self.null_share:.1%} null")
        parts += [plural(found.distinct, "value")] if found.distinct is not None else []
        parts += [f"{name} {_short(value)}" for name, value in found.summary.items() if value is not None]
        parts += [f"{name} {share:.1%}" for name, share in found.shares.items()]
        return ", ".join(parts)


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def newest_values(state: TableState, feature: FeatureInfo, classes: Mapping[str, str | None]) -> FeatureValues:
    """The values of a feature in the newest partition of a version.

    Args:
        state: The version.
        feature: Of its table.
        classes: The class of personal data of each column that a contract knows. No value of a personal column is shown, nor
            of a feature that is made from one, but for counts made from free text; categories are named only where a
            contract knows the column and does not call it personal.
    """
    partition = state.last_partition()
    column = state.scan(None if partition is None else [partition]).select(feature.name).collect().to_series()
    behind = [classes.get(read.rpartition(".")[2]) for read in feature.reads]
    summarised = classes.get(feature.name) is None and all(kind in (None, _TEXT) for kind in behind)
    named = summarised and feature.name in classes and not any(behind)
    return FeatureValues(partition, distribution(column, summarised=summarised, named=named))
