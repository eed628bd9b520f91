"""`assay contract`: draft a contract from data, compare two versions, exchange contracts as ODCS, check a delivery, show what
a batch was judged by."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli.contracts.draft import draft
from assay.cli.contracts.options import file_options, give, out_option
from assay.cli.contracts.show import show
from assay.cli.exit_codes import EXIT_NO
from assay.cli.output import json_option, out, print_json, print_table
from assay.errors import plural

if TYPE_CHECKING:
    from assay.cli.places import FileForm


@click.group()
def contract() -> None:
    """Contracts: drafted from data, compared with each other, exchanged as ODCS.

    A CONTRACT is written package.module:Class, path/to/file.py:Class, or file.odcs.yaml (file.odcs.yaml:TABLE).
    """


contract.add_command(draft)
contract.add_command(show)


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
        give(to_odcs(chosen), target)


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
        give(text, target)


@contract.command()
@click.argument("source", metavar="FILE|TABLE")
@click.argument("contract_", metavar="CONTRACT")
@click.option(
    "--previous", metavar="FILE|TABLE", help="The delivery before it: partners and units are found by values."
)
@file_options
@json_option
def check(
    source: str,
    contract_: str,
    previous: str | None,
    form: "FileForm",
    as_json: bool,
) -> int:
    """Check a delivery against CONTRACT without storing anything: what happened to its columns, which rules are broken.

    Exit code 3: columns are missing, or a rule stops the batch. References to other tables are not looked up.

    \b
    Example:
      assay contract check new.csv assay.assets.support.tickets:Tickets --previous old.csv
    """
    from assay.checks import ColumnsError, validate
    from assay.checks.schema_diff.schema_drift import delivery_drift
    from assay.cli.places import contract_at, frame_at

    chosen, delivery = contract_at(contract_), frame_at(source, form)
    drift = delivery_drift(delivery, chosen, None if previous is None else frame_at(previous, form))
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
