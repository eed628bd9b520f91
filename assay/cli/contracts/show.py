"""`assay contract show`: what a contract demanded by which a batch was judged."""

import ast
import json
from typing import TYPE_CHECKING, Any

import click

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
        _print_declaration(digest, json.loads(text))


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


def _print_declaration(digest: str, declared: dict[str, Any]) -> None:
    options = {name: value for name, value in declared["options"].items() if value not in (None, {})}
    flags = {name: declared[name] for name in ("strict", "ordered") if declared[name]}
    about = ", ".join(f"{name} {value}" for name, value in {**options, **flags}.items())
    out.print(f"{declared['name']} {digest}", markup=False, highlight=False, soft_wrap=True)
    out.print(about, markup=False, highlight=False, soft_wrap=True)
    rows = [
        (name, dtype, "yes" if nullable else "", "" if required else "yes", _own_options(given, more))
        for name, _, dtype, nullable, required, _, given, *more in declared["columns"]
    ]
    print_table(("column", "type", "nullable", "optional", "declared"), rows)
    print_table(
        ("rule", "severity", "stops"),
        [(name, severity, "" if block == "None" else block) for name, severity, block in declared["rules"]],
    )


def _own_options(given: str, more: list[Any]) -> str:
    """What is declared of a column besides its type: the options that are set, and the arguments of its checks."""
    call = ast.parse(given, mode="eval").body
    keywords = call.keywords if isinstance(call, ast.Call) else []
    options = [ast.unparse(one) for one in keywords if ast.unparse(one.value) not in ("None", "False", "()")]
    checks = [f"{one[0]}={json.dumps(one[1])}" if isinstance(one, list) and one[1] else "" for one in more]
    forms = [one for one in more if isinstance(one, str)]
    return "; ".join(filter(None, [*options, *checks, *forms]))
