"""Finds out why a prediction is as it is: from its trace, the rows behind it, and what the lake holds now."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import polars as pl

from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.verdict import CheckState
from assay.features.tables.kinds import Kind
from assay.features.tables.lake import Lake
from assay.lineage.outline import shorten
from assay.lineage.predictions.find_prediction import UNREADABLE, unreadable
from assay.lineage.predictions.outputs import CONFIDENCE, EVENT_TIME
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.tracing.other_answers import answers_to_the_same
from assay.lineage.tracing.row_provenance import not_followed
from assay.lineage.tracing.rows_read import RowsRead
from assay.lineage.tracing.trace import Trace
from assay.lineage.tracing.trace_node import Node
from assay.why.explanation import Why
from assay.why.features import seen_by_model, shown_features
from assay.why.items import GivenAnswer, RuleResult, StepTaken
from assay.why.judged_by import COUNTS_ONLY, DeclaredNow, declared_by, demand
from assay.why.outcomes import Outcomes, outcomes_by_rule
from assay.why.rows import TableRows, late, released, rows_of, shown_rows
from assay.why.shown import classes_on_the_way, keys_of, masked, prediction_in_text
from assay.why.unusual import Way, row_notes, unusual


def why(
    lake: Lake,
    trace: Trace,
    store: LineageStore | None = None,
    *,
    now: datetime | None = None,
    declared: DeclaredNow = MappingProxyType({}),
) -> Why:
    """Why a prediction is as it is.

    Args:
        lake: Where the tables are.
        trace: What `trace` gave for the prediction.
        store: The lineage store, which knows who owns steps that no contract judges; None: only contracts name owners.
        now: The time now, which decides what exceptions have ended.
        declared: The contracts that the project declares today, by clean table: what they call personal is masked, too.

    Returns:
        Its answer, what was unusual, the rows, the steps. Personal data is masked.
    """
    lake, trace = lake.at_one_moment(), replace(trace, rows_read=RowsRead())
    row, root = trace.prediction.row, trace.root
    own, training = _parted(trace)
    seen = seen_by_model(lake, trace)
    behind, problem = _behind(lake, trace, declared)
    way = Way(lake, trace, own, training, behind or [], now or datetime.now(UTC), seen, store)
    releases, lates = list(released(lake, way.behind)), list(late(lake, way.behind))
    rows = shown_rows(way.behind, row_notes(releases, lates), {key: row[key] for key in keys_of(trace) if key in row})
    answer, about, attached = prediction_in_text(lake, trace, declared)
    commit = root.commits[-1]
    owners = _owners(lake, store, trace)
    return Why(
        prediction_id=trace.prediction_id,
        model=trace.prediction.model,
        model_version=str(row["model_version"]),
        answer=answer,
        confidence=row.get(CONFIDENCE),
        attached=attached,
        about=about,
        event_time=row[EVENT_TIME],
        made_at=commit.timestamp,
        run_id=commit.run_id or "",
        actor=commit.actor,
        unusual=tuple(unusual(way, releases, lates)),
        features=tuple(shown_features(lake, trace, seen, classes_on_the_way(lake, trace, declared))),
        answers=tuple(_answers(lake, trace, declared)),
        every_row=tuple(rows),
        row_count=None if behind is None else len(rows),
        file_count=len({(one.file, one.sha256) for one in rows}),
        rows_problem=problem,
        steps=tuple(_steps(way, owners)),
    )


def _parted(trace: Trace) -> tuple[list[Node], list[Node]]:
    """The nodes of the prediction's own data, and those that only its model's training read. The model itself is of the first.
    What people read when they decided about rows is of neither."""
    own, training = dict[str, Node](), dict[str, Node]()

    def walk(node: Node, into: dict[str, Node], ends: tuple[str, ...]) -> None:
        if node.id not in into:
            into[node.id] = node
            for item in node.inputs if node.kind not in ends else ():
                walk(item, into, ends)

    walk(trace.root, own, ("model", Kind.RELEASES.singular))
    for node in list(own.values()):
        for item in node.inputs if node.kind == "model" else ():
            walk(item, training, (Kind.RELEASES.singular,))
    return list(own.values()), [node for node in training.values() if node.id not in own]


def _behind(lake: Lake, trace: Trace, declared: DeclaredNow) -> tuple[list[TableRows] | None, str]:
    """The rows behind the prediction, None where they cannot be found, and why they, or some of them, cannot."""
    try:
        return rows_of(lake, trace, declared), not_followed(lake, trace)
    except AssayError as problem:
        return None, str(problem)
    except UNREADABLE as problem:
        return None, f"{unreadable(problem)}."


def _answers(lake: Lake, trace: Trace, declared: DeclaredNow) -> Iterator[GivenAnswer]:
    """All answers to the same question, the latest first, masked as the prediction's own."""
    classes = classes_on_the_way(lake, trace, declared)
    for item in answers_to_the_same(lake, trace).all:
        answer = {name: value for name, value in item.answer.items() if name != CONFIDENCE}
        (shown,) = masked(pl.DataFrame([answer]), dict.fromkeys(answer) | classes) if answer else ({},)
        yield GivenAnswer(item.id, item.model_version, shown, item.made_at)


