"""`/trace/<id>`: the whole path behind a prediction, as a picture and as a list, and its proof."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from markdown_it import MarkdownIt
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from assay.errors import AssayError
from assay.features.storage.verdict import by_state, check_state, found_something, named
from assay.features.tables.lake import Lake
from assay.lineage.evidence.bundle import export
from assay.lineage.outline import LISTED
from assay.lineage.predictions.about import Ambiguous, whole_id
from assay.lineage.predictions.attachments import EXPLANATION, PROMPT, RETRIEVAL
from assay.lineage.predictions.outputs import CONFIDENCE, EVENT_TIME
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.tracing.trace import Trace, trace
from assay.lineage.tracing.trace_node import Node
from assay.lineage.verification.finding import Verification
from assay.lineage.verification.lost_prediction import lost_prediction
from assay.lineage.verification.verify import Verifier
from assay.web.badges import Badge, checks_badge
from assay.web.drawing import Card, Picture, draw, size_of
from assay.web.html import HEADERS, PageError, link, page
from assay.web.layout import arrange
from assay.web.node_labels import dataset_id, graph_link, style_of
from assay.web.values import answer_text, metrics, moment, value_text
from assay.why.explain import why
from assay.why.explanation import Why
from assay.why.items import ShownRow, StepTaken
from assay.why.judged_by import DeclaredNow
from assay.why.letter import letter
from assay.why.shown import keys_of, personal_columns, shown_trace
from assay.why.verdict import in_sentences

Today = Callable[[], DeclaredNow]  # the contracts that a project declares now
_STATES = {True: ("ok", "✓ holds"), None: ("plain", "– not checked"), False: ("failed", "✗ broken")}
_ADVICE = (
    "Check the id: it has 36 characters, and the first 8 may do. Or search for a key, such as a customer, and a day."
)
_OUTCOMES = {
    "verified": ("ok", "✓", "Everything this prediction rests on is still there, and computes to the same."),
    "incomplete": ("plain", "–", "Nothing contradicts the trace, but some of what it rests on is gone."),
    "broken": ("failed", "✗", "Something is not what it was when the prediction was made."),
}
# Of Markdown what a letter has. Neither links nor HTML: data in it must not become any.
LETTER = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "image", "autolink"])
_ANSWERS = {"checked": "ok", "not checked": "plain", "differs": "failed"}


def trace_page(lake: Lake, store: LineageStore, declared: Today, request: Request) -> Response:
    lake, given = lake.at_one_moment(), request.path_params["prediction_id"]
    whole = _whole(lake, given)
    if whole != given:
        return RedirectResponse(link(f"/trace/{whole}"), 303, HEADERS)
    return _shown(lake, store, declared, _traced(lake, whole, store), None)


def verify_page(lake: Lake, store: LineageStore, declared: Today, verify: Verifier, request: Request) -> Response:
    traced = _asked_here(lake, request)
    return _shown(lake, store, declared, traced, _verified(traced, verify))


def letter_page(lake: Lake, store: LineageStore, declared: Today, verify: Verifier, request: Request) -> Response:
    """The letter about a prediction, verified: a page to be printed (or saved as PDF by the browser), or a Markdown file."""
    traced = _asked_here(lake, request)
    found = replace(why(lake, traced, store, declared=declared()), verification=_verified(traced, verify))
    keys = keys_of(traced)
    whose = [key for key in keys if key == request.state.form.get("whose")]
    text = letter(found, datetime.now(UTC).date(), whose)
    if request.state.form.get("as") == "markdown":
        return _file(text, "text/markdown", f"prediction-{traced.prediction_id}.md")
    return page("letter.html", id=traced.prediction_id, letter=LETTER.render(text), keys=keys, whose="".join(whose))


def evidence_file(lake: Lake, store: LineageStore, declared: Today, request: Request) -> Response:
    """The evidence bundle of a prediction; personal columns are withheld."""
    traced = _asked_here(lake, request)
    bundle = export(lake, traced, store, withhold=personal_columns(lake, traced, declared()))
    return _file(bundle.to_bytes(), "application/zip", f"evidence-{traced.prediction_id}.zip")


def _file(content: str | bytes, media_type: str, name: str) -> Response:
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)


def _asked_here(lake: Lake, request: Request) -> Trace:
    """Only for forms of this console: the work is long, and another site could start it again and again."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise PageError(403, "Not from here", "Another site asked for this.", "Open the trace here and press Verify.")
    return _traced(lake, request.path_params["prediction_id"])


