"""Assay: data quality, versioned features and lineage that carries the version actually read.

>>> import assay
>>> store = assay.open()                                    # doctest: +SKIP
>>> store.table("clean/tickets").scan().collect()           # doctest: +SKIP

The names below are the public API, with those of `assay.checks`, `assay.features`, `assay.lineage` and `assay.assets`.
Everything else may change without notice.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import AssayError
from assay.lazy import lazy

if TYPE_CHECKING:
    from assay.assets.dagster.definitions import definitions
    from assay.assets.databases.rows import Rows
    from assay.assets.extracted.dlt_reader import Dlt
    from assay.assets.pushed.pushed import Pushed
    from assay.assets.sources.csv_dialect import Csv
    from assay.assets.sources.excel.declared import Excel
    from assay.assets.sources.files import Files
    from assay.assets.sources.limits import Limits
    from assay.assets.sources.source import Source
    from assay.assets.steps.embeddings import Embedding
    from assay.assets.steps.models import Model
    from assay.assets.steps.step import Step
    from assay.assets.steps.training import Spine, TrainingSet
    from assay.checks.contract.contract import Contract
    from assay.checks.contract.field import Block, Field, QuarantineLimits, RowCount, Severity, Timestamp, rule
    from assay.checks.validation.validate import validate
    from assay.features.serving.feature_set import FeatureSet
    from assay.features.serving.on_demand.view import OnDemandView
    from assay.features.serving.online import Online
    from assay.features.serving.references import Role
    from assay.features.tables.partitioning import Partitioning
    from assay.features.views.entity import Entity
    from assay.features.views.feature_view import FeatureView
    from assay.features.views.label_view import LabelView
    from assay.features.views.row_wise import Feature
    from assay.features.views.sql import Sql
    from assay.features.views.windowed import Windowed, windows
    from assay.lineage.questions import impact, trace, verify
    from assay.serving.client import FeatureClient
    from assay.store import Store
    from assay.store_methods.tables import TableInfo
    from assay.version import __version__

__all__ = [
    "AssayError",
    "Block",
    "Contract",
    "Csv",
    "Dlt",
    "Embedding",
    "Entity",
    "Excel",
    "Feature",
    "FeatureClient",
    "FeatureSet",
    "FeatureView",
    "Field",
    "Files",
    "LabelView",
    "Limits",
    "Model",
    "OnDemandView",
    "Online",
    "Partitioning",
    "Pushed",
    "QuarantineLimits",
    "Role",
    "RowCount",
    "Rows",
    "Severity",
    "Source",
    "Spine",
    "Sql",
    "Step",
    "Store",
    "TableInfo",
    "Timestamp",
    "TrainingSet",
    "Windowed",
    "__version__",
    "definitions",
    "impact",
    "open",
    "rule",
    "trace",
    "validate",
    "verify",
    "windows",
]

_HOMES = {
    "__version__": "assay.version",
    "Block": "assay.checks.contract.field",
    "Contract": "assay.checks.contract.contract",
    "Dlt": "assay.assets.extracted.dlt_reader",
    "Embedding": "assay.assets.steps.embeddings",
    "Entity": "assay.features.views.entity",
    "Feature": "assay.features.views.row_wise",
    "FeatureClient": "assay.serving.client",
    "FeatureSet": "assay.features.serving.feature_set",
    "FeatureView": "assay.features.views.feature_view",
    "Field": "assay.checks.contract.field",
    "Csv": "assay.assets.sources.csv_dialect",
    "Excel": "assay.assets.sources.excel.declared",
    "LabelView": "assay.features.views.label_view",
    "Limits": "assay.assets.sources.limits",
    "Files": "assay.assets.sources.files",
    "Model": "assay.assets.steps.models",
    "OnDemandView": "assay.features.serving.on_demand.view",
    "Online": "assay.features.serving.online",
    "Partitioning": "assay.features.tables.partitioning",
    "Pushed": "assay.assets.pushed.pushed",
    "QuarantineLimits": "assay.checks.contract.field",
    "Role": "assay.features.serving.references",
    "RowCount": "assay.checks.contract.field",
    "Rows": "assay.assets.databases.rows",
    "Severity": "assay.checks.contract.field",
    "Source": "assay.assets.sources.source",
    "Spine": "assay.assets.steps.training",
    "Sql": "assay.features.views.sql",
    "Step": "assay.assets.steps.step",
    "Store": "assay.store",
    "TableInfo": "assay.store_methods.tables",
    "Timestamp": "assay.checks.contract.field",
    "TrainingSet": "assay.assets.steps.training",
    "Windowed": "assay.features.views.windowed",
    "definitions": "assay.assets.dagster.definitions",
    "impact": "assay.lineage.questions",
    "rule": "assay.checks.contract.field",
    "trace": "assay.lineage.questions",
    "validate": "assay.checks.validation.validate",
    "verify": "assay.lineage.questions",
    "windows": "assay.features.views.windowed",
}
__getattr__, __dir__ = lazy(__name__, _HOMES)


def open(lake: str | Path | None = None, **settings: Any) -> "Store":
    """Open a lake.

    Nothing is created and nothing heavy is imported until it is needed.

    Args:
        lake: Root of the tables, a folder or `s3://…`. Default: `ASSAY_LAKE`.
        **settings: Any other setting by its name, such as `home="var"`. Arguments win over `ASSAY_*` variables.

    Returns:
        The store: its methods are the API for tables, features, decisions and lineage.

    Raises:
        AssayError: A setting is unknown or has a wrong value.
    """
    from assay.store import open_store

    return open_store(lake, **settings)