def _owners(lake: Lake, store: LineageStore | None, trace: Trace) -> Mapping[str, str]:
    """Who owns the step of each run, as its events name them."""
    last = (_last_commit(lake, node) for node in trace.nodes)
    runs = {commit.run_id for commit in last if commit is not None and commit.run_id}
    found: dict[str, str] = {}
    for event in store.events_of(runs) if store is not None else ():
        owners = event.data.get("job", {}).get("facets", {}).get("ownership", {}).get("owners", [])
        if owners:
            found[event.data["run"]["runId"]] = ", ".join(str(owner.get("name", "")) for owner in owners)
    return found


def _last_commit(lake: Lake, node: Node) -> Commit | None:
    """The last commit that wrote what was read of a table; where nothing was taken of it, the last that had written to it."""
    if node.commits:
        return node.commits[-1]
    try:
        state = lake.table(node.table).at(node.snapshot.version)
    except AssayError:
        return None
    version = state.index.last_written(state.version)
    return state.index.commit(version) if version is not None else None


def _steps(way: Way, owners: Mapping[str, str]) -> Iterator[StepTaken]:
    """Each table once: what was only looked up in, where it is nothing else."""
    for nodes, of_training in ((way.own, False), (way.training, True)):
        read = {node.table for node in nodes if not node.lookup}
        tables = dict.fromkeys(node.table for node in nodes)
        for table in tables:
            same = [node for node in nodes if node.table == table and (not node.lookup or table not in read)]
            yield _step(way, same, of_training, owners)


def _step(way: Way, nodes: Sequence[Node], of_training: bool, owners: Mapping[str, str]) -> StepTaken:
    """One table, as several read it."""
    every = {
        commit.version: commit for node in nodes for commit in (node.commits if of_training else way.commits(node))
    }
    commits = tuple(every[version] for version in sorted(every))
    last = commits[-1] if commits else None
    declared = declared_by(way.lake.storage, last)
    first = nodes[0]
    merged = replace(first, commits=commits)
    owner_of = last or _last_commit(way.lake, first)
    return StepTaken(
        table=first.table,
        kind=first.kind,
        versions=tuple(sorted({node.snapshot.version for node in nodes})),
        read=_read(nodes),
        owner=merged.owner or owners.get((owner_of.run_id or "") if owner_of is not None else "", ""),
        contract=", ".join(f"{item['name']} {item['version']}" for item in merged.contracts),
        run_id=(last.run_id or "") if last is not None else "",
        more_runs=max(0, len(commits) - 1),
        actor=last.actor if last is not None else "",
        at=last.timestamp if last is not None else None,
        code_version=last.code_version if last is not None else "",
        rules=tuple(
            _rule(rule, outcomes, declared)
            for (table, rule), outcomes in outcomes_by_rule(commits).items()
            if table == first.table and rule not in COUNTS_ONLY
        ),
        status=next((node.status for node in nodes if node.status != "readable"), "readable"),
        lookup=first.lookup,
        of_training=of_training,
    )


def _read(nodes: Sequence[Node]) -> str:
    if nodes[0].kind == "model" and "model_version" in nodes[0].details:
        return f"version {nodes[0].details['model_version']}"
    if any(node.partitions is None for node in nodes):
        return nodes[0].part_text
    return shorten(sorted({key for node in nodes for key in node.partitions or ()}))


def _rule(rule: str, outcomes: Outcomes, declared: Mapping[str, Any] | None) -> RuleResult:
    state, evaluated = outcomes.state, sum(check["evaluated"] for _, check in outcomes.judged)
    results = {
        CheckState.NOT_JUDGED: "not judged yet, there is too little to compare with",
        CheckState.HELD: "; ".join(
            filter(None, (f"{evaluated:,} looked at" if evaluated else "", outcomes.in_words()))
        ),
    }
    result = results[state] if state in results else outcomes.in_words()
    return RuleResult(rule, *demand(rule, declared), result, state)
