"""What differs between two versions of a dataset, and in how they were made."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from assay.errors import AssayError
from assay.features.files import PARTITION
from assay.features.lake import Lake
from assay.lineage.graph_nodes import GraphNode, NodeReader
from assay.lineage.index import TERMINAL
from assay.lineage.store import LineageStore
from assay.lineage.tables import checks, events

Pair = tuple[Any, Any]  # in a, in b; None: not known, or not there


@dataclass(frozen=True, slots=True)
class Diff:
    """What differs, as (in a, in b). Empty or None: no difference.

    `rows` are the rows that the versions hold where the lake was given and has them, else those that their runs wrote.
    `schema` is by column (its type), `checks` by name (whether it passed), `inputs` by dataset (the versions read). What
    cannot be known is named in `unknown`, as are versions that no known run wrote: then nothing is said about it.
    """

    a: str
    b: str
    schema: Mapping[str, Pair]
    rows: Pair | None
    contract: Pair | None
    checks: Mapping[str, Pair]
    code: Pair | None
    inputs: Mapping[str, Pair]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Made:
    """A version and its making. None: not known."""

    schema: Mapping[str, str] | None
    rows: int | None
    contract: str | None
    checks: Mapping[str, bool] | None
    code: str | None
    inputs: Mapping[str, tuple[str, ...]] | None


def diff(store: LineageStore, lake: Lake | None, a: str, b: str) -> Diff:
    """Compare two dataset versions by their node ids. Raises AssayError for what is no dataset in the graph."""
    left, right = _made(store, lake, _dataset(store, a)), _made(store, lake, _dataset(store, b))
    unknown = [
        name for name in _Made.__slots__ if name != "contract" and None in (getattr(left, name), getattr(right, name))
    ]

    def differing(name: str) -> dict[str, Pair]:
        one, other = getattr(left, name), getattr(right, name)
        if one is None or other is None:
            return {}
        return {key: (one.get(key), other.get(key)) for key in sorted({*one, *other}) if one.get(key) != other.get(key)}

    def pair(name: str) -> Pair | None:
        one, other = getattr(left, name), getattr(right, name)
        return None if one == other or name in unknown else (one, other)

    return Diff(
        a=a,
        b=b,
        schema=differing("schema"),
        rows=pair("rows"),
        contract=pair("contract"),
        checks=differing("checks"),
        code=pair("code"),
        inputs=differing("inputs"),
        unknown=tuple(unknown),
    )


def _dataset(store: LineageStore, node_id: str) -> GraphNode:
    with store.reading() as connection:
        node = NodeReader(connection).find(node_id)
    if node is None or node.kind != "dataset":
        raise AssayError(f"The lineage graph has no dataset {node_id}. Ids look like dataset:assay:clean/tickets@3.")
    return node


def _made(store: LineageStore, lake: Lake | None, node: GraphNode) -> _Made:
    run_id = node.facts.get("run")
    event = _last_event(store, run_id) if run_id else None
    schema, rows = _held(lake, node)
    if event is None:
        return _Made(schema, rows, None, None, None, None)
    output: Mapping[str, Any] = next(_outputs(event, node), {})
    fields = _get(output, "facets", "schema", "fields")
    if schema is None and isinstance(fields, list):
        schema = {
            str(_get(item, "name")): str(_get(item, "type") or "") for item in fields if _get(item, "name") != PARTITION
        }
    rows = rows if rows is not None else _get(output, "outputFacets", "outputStatistics", "rowCount")
    tags = _get(event, "run", "facets", "tags", "tags")
    said = {str(_get(tag, "key")): _get(tag, "value") for tag in tags} if isinstance(tags, list) else {}
    inputs: dict[str, set[str]] = {}
    for use in store.uses(str(run_id)):
        if use.role in ("input", "reference"):
            inputs.setdefault(use.table or f"{use.namespace}:{use.name}", set()).add(use.version)
    return _Made(
        schema=schema,
        rows=rows,
        contract=said.get("contract"),
        checks=_results(store, str(run_id), node),
        code=said.get("code_version"),
        inputs={name: tuple(sorted(versions)) for name, versions in inputs.items()},
    )


def _held(lake: Lake | None, node: GraphNode) -> tuple[Mapping[str, str] | None, int | None]:
    """Columns and rows of a version in the lake, if this table is still there."""
    table, version = node.facts.get("table"), node.version
    if lake is None or not table or not version or not version.isdecimal():
        return None, None
    try:
        state = lake.table(str(table)).at(int(version))
    except AssayError:
        return None, None
    if str(state.delta.metadata().id) != node.facts.get("table_id"):
        return None, None  # made anew since
    return {name: str(dtype) for name, dtype in state.schema.items() if name != PARTITION}, state.rows()


def _last_event(store: LineageStore, run_id: str) -> Mapping[str, Any] | None:
    query = sa.select(events.c.body).where(events.c.run_id == run_id, events.c.event_type.in_(TERMINAL))
    with store.reading() as connection:
        body = connection.scalar(query.order_by(events.c.event_us.desc(), events.c.sha256).limit(1))
    return json.loads(body) if body is not None else None


def _outputs(event: Mapping[str, Any], node: GraphNode) -> Iterator[Mapping[str, Any]]:
    found = event.get("outputs")
    for item in found if isinstance(found, list) else ():
        version = _get(item, "facets", "version", "datasetVersion")
        if (_get(item, "namespace"), _get(item, "name"), version) == (node.namespace, node.name, node.version):
            yield item


def _results(store: LineageStore, run_id: str, node: GraphNode) -> dict[str, bool]:
    mine = checks.c.dataset.in_([node.name, str(node.facts.get("table") or node.name)])
    query = (
        sa.select(checks.c.name, checks.c.passed)
        .where(checks.c.run_id == run_id, mine)
        .order_by(checks.c.passed.desc())
    )
    with store.reading() as connection:
        return {name: bool(passed) for name, passed in connection.execute(query)}  # a failure comes last and stands


def _get(value: Any, *path: str) -> Any:
    """A value some way down; None where the event is shaped otherwise."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
