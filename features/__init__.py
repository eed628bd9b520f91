"""What models read: versioned tables, snapshots, feature views, as-of joins, training sets, embeddings."""

from typing import TYPE_CHECKING

from assay.lazy import lazy

if TYPE_CHECKING:
    from assay.features.embeddings.engine import Engine
    from assay.features.embeddings.model import EmbeddingModel, resolve_model
    from assay.features.serving.as_of import ViewRead, as_of_join
    from assay.features.serving.feature_refs import join_features
    from assay.features.serving.online import online_get
    from assay.features.serving.training import TrainingSetVersion, create_training_set, load_training_set
    from assay.features.tables.availability import snapshot_status
    from assay.features.tables.lake import Lake, Table, TableMissing, TableState, open_lake
    from assay.features.tables.partitioning import Partitioning
    from assay.features.tables.pins import Pin, pin, pins, unpin
    from assay.features.tables.run_record import CheckResult, Recorder, Run, RunResult, TableWrite, Work, new_run
    from assay.features.tables.snapshot import Slice, Snapshot
    from assay.features.tables.transaction import AuditFailed, Transaction, transaction
    from assay.features.tables.vacuum import Vacuum, vacuum
    from assay.features.views.feature_view import Entity, Feature, FeatureView, Serving, Windowed, compute_rows, windows
    from assay.features.views.windowed import aggregate

__all__ = [
    "AuditFailed",
    "CheckResult",
    "EmbeddingModel",
    "Engine",
    "Entity",
    "Feature",
    "FeatureView",
    "Lake",
    "Partitioning",
    "Pin",
    "Recorder",
    "Run",
    "RunResult",
    "Serving",
    "Slice",
    "Snapshot",
    "Table",
    "TableMissing",
    "TableState",
    "TableWrite",
    "TrainingSetVersion",
    "Transaction",
    "Vacuum",
    "ViewRead",
    "Windowed",
    "Work",
    "aggregate",
    "as_of_join",
    "compute_rows",
    "create_training_set",
    "join_features",
    "load_training_set",
    "new_run",
    "online_get",
    "open_lake",
    "pin",
    "pins",
    "resolve_model",
    "snapshot_status",
    "transaction",
    "unpin",
    "vacuum",
    "windows",
]

_HOMES = {
    "AuditFailed": "assay.features.tables.transaction",
    "CheckResult": "assay.features.tables.run_record",
    "EmbeddingModel": "assay.features.embeddings.model",
    "Engine": "assay.features.embeddings.engine",
    "Entity": "assay.features.views.feature_view",
    "Feature": "assay.features.views.feature_view",
    "FeatureView": "assay.features.views.feature_view",
    "Lake": "assay.features.tables.lake",
    "Partitioning": "assay.features.tables.partitioning",
    "Pin": "assay.features.tables.pins",
    "Recorder": "assay.features.tables.run_record",
    "Run": "assay.features.tables.run_record",
    "RunResult": "assay.features.tables.run_record",
    "Serving": "assay.features.views.feature_view",
    "Slice": "assay.features.tables.snapshot",
    "Snapshot": "assay.features.tables.snapshot",
    "Table": "assay.features.tables.lake",
    "TableMissing": "assay.features.tables.lake",
    "TableState": "assay.features.tables.lake",
    "TableWrite": "assay.features.tables.run_record",
    "TrainingSetVersion": "assay.features.serving.training",
    "Transaction": "assay.features.tables.transaction",
    "Vacuum": "assay.features.tables.vacuum",
    "ViewRead": "assay.features.serving.as_of",
    "Windowed": "assay.features.views.feature_view",
    "Work": "assay.features.tables.run_record",
    "aggregate": "assay.features.views.windowed",
    "as_of_join": "assay.features.serving.as_of",
    "compute_rows": "assay.features.views.feature_view",
    "create_training_set": "assay.features.serving.training",
    "join_features": "assay.features.serving.feature_refs",
    "load_training_set": "assay.features.serving.training",
    "new_run": "assay.features.tables.run_record",
    "online_get": "assay.features.serving.online",
    "open_lake": "assay.features.tables.lake",
    "pin": "assay.features.tables.pins",
    "pins": "assay.features.tables.pins",
    "resolve_model": "assay.features.embeddings.model",
    "snapshot_status": "assay.features.tables.availability",
    "transaction": "assay.features.tables.transaction",
    "unpin": "assay.features.tables.pins",
    "vacuum": "assay.features.tables.vacuum",
    "windows": "assay.features.views.feature_view",
}
__getattr__, __dir__ = lazy(__name__, _HOMES)
