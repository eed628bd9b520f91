"""Where it came from: trace, impact, verification, the graph, predictions, events, evidence.

`assay.lineage.trace(prediction_id)` and its like ask the lake that the settings name; `assay.lineage.api` is the service.
"""

from typing import TYPE_CHECKING

from assay.lazy import lazy

if TYPE_CHECKING:
    from assay.features.views.sql_lineage import sql_lineage
    from assay.lineage.columns.graph import ColumnTrace, column_downstream, column_upstream
    from assay.lineage.columns.polars import polars_lineage
    from assay.lineage.delivery.rebuild import Rebuilt, rebuild
    from assay.lineage.delivery.recorder import EventRecorder
    from assay.lineage.predictions.attachments import retrieval
    from assay.lineage.predictions.find_prediction import Prediction, find_prediction
    from assay.lineage.predictions.prediction_log import log_predictions
    from assay.lineage.queries.diff import Diff
    from assay.lineage.queries.walk import GraphEdge, Subgraph
    from assay.lineage.questions import diff, graph, impact, trace, verify
    from assay.lineage.store.lineage_store import LineageStore
    from assay.lineage.tracing.impact import Affected, Impact
    from assay.lineage.tracing.trace import Trace
    from assay.lineage.verification.finding import Verification

__all__ = [
    "Affected",
    "ColumnTrace",
    "Diff",
    "EventRecorder",
    "GraphEdge",
    "Impact",
    "LineageStore",
    "Prediction",
    "Rebuilt",
    "Subgraph",
    "Trace",
    "Verification",
    "column_downstream",
    "column_upstream",
    "diff",
    "find_prediction",
    "graph",
    "impact",
    "log_predictions",
    "polars_lineage",
    "rebuild",
    "retrieval",
    "sql_lineage",
    "trace",
    "verify",
]

_HOMES = {
    "Affected": "assay.lineage.tracing.impact",
    "ColumnTrace": "assay.lineage.columns.graph",
    "Diff": "assay.lineage.queries.diff",
    "EventRecorder": "assay.lineage.delivery.recorder",
    "GraphEdge": "assay.lineage.queries.walk",
    "Impact": "assay.lineage.tracing.impact",
    "LineageStore": "assay.lineage.store.lineage_store",
    "Prediction": "assay.lineage.predictions.find_prediction",
    "Rebuilt": "assay.lineage.delivery.rebuild",
    "Subgraph": "assay.lineage.queries.walk",
    "Trace": "assay.lineage.tracing.trace",
    "Verification": "assay.lineage.verification.finding",
    "column_downstream": "assay.lineage.columns.graph",
    "column_upstream": "assay.lineage.columns.graph",
    "diff": "assay.lineage.questions",
    "find_prediction": "assay.lineage.predictions.find_prediction",
    "graph": "assay.lineage.questions",
    "impact": "assay.lineage.questions",
    "log_predictions": "assay.lineage.predictions.prediction_log",
    "polars_lineage": "assay.lineage.columns.polars",
    "rebuild": "assay.lineage.delivery.rebuild",
    "retrieval": "assay.lineage.predictions.attachments",
    "sql_lineage": "assay.features.views.sql_lineage",
    "trace": "assay.lineage.questions",
    "verify": "assay.lineage.questions",
}
__getattr__, __dir__ = lazy(__name__, _HOMES)
