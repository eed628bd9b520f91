"""`assay lineage search`: what a text names, in the lineage index and in the lake."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from assay.cli.lineage import lineage
from assay.cli.output import err, json_option, out, print_json, print_table
from assay.store import Store, open_store

if TYPE_CHECKING:
    from assay.lineage.queries.id_search import Kind
    from assay.why.lake_search import LakeHit

__all__ = ["lineage"]


@lineage.command()
@click.argument("text")
@click.option(
    "--kind",
    type=click.Choice(
        [
            *("dataset", "job", "run", "version", "row", "column", "rule", "contract", "owner", "tag", "code"),
            *("model", "decision", "suggestion"),
        ]
    ),
    help="Only these (default: all).",
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="At most so many of a kind.")
@json_option
def search(text: str, kind: str | None, limit: int, as_json: bool) -> None:
    """Find what TEXT names: datasets, jobs, columns, rules, contracts, owners, tags and versions of code by their words, in any
    order and with a slip of the keys; runs (also Dagster's), versions, digests and decisions by their beginning, or as they are
    printed (`…da4d`); TABLE@VERSION, a training set NAME@VERSION, a model NAME VERSION, a row FILE:ROW, the id of a suggestion,
    and rules by what they demand. Columns, owners and tags that the latest events do not name any more are true of the runs of
    then: they come last, as `formerly`.

    Names of tables are what `impact` and `lineage columns` take; ids, what `lineage diff` and the HTTP API do.

    \b
    Examples:
      assay lineage search tickets
      assay lineage search "tickets 7d" --kind column
      assay lineage search clean/tickets@3
      assay lineage search tickets --kind job --json
    """
    from assay.lineage.events.naming import LOGICAL
    from assay.lineage.queries.search import SHOWN, nodes_of, search_all

    opened = open_store()
    store = opened.lineage_store
    kinds: list[Kind] = [each for each in SHOWN if kind in (None, each)]
    answers = [search_all(store, text, kinds=[each], limit=limit) for each in kinds]
    if kind is None and not any(answer.hits for answer in answers):
        answers = [search_all(store, text, limit=limit)]  # also ids by their ending
    hits = [hit for answer in answers for hit in answer.hits]
    nodes = nodes_of(store, hits)
    in_lake = _in_lake(opened, text, kind, limit, found=bool(hits))
    if as_json:
        shown = [(hit, {"kind": hit.kind, "text": hit.text, "formerly": hit.formerly}) for hit in hits if hit in nodes]
        print_json([*(asdict(nodes[hit]) | found for hit, found in shown), *map(asdict, in_lake)])
    elif not hits and not in_lake:
        out.print("Nothing has that name. If its tables are there: `assay lineage rebuild` restores their lineage.")
    else:
        rows = [
            (
                f"{hit.kind}, formerly" if hit.formerly else hit.kind,
                hit.text,
                nodes[hit].facts.get("table") or hit.name,
                nodes[hit].id,
            )
            for hit in hits
            if hit in nodes
        ]
        rows += [
            (hit.kind, f"{hit.title}: {hit.about}", hit.table, f"dataset:{LOGICAL}:{hit.table}") for hit in in_lake
        ]
        print_table(("kind", "found", "name", "id"), rows)
    if any(answer.more for answer in answers):
        err.print("There is more, or may be: name a further word, a --kind, or a greater --limit.", markup=False)


def _in_lake(store: Store, text: str, kind: str | None, limit: int, *, found: bool) -> "list[LakeHit]":
    """What only the lake knows; suggestions only where nothing else was found or they are asked for."""
    from assay.why.lake_search import find_suggestion, search_lake

    hits = search_lake(store.lake, text, limit)
    if kind == "suggestion" or (kind is None and not hits and not found):
        hits += find_suggestion(store.lake, text)
    return [hit for hit in hits if kind in (None, hit.kind)]
