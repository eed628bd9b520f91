"""`assay contract show`: what a contract demanded by which a batch was judged."""

import json
from typing import TYPE_CHECKING, Any

import click

from assay.cli.contracts.layout import about, column_rows, other_rules
from assay.cli.output import json_option, out, print_json, print_table
from assay.errors import AssayError

if TYPE_CHECKING:
    from assay.features.tables.lake import Lake


@click.command()
@click.argument("which", metavar="DIGEST|TABLE")
@click.option("--partition", help="Of a TABLE: the partition that the contract judged (default: the newest commit).")
@json_option
def show(which: str, partition: str | None, as_json: bool) -> None:
    """Show what a contract demanded by which a batch was judged, as it was declared then.

    Of each column: whether it may be null or left out, personal data, what its values must be, and what it is (as described now).
    DIGEST is the one that commits, traces and events name, or its first characters; TABLE a clean table.

    \b
    Examples:
      assay contract show 1f0c9a27
      assay contract show clean/tickets --partition 2026-09-03
      assay contract show clean/tickets --json
    """
    from assay.assets.stored_contracts import stored_contract
    from assay.store import open_store

    store = open_store()
    digest = _judge_of(store.lake, which, partition) if "/" in which else _whole(store.lake, which)
    text = stored_contract(store.lake.storage, digest)
    if text is None:
        raise AssayError(
            f"{store.settings.lake_uri} does not keep the declaration of the contract {digest[:12]}: what was judged by it was "
            "judged before declarations were kept. Look for it in the project's version control."
        )
    if as_json:
        print_json({"digest": digest, "declaration": json.loads(text)})
    else:
        declared = json.loads(text)
        _print_declaration(digest, declared, _descriptions(declared["name"]))


def _judge_of(lake: "Lake", table: str, partition: str | None) -> str:
    """The digest of the contract that a commit of a table names."""
    state = lake.table(table).at()
    newest = state.index.last_written(state.version)
    commit = state.writer_of(partition) if partition is not None else state.index.commit(newest) if newest else None
    if commit is None or not commit.contract:
        where = f"{table} {partition}" if partition is not None else table
        raise AssayError(f"{where} was judged by no contract: name a clean table, and a partition that it has.")
    return str(commit.contract["digest"])


def _whole(lake: "Lake", digest: str) -> str:
    """The digest that begins so, of the declarations that the lake keeps."""
    from assay.assets.stored_contracts import stored_digests

    found = [one for one in stored_digests(lake.storage) if one.startswith(digest.lower())]
    if len(found) > 1:
        raise AssayError(f"{len(found)} contracts have a digest that begins with {digest!r}: give more of it.")
    return found[0] if found else digest


def _print_declaration(digest: str, declared: dict[str, Any], descriptions: dict[str, str]) -> None:
    head = [
        f"{declared['name']} {declared['options'].get('version') or ''}".strip(),
        f"digest {digest}",
        about(declared),
    ]
    for line in filter(None, head):
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    out.print()
    columns = ("column", "type", "null", "PII", "rules", "description")
    rows = column_rows(declared, descriptions)
    shown = [place for place in range(len(columns)) if place < 3 or any(row[place] for row in rows)]
    print_table([columns[place] for place in shown], [[row[place] for place in shown] for row in rows])
    out.print()
    others = other_rules(declared)
    out.print(f"A row that breaks a rule, or cannot be read, goes to quarantine{'; and:' if others else '.'}")
    if others:
        print_table(("rule", "severity", "stops"), others)


def _descriptions(name: str) -> dict[str, str]:
    """Of the columns of a contract that is declared now; the lake keeps only what decides something."""
    from assay.assets.declarations import sources
    from assay.checks import contract_info

    infos = [contract_info(source.contract) for source in sources().values()]
    return {column.name: column.description for info in infos if info.name == name for column in info.columns}
