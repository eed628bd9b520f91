"""What runs: declarations become steps, and steps become Dagster assets. Only `assets/dagster` imports dagster."""

from typing import TYPE_CHECKING

from assay.lazy import lazy

if TYPE_CHECKING:
    from assay.assets.databases.rows import Rows
    from assay.assets.decisions.review import Decision, DecisionResult, RowSelection, RowVerdict, decide
    from assay.assets.declarations import pipeline
    from assay.assets.extracted.dlt_reader import Dlt
    from assay.assets.ingestion import Ingested, ingest
    from assay.assets.pushed.pushed import Pushed
    from assay.assets.sources.csv_dialect import Csv
    from assay.assets.sources.deliveries import Delivery, DeliveryError, Part
    from assay.assets.sources.excel.declared import Excel
    from assay.assets.sources.files import Files
    from assay.assets.sources.limits import Limits
    from assay.assets.sources.reader import NothingDelivered, NotReadYet, Reading, SourceReader
    from assay.assets.sources.source import Source
    from assay.assets.steps.embeddings import Embedding, embedding_step
    from assay.assets.steps.features import view_step
    from assay.assets.steps.models import Model, model_step, prediction_step
    from assay.assets.steps.step import CheckSpec, NotReady, Resources, Step
    from assay.assets.steps.training import Spine, TrainingSet, training_step

__all__ = [
    "CheckSpec",
    "Csv",
    "Decision",
    "DecisionResult",
    "Delivery",
    "DeliveryError",
    "Dlt",
    "Embedding",
    "Excel",
    "Files",
    "Ingested",
    "Limits",
    "Model",
    "NotReadYet",
    "NotReady",
    "NothingDelivered",
    "Part",
    "Pushed",
    "Reading",
    "Resources",
    "RowSelection",
    "RowVerdict",
    "Rows",
    "Source",
    "SourceReader",
    "Spine",
    "Step",
    "TrainingSet",
    "decide",
    "embedding_step",
    "ingest",
    "model_step",
    "pipeline",
    "prediction_step",
    "training_step",
    "view_step",
]

_HOMES = {
    "CheckSpec": "assay.assets.steps.step",
    "Decision": "assay.assets.decisions.review",
    "DecisionResult": "assay.assets.decisions.review",
    "Delivery": "assay.assets.sources.deliveries",
    "DeliveryError": "assay.assets.sources.deliveries",
    "Dlt": "assay.assets.extracted.dlt_reader",
    "Embedding": "assay.assets.steps.embeddings",
    "Csv": "assay.assets.sources.csv_dialect",
    "Excel": "assay.assets.sources.excel.declared",
    "Limits": "assay.assets.sources.limits",
    "Files": "assay.assets.sources.files",
    "Ingested": "assay.assets.ingestion",
    "ingest": "assay.assets.ingestion",
    "Model": "assay.assets.steps.models",
    "NotReady": "assay.assets.steps.step",
    "NothingDelivered": "assay.assets.sources.reader",
    "NotReadYet": "assay.assets.sources.reader",
    "Part": "assay.assets.sources.deliveries",
    "Pushed": "assay.assets.pushed.pushed",
    "Reading": "assay.assets.sources.reader",
    "Resources": "assay.assets.steps.step",
    "RowSelection": "assay.assets.decisions.review",
    "RowVerdict": "assay.assets.decisions.review",
    "Rows": "assay.assets.databases.rows",
    "Source": "assay.assets.sources.source",
    "SourceReader": "assay.assets.sources.reader",
    "Spine": "assay.assets.steps.training",
    "Step": "assay.assets.steps.step",
    "TrainingSet": "assay.assets.steps.training",
    "decide": "assay.assets.decisions.review",
    "embedding_step": "assay.assets.steps.embeddings",
    "model_step": "assay.assets.steps.models",
    "pipeline": "assay.assets.declarations",
    "prediction_step": "assay.assets.steps.models",
    "training_step": "assay.assets.steps.training",
    "view_step": "assay.assets.steps.features",
}
__getattr__, __dir__ = lazy(__name__, _HOMES)
