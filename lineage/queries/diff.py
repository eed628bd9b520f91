"""Differences between two versions of a dataset, and between the runs that made them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from assay.errors import AssayError
from assay.features.storage.parquet_files import PARTITION
from assay.features.storage.verdict import CheckState, named
from assay.features.tables.lake import Lake
from assay.lineage.events.naming import LOGICAL
from assay.lineage.events.redaction import redact_text
from assay.lineage.outline import Outline, Span, leaf, line, short_digest
from assay.lineage.queries.nodes import GraphNode, find
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.store.parse_event import TERMINAL

Pair = tuple[Any, Any]  # in a, in b; None: not known, or not there


@dataclass(frozen=True, slots=True)
class Diff:
    """What differs, as (in a, in b). Empty or None: no difference. `a` and `b` are the ids of the versions.

    `schema` (types by column) and `rows` are what the versions hold where the lake was given and has both, else what their
    runs wrote. `checks` is by name (a `CheckState`, such as "set aside"), `inputs` by dataset (the versions read; where a dataset
    was deleted and made anew in between, as version#table_id). `unknown` names the fields that are not known of both versions
    (for instance because no known run wrote one of them); these are not compared.
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

    @property
    def same(self) -> bool:
        """Whether nothing is known to differ."""
        return not any((self.schema, self.rows, self.contract, self.checks, self.code, self.inputs))

    def to_dict(self) -> dict[str, Any]:
        """Plain data; pairs stay pairs."""
        return {name: getattr(self, name) for name in self.__slots__} | {"same": self.same}

    def outline(self) -> Outline:
        """One line for each thing that differs."""
        below = [
            leaf(f"{name}  {_change(pair)}")
            for name in ("rows", "contract", "code")
            if (pair := getattr(self, name)) is not None
        ]
        for name in ("schema", "checks", "inputs"):
            pairs: Mapping[str, Pair] = getattr(self, name)
            if pairs:
                changes = (leaf(Span(key, "strong"), f"  {_change(pair)}") for key, pair in pairs.items())
                below.append(Outline((line(name),), tuple(changes)))
        if self.same:
            below.append(leaf("no known difference"))
        if self.unknown:
            below.append(leaf(Span(f"not known: {', '.join(self.unknown)}", "warning")))
        return Outline((line(Span(self.a, "strong"), " → ", Span(self.b, "strong")),), tuple(below))

    def __str__(self) -> str:
        return str(self.outline())


def _change(pair: Pair) -> str:
    return " → ".join(_text(value) for value in pair)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ", ".join(map(_text, value))
    return short_digest(value)


_Inputs = Mapping[str, frozenset[tuple[str, str]]]  # by dataset, version and table id of what was read


@dataclass(frozen=True, slots=True)
class _Made:
    """A version and its making. None: not known; an empty contract: there was none."""

    schema: Mapping[str, str] | None = None
    rows: int | None = None
    contract: str | None = None
    checks: Mapping[str, CheckState] | None = None
    code: str | None = None
    inputs: _Inputs | None = None


def diff(store: LineageStore, lake: Lake | None, a: str, b: str) -> Diff:
    """Compare two dataset versions by their node ids; `clean/tickets@3` is short for `dataset:assay:clean/tickets@3`.

    Raises AssayError for an id that is no dataset in the graph.
    """
    nodes = _dataset(store, a), _dataset(store, b)
    left, right = (_made(store, node) for node in nodes)
    held_a, held_b = (_held(lake, node) for node in nodes)
    if held_a is not None and held_b is not None:
        left = replace(left, schema=held_a[0], rows=held_a[1])
        right = replace(right, schema=held_b[0], rows=held_b[1])
    unknown = tuple(name for name in _Made.__slots__ if None in (getattr(left, name), getattr(right, name)))

    def differing(name: str, one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> dict[str, Pair]:
        if name in unknown or one is None or other is None:
            return {}
        return {key: (one.get(key), other.get(key)) for key in sorted({*one, *other}) if one.get(key) != other.get(key)}

    def pair(name: str) -> Pair | None:
        one, other = getattr(left, name), getattr(right, name)
        return None if one == other or name in unknown else (one, other)

    contract = pair("contract")
    return Diff(
        a=nodes[0].id,
        b=nodes[1].id,
        schema=differing("schema", left.schema, right.schema),
        rows=pair("rows"),
        contract=(contract[0] or None, contract[1] or None) if contract is not None else None,
        checks=differing("checks", left.checks, right.checks),
        code=pair("code"),
        inputs=differing("inputs", *_named(left.inputs, right.inputs)),
        unknown=unknown,
    )


def _named(*sides: _Inputs | None) -> Iterator[dict[str, tuple[str, ...]]]:
    """Versions as people write them; with the table's id where two tables of that name were read."""
    table_ids: dict[str, set[str]] = defaultdict(set)
    for name, read in (item for side in sides for item in (side or {}).items()):
        table_ids[name] |= {table_id for _, table_id in read}
    for side in sides:
        yield {
            name: tuple(
                sorted(f"{version}#{table_id}" if len(table_ids[name]) > 1 else version for version, table_id in read)
            )
            for name, read in (side or {}).items()
        }


def _dataset(store: LineageStore, text: str) -> GraphNode:
    node = find(store, text if text.startswith("dataset:") else f"dataset:{LOGICAL}:{text}")
    if node is None:
        raise AssayError(
            f"The lineage graph has no dataset {redact_text(text)}. Ids look like dataset:assay:clean/tickets@3, or short "
            "clean/tickets@3 (see: assay lineage search TEXT)."
        )
    return node


def _made(store: LineageStore, node: GraphNode) -> _Made:
    """A version as the run that wrote it recorded it."""
    run_id = node.facts.get("run")
    event = _last_event(store, run_id) if run_id else None
    if event is None:
        return _Made()
    output: Mapping[str, Any] = next(_outputs(event, node), {})
    fields = _get(output, "facets", "schema", "fields")
    types = {str(_get(item, "name")): str(_get(item, "type") or "") for item in _listed(fields)}
    tags = _listed(_get(event, "run", "facets", "tags", "tags"))
    tagged = {str(_get(tag, "key")): _get(tag, "value") for tag in tags}
    code, rows = tagged.get("code_version"), _get(output, "outputFacets", "outputStatistics", "rowCount")
    inputs: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for use in store.uses(str(run_id)):
        if use.role in ("input", "reference"):
            inputs[use.table or f"{use.namespace}:{use.name}"].add((use.version, use.table_id))
    return _Made(
        schema={name: kind for name, kind in types.items() if name != PARTITION} if fields is not None else None,
        rows=rows if isinstance(rows, int) else None,
        contract=str(tagged.get("contract") or ""),
        checks=_results(store, str(run_id), node),
        code=str(code) if code is not None else None,
        inputs={name: frozenset(read) for name, read in inputs.items()},
    )


def _held(lake: Lake | None, node: GraphNode) -> tuple[Mapping[str, str], int] | None:
    """Columns and rows of a version in the lake, if this table is still there."""
    table, version = node.facts.get("table"), node.version
    if lake is None or not table or not version or not version.isdecimal():
        return None
    try:
        state = lake.table(str(table)).at(int(version))
    except AssayError:
        return None
    if state.table_id != node.facts.get("table_id"):
        return None  # made anew since
    return {name: str(dtype) for name, dtype in state.schema.items() if name != PARTITION}, state.rows()


def _last_event(store: LineageStore, run_id: str) -> Mapping[str, Any] | None:
    ended = [event for event in store.events(run_id) if event.kind in TERMINAL]
    return max(ended, key=lambda event: (event.at, event.sha256)).data if ended else None


def _outputs(event: Mapping[str, Any], node: GraphNode) -> Iterator[Mapping[str, Any]]:
    for item in _listed(event.get("outputs")):
        named = [redact_text(str(_get(item, name))) for name in ("namespace", "name")]
        version = _get(item, "facets", "version", "datasetVersion")
        if (*named, version) == (node.namespace, node.name, node.version):
            yield item


def _results(store: LineageStore, run_id: str, node: GraphNode) -> dict[str, CheckState]:
    """By check; of one on several columns, the worst."""
    mine = {node.name, node.facts.get("table")}
    states: dict[str, set[CheckState]] = {}
    for check in store.checks(run_id):
        if check.dataset in mine:
            states.setdefault(check.name, set()).add(check.state)
    return {name: state for state, names in named(states).items() for name in names}


def _get(value: Any, *path: str) -> Any:
    """A value some way down; None where the event is shaped otherwise."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
