"""`/pipeline`: the tables around one, or all of them, each once; versions, runs and columns on demand."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from assay.features.tables.lake import Lake
from assay.lineage.columns.by_table import ColumnWay, TableColumn
from assay.web.drawing import NAMED_COLUMNS, cut, few
from assay.web.html import PageError, link, page
from assay.web.missing import MissingBatches
from assay.web.node_labels import LONGEST, dataset_id, graph_link, near_tables, pipeline_link, style_of, table_kind
from assay.web.pipeline import Pipeline, PipelineView, picture_of, pipeline_of
from assay.web.settings_missing import lacking_of
from assay.web.table_states import table_states, undeclared_badges

OPENED = 20  # cards


def pipeline_page(lake: Lake, tables: Callable[[], Collection[str] | None], request: Request) -> Response:
    view = _view(request)
    missing, lacking = MissingBatches(lake), lacking_of(lake)
    pipeline = pipeline_of(table_states(lake), missing, lacking, view, undeclared_badges(lake, tables()))
    if view.table and view.table not in pipeline.tables:
        message = f"The lake has no table {cut(view.table, LONGEST)}."
        raise PageError(404, "No such table", message, "Choose a table of the pipeline.", near_tables(lake, view.table))
    way = pipeline.way(TableColumn(view.of, view.column)) if view.column else None
    table = view.table
    return page(
        "pipeline.html",
        table=table,
        style=style_of(table_kind(table)) if table else "",
        view=view,
        picture_=picture_of(pipeline, view, way),
        shown=_shown(pipeline, view),
        way=_words(way, view) if way else None,
        problem="" if way or not view.column else f"No table here has a column {cut(view.column, LONGEST)}.",
        missing=missing.of(table) if table else None,
        lacking=lacking.get(table),
        links=[
            ("Versions", link(f"/versions/{table}")),
            ("Runs and versions", graph_link(dataset_id(table))),
            ("Impact", link(f"/impact/{table}")),
            ("Whole pipeline", "/pipeline"),
        ]
        if table
        else [],
        tables=[
            {
                "name": item.name,
                "style": style_of(table_kind(item.name)),
                "href": pipeline_link(item.name),
                "version": f"@{item.state.version}" if item.state is not None else "",
                "versions": link(f"/versions/{item.name}"),
                "partition": item.partition,
                "amount": item.amount,
                "owner": item.owner,
                "badge": item.badge,
                "reads": [f"{name} (looked up)" if lookup else name for name, lookup in sorted(item.reads.items())],
            }
            for item in pipeline.tables.values()
        ],
    )


def _view(request: Request) -> PipelineView:
    query = request.query_params
    opened = tuple(dict.fromkeys(query.getlist("open")))
    if len(opened) > OPENED:
        raise PageError(
            400, "Too much at once", f"More than {OPENED} tables are open.", "Start again with one of them."
        )
    column = query.get("column", "")
    of = (query.get("of") or query.get("table", "")) if column else ""
    return PipelineView(query.get("table", ""), opened, column, of, every="every" in query)


def _shown(pipeline: Pipeline, view: PipelineView) -> dict[str, Any]:
    """How much is drawn, and what is not."""
    every = PipelineView(view.table, view.opened, view.column, view.of, every=True)
    return {
        "drawn": len(pipeline.tables),
        "left_out": pipeline.left_out,
        "rule": "nearest" if view.table else "written last",
        "bookkeeping": pipeline.bookkeeping,
        "every": every.address,
    }


def _words(way: ColumnWay, view: PipelineView) -> dict[str, Any]:
    start = (view.of, view.column)
    return {
        "name": f"{view.of}.{view.column}",
        "up": _by_table(step.source for step in way.up if step.source != start),
        "down": _by_table(step.target for step in way.down if step.target.column and step.target != start),
        "rows": sorted({step.target.table for step in way.down if not step.target.column}),
        "unknown": _by_table(way.unknown),
    }


def _by_table(columns: Iterable[TableColumn]) -> list[str]:
    by_table: dict[str, set[str]] = defaultdict(set)
    for end in columns:
        by_table[end.table].add(end.column)
    return [f"{table}: {', '.join(few(sorted(names), NAMED_COLUMNS))}" for table, names in sorted(by_table.items())]
