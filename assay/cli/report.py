"""`assay report`: what the contract found in a batch, and what its columns look like."""

from pathlib import Path

import click

from assay.cli.output import OutputFile, bold, err, json_option, out, print_json, print_table
from assay.errors import AssayError, nearest, plural
from assay.features.tables.kinds import Kind, own_name
from assay.store import open_store

LATER = 5  # refused batches that are named


@click.command()
@click.argument("table")
@click.option("--partition", help="One day or batch; without it the latest.")
@click.option("--html", type=OutputFile(), help="Write the report as one page of HTML.")
@json_option
def report(table: str, partition: str | None, html: Path | None, as_json: bool) -> None:
    """Show what the contract found in a batch of TABLE, and the profile of its clean rows. Personal values are masked.

    \b
    Examples:
      assay report tickets
      assay report clean/tickets --partition 2026-09-03 --html report.html
    """
    from assay.assets.decisions.reports import batch_report, refused_after
    from assay.assets.declarations import sources
    from assay.checks.profiles.report_page import figure, page, share, worst_first

    declared = sources()
    source = declared.get(own_name(table) if Kind.CLEAN.holds(table) else table)
    if source is None:
        close = nearest(own_name(table) if Kind.CLEAN.holds(table) else table, declared)
        raise AssayError(f"{table} has no report: tables of a source have one ({', '.join(sorted(declared))}).{close}")
    batch = batch_report(open_store().lake, source, partition)
    profile = batch.profile.summary() if batch.profile else {}
    if html is not None:
        html.write_text(page(batch), encoding="utf-8")
    if as_json:
        print_json(
            {
                "table": batch.table,
                "partition": batch.partition,
                "version": batch.version,
                "report": batch.report.to_dict(),
                "profile": profile,
            }
        )
        return
    counts = batch.report
    out.print(
        bold(batch.table),
        f"{batch.partition}, version {batch.version}: {plural(counts.rows_in, 'row')} in, "
        f"{counts.rows_clean:,} clean, {counts.rows_quarantined:,} quarantined (contract {counts.contract} v{counts.version})",
    )
    newer = [] if partition else refused_after(open_store().lake, source, batch.partition)
    if newer:
        days = ", ".join(str(refusal.partition) for refusal in newer[:LATER])
        more = f" and {len(newer) - LATER} more" if len(newer) > LATER else ""
        err.print(
            f"It is not the latest that came: {days}{more} refused (`assay report {source.name} --partition P` says why).",
            soft_wrap=True,
        )
    broken = [rule for rule in worst_first(counts.rules) if rule.status != "passed" or rule.invalid]
    if broken:
        print_table(
            ("rule", "severity", "status", "invalid", "share", "unknown"),
            [(r.name, r.severity, r.status, f"{r.invalid:,}", share(r.share), f"{r.unknown:,}") for r in broken],
            right=("invalid", "share", "unknown"),
        )
    unjudged = sum(rule.status == "unknown" for rule in counts.rules)
    out.print(
        f"{len(counts.rules) - len(broken)} of {len(counts.rules)} rules hold for every row"
        f"{f', {unjudged} not judged (status unknown)' if unjudged else ''}."
    )
    figures = ("null", "nan", "distinct", "min", "mean", "max")
    if profile:
        rows = [(name, *(figure(key, values.get(key, "")) for key in figures)) for name, values in profile.items()]
        print_table(("column", *figures), rows, right=figures)
    if html is not None:
        out.print(f"Written to {html}.")
