"""OpenLineage facets of columns: `columnLineage` and the newer `lineage`, from the same edges, so that they agree."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from openlineage.client import facet_v2 as ol
from openlineage.client.generated import lineage as ol_lineage

from assay.lineage.events.columns import ColumnLineage, Edge
from assay.lineage.events.facets import own_facet, signed
from assay.lineage.events.naming import DatasetName
from assay.lineage.events.serialize import plain


def column_facets(
    columns: ColumnLineage, names: Mapping[str, DatasetName], read: Collection[DatasetName]
) -> dict[str, Any]:
    """Facets of an output, as JSON. `names` finds the dataset of a table; `read` is what the run read, the only honest
    answer at dataset level while some column is unknown."""
    made = {"columnLineage": _old_facet(columns, names), "lineage": _new_facet(columns, names, read)}
    facets: dict[str, Any] = {name: plain(facet) for name, facet in signed(made).items()}
    if columns.unknown:
        # listed, so that nobody takes them for columns without sources
        facets["assay_unknownColumns"] = own_facet("UnknownColumnsDatasetFacet", columns=list(columns.unknown))
    return facets


def _old_facet(columns: ColumnLineage, names: Mapping[str, DatasetName]) -> ol.DatasetFacet:
    old = ol.column_lineage_dataset
    return old.ColumnLineageDatasetFacet(
        fields={column: old.Fields(_old_inputs(columns.of(column), names)) for column in columns.known},
        dataset=_old_inputs(columns.of(None), names),
    )


def _new_facet(
    columns: ColumnLineage, names: Mapping[str, DatasetName], read: Collection[DatasetName]
) -> ol.DatasetFacet:
    new = ol_lineage
    sources = read if columns.unknown else [names[table] for table in columns.tables]
    whole = [new.LineageDatasetInput(name.namespace, name.name, "DATASET") for name in sources]
    return new.LineageDatasetFacet(
        inputs=[*whole, *_new_inputs(columns.of(None), names)],
        fields={column: new.LineageFieldEntry([*_new_inputs(columns.of(column), names)]) for column in columns.known},
    )


def _grouped(edges: Iterable[Edge]) -> dict[tuple[str, str], list[str]]:
    groups: dict[tuple[str, str], list[str]] = {}
    for edge in edges:
        groups.setdefault((edge.table, edge.source), []).append("DIRECT" if edge.direct else "INDIRECT")
    return groups


def _old_inputs(edges: Iterable[Edge], names: Mapping[str, DatasetName]) -> list[ol.column_lineage_dataset.InputField]:
    module = ol.column_lineage_dataset
    return [
        module.InputField(
            names[table].namespace, names[table].name, column, [module.Transformation(kind) for kind in kinds]
        )
        for (table, column), kinds in _grouped(edges).items()
    ]


def _new_inputs(edges: Iterable[Edge], names: Mapping[str, DatasetName]) -> list[ol_lineage.LineageDatasetInput]:
    return [
        ol_lineage.LineageDatasetInput(
            names[table].namespace,
            names[table].name,
            "DATASET",
            column,
            [ol_lineage.LineageTransformation(kind) for kind in kinds],
        )
        for (table, column), kinds in _grouped(edges).items()
    ]
