"""The first page: every table, model and recent prediction; or what a search finds."""

from collections.abc import Callable, Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from assay.errors import AssayError
from assay.features.tables.kinds import Kind, own_name
from assay.features.tables.lake import Lake, TableState
from assay.lineage.predictions.about import beginning_with, predictions_matching
from assay.lineage.predictions.find_prediction import ID, UNREADABLE
from assay.lineage.predictions.latest import LoggedPrediction
from assay.lineage.predictions.outputs import CONFIDENCE, EVENT_TIME, outputs_of
from assay.lineage.queries.id_search import Hit
from assay.lineage.queries.nodes import GraphNode
from assay.lineage.queries.search import SHOWN, nodes_of, search_all
from assay.lineage.store.lineage_store import LineageStore
from assay.web.ages import age_badge
from assay.web.badges import Badge
from assay.web.drawing import cut
from assay.web.html import HEADERS, link, page
from assay.web.missing import Missing, MissingBatches
from assay.web.node_labels import LONGEST, graph_link, heading, near_tables, pipeline_link, style_of, table_kind
from assay.web.pages.browse import other_producers
from assay.web.pipeline import PipelineView, picture_of, pipeline_of
from assay.web.settings_missing import Lacking, lacking_of
from assay.web.table_states import state_badge, table_states, undeclared_badges
from assay.web.values import answer_text, metrics, moment
from assay.why.judged_by import DeclaredNow
from assay.why.lake_search import LakeHit, find_suggestion, search_lake
from assay.why.shown import Classes, classes_of_lake, shown_answers, shown_keys, shown_predictions

FOUND = 50
RECENT = 15
_SHA = 12
_PARTS = ("column", "rule", "owner", "tag")


def home_page(
    store: LineageStore,
    lake: Lake,
    declared: Callable[[], DeclaredNow],
    tables: Callable[[], Collection[str] | None],
    request: Request,
) -> Response:
    text = request.query_params.get("q", "").strip()
    if not text:
        states, missing, lacking = list(table_states(lake)), MissingBatches(lake), lacking_of(lake)
        undeclared = undeclared_badges(lake, tables())
        pipeline = pipeline_of(states, missing, lacking, PipelineView(), undeclared)
        return page(
            "home.html",
            q="",
            pipeline=picture_of(pipeline, PipelineView(), None, unfolds=False) if states else None,
            left_out=pipeline.left_out,
            tables=_tables(states, missing, lacking, undeclared),
            models=_models(states),
            predictions=_predictions(lake, states, declared),
            others=_others(store),
        )
    return _found(store, lake, declared, text, beginning_with(lake, text))


def search_page(store: LineageStore, lake: Lake, declared: Callable[[], DeclaredNow], request: Request) -> Response:
    """What the search field was sent, which may say whom a prediction is about: it goes into no address. What only names tables
    and runs gets one that can be kept."""
    text = request.state.form.get("q", "").strip() if request.method == "POST" else ""
    if not text:
        return RedirectResponse("/", 303, HEADERS)
    predictions = _matching(lake, text)
    # What is only the ending of an id may as well be about somebody.
    if not predictions and (search_all(store, text, kinds=SHOWN, limit=1).hits or search_lake(lake, text, 1)):
        return RedirectResponse(link("/", q=text), 303, HEADERS)
    return _found(store, lake, declared, text, predictions)


def _found(
    store: LineageStore,
    lake: Lake,
    declared: Callable[[], DeclaredNow],
    text: str,
    predictions: list[LoggedPrediction],
) -> Response:
    found = search_all(store, text, kinds=("run", "version") if _is_uuid(text) else None, limit=FOUND)
    in_lake = search_lake(lake, text, FOUND)
    if not found.hits and not in_lake and not predictions:
        if _is_uuid(text):  # its page says what is known of it, and whether it was lost
            return RedirectResponse(link(f"/trace/{text}"), 303, HEADERS)
        in_lake = find_suggestion(lake, text)
    nodes_of_hits = nodes_of(store, found.hits)
    tables = set(lake.tables())
    hits = [_in_lake(hit) for hit in in_lake]
    hits += [_hit(hit, nodes_of_hits[hit], tables) for hit in found.hits if hit in nodes_of_hits]
    if len(predictions) == 1 and not hits:
        return RedirectResponse(link(f"/trace/{predictions[0].id}"), 303, HEADERS)
    if not predictions and not found.more and len({hit["href"] for hit in hits}) == 1 and hits[0]["opens"]:
        return RedirectResponse(hits[0]["href"], 303, HEADERS)
    near = {} if hits or predictions else near_tables(lake, text)
    return page(
        "home.html",
        q=text if len(text) <= LONGEST else f"{text[:LONGEST]}…",
        hits=hits,
        more=found.more or len(predictions) >= FOUND,
        near=near,
        predictions=_listed(lake, predictions, declared()) if predictions else [],
    )


