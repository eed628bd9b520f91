"""What models read: versioned tables, snapshots, feature views, as-of joins, training sets, embeddings."""

from typing import TYPE_CHECKING

from assay.lazy import lazy

if TYPE_CHECKING:
    from assay.features.definitions.mixed import MixedDefinitions
    from assay.features.embeddings.engine import Engine
    from assay.features.embeddings.model import EmbeddingModel, resolve_model
    from assay.features.online.materialize import Materialized
    from assay.features.online.online_set import OnlineSet
    from assay.features.retention.availability import snapshot_status
    from assay.features.retention.pins import Pin, pin, pins, unpin
    from assay.features.retention.vacuum import Vacuum, vacuum
    from assay.features.serving.as_of import point_in_time_join
    from assay.features.serving.as_of_join import as_of_join
    from assay.features.serving.by_definition import OtherDefinition
    from assay.features.serving.feature_refs import DeprecatedFeature
    from assay.features.serving.feature_set import FeatureSet
    from assay.features.serving.models import ModelVersion
    from assay.features.serving.on_demand.view import OnDemandView
    from assay.features.serving.online import online_get
    from assay.features.serving.references import Role
    from assay.features.serving.training import TrainingSetVersion, create_training_set, load_training_set
    from assay.features.serving.view_read import ViewRead
    from assay.features.storage.snapshot import Slice, Snapshot
    from assay.features.tables.guard import Denied, Guard
    from assay.features.tables.kinds import Kind
    from assay.features.tables.lake import Lake, Table, TableMissing, TableState, open_lake
    from assay.features.tables.partitioning import Partitioning
    from assay.features.tables.reader import Reader
    from assay.features.tables.run_record import CheckResult, Recorder, Run, RunResult, TableWrite, Work, new_run
    from assay.features.tables.serving import Serving
    from assay.features.tables.transaction import AuditFailed, Transaction, transaction
    from assay.features.training.comparison import TrainingSetComparison
    from assay.features.training.leaks import SplitLeaks
    from assay.features.training.split import Split
    from assay.features.views.decay import decayed
    from assay.features.views.entity import Entity
    from assay.features.views.feature_view import FeatureView
    from assay.features.views.label_view import LabelView
    from assay.features.views.row_wise import Feature
    from assay.features.views.sql import Sql
    from assay.features.views.transformation import RowsRead, Transformation
    from assay.features.views.windowed import Windowed, windows

__all__ = [
    "AuditFailed",
    "CheckResult",
    "Denied",
    "DeprecatedFeature",
    "EmbeddingModel",
    "Engine",
    "Entity",
    "Feature",
    "FeatureSet",
    "FeatureView",
    "Guard",
    "Kind",
    "LabelView",
    "Lake",
    "Materialized",
    "MixedDefinitions",
    "ModelVersion",
    "OnDemandView",
    "OnlineSet",
    "OtherDefinition",
    "Partitioning",
    "Pin",
    "Reader",
    "Recorder",
    "Role",
    "RowsRead",
    "Run",
    "RunResult",
    "Serving",
    "Slice",
    "Snapshot",
    "Split",
    "SplitLeaks",
    "Sql",
    "Table",
    "TableMissing",
    "TableState",
    "TableWrite",
    "TrainingSetComparison",
    "TrainingSetVersion",
    "Transaction",
    "Transformation",
    "Vacuum",
    "ViewRead",
    "Windowed",
    "Work",
    "as_of_join",
    "create_training_set",
    "decayed",
    "load_training_set",
    "new_run",
    "online_get",
    "open_lake",
    "pin",
    "pins",
    "point_in_time_join",
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
    "Denied": "assay.features.tables.guard",
    "DeprecatedFeature": "assay.features.serving.feature_refs",
    "MixedDefinitions": "assay.features.definitions.mixed",
    "OtherDefinition": "assay.features.serving.by_definition",
    "EmbeddingModel": "assay.features.embeddings.model",
    "Engine": "assay.features.embeddings.engine",
    "Entity": "assay.features.views.entity",
    "Feature": "assay.features.views.row_wise",
    "FeatureSet": "assay.features.serving.feature_set",
    "FeatureView": "assay.features.views.feature_view",
    "Guard": "assay.features.tables.guard",
    "Kind": "assay.features.tables.kinds",
    "LabelView": "assay.features.views.label_view",
    "Lake": "assay.features.tables.lake",
    "Materialized": "assay.features.online.materialize",
    "ModelVersion": "assay.features.serving.models",
    "OnDemandView": "assay.features.serving.on_demand.view",
    "OnlineSet": "assay.features.online.online_set",
    "Partitioning": "assay.features.tables.partitioning",
    "Pin": "assay.features.retention.pins",
    "Reader": "assay.features.tables.reader",
    "Recorder": "assay.features.tables.run_record",
    "Role": "assay.features.serving.references",
    "RowsRead": "assay.features.views.transformation",
    "Run": "assay.features.tables.run_record",
    "RunResult": "assay.features.tables.run_record",
    "Serving": "assay.features.tables.serving",
    "Slice": "assay.features.storage.snapshot",
    "Snapshot": "assay.features.storage.snapshot",
    "Sql": "assay.features.views.sql",
    "Split": "assay.features.training.split",
    "SplitLeaks": "assay.features.training.leaks",
    "Table": "assay.features.tables.lake",
    "TableMissing": "assay.features.tables.lake",
    "TableState": "assay.features.tables.lake",
    "TableWrite": "assay.features.tables.run_record",
    "TrainingSetComparison": "assay.features.training.comparison",
    "TrainingSetVersion": "assay.features.serving.training",
    "Transaction": "assay.features.tables.transaction",
    "Transformation": "assay.features.views.transformation",
    "Vacuum": "assay.features.retention.vacuum",
    "ViewRead": "assay.features.serving.view_read",
    "decayed": "assay.features.views.decay",
    "Windowed": "assay.features.views.windowed",
    "Work": "assay.features.tables.run_record",
    "as_of_join": "assay.features.serving.as_of_join",
    "create_training_set": "assay.features.serving.training",
    "load_training_set": "assay.features.serving.training",
    "new_run": "assay.features.tables.run_record",
    "online_get": "assay.features.serving.online",
    "open_lake": "assay.features.tables.lake",
    "pin": "assay.features.retention.pins",
    "pins": "assay.features.retention.pins",
    "point_in_time_join": "assay.features.serving.as_of",
    "resolve_model": "assay.features.embeddings.model",
    "snapshot_status": "assay.features.retention.availability",
    "transaction": "assay.features.tables.transaction",
    "unpin": "assay.features.retention.pins",
    "vacuum": "assay.features.retention.vacuum",
    "windows": "assay.features.views.windowed",
}
__getattr__, __dir__ = lazy(__name__, _HOMES)
