"""Features of a store: as-of joins, training sets, latest values."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from assay.store_methods.base import StoreBase

if TYPE_CHECKING:
    from datetime import datetime

    from assay.features.online.generations import Generations
    from assay.features.online.manifest import Manifest
    from assay.features.online.materialize import Materialized
    from assay.features.online.online_set import OnlineSet
    from assay.features.serving.feature_set import FeatureSet
    from assay.features.serving.join_options import KnownAt
    from assay.features.serving.labels import Label
    from assay.features.serving.on_demand.view import OnDemandView
    from assay.features.serving.online import Online, Served
    from assay.features.serving.request import Features
    from assay.features.serving.spine_frame import SpineFrame
    from assay.features.serving.training import TrainingSetVersion
    from assay.features.storage.snapshot import Snapshot


class FeatureMethods(StoreBase):
    """Join, freeze and serve features."""

    def as_of_join(
        self,
        spine: "SpineFrame",
        features: "Features",
        versions: Mapping[str, int] | None = None,
        *,
        pins: Mapping[str, int] | None = None,
        known_at: "KnownAt | Mapping[str, KnownAt]" = "event",
        skip_nulls: bool | Mapping[str, bool] = False,
        event_time: str = "event_time",
    ) -> pl.DataFrame:
        """The spine with, per row, the features' values as of its `event_time`.

        Args:
            spine: The entities' keys and `event_time` (with a time zone), one row per answer: a frame of Polars, lazy or not,
                or of pandas, or anything else that gives Arrow. What comes back is of Polars.
            features: References such as `customer_activity:tickets_7d`, and roles.
            versions: Table name → version to read; other tables are read at their latest version.
            pins: The former name of `versions`.
            known_at: `known` also demands that the value was known by then; `event` does not. A mapping says so for some views.
            skip_nulls: Serve the latest value that is not null; a mapping says so for some views.
            event_time: The spine's column with the time.

        Raises:
            AssayError: For unknown features, tables or options, a spine without usable times, or both `versions` and `pins`.
        """
        from assay.features.serving.as_of_join import as_of_join

        return as_of_join(
            spine,
            features,
            lake=self.lake,
            versions=versions,
            pins=pins,
            known_at=known_at,
            skip_nulls=skip_nulls,
            event_time=event_time,
        )

    def training_set(
        self,
        name: str,
        *,
        spine: "SpineFrame",
        features: "Features",
        versions: Mapping[str, int] | None = None,
        pins: Mapping[str, int] | None = None,
        known_at: "KnownAt | Mapping[str, KnownAt]" = "event",
        skip_nulls: bool | Mapping[str, bool] = False,
        event_time: str = "event_time",
        label: "Label | None" = None,
        known_by: "datetime | None" = None,
    ) -> "TrainingSetVersion":
        """Materialise an as-of join as a versioned, pinned training set. For the other arguments see `as_of_join`.

        Args:
            name: Of the table `training/<name>`.
            label: `view:label` of a label view: the target, with the column `label_known`. Rows whose label is null or not known
                are left out. Default: the spine has the label.
            known_by: Only labels that were known at this moment. Default: the newest time in the label view's table.
        """
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
            event_time=event_time,
            label=label,
            known_by=known_by,
        )

    def define(self, view: "OnDemandView") -> "Snapshot":
        """Write the definition of an on-demand view, from where references to its features are read. The same definition again
        is the same version; another one is the next.

        >>> store.define(OnDemandView("purchase", [...], inputs={"amount": float}))               # doctest: +SKIP

        Args:
            view: The view.

        Returns:
            The version of `features/<view>` that holds the definition.

        Raises:
            AssayError: What it uses is unknown, or is computed of this view, or an expression does not fit the types.
        """
        from assay.features.serving.on_demand.definitions import define

        return define(self.lake, self.recorder, view).writes[0].snapshot

    def load_training_set(self, training_set_id: str) -> "TrainingSetVersion":
        """The same rows as when it was made, or an error that says exactly why not."""
        from assay.features.serving.training import load_training_set

        return load_training_set(self.lake, training_set_id)

    def online(
        self,
        features: "Served",
        *,
        known_at: "KnownAt | Mapping[str, KnownAt] | None" = None,
        skip_nulls: bool | Mapping[str, bool] | None = None,
    ) -> "Online | OnlineSet":
        """Latest values: of a view (by name), of references and roles, or of what a training set was joined by.

        >>> store.online("customer_activity").get({"customer_id": "C1"})                         # doctest: +SKIP

        They are read from the tables. A feature set that is materialised (`materialize_online`) is read from its newest
        generation instead, unless options are given; the answer's versions are those of the generation.

        Args:
            features: A view's name, references, a feature set, or a training set.
            known_at: As of `as_of_join`. Default: that of the training set; else `event`.
            skip_nulls: Likewise.
        """
        from assay.features.online.online_set import OnlineSet
        from assay.features.serving.feature_set import FeatureSet
        from assay.features.serving.online import Online

        if isinstance(features, FeatureSet) and known_at is None and skip_nulls is None:
            generations = self._generations
            if generations.mark(features.id) is not None:
                return OnlineSet(self.lake, generations, features.id, features)
        return Online(self.lake, features, known_at, skip_nulls)

    def materialize_online(
        self,
        features: "FeatureSet | str",
        *,
        at: datetime | None = None,
        full: bool = False,
        dry_run: bool = False,
        progress: "Callable[[str, int, int], None] | None" = None,
    ) -> "Materialized":
        """Make the latest values of a feature set ready, in `ASSAY_HOME/online`: one packed row per entity and view.

        Tables are read at one version each. Of what has changed since the generation before alone is read; whoever reads has
        that one until the new one is whole.

        >>> store.materialize_online(router).manifest.versions                                   # doctest: +SKIP

        Args:
            features: A feature set, or a view by its name, which is then a set of this name.
            at: The moment from which on it answers. Default: now.
            full: Read all rows again.
            dry_run: Only say what would be done.
            progress: Called with the name of a stream of rows, how many were read, and how many there are to read.

        Returns:
            The generation's manifest, what was to be done, and whether it was.

        Raises:
            AssayError: For unknown views or features, or while another process materialises the set.
        """
        from assay.features.online.materialize import materialize_online, no_progress
        from assay.features.serving.feature_set import FeatureSet

        wanted = FeatureSet(features, [f"{features}:*"]) if isinstance(features, str) else features
        tell = progress or no_progress
        return materialize_online(
            self.lake, self._generations, wanted, at=at, full=full, dry_run=dry_run, progress=tell
        )

    def online_set(self, name: str) -> "OnlineSet":
        """A feature set that is materialised, by name (`router@1`, or `router` where there is one version).

        Raises:
            AssayError: There is none, or several versions.
        """
        from assay.features.online.online_set import OnlineSet

        return OnlineSet(self.lake, self._generations, self._generations.find(name))

    def online_sets(self) -> "list[Manifest]":
        """The feature sets that are materialised, each with the tables and versions of its generation."""
        generations = self._generations
        found = (generations.manifest(name) for name in generations.sets())
        return [manifest for manifest in found if manifest is not None]

    @property
    def _generations(self) -> "Generations":
        from assay.features.online.generations import Generations

        return Generations(self.settings.home / "online")
