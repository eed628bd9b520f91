"""`/impact`: which predictions took rows of a delivered file. `/impact/<table>`: what was made from a table, or from some of its
rows.

A condition on rows may hold a value about a person. It is sent in a form and gets into no address, so into no log either; a
question without one has an address that can be kept.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse

from assay.errors import AssayError
from assay.features.tables.kinds import Kind
from assay.features.tables.lake import Lake
from assay.lineage.affected.answer import AffectedPredictions, affected_predictions
from assay.lineage.affected.export import csv_chunks, json_chunks, write_list
from assay.lineage.affected.files import File
from assay.lineage.affected.origin import BadRows, Origin
from assay.lineage.outline import shorten
from assay.lineage.predictions.outputs import CONFIDENCE
from assay.lineage.queries.other_readers import OtherReader, other_readers
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.tracing.impact import Affected, impact
from assay.web.html import HEADERS, PageError, link, page
from assay.web.missing import MissingBatches
from assay.web.node_labels import dataset_id, graph_link, style_of, table_kind
from assay.web.values import answer_text, moment, value_text
from assay.why.judged_by import DeclaredNow
from assay.why.shown import classes_of_lake, masked, shown_answers

NEWEST = 30  # versions of a table that are followed unless all are asked for: their number grows with every day
LISTED = 100  # predictions on the page; the download has all
FIELDS = ("version", "partition", "column", "file", "rows")
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
CHOICES = ("lookups", "through_models")
SWITCHES, _OFF = (*CHOICES, "all", "list"), ("", "0", "false")
FORMS = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet", "json": "application/json"}
_DOWNLOADS = {"csv": "Download as CSV", "parquet": "as Parquet", "json": "as JSON"}
_KNOWN = {*FIELDS, *SWITCHES, "download"}


def impact_page(
    store: LineageStore,
    lake: Lake,
    declared: Callable[[], DeclaredNow],
    owners: Callable[[], Mapping[str, str]],
    request: Request,
) -> Response:
    """Some rows are followed row by row, to the predictions that took them; a whole table or version by its commits."""
    posted = request.method == "POST"
    table, query = request.path_params.get("table", ""), request.state.form if posted else dict(request.query_params)
    _refuse_unknown(query, posted, len(request.query_params.multi_items()))
    query = {name: value for name, value in query.items() if name not in SWITCHES or value not in _OFF}
    given = {name: query.get(name, "").strip() for name in (*FIELDS, *CHOICES)}
    if posted and not given["rows"]:
        return RedirectResponse(link(_here(table), **query | given), 303, HEADERS)
    if (text := given["version"]) and not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise PageError(
            400, "No such version", "A version is a whole number, such as 3.", "Leave it empty for all versions."
        )
    version = int(given["version"]) if given["version"] else None
    if not table and not given["file"]:
        return _asks(lake, given)
    try:
        if not table or any(given[name] for name in FIELDS[1:]) or {"list", "download", "through_models"} & set(query):
            chosen: dict[str, Any] = {name: given[name] or None for name in FIELDS[1:]}
            origin = Origin(table=table or None, version=version, **chosen)
            found = affected_predictions(lake, origin, lookups="lookups" in query, owners=owners(), store=store)
            return _row_by_row(lake, table, query, found, given, declared)
        newest = None if "all" in query else NEWEST
        downstream = impact(lake, table, version, lookups="lookups" in query, newest=newest)
    except BadRows as problem:
        raise PageError(400, "These rows cannot be chosen", str(problem), "Change the condition on the rows.") from None
    except AssayError as problem:
        advice = "Choose a table from the first page; leave the version empty for all of them."
        if not table:
            advice = "Its path as it was delivered, the end of that path, and its SHA-256 or the first 8 digits of it will do."
        raise PageError(404, "Nothing to follow", str(problem), advice) from None
    facts = [
        ("predictions", f"{downstream.predictions:,}"),
        ("models", ", ".join(downstream.models) or "none"),
        ("training sets", ", ".join(downstream.training_sets) or "none"),
    ]
    return page(
        "impact.html",
        **_head(lake, table, given, version),
        about=downstream.about,
        origin=downstream.origin_text,
        followed=NEWEST,
        left_out=f"{downstream.left_out:,}" if downstream.left_out else "",
        all=link(f"/impact/{table}", all="1"),
        list=link(f"/impact/{table}", list="1", version=given["version"]),
        complete=downstream.complete,
        reasons=downstream.reasons,
        notes=downstream.notes,
        others=_outside(other_readers(store, lake, downstream.tables)),
        facts=facts,
        affected=[_affected(item) for item in downstream.affected],
        lookups=[
            {"table": name, "href": link(f"/impact/{name}"), "versions": f"{count:,} version{'s' if count > 1 else ''}"}
            for name, count in downstream.looked_up_by.items()
        ],
    )


def _outside(others: Iterable[OtherReader]) -> list[dict[str, Any]]:
    return [item.to_dict() | {"href": graph_link(f"job:{item.namespace}:{item.job}")} for item in others]


def _refuse_unknown(query: Mapping[str, str], posted: bool, given: int) -> None:
    """`given`: how many parameters the address has."""
    others = sorted(set(query) - _KNOWN)
    if given > (0 if posted else len(query)):
        raise PageError(
            400,
            "A parameter too many",
            "The address of a form has parameters, or one is there twice.",
            "Ask once for each: of two values one would not count.",
        )
    if others:
        raise PageError(
            400,
            "No such parameter",
            f"This page has no parameter {others[0]!r}.",
            f"It has: {', '.join(sorted(_KNOWN))}. An answer to another question would look complete.",
        )
    if query.get("download", "csv") not in FORMS:
        raise PageError(
            400, "No such form", f"A list is not written as {query['download']!r}.", f"Ask for {', '.join(FORMS)}."
        )
    if query.get("rows", "").strip() and not posted:
        raise PageError(
            400,
            "No condition in an address",
            "Addresses are kept by browsers and in logs, and a condition on rows may hold a value about a person.",
            "Write the condition into the field Rows of this page's form: there it is sent without an address.",
            {"The form": link("/impact")},
        )


def _asks(lake: Lake, given: dict[str, str]) -> Response:
    """The form for a file, of which nobody needs to know the table."""
    tables = {table: link(f"/impact/{table}") for table in lake.tables(Kind.RAW.folder)}
    return page("impact_start.html", here="/impact", given=given, table="", tables=tables)


def _head(lake: Lake, table: str, given: dict[str, str], version: int | None) -> dict[str, Any]:
    return {
        "missing": MissingBatches(lake).of(table) if table else None,
        "table": table,
        "here": _here(table),
        "graph": graph_link(dataset_id(table, version)) if table else "",
        "given": given,
    }


def _here(table: str) -> str:
    return link(f"/impact/{table}") if table else "/impact"


def _row_by_row(
    lake: Lake,
    table: str,
    query: Mapping[str, str],
    found: AffectedPredictions,
    given: dict[str, str],
    declared: Callable[[], DeclaredNow],
) -> Response:
    through_models = "through_models" in query
    if "download" in query:
        return _download(found, query["download"], through_models)
    rows: list[dict[str, Any]] = []
    for batch in found.batches(through_models=through_models):
        rows += batch.head(LISTED - len(rows)).rows(named=True)
    every = found.direct + sum(count.model for count in found.counts.values())
    facts = [
        ("predictions that took affected rows", f"{found.direct:,}"),
        ("made by affected models", f"{found.through_models:,}"),
        ("models", ", ".join(found.models) or "none"),
        ("training sets", ", ".join(found.training_sets) or "none"),
    ]
    tables, classes = found.tables(), classes_of_lake(lake, declared()) if rows else {}
    chosen = sum(item["rows"] for item in tables if table in ("", item["table"]))
    return page(
        "impact_rows.html",
        **_head(lake, table, given, found.origin.version),
        about=found.origin.about,
        origin=_named(str(found.origin)),
        complete=found.complete,
        reasons=found.reasons,
        notes=found.notes,
        others=_outside(found.others),
        facts=facts,
        tables=[item | {"style": style_of(table_kind(item["table"]))} for item in tables],
        chosen=bool(chosen),
        rows=[_prediction(row, classes) for row in rows],
        more=f"{every - len(rows):,}" if every > len(rows) else "",
        through_models=through_models,
        with_models=_again(table, given | {"through_models": "1"}),
        downloads={text: _again(table, given | {"download": form}) for form, text in _DOWNLOADS.items()},
        files=[_file(item) for item in found.files],
        files_meant=found.files_meant,
        refused=bool(found.files) and not any(item.versions for item in found.files),
        set_aside=found.set_aside,
        kept=link(_here(table), **given | {"rows": "", "list": "1"}) if given["rows"] else "",
    )


def _again(table: str, asked: Mapping[str, str]) -> dict[str, Any]:
    """The same question with more: an address, or where it has a condition on rows, the fields of a form."""
    fields = {name: value for name, value in asked.items() if value}
    return {"fields": fields} if asked["rows"] else {"href": link(_here(table), **asked)}


def _named(origin: str) -> str:
    """What is asked about, with the beginnings of digests."""
    return _DIGEST.sub(lambda digest: f"{digest[0][:12]}…", origin)


def _prediction(row: dict[str, Any], classes: dict[str, str | None]) -> dict[str, Any]:
    """A line of the list: keys and answer as words. Personal keys are masked: the download has them, for who must be told."""
    (answer,), keys = shown_answers([json.loads(row["answer"])], classes), json.loads(row["keys"])
    (about,) = masked(pl.DataFrame([keys]), classes) if keys else ({},)
    confidence = answer.pop(CONFIDENCE, None)
    return row | {
        "model": f"{row['model']}@{row['model_version']}" if row["model_version"] else row["model"],
        "trace": link(f"/trace/{row['prediction_id']}"),
        "time": moment(row["event_time"]) if row["event_time"] else "",
        "keys": ", ".join(f"{name} {value_text(value)}" for name, value in about.items()),
        "answer": answer_text(answer),
        "confidence": f"{confidence:.3f}" if confidence is not None else "",
    }


def _file(file: File) -> dict[str, Any]:
    return {
        "path": file.path,
        "sha256": file.sha256[:12],
        "partition": file.partition or "",
        "href": link("/impact", file=file.sha256, partition=file.partition or ""),
        "taken": file.taken,
        "failed": [f"{run.table} {run}" for run in file.failed],
        "outcome": file.outcome,
    }


def _download(found: AffectedPredictions, form: str, through_models: bool) -> Response:
    """The whole list, unmasked. A list that is truncated says so: the JSON in `impact`, the CSV in its last lines, Parquet in its
    name."""
    headers, name = dict(HEADERS), f"affected.{form}"
    if form == "parquet":
        folder = tempfile.mkdtemp(prefix="assay-affected-")
        path, remove = Path(folder, name), BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
        try:
            write_list(found, path, through_models=through_models)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        name = name if found.complete else "affected-truncated.parquet"
        return FileResponse(path, headers=headers, media_type=FORMS[form], filename=name, background=remove)
    headers["Content-Disposition"] = f'attachment; filename="{name}"'
    batches = found.batches(through_models=through_models)
    chunks: Iterator[bytes | str] = json_chunks(found, batches) if form == "json" else _csv(found, batches)
    return StreamingResponse(chunks, headers=headers, media_type=FORMS[form])


def _csv(found: AffectedPredictions, batches: Iterator[pl.DataFrame]) -> Iterator[bytes]:
    yield from csv_chunks(batches)
    yield from (f"# truncated: {reason}\n".encode() for reason in found.reasons)


def _affected(item: Affected) -> dict[str, Any]:
    return {
        "table": item.table,
        "style": style_of(table_kind(item.table)),
        "href": graph_link(dataset_id(item.table, item.versions[-1])),
        "versions": len(item.versions),
        "live": item.live,
        "rows": f"{item.rows - item.rewritten:,}",
        "written": f"{item.rows:,}",
        "partitions": shorten(item.partitions),
    }
