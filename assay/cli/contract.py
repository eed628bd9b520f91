"""`assay contract`: draft a contract from data, compare two versions, exchange contracts as ODCS, check a delivery, show what
a batch was judged by."""

import ast
import functools
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.exit_codes import EXIT_NO
from assay.cli.output import json_option, out, print_json, print_table
from assay.errors import AssayError, plural

if TYPE_CHECKING:
    from assay.features.tables.lake import Lake

out_option = click.option(
    "--out", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write to this new file instead."
)


_DIALECT = (
    click.option(
        "--separator", default=",", metavar="CHAR", help="What stands between the fields of a CSV file, e.g. ';'."
    ),
    click.option("--encoding", default="utf-8", help="Of a CSV file, e.g. cp1252.", show_default=True),
    click.option("--skip-lines", default=0, help="Lines before the header of a CSV file.", show_default=True),
)


def csv_options(command: Any) -> Any:
    """How a CSV file is written, where it is not with commas and in UTF-8."""
    return functools.reduce(lambda made, option: option(made), reversed(_DIALECT), command)


@click.group()
def contract() -> None:
    """Contracts: drafted from data, compared with each other, exchanged as ODCS.

    A CONTRACT is written package.module:Class, path/to/file.py:Class, or file.odcs.yaml (file.odcs.yaml:TABLE).
    """


@contract.command()
@click.argument("source", metavar="FILE|TABLE")
@click.option("--name", help="What the contract is called (default: like the file or table).")
@csv_options
@out_option
@json_option
def draft(
    source: str,
    name: str | None,
    separator: str,
    encoding: str,
    skip_lines: int,
    target: Path | None,
    as_json: bool,
) -> None:
    """Draft a contract from a file (.csv, .jsonl, .parquet) or a table: Python source with the evidence in comments.

    \b
    Examples:
      assay contract draft landing/tickets/2026-09-01/tickets-am.csv --out tickets.py
      assay contract draft raw/tickets
      assay contract draft sales.csv --separator ";" --encoding cp1252
    """
    from assay.assets.sources.csv_dialect import Csv
    from assay.checks.drafting.column_stats import column_stats
    from assay.checks.drafting.draft import source_of
    from assay.cli.places import frame_at

    stats = column_stats(frame_at(source, Csv(separator, encoding=encoding, skip_lines=skip_lines)))
    text = source_of(stats, name or Path(source).name)
    if as_json:
        key, rows = list(stats.key), {"rows": stats.rows, "defective": stats.defective}
        print_json({**rows, "key": key, "columns": [column.name for column in stats.columns], "source": text})
    else:
        _give(text, target)


@contract.command()
@click.argument("old")
@click.argument("new")
@click.option("--for", "side", type=click.Choice(["readers", "suppliers"]), help="Only what breaks this side breaks.")
@json_option
def diff(old: str, new: str, side: str | None, as_json: bool) -> int:
    """Compare two contracts: what changed, whom it breaks (readers, suppliers) and why. Exit code 3: it breaks someone.

    \b
    Examples:
      assay contract diff old/tickets.py:Tickets assay.assets.support.tickets:Tickets
      assay contract diff tickets-1.odcs.yaml tickets-2.odcs.yaml --for readers
    """
    from assay.checks import compare_contracts
    from assay.cli.places import contract_at

    changes = compare_contracts(contract_at(old), contract_at(new))
    breaking = any(change.breaking if side is None else side in change.breaks for change in changes)
    verdict = "breaking" if breaking else "compatible"
    if as_json:
        rows = [
            {"kind": change.kind, "where": change.where, "breaks": list(change.breaks), "reason": change.reason}
            for change in changes
        ]
        print_json({"verdict": verdict, "changes": rows})
    else:
        if changes:
            rows = [(c.kind, c.where, " and ".join(c.breaks) or "nobody", c.reason) for c in changes]
            print_table(("change", "where", "breaks", "why"), rows)
        out.print(verdict if changes else "compatible: nothing changed")
    return EXIT_NO if breaking else 0