def _verified(traced: Trace, verify: Verifier) -> Verification:
    try:
        return verify(traced)
    except AssayError as problem:
        raise PageError(
            500, "This cannot be verified", str(problem), "Run `assay doctor` to see what is wrong."
        ) from None


def _whole(lake: Lake, text: str) -> str:
    try:
        return whole_id(lake, text)
    except Ambiguous as several:
        near = {
            f"{item.id} ({item.model}, {moment(item.event_time)})": f"/trace/{item.id}" for item in several.candidates
        }
        raise PageError(404, "Which of them?", str(several), "Or search for a key and a day.", near) from None
    except AssayError as problem:
        raise PageError(404, "No trace", str(problem), _ADVICE) from None


def _traced(lake: Lake, prediction_id: str, store: LineageStore | None = None) -> Trace:
    try:
        return trace(lake, prediction_id)
    except AssayError as problem:
        raise PageError(404, "No trace", f"{problem}{_left(lake, prediction_id, store)}", _ADVICE) from None


def _left(lake: Lake, prediction_id: str, store: LineageStore | None) -> str:
    """What is known of a prediction that cannot be traced, in sentences; nothing where there is no such prediction."""
    try:
        lost = lost_prediction(lake, prediction_id, "", store)
    except AssayError:  # no id, or tables that this person may not read
        return ""
    wrong = [f" {item.what}: {item.detail}." for item in (lost.findings if lost else ())[:LISTED]]
    possible = [f" It may be of {item}." for item in (lost.commits if lost else ())[:LISTED]]
    return "".join([*wrong, *possible])


def _shown(
    lake: Lake, store: LineageStore, declared: Today, traced: Trace, verification: Verification | None
) -> Response:
    today = declared()
    found = why(lake, traced, store, declared=today)
    row = shown_trace(lake, traced, today).root.details
    names = ("model", "model_version", EVENT_TIME, CONFIDENCE, PROMPT)
    facts = [(name.replace("_", " "), _text(name, row[name])) for name in names if row.get(name) is not None]
    facts.append(("made", f"{moment(found.made_at)}{f' by {found.actor}' if found.actor else ''}"))
    answer = {name: value for name, value in found.answer.items() if value is not None}
    return page(
        "trace.html",
        id=traced.prediction_id,
        answer=answer_text(answer, named=True),
        facts=[*found.about.items(), *facts],
        why=_why(found),
        keys=list(found.about),
        explanation=row.get(EXPLANATION),
        retrieval=_retrieval(row.get(RETRIEVAL)),
        picture_=_picture(traced, answer_text(answer, named=True)),
        steps=[_step(node) for node in traced.nodes],
        files=[{"path": f.path, "rows": f"{f.rows:,}", "sha256": f.sha256} for f in traced.files()],
        verification=_findings(verification) if verification else None,
    )


def _why(found: Why) -> dict[str, Any]:
    """What was unusual, the rows by table, and each table's step, as the page shows them."""
    tables = dict.fromkeys(row.table for row in found.rows)
    return {
        "answers_text": found.answers_text,
        "replaced": found.answers_text.startswith("This is not"),
        "features": found.features,
        "unusual": [item for item in found.unusual if not item.of_training],
        "in_training": [item for item in found.unusual if item.of_training],
        "rows_text": f"{found.rows_text[:1].upper()}{found.rows_text[1:]}",
        "tables": [_rows(table, [row for row in found.rows if row.table == table]) for table in tables],
        "steps": [
            (step, graph_link(f"run:{step.run_id}") if step.run_id else "", _rules_badge(step)) for step in found.steps
        ],
    }


def _rules_badge(step: StepTaken) -> Badge | None:
    return checks_badge(named({rule.name: [rule.state] for rule in step.rules}))


def _rows(table: str, rows: Sequence[ShownRow]) -> dict[str, Any]:
    columns = list(dict.fromkeys(name for row in rows for name in row.values))
    return {
        "table": table,
        "columns": columns,
        "rows": [(row, [row.values.get(name) or "" for name in columns]) for row in rows],
    }


