"""The native endpoints: the version-exact graph, differences between versions, and traces, impacts and columns from the lake."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Literal

import polars as pl
from fastapi import APIRouter, Body, Depends, HTTPException, Path, Query, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from assay.errors import AssayError
from assay.features.tables.lake import Lake
from assay.lineage.affected.answer import affected_predictions
from assay.lineage.affected.export import as_object
from assay.lineage.affected.origin import BadRows, Origin
from assay.lineage.api import responses
from assay.lineage.api.marquez_json import decoded
from assay.lineage.api.marquez_models import Refused
from assay.lineage.api.safe_json import Answer, NodeId
from assay.lineage.columns.graph import column_downstream, column_upstream
from assay.lineage.events.redaction import redact_text
from assay.lineage.queries.diff import diff
from assay.lineage.queries.left_out import LeftOut, beyond, of_the_whole
from assay.lineage.queries.nodes import GraphNode, find
from assay.lineage.queries.other_readers import other_readers
from assay.lineage.queries.walk import Subgraph, neighbourhood
from assay.lineage.queries.walk import graph as whole_graph
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.tracing.impact import impact
from assay.lineage.tracing.trace import Trace, trace

MISSING: Any = {404: {"model": Refused}}
NodePath = Annotated[
    str,
    Path(
        description="dataset:{namespace}:{name}@{version} (without @: the latest), job:{namespace}:{name} or run:{id}"
    ),
    AfterValidator(decoded),
]
Steps = Annotated[int, Query(ge=0, le=1_000, description="how many edges to go")]
Table = Annotated[str, Query(examples=["clean/tickets"])]
Version = Annotated[int | None, Query(ge=0, le=2**53)]
Dataset = Annotated[str, Query(examples=["clean/tickets@3"], description="a dataset's node id, or short table@version")]
# A parameter that is not known must not be taken for a whole answer: `partiton=…` would be about the whole table.
IMPACT = (
    *("table", "version", "partition", "column", "file"),
    *("list", "through_models", "limit", "lookups", "references"),
)


class Condition(BaseModel):
    """Which rows. Another name in it is refused, as in the address: it would be an answer to another question."""

    model_config = ConfigDict(extra="forbid")
    rows: Annotated[str, Field(description="an SQL condition over the columns of the table")]


AsOf = Annotated[datetime | None, Query(description="the graph as it was then; UTC where no zone is given")]


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of a trace, and of a list of affected predictions: masks for personal data, by contracts that the lineage
    knows nothing of. Default: everything as it is. `owners`: by table, who answers for it besides what contracts say."""

    trace: Callable[[Trace], Trace] = lambda trace: trace
    listed: Callable[[pl.DataFrame], pl.DataFrame] = lambda rows: rows
    owners: Callable[[], Mapping[str, str]] = dict


@dataclass(frozen=True)
class Asked:
    """Whose impact is asked for, and what is to be listed."""

    table: Annotated[str | None, Query(examples=["clean/tickets"], description="needed without a file")] = None
    version: Version = None
    partition: Annotated[str | None, Query(examples=["2026-03-01"])] = None
    column: Annotated[str | None, Query()] = None
    file: Annotated[str | None, Query(description="a file as it was delivered, or its SHA-256")] = None
    list_: Annotated[bool, Query(alias="list", description="list the predictions that took affected rows")] = False
    through_models: Annotated[bool, Query(description="also those that are affected through their model")] = False
    limit: Annotated[int, Query(ge=1, le=1_000_000, description="list at most so many")] = 10_000
    lookups: Annotated[bool, Query(description="follow those who only looked something up, too")] = False
    references: Annotated[bool, Query(description="the former name of lookups", deprecated=True)] = False