def _listed(lake: Lake, predictions: list[LoggedPrediction], declared: DeclaredNow) -> list[dict[str, Any]]:
    classes = classes_of_lake(lake, declared)
    return [_prediction(item, classes) for item in shown_predictions(lake, predictions, declared)]


def _others(store: LineageStore) -> dict[str, Any] | None:
    """None where the lineage database does not answer: the tables are in the lake."""
    try:
        return other_producers(store)
    except SQLAlchemyError:
        return None


def _matching(lake: Lake, text: str) -> list[LoggedPrediction]:
    """Predictions whose id begins so, or that are about what the text names: a key's value, a day, or both."""
    try:
        return beginning_with(lake, text) or predictions_matching(lake, text, limit=FOUND)
    except (AssayError, *UNREADABLE):
        return []  # the table's own page says what is wrong with it


def _prediction(item: LoggedPrediction, classes: Classes) -> dict[str, Any]:
    answer = {name: value for name, value in item.answer.items() if name != CONFIDENCE}
    confidence = item.answer.get(CONFIDENCE)
    return {
        "id": item.id,
        "time": moment(item.event_time),
        "answer": answer_text(answer),
        "confidence": f"{confidence:.3f}" if confidence is not None else "",
        "model": f"{item.model} {item.model_version}",
        "about": ", ".join(f"{name} {value}" for name, value in shown_keys(item, classes).items()),
        "replaced": item.replaced,
    }


def _hit(hit: Hit, node: GraphNode, tables: Collection[str]) -> dict[str, Any]:
    """`opens`: alone, it is opened. A column, a rule, an owner and a tag are something of what would be opened."""
    short = cut(node.version or "", _SHA)  # other producers' versions may be digests
    row = {**heading(node), "href": graph_link(node.id), "short_version": short, "opens": hit.kind not in _PARTS}
    if hit.kind in _PARTS:
        return row | {"title": hit.text, "kind": f"{hit.kind} of {row['title']}{', formerly' if hit.formerly else ''}"}
    if hit.kind in ("contract", "code"):  # columns of the page of a table's versions
        href = link(f"/versions/{hit.name}") if hit.name in tables else row["href"]
        return row | {"title": hit.text, "kind": f"{hit.kind} of {hit.name}", "href": href}
    if hit.kind == "row":
        return row | {"kind": f"{hit.text} of a delivered file", "href": link("/impact", file=hit.name)}
    if hit.kind == "run" and hit.text not in hit.node:
        return row | {"where": f"{row['where']}, a step of Dagster run {hit.text}"}
    return row


def _in_lake(hit: LakeHit) -> dict[str, Any]:
    href = pipeline_link(hit.table) if hit.kind == "model" else link(f"/versions/{hit.table}")
    return {
        "title": hit.title,
        "kind": hit.kind if hit.kind == "model" else f"{hit.kind} of {hit.table}",
        "version": "",
        "short_version": "",
        "href": href,
        "where": hit.about,
        "opens": hit.kind != "rule",
    }


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _tables(
    states: list[tuple[str, TableState | AssayError]],
    missing: MissingBatches,
    lacking: dict[str, Lacking],
    undeclared: Mapping[str, Badge],
) -> list[dict[str, Any]]:
    """By name; those that are no longer declared last, without what somebody would have to do about them."""
    alive = [(name, state) for name, state in states if name not in undeclared]
    rows = [_table(name, state, missing.of(name), lacking.get(name)) for name, state in alive]
    never = {*missing.never_made(), *lacking} - {name for name, _ in states}
    rows += [_never_made(name, missing.of(name), lacking.get(name)) for name in never]
    gone = [_table(name, state, None, None) for name, state in states if name in undeclared]
    last = [row | {"badge": undeclared[row["name"]], "old": None, "failed": False} for row in gone]
    return [*sorted(rows, key=lambda row: row["name"]), *last]


