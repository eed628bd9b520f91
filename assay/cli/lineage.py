"""`assay trace`, `assay impact`, `assay lineage`: where data came from and where it went."""

from pathlib import Path
from typing import BinaryIO

import click

from assay.cli.output import json_option, out, print_json, print_table, progress, ticking
from assay.store import open_store


@click.command()
@click.argument("prediction_id")
@click.option("--verify", "verify_", is_flag=True, help="Recompute digests, the feature row and the vector.")
@click.option("--rows", is_flag=True, help="Name the source rows behind the prediction.")
@click.option(
    "--export",
    "bundle",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write a zip file that proves the trace offline, with a script that verifies it.",
)
@click.option("--withhold", multiple=True, metavar="COLUMN", help="With --export: a personal column of the prediction.")
@json_option
def trace(
    prediction_id: str, verify_: bool, rows: bool, bundle: Path | None, withhold: tuple[str, ...], as_json: bool
) -> int:
    """From a prediction to the source bytes. Exit code 1 when --verify finds anything changed.

    \b
    Examples:
      assay trace 0199…                 the tree
      assay trace 0199… --json          the same as data
      assay trace 0199… --verify        recompute everything it claims
      assay trace 0199… --export b.zip  evidence for others; then: python verify.py b.zip
    """
    from assay.lineage.trace import rows as source_rows

    store = open_store()
    found = store.trace(prediction_id)
    answer = found.to_dict() if as_json else {}
    verification = None
    if rows:
        answer["rows"] = source_rows(store.lake, found)
    if verify_:
        with progress(as_json) as bar:
            verification = store.verify(found, progress=ticking(bar))
        answer["verification"] = verification.to_dict()
    if bundle is not None:
        from assay.lineage.evidence import export

        answer["bundle"] = export(store.lake, found, store.lineage_store, withhold=withhold).write(bundle)
    if as_json:
        print_json(answer)
    else:
        out.print(found.render())
        if rows:
            table = [(row["file"], row["sha256"][:12], row["row_number"], row["table"]) for row in answer["rows"]]
            print_table(("file", "sha256", "row", "read as"), table, right=("row",))
        if verification is not None:
            out.print(verification.render())
        if bundle is not None:
            written = answer["bundle"]
            out.print(f"{written['path']}: {written['files']} files, SHA256SUMS has SHA-256 {written['sha256']}")
            for item in written["missing"]:
                out.print(f"  not in it: {item['what']} ({item['why']})", markup=False)
    return 0 if verification is None or verification.ok else 1


@click.command()
@click.argument("table")
@click.option("--version", type=int, help="Only what read this version (default: any).")
@click.option("--partition", help="Only what read this partition.")
@click.option("--column", help="Only what came from this column.")
@json_option
def impact(table: str, version: int | None, partition: str | None, column: str | None, as_json: bool) -> None:
    """Everything downstream of a table, a version, a partition or a column.

    \b
    Example:
      assay impact raw/tickets --partition 2026-09-03
    """
    found = open_store().impact(table, version, partition=partition, column=column)
    if as_json:
        print_json(found.to_dict())
    else:
        out.print(found.render())


@click.group()
def lineage() -> None:
    """The lineage store: OpenLineage events of every run."""


@lineage.command()
@click.option("--run", "run_id", help="Only this run's events.")
@click.option("--output", type=click.File("wb"), default="-", help="File to write (default: standard output).")
def export(run_id: str | None, output: BinaryIO) -> None:
    """Write stored OpenLineage events as newline-delimited JSON, in the order they were recorded.

    \b
    Example:
      assay lineage export --output events.ndjson
    """
    from assay.lineage.transfer import export_events

    export_events(open_store().lineage_store, output, run_id)


@lineage.command("import")
@click.argument("source", type=click.File("rb"))
@json_option
def import_(source: BinaryIO, as_json: bool) -> None:
    """Store OpenLineage events from newline-delimited JSON (`-`: standard input). What is there already stays as it is.

    \b
    Example:
      assay lineage import events.ndjson
    """
    from assay.lineage.transfer import import_events

    found = import_events(open_store().lineage_store, source)
    if as_json:
        print_json({"read": found.read, "new": found.new})
    else:
        out.print(f"{found.read:,} events read, {found.new:,} of them new.")


@lineage.command()
@json_option
def rebuild(as_json: bool) -> int:
    """Restore runs, what they read and wrote, and checks from the tables' own commits. Exit code 1 if some are damaged.

    What leaves no commit is not restored: failed runs, deleted tables, other tools' events.

    \b
    Example:
      assay lineage rebuild
    """
    from assay.lineage.rebuild import rebuild as restore

    store = open_store()
    found = restore(store.lineage_store, store.lake)
    if as_json:
        print_json({"commits": found.commits, "runs": found.runs, "damaged": list(found.damaged)})
    else:
        out.print(f"{found.commits:,} commits read, {found.runs:,} runs restored.")
        for name in found.damaged:
            out.print(f"  {name} is damaged and is not in the graph", markup=False)
    return 1 if found.damaged else 0


@lineage.command()
@click.option(
    "--quiet", "seconds", default=60, show_default=True, help="Leave runs alone whose last commit is younger."
)
@json_option
def recover(seconds: int, as_json: bool) -> None:
    """Complete the events of runs that were killed between publishing and saying so, from their commits.

    `assay materialize` does the same when it starts.

    \b
    Example:
      assay lineage recover --quiet 0
    """
    found = open_store().recover_events(seconds)
    if as_json:
        print_json(found)
    else:
        out.print(f"{len(found)} runs completed." if found else "No run is missing its end.")


@lineage.command()
@click.option("--seconds", default=60.0, show_default=True, help="Stop trying after this long.")
@json_option
def forward(seconds: float, as_json: bool) -> int:
    """Deliver waiting events to ASSAY_OPENLINEAGE_URL now. Exit code 1 if some still wait.

    \b
    Example:
      assay lineage forward --seconds 300
    """
    waiting = open_store().forward_events(seconds)
    if as_json:
        print_json({"waiting": waiting})
    else:
        out.print(f"{waiting} events still wait: `assay doctor` says why." if waiting else "Nothing waits.")
    return 1 if waiting else 0
