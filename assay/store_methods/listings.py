"""What a store has: views, training sets, models, pins, and the sources that the project declares."""

from typing import TYPE_CHECKING

from assay.errors import AssayError, known_names, nearest
from assay.store_methods.base import StoreBase

if TYPE_CHECKING:
    from assay.assets.sources.source import Source
    from assay.features.catalogue.definitions import DefinitionInfo
    from assay.features.catalogue.feature_info import FeatureInfo
    from assay.features.catalogue.values import FeatureValues
    from assay.features.retention.pins import Pin
    from assay.features.serving.training import TrainingSetVersion
    from assay.listing import ModelInfo, ViewInfo


class ListingMethods(StoreBase):
    """Lists of what there is."""

    def views(self) -> "list[ViewInfo]":
        """Every table that serves features and that the actor may read: feature views, embeddings, lookup tables."""
        from assay.listing import list_views

        return list_views(self.lake)

    def view(self, name: str) -> "ViewInfo":
        """One of `views()`. Raises AssayError, with the nearest name, if there is none of that name, and Denied."""
        from assay.listing import VIEWS, list_views

        by_name = {view.name: view for view in list_views(self.lake)}
        if name not in by_name:
            for table in (kind.table(name) for kind in VIEWS):
                if table in self.lake.tables():
                    self.lake.allow("read", table)
            raise AssayError(f"There is no view {name!r}.{nearest(name, by_name) or known_names(by_name)}")
        return by_name[name]

    def features(self, *, every_version: bool = False) -> "list[FeatureInfo]":
        """Every feature that the actor may read or the project declares: type, texts, owner, newest event, and who uses it.

        Args:
            every_version: Count training sets and models that newer versions replaced among the uses, too.
        """
        from assay.features.catalogue.catalogue import catalogue
        from assay.listing import declared_views

        return catalogue(self.lake, declared_views(), every_version=every_version)

    def feature(self, reference: str) -> "FeatureInfo":
        """One of `features()`, used by any version: `store.feature("customer_activity:tickets_7d")`. Raises AssayError, with
        the nearest, if there is none of that name."""
        from assay.features.catalogue.catalogue import find_feature

        return find_feature(self.features(every_version=True), reference)

    def definitions(self, view: str) -> "list[DefinitionInfo]":
        """The definitions of a feature view, by number: since when each one computes rows, which partitions have them, what it
        changed, who uses it. Raises AssayError, with the nearest name, if there is no such view."""
        from assay.features.catalogue.definitions import definitions
        from assay.listing import declared_views

        return definitions(self.lake, view, declared_views().get(view))

    def feature_values(self, reference: str) -> "FeatureValues | None":
        """The values of a feature in its newest partition, in numbers; None where it has no rows (yet)."""
        from assay.features.catalogue.values import newest_values
        from assay.why.declared_now import declared_now
        from assay.why.shown import classes_of_lake

        feature = self.feature(reference)
        if feature.snapshot is None or feature.kind in ("on-demand", "composed"):
            return None
        state = self.lake.table(feature.snapshot.table).at(feature.snapshot.version)
        return newest_values(state, feature, classes_of_lake(self.lake, declared_now()))

    def sources(self) -> "list[Source]":
        """The sources that the project declares, by name."""
        from assay.assets.declarations import sources

        return [source for _, source in sorted(sources().items())]

    def training_sets(self, name: str | None = None) -> "list[TrainingSetVersion]":
        """Every version of every training set, or of one, that the actor may read and that can be loaded; oldest first."""
        from assay.listing import list_training_sets

        return list_training_sets(self.lake, name)

    def models(self) -> "list[ModelInfo]":
        """Every version of every model that the lake holds and the actor may read; oldest first."""
        from assay.listing import list_models

        return list_models(self.lake)

    def pins(self) -> "list[Pin]":
        """The leases that keep snapshots readable."""
        from assay.features.retention.pins import pins

        return list(pins(self.lake))