def _never_made(name: str, lacks: Missing | None, lacking: Lacking | None) -> dict[str, Any]:
    why = f" {lacks.heading}." if lacks else ""
    row = _table(name, AssayError(f"There is no version yet.{why}"), lacks, lacking)
    return row | {"href": lacks.href if lacks else lacking.href if lacking else "", "impact": "", "failed": bool(lacks)}


def _table(name: str, state: TableState | AssayError, lacks: Missing | None, lacking: Lacking | None) -> dict[str, Any]:
    row = {
        "name": name,
        "style": style_of(table_kind(name)),
        "href": pipeline_link(name),
        "impact": link(f"/impact/{name}"),
        "problem": str(state) if isinstance(state, AssayError) else "",
        "failed": True,
        "missing": lacks,
        "lacking": lacking,
    }
    if isinstance(state, AssayError):
        return row
    last = state.last_commit
    return row | {
        "version": state.version,
        "versions": link(f"/versions/{name}"),
        "rows": f"{state.rows():,}",
        "partitions": state.count_partitions() or "",
        "badge": state_badge(state),
        "old": age_badge(state),
        "updated": moment(last.timestamp),
    }


def _models(states: list[tuple[str, TableState | AssayError]]) -> list[dict[str, Any]]:
    """Newest first."""
    models: list[dict[str, Any]] = []
    for name, state in states:
        if not Kind.MODELS.holds(name) or isinstance(state, AssayError):
            continue
        wanted = [c for c in ("model_version", "training_set", "metrics", "sha256") if c in state.schema]
        try:
            rows = state.scan().select(wanted).collect().to_dicts()
        except UNREADABLE:
            continue  # the table's own page says what is wrong with it
        models += [
            {
                "name": own_name(name),
                "href": pipeline_link(name),
                "version": row.get("model_version", ""),
                "training_set": row.get("training_set") or "",
                "metrics": metrics(row.get("metrics")),
                "sha256": str(row.get("sha256", ""))[:_SHA],
            }
            for row in reversed(rows)
        ]
    return models


def _predictions(
    lake: Lake, states: list[tuple[str, TableState | AssayError]], declared: Callable[[], DeclaredNow]
) -> list[dict[str, Any]]:
    """The last of each model's newest days."""
    predictions: list[dict[str, Any]] = []
    for name, state in states:
        if not Kind.PREDICTIONS.holds(name) or isinstance(state, AssayError):
            continue
        last = state.last_partition()
        newest = [last] if last else None
        commits = state.writers(newest)
        outputs = list(dict.fromkeys(name for commit in commits for name in outputs_of(commit, state.schema)))
        wanted = [c for c in (ID, EVENT_TIME, *outputs, CONFIDENCE, "model_version") if c in state.schema]
        try:
            rows = state.scan(newest).select(wanted).sort(EVENT_TIME).tail(RECENT).collect()
        except UNREADABLE:
            continue
        predictions += [
            {
                "id": row[ID],
                "at": row[EVENT_TIME],
                "answer": {name: row[name] for name in outputs if row.get(name) is not None},
                "confidence": f"{row[CONFIDENCE]:.3f}" if row.get(CONFIDENCE) is not None else "",
                "model": f"{own_name(name)} {row['model_version']}",
            }
            for row in rows.to_dicts()
        ]
    predictions.sort(key=lambda row: row["at"], reverse=True)
    newest = predictions[:RECENT]
    answers = shown_answers([row["answer"] for row in newest], classes_of_lake(lake, declared()) if newest else {})
    return [
        row | {"time": moment(row["at"]), "answer": answer_text(answer), "about": "", "replaced": False}
        for row, answer in zip(newest, answers, strict=True)
    ]
