"""`/versions/<table>`: every version of a table, newest first."""

from collections.abc import Callable, Collection
from itertools import pairwise
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from assay.errors import AssayError
from assay.features.storage.commit_metadata import Commit
from assay.features.storage.verdict import by_state
from assay.features.tables.delta_commit import contracts_since
from assay.features.tables.lake import Lake, TableMissing
from assay.web.ages import age_badge, age_of
from assay.web.badges import checks_badge
from assay.web.html import PageError, link, page
from assay.web.missing import MissingBatches
from assay.web.node_labels import dataset_id, graph_link, near_tables, pipeline_link, style_of, table_kind
from assay.web.settings_missing import lacking_of
from assay.web.table_states import rows_aside, rule_words, undeclared_badges
from assay.web.values import moment

LISTED = 100
_SHA = 12


def versions_page(lake: Lake, tables: Callable[[], Collection[str] | None], request: Request) -> Response:
    table, text = request.path_params["table"], request.query_params.get("until", "")
    if text and not (text.isascii() and text.isdecimal()):
        raise PageError(400, "No such version", "until is not a whole number.", "Leave it out for the newest versions.")
    missing, lacking = MissingBatches(lake).of(table), lacking_of(lake).get(table)
    undeclared = undeclared_badges(lake, tables()).get(table)
    refused = missing.rows() if missing else []
    try:
        log = lake.table(table).at().index
        until = min(log.latest, int(text)) if text else log.latest
        newest = log.by_runs(until, LISTED + 1)  # and the one before those that are listed
        rest = log.count_by_runs(until) - len(newest[:LISTED])
        listed = [log.commit(version) for version in newest[:LISTED]]
    except AssayError as problem:
        if (missing or lacking) and isinstance(problem, TableMissing):
            words = {"table": table, "style": style_of(table_kind(table)), "missing": missing, "refused": refused}
            none = {"graph": "", "pipeline": "", "age": None, "old": None, "versions": [], "older": "", "rest": 0}
            return page("versions.html", undeclared=undeclared, lacking=lacking, **none, **words)
        near = near_tables(lake, table)
        raise PageError(404, "No such table", str(problem), "Choose a table from the first page.", near) from None
    earlier, later = dict(pairwise(newest)), contracts_since(lake, table, listed)
    return page(
        "versions.html",
        table=table,
        style=style_of(table_kind(table)),
        graph=graph_link(dataset_id(table)),
        pipeline=pipeline_link(table),
        age=age_of(lake.table(table).at()) if undeclared is None else None,
        old=age_badge(lake.table(table).at()),
        missing=missing,
        lacking=lacking,
        undeclared=undeclared,
        refused=refused,
        versions=[
            _version(lake, table, commit, earlier.get(commit.version), later.get(commit.version, ""))
            for commit in listed
        ],
        older=link(f"/versions/{table}", until=str(newest[LISTED])) if rest else "",
        rest=rest,
    )


def _version(lake: Lake, table: str, commit: Commit, before: int | None, later: str) -> dict[str, Any]:
    """`later`: the version of the contract that came to the same afterwards."""
    contract = commit.contract
    names = by_state(check for check in commit.checks if check["table"] == table)
    return {
        "version": commit.version,
        "href": graph_link(dataset_id(table, commit.version)),
        "written": moment(commit.timestamp),
        "partition": commit.partition or "",
        "rows": f"{commit.rows:,}" if commit.rows is not None else "",
        "badge": checks_badge(names, words=rule_words(lake, commit), rows=rows_aside(lake, table)),
        "contract": f"{contract['name']} {contract['version']}{f'; {later} too' if later else ''}" if contract else "",
        "code": commit.code_version[:_SHA],
        "before": before,
        "diff": link("/diff", a=dataset_id(table, before), b=dataset_id(table, commit.version))
        if before is not None
        else "",
    }