def create_router(store: LineageStore, lake: Lake, shown: Shown | None = None) -> APIRouter:
    shown = shown or Shown()
    router = APIRouter(prefix="/api/v1", tags=["lineage"])

    @router.get("/nodes/{node_id:path}", response_model=responses.GraphNode, responses=MISSING)
    def node(node_id: NodePath) -> Answer:
        """One node of the graph with what is known of it."""
        record = find(store, node_id)
        if record is None:
            raise _unknown_node()
        return Answer(_node(record))

    @router.get(
        "/graph",
        response_model=responses.Subgraph,
        responses=MISSING,
        dependencies=[Depends(only("focus", "up", "down", "as_of", "limit"))],
    )
    def graph(
        focus: Annotated[str | None, Query(description="a node's id; without it: the whole graph")] = None,
        up: Steps = 1,
        down: Steps = 1,
        as_of: AsOf = None,
        limit: Annotated[int, Query(ge=1, le=10_000, description="at most so many nodes")] = 300,
    ) -> Answer:
        """The runs and versions around a node: what was really read and written. `truncated` says why it is not whole, and
        `left_out` what is known and not in it: around a node what lies one step further, of the whole graph what hangs
        together with nothing. What was only looked up is shown, not followed."""
        if focus is None:
            whole = whole_graph(store, as_of, limit=limit)
            return Answer(_subgraph(whole, of_the_whole(store, whole) if as_of is None else []))
        if find(store, focus) is None:
            raise _unknown_node()
        near = neighbourhood(store, focus, up=up, down=down, as_of=as_of, limit=limit)
        return Answer(_subgraph(near, beyond(store, focus, up, down, near, as_of)))

    @router.get(
        "/trace/{prediction_id}",
        response_model=responses.Trace,
        responses=MISSING,
        dependencies=[Depends(only("lookups"))],
    )
    def trace_of(
        prediction_id: Annotated[str, Path(), AfterValidator(decoded)],
        lookups: Annotated[bool, Query(description="also follow what was only looked up in")] = False,
    ) -> Answer:
        """Where a prediction came from, back to the delivered files."""
        try:
            return Answer(shown.trace(trace(lake, prediction_id, lookups=lookups)).to_dict())
        except AssayError as error:
            raise HTTPException(404, str(error)) from None

    @router.get(
        "/impact",
        response_model=responses.Impact | responses.AffectedPredictions,
        responses=MISSING,
        dependencies=[Depends(only(*IMPACT))],
    )
    def impact_of(asked: Annotated[Asked, Depends()]) -> Answer:
        """What was made from a table, a version, a partition or a column: down to models, training sets and predictions. With a
        file or a list it is followed row by row, to each prediction that took an affected row."""
        return _impact(store, lake, shown, asked)

    @router.post(
        "/impact",
        response_model=responses.AffectedPredictions,
        responses=MISSING,
        dependencies=[Depends(only(*IMPACT))],
    )
    def impact_of_rows(asked: Annotated[Asked, Depends()], chosen: Annotated[Condition, Body()]) -> Answer:
        """The same of the rows for which a condition is true. It may hold a value about a person: it is in no address."""
        return _impact(store, lake, shown, asked, chosen.rows)

    @router.get(
        "/columns",
        response_model=responses.Columns,
        responses=MISSING,
        dependencies=[Depends(only("table", "column", "version", "direction", "limit"))],
    )
    def columns(
        table: Table,
        column: Annotated[str, Query(examples=["channel"])],
        version: Version = None,
        direction: Annotated[
            Literal["up", "down"], Query(description="what it comes from, or what comes from it")
        ] = "up",
        limit: Annotated[int, Query(ge=1, le=100_000, description="at most so many edges")] = 10_000,
    ) -> Answer:
        """The columns that a column of a table's version came from (without a version: the latest), or that came from it
        (from the rows of any version), as far as commits declare it."""
        follow = column_upstream if direction == "up" else column_downstream
        try:
            return Answer(follow(lake, table, column, version, limit=limit).to_dict())
        except AssayError as error:
            raise HTTPException(404, str(error)) from None

    @router.get("/diff", response_model=responses.Diff, responses=MISSING, dependencies=[Depends(only("a", "b"))])
    def diff_of(a: Dataset, b: Dataset) -> Answer:
        """What differs between two versions, and in how they were made: schema, rows, contract, checks, code, inputs."""
        try:
            difference = diff(store, lake, a, b)
        except AssayError as error:
            raise HTTPException(404, str(error)) from None
        return Answer(
            difference.to_dict() | {"a": NodeId(redact_text(difference.a)), "b": NodeId(redact_text(difference.b))}
        )

    return router


def _impact(store: LineageStore, lake: Lake, shown: Shown, asked: Asked, rows: str | None = None) -> Answer:
    table, version, followed = asked.table, asked.version, asked.lookups or asked.references
    try:
        if table is not None and asked.file is None and rows is None and not (asked.list_ or asked.through_models):
            options: dict[str, Any] = {"partition": asked.partition, "column": asked.column, "lookups": followed}
            downstream = impact(lake, table, version, **options)
            others = other_readers(store, lake, downstream.tables)
            return Answer(replace(downstream, others=others).to_dict())
        origin = Origin(asked.file, table, version, asked.partition, asked.column, rows)
        found = affected_predictions(lake, origin, lookups=followed, owners=shown.owners(), store=store)
    except BadRows as error:
        raise HTTPException(400, str(error)) from None
    except AssayError as error:
        raise HTTPException(400 if table is None and asked.file is None else 404, str(error)) from None
    listed: list[dict[str, Any]] = []
    for batch in found.batches(through_models=asked.through_models):
        kept = batch.head(asked.limit - len(listed)) if asked.list_ else batch.clear()
        listed += map(as_object, shown.listed(kept).iter_rows(named=True)) if kept.height else ()
    left_out = found.direct + sum(count.model for count in found.counts.values()) - len(listed)
    more = {"list": listed, "left_out": left_out} if asked.list_ else {"list": None, "left_out": 0}
    return Answer(found.to_dict() | more)


def only(*names: str) -> Callable[[Request], None]:
    """Refuses a request with a parameter of another name, or with one twice, of which only one would count."""

    def refuse_others(request: Request) -> None:
        given = [name for name, _ in request.query_params.multi_items()]
        if others := sorted(set(given) - set(names)):
            raise HTTPException(400, f"There is no parameter {others[0]!r}. There are: {', '.join(names)}.")
        if twice := sorted(name for name in set(given) if given.count(name) > 1):
            raise HTTPException(
                400, f"The parameter {twice[0]!r} is there {given.count(twice[0])} times. Ask once for each."
            )

    return refuse_others


def _node(node: GraphNode) -> dict[str, Any]:
    names = f"{node.namespace}:{node.name}", f"{redact_text(node.namespace)}:{redact_text(node.name)}"
    return asdict(node) | {"id": NodeId(node.id.replace(*names, 1))}


def _subgraph(graph: Subgraph, left_out: list[LeftOut]) -> dict[str, Any]:
    nodes = {node.id: _node(node) for node in graph.nodes}
    edges = [
        {"source": nodes[edge.source]["id"], "target": nodes[edge.target]["id"], "role": edge.role}
        for edge in graph.edges
    ]
    listed = [asdict(item) for item in left_out]
    return {"nodes": list(nodes.values()), "edges": edges, "truncated": graph.truncated, "left_out": listed}


def _unknown_node() -> HTTPException:
    return HTTPException(404, "There is no such node. Search for it: /api/v1/search?q=…")