def _text(name: str, value: Any) -> str:
    if name == EVENT_TIME:
        return f"{moment(datetime.fromisoformat(str(value)))} UTC"
    return value_text(value)


def _retrieval(attached: Any) -> dict[str, Any] | None:
    """What was searched, and what was found there."""
    if not isinstance(attached, dict) or not {"snapshot", "hits"} <= set(attached):
        return None
    snapshot = attached["snapshot"]
    hits = [hit | {"score": "" if hit["score"] is None else f"{hit['score']:.4g}"} for hit in attached["hits"]]
    table, version = snapshot["table"], snapshot["version"]
    return {"name": f"{table}@{version}", "href": graph_link(dataset_id(table, version)), "hits": hits}


def _picture(traced: Trace, answer: str) -> Picture:
    nodes = traced.nodes
    cards = [_card(node, traced, answer) for node in nodes]
    edges = [(item.id, node.id) for node in nodes for item in node.inputs]
    looked_up = {(item.id, node.id) for node in nodes for item in node.inputs if item.lookup}
    return draw(cards, arrange(map(size_of, cards), edges), dashed=frozenset(looked_up))


def _card(node: Node, traced: Trace, answer: str) -> Card:
    root = node is traced.root
    return Card(
        id=node.id,
        kind=node.kind,
        title=node.table,
        href=f"#step-{node.id}",
        version=f"@{node.snapshot.version}",
        note=answer if root else _note(node),
        badge=_badge(node),
        focus=root,
        muted=node.lookup,
        path=f"{'looked up: ' if node.lookup else ''}{node.name}, {node.part_text}",
    )


def _note(node: Node) -> str:
    """A note short enough for a card; the list has everything."""
    if node.kind == "model":
        return f"model {node.details.get('model_version', '')}"
    if node.partitions is None:
        return node.part_text
    count = len(node.partitions)
    return f"{count} partitions" if count > 1 else " ".join(node.partitions) or "nothing"


def _badge(node: Node) -> Badge | None:
    if node.status != "readable":
        return Badge(node.status, "failed", f"its data is {node.status}")
    return _of_checks(node)


def _of_checks(node: Node) -> Badge | None:
    return checks_badge(by_state(node.checks))


def _found(node: Node) -> list[str]:
    """The checks that found something, with what became of it."""
    return [f"{check['name']}: {check_state(check)}" for check in node.checks if found_something(check)]


def _step(node: Node) -> dict[str, Any]:
    last, more = (node.commits[-1], len(node.commits) - 1) if node.commits else (None, 0)
    model = node.details.get("model_version") if node.kind == "model" else None
    trained = f"model {model} {metrics(node.details.get('metrics'))}".strip() if model is not None else ""
    return {
        "anchor": f"step-{node.id}",
        "style": style_of(node.kind),
        "name": node.table,
        "href": graph_link(dataset_id(node.table, node.snapshot.version)),
        "version": _ranges(node.versions_read),
        "read": trained or node.part_text,
        "badge": _of_checks(node),
        "found": _found(node),
        "contract": ", ".join(f"{item['name']} {item['version']}" for item in node.contracts),
        "run": last.run_id or "" if last else "",
        "run_href": graph_link(f"run:{last.run_id}") if last else "",
        "runs": f"+{more}" if more else "",
        "code": last.code_version[:12] if last else "",
        "status": node.status,
        "reference": node.lookup,
    }


def _ranges(numbers: Sequence[int]) -> str:
    """`1–3, 5` for 1, 2, 3, 5."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{first}–{last}" if last > first else str(first) for first, last in runs)


def _findings(verification: Verification) -> dict[str, Any]:
    """Contradictions first, then what could not be checked."""
    state, sign, meaning = _OUTCOMES[verification.outcome]
    order = sorted(verification.checks, key=lambda item: (False, None, True).index(item.ok))
    rows = [
        {"what": item.what, "detail": item.detail, "state": _STATES[item.ok][0], "sign": _STATES[item.ok][1]}
        for item in order
    ]
    held = [row for row in rows if row["state"] == "ok"]
    return {
        "outcome": verification.outcome,
        "state": state,
        "sign": sign,
        "meaning": meaning if verification.outcome == "broken" else in_sentences(verification),
        "answer": {"text": f"answer: {verification.answer}", "state": _ANSWERS[verification.answer]},
        "open": [row for row in rows if row not in held],
        "held": held,
    }