@contract.command()
@click.argument("contract_", metavar="CONTRACT")
@out_option
@json_option
def export(contract_: str, target: Path | None, as_json: bool) -> None:
    """Write CONTRACT as an ODCS 3.2 document (YAML; with --json the same as JSON).

    \b
    Example:
      assay contract export assay.assets.support.tickets:Tickets --out tickets.odcs.yaml
    """
    from assay.checks.exchange.odcs_write import document, to_odcs
    from assay.cli.places import contract_at

    chosen = contract_at(contract_)
    if as_json:
        print_json(document(chosen))
    else:
        _give(to_odcs(chosen), target)


@contract.command("import")
@click.argument("document", metavar="FILE.odcs.yaml[:TABLE]")
@out_option
@json_option
def import_(document: str, target: Path | None, as_json: bool) -> None:
    """Turn an ODCS 3 document into Python source. What constrains the data and cannot be read is an error.

    \b
    Examples:
      assay contract import tickets.odcs.yaml --out tickets.py
      assay contract import shop.odcs.yaml:orders
    """
    from assay.checks import contract_info
    from assay.checks.exchange.to_python import to_source
    from assay.cli.places import contract_at

    chosen = contract_at(document)
    text = to_source(chosen)
    if as_json:
        info = contract_info(chosen)
        print_json({"name": info.name, "version": info.version, "source": text})
    else:
        _give(text, target)


@contract.command()
@click.argument("source", metavar="FILE|TABLE")
@click.argument("contract_", metavar="CONTRACT")
@click.option(
    "--previous", metavar="FILE|TABLE", help="The delivery before it: partners and units are found by values."
)
@csv_options
@json_option
def check(
    source: str,
    contract_: str,
    previous: str | None,
    separator: str,
    encoding: str,
    skip_lines: int,
    as_json: bool,
) -> int:
    """Check a delivery against CONTRACT without storing anything: what happened to its columns, which rules are broken.

    Exit code 3: columns are missing, or a rule stops the batch. References to other tables are not looked up.

    \b
    Example:
      assay contract check new.csv assay.assets.support.tickets:Tickets --previous old.csv
    """
    from assay.assets.sources.csv_dialect import Csv
    from assay.checks import ColumnsError, validate
    from assay.checks.schema_diff.schema_drift import delivery_drift
    from assay.cli.places import contract_at, frame_at

    csv = Csv(separator, encoding=encoding, skip_lines=skip_lines)
    chosen, delivery = contract_at(contract_), frame_at(source, csv)
    drift = delivery_drift(delivery, chosen, None if previous is None else frame_at(previous, csv))
    try:
        report = validate(delivery, chosen).report
    except ColumnsError:
        report = None
    stopped = report is None or report.blocked
    if as_json:
        answer = None if report is None else report.to_dict()
        print_json({"drift": [asdict(finding) for finding in drift], "report": answer, "stopped": stopped})
        return EXIT_NO if stopped else 0
    if drift:
        print_table(("columns", "column", "against", "what"), [(f.kind, f.column, f.against, f.detail) for f in drift])
    if report is None:
        out.print("stopped: the columns are not those of the contract")
        return EXIT_NO
    broken = [rule for rule in report.rules if rule.status != "passed"]
    if broken:
        rows = [(r.name, r.severity, r.status, f"{r.invalid:,}", f"{r.unknown:,}") for r in broken]
        print_table(("rule", "severity", "status", "invalid", "unknown"), rows, right=("invalid", "unknown"))
        for result in broken:
            if result.note:
                out.print(f"{result.name}: {result.note}", soft_wrap=True, markup=False, highlight=False)
    summary = f"{plural(report.rows_in, 'row')}: {report.rows_clean:,} clean, {report.rows_quarantined:,} would be quarantined"
    out.print(f"stopped: {summary}" if stopped else summary)
    return EXIT_NO if stopped else 0


@contract.command()
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


def _give(text: str, target: Path | None) -> None:
    """Print a text, or write it to a file that is not there yet."""
    if target is None:
        click.echo(text, nl=False)
        return
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise AssayError(f"{target} cannot be written ({error.strerror}); choose another file") from None
    out.print(f"Written: {target}", soft_wrap=True)
