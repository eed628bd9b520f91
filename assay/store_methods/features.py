"""Features of a store: as-of joins, training sets, latest values."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

from assay.store_methods.base import StoreBase

if TYPE_CHECKING:
    from assay.features.serving.as_of import KnownAt
    from assay.features.serving.online import Online
    from assay.features.serving.training import TrainingSetVersion


class FeatureMethods(StoreBase):
    """Join, freeze and serve features."""

    def as_of_join(
        self,
        spine: pl.DataFrame,
        features: Sequence[str],
        versions: Mapping[str, int] | None = None,
        *,
        pins: Mapping[str, int] | None = None,
        known_at: "KnownAt" = "event",
        skip_nulls: bool = False,
    ) -> pl.DataFrame:
        """The spine with, per row, the features' values as of its `event_time`.

        Args:
            spine: The entities' keys and `event_time` (with a time zone), one row per answer.
            features: References such as `customer_activity:tickets_7d`.
            versions: Table name → version to read; other tables are read at their latest version.
            pins: The former name of `versions`.
            known_at: `known` also demands that the value was known by then.
            skip_nulls: Serve the latest value that is not null.

        Raises:
            AssayError: For unknown features or tables, a spine without usable times, or both `versions` and `pins`.
        """
        from assay.features.serving.as_of_join import as_of_join

        return as_of_join(
            spine, features, lake=self.lake, versions=versions, pins=pins, known_at=known_at, skip_nulls=skip_nulls
        )

    def training_set(
        self,
        name: str,
        *,
        spine: pl.DataFrame,
        features: Sequence[str],
        versions: Mapping[str, int] | None = None,
        pins: Mapping[str, int] | None = None,
        known_at: "KnownAt" = "event",
        skip_nulls: bool = False,
    ) -> "TrainingSetVersion":
        """Materialise an as-of join as a versioned, pinned training set. For the arguments see `as_of_join`."""
        from assay.features.serving.training import create_training_set

        return create_training_set(
            self.lake,
            self.recorder,
            name,
            spine,
            features,
            versions=versions,
            pins=pins,
            known_at=known_at,
            skip_nulls=skip_nulls,
        )

    def load_training_set(self, training_set_id: str) -> "TrainingSetVersion":
        """The same rows as when it was made, or an error that says exactly why not."""
        from assay.features.serving.training import load_training_set

        return load_training_set(self.lake, training_set_id)

    def online(self, features: "str | Sequence[str] | TrainingSetVersion") -> "Online":
        """Latest values: of a view (by name), of a list of references, or of what a training set was joined by.

        >>> store.online("customer_activity").get({"customer_id": "C1"})                         # doctest: +SKIP
        """
        from assay.features.serving.online import Online

        return Online(self.lake, features)
