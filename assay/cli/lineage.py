"""`assay trace`, `assay impact`, `assay lineage`: where data came from and where it went."""

from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import click
from rich.text import Text

from assay.cli.affected import show_affected
from assay.cli.exit_codes import EXIT_DONE, EXIT_NO
from assay.cli.output import OutputFile, json_option, out, print_json, print_table, progress, ticking
from assay.cli.predictions.command import prediction_of
from assay.cli.trees import tree
from assay.errors import AssayError, plural
from assay.lineage.delivery.recorder import QUIET_SECONDS
from assay.store import open_store


@click.command()
@click.argument("prediction_id", metavar="PREDICTION")
@click.option("--verify", "verify_", is_flag=True, help="Recompute digests, features, vector and answer.")
@click.option(
    "--witness",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --verify: OpenLineage events kept elsewhere, one a line (default: the lineage store).",
)
@click.option(
    "--whole-logs",
    is_flag=True,
    help="With --verify or --export: every commit of the tables, not only those in question.",
)
@click.option("--rows", is_flag=True, help="Name the source rows behind the prediction.")
@click.option("--lookups", is_flag=True, help="Follow tables that something was only looked up in, too.")
@click.option(
    "--export",
    "bundle",
    type=OutputFile(),
    help="Write a zip file that proves the trace offline, with a script that verifies it.",
)
@click.option(
    "--withhold",
    multiple=True,
    metavar="COLUMN",
    help="With --export: a further column of the prediction to withhold, besides those that a contract calls personal.",
)
@json_option
def trace(
    prediction_id: str,
    verify_: bool,
    witness: Path | None,
    whole_logs: bool,
    rows: bool,
    lookups: bool,
    bundle: Path | None,
    withhold: tuple[str, ...],
    as_json: bool,
) -> int:
    """From a prediction to the source bytes. Exit code 3 when --verify finds anything changed.

    PREDICTION is its id, or the first 8 or more characters of it; `assay predictions --about KEY=VALUE` finds it.
    `assay why` says the same in sentences, what was unusual first. Personal data is masked in both by the contracts on the way,
    and withheld from what --export writes. Where the prediction's own commit or file is gone, what
    is missing or was changed is named, and which commits may have written it; the exit code is 3.

    \b
    Examples:
      assay trace 0199…                 the tree
      assay trace 0199… --json          the same as data
      assay trace 0199… --verify        recompute everything it claims
      assay trace 0199… --verify --witness events.ndjson
      assay trace 0199… --verify --whole-logs
      assay trace 0199… --export b.zip  evidence for others; then: python verify.py b.zip
    """
    from assay.lineage.tracing.row_provenance import source_rows
    from assay.lineage.tracing.rows_summary import rows_summary
    from assay.lineage.verification.as_recorded import not_as_recorded
    from assay.why.declared_now import declared_now
    from assay.why.shown import personal_columns, shown_trace

    if witness is not None and not verify_:
        raise click.UsageError("--witness is for --verify: add it.")
    if whole_logs and not (verify_ or bundle is not None):
        raise click.UsageError("--whole-logs is for --verify and --export: add one of them.")
    store = open_store()
    whole = prediction_of(store.lake, prediction_id, as_json)
    try:
        traced = store.trace(whole, lookups=lookups)
    except AssayError as problem:
        lost = store.lost_prediction(whole, str(problem))
        if lost is None:
            raise
        if as_json:
            print_json(lost.to_dict() | ({"bundle": None} if bundle is not None else {}))
        else:
            out.print(tree(lost.outline()))
            if bundle is not None:
                out.print("No bundle was written: there is nothing that proves a prediction which cannot be traced.")
        return EXIT_NO
    shown = shown_trace(store.lake, traced, declared_now())
    answer = shown.to_dict() if as_json else {}
    answer["not_as_recorded"] = not_as_recorded(store.lake, traced)
    verification = None
    summary = rows_summary(store.lake, traced)
    answer["source_rows"] = summary.to_dict()
    if rows:
        answer["rows"] = [row.to_dict() for row in source_rows(store.lake, traced)] if not summary.problem else []
    if verify_:
        with progress(as_json) as bar:
            verification = store.verify(traced, witness=witness, whole_logs=whole_logs, progress=ticking(bar))
        answer["verification"] = verification.to_dict()
    if bundle is not None:
        withheld = list(dict.fromkeys([*withhold, *personal_columns(store.lake, traced, declared_now())]))
        answer["bundle"] = store.export_evidence(traced, withhold=withheld, whole_logs=whole_logs).write(bundle)
    if as_json:
        print_json(answer)
    else:
        out.print(tree(shown.outline()))
        if answer["not_as_recorded"]:
            out.print(Text(answer["not_as_recorded"], "bold red"), soft_wrap=True)
        out.print(str(summary), markup=False, highlight=False)
        if rows:
            # A row that counts for two reasons, such as two windows, is one row.
            found_rows = ((row["file"], row["sha256"][:12], row["row_number"], row["table"]) for row in answer["rows"])
            print_table(("file", "sha256", "row", "read as"), list(dict.fromkeys(found_rows)), right=("row",))
        if verification is not None:
            out.print(tree(verification.outline()))
        if bundle is not None:
            written = answer["bundle"]
            out.print(
                f"{written['path']}: {plural(written['files'], 'file')}, SHA256SUMS has SHA-256 {written['sha256']}"
            )
            for item in written["missing"]:
                out.print(f"  not in it: {item['what']} ({item['why']})", markup=False)
    return EXIT_DONE if verification is None or verification.ok else EXIT_NO


@click.command()
@click.argument("table", metavar="[TABLE[@VERSION]]", required=False)
@click.option("--file", "file", metavar="PATH|SHA256", help="Only what took rows of this delivered file.")
@click.option("--version", type=int, help="Only what read the rows that this version wrote (default: any).")
@click.option("--partition", help="Only what read this partition.")
@click.option("--column", help="Only what came from this column.")
@click.option("--rows", metavar="CONDITION", help="Only what took rows for which this SQL condition is true.")
@click.option("--list", "list_", is_flag=True, help="List the predictions that took affected rows, masked.")
@click.option(
    "--output",
    type=OutputFile(),
    help="Write the list to a file: .csv, .parquet or .json. It is not masked: it is for whoever must tell people.",
)
@click.option("--through-models", is_flag=True, help="List predictions that are affected through their model, too.")
@click.option("--lookups", "--references", is_flag=True, help="Follow those who only looked something up, too.")
@json_option
def impact(
    table: str | None,
    file: str | None,
    version: int | None,
    partition: str | None,
    column: str | None,
    rows: str | None,
    list_: bool,
    output: Path | None,
    through_models: bool,
    lookups: bool,
    as_json: bool,
) -> None:
    """Everything downstream of a file, table, version, partition or column: tables, training sets, models, predictions.

    A file, --rows, --list and --output are followed row by row, to each prediction that took an affected row; otherwise all
    that the commits wrote which read the rows is counted.

    TABLE@VERSION means the rows that this version wrote, not those that it shows besides; with --partition, the rows of the
    partition that it shows. Without a version it is whatever the table ever held. Rows and predictions that were written
    again count once.

    A file may also have been refused or corrected: the answer says when, by which rule and in which run, and which rows went
    where. A name that several files have, such as one of each day, means all of them: the answer lists them, and --partition,
    the whole path or the SHA-256 chooses one.

    \b
    Examples:
      assay impact raw/tickets                              whatever it held
      assay impact clean/tickets@3                          the rows that version 3 wrote
      assay impact raw/tickets --partition 2026-09-03       a day
      assay impact clean/tickets --column channel           a column
      assay impact --file tickets/2026-09-03/drop.csv       a file that was bad
      assay impact --file 9f2c41d0 --output affected.csv    which predictions that touched
      assay impact clean/tickets --rows "channel = 'web'" --list
    """
    if table is None and file is None:
        raise click.UsageError("Name a table, such as raw/tickets, or a delivered file with --file.")
    if table is None and version is not None:
        raise click.UsageError("--version is that of a table: name the table, too.")
    name, version = (None, None) if table is None else _at(table, version)
    store = open_store()
    if name is not None and file is None and rows is None and not (list_ or output or through_models):
        affected = store.impact(name, version, partition=partition, column=column, lookups=lookups)
        if as_json:
            print_json(affected.to_dict())
        else:
            out.print(tree(affected.outline()))
        return
    options = {"file": file, "partition": partition, "column": column, "rows": rows, "lookups": lookups}
    found = store.affected_predictions(name, version, **options)
    with progress(as_json) as bar:
        show_affected(found, list_, output, through_models=through_models, as_json=as_json, tick=ticking(bar))


def _at(table: str, version: int | None) -> tuple[str, int | None]:
    """`clean/tickets@3` as table and version."""
    name, _, number = table.rpartition("@")
    if not name or not number.isdecimal():
        return table, version
    if version not in (None, int(number)):
        raise click.UsageError(f"{table} and --version {version} contradict each other: give one of them.")
    return name, int(number)


@click.group()
def lineage() -> None:
    """The lineage graph: search it, follow columns, compare versions; and the OpenLineage events that it is made from."""


@lineage.command()
@click.argument("table", metavar="TABLE[@VERSION]")
@click.argument("column")
@click.option("--version", type=int, help="Of this version (default: up from the latest, down from any).")
@click.option("--up/--down", default=True, show_default=True, help="What it comes from, or what comes from it.")
@json_option
def columns(table: str, column: str, version: int | None, up: bool, as_json: bool) -> None:
    """The columns that a column came from, or that came from it, as far as commits declare it. Columns
    without a declaration are listed.

    \b
    Examples:
      assay lineage columns features/customer_activity tickets_7d
      assay lineage columns raw/tickets text --down
      assay lineage columns clean/tickets@3 channel --json
    """
    from assay.lineage.columns.graph import column_downstream, column_upstream

    table, version = _at(table, version)
    paths = (column_upstream if up else column_downstream)(open_store().lake, table, column, version)
    if as_json:
        print_json(paths.to_dict())
    else:
        out.print(tree(paths.outline()))


@lineage.command()
@click.argument("a")
@click.argument("b")
@json_option
def diff(a: str, b: str, as_json: bool) -> None:
    """What differs between two versions, and in how they were made: schema, rows, contract, checks, code, inputs.

    A and B are ids of the lineage graph, or short `table@version`.

    \b
    Examples:
      assay lineage diff clean/tickets@3 clean/tickets@4
      assay lineage diff dataset:s3://shop:orders@7 dataset:s3://shop:orders@8 --json
    """
    from assay.lineage.queries.diff import diff as compare

    store = open_store()
    difference = compare(store.lineage_store, store.lake, a, b)
    if as_json:
        print_json(difference.to_dict())
    else:
        out.print(tree(difference.outline()))


@lineage.command()
@click.option("--run", "run_id", help="Only this run's events.")
@click.option("--output", type=click.File("wb"), default="-", help="File to write (default: standard output).")
@json_option
def export(run_id: str | None, output: BinaryIO, as_json: bool) -> None:
    """Write stored OpenLineage events as newline-delimited JSON, in the order they were recorded.

    --json counts them, where they go to a file; on standard output they are JSON anyway.

    \b
    Example:
      assay lineage export --output events.ndjson
    """
    from assay.lineage.delivery.ndjson import export_events

    count = export_events(open_store().lineage_store, output, run_id)
    if as_json and output.name not in ("-", "<stdout>"):
        print_json({"events": count, "output": output.name})


@lineage.command("import")
@click.argument("source", type=click.File("rb"))
@json_option
def import_(source: BinaryIO, as_json: bool) -> None:
    """Store OpenLineage events from newline-delimited JSON (`-`: standard input). What is there already stays as it is.

    \b
    Example:
      assay lineage import events.ndjson
    """
    from assay.lineage.delivery.ndjson import import_events

    imported = import_events(open_store().lineage_store, source)
    if as_json:
        print_json({"read": imported.read, "new": imported.new})
    else:
        out.print(f"{plural(imported.read, 'event')} read, {imported.new:,} of them new.")


@lineage.command()
@json_option
def rebuild(as_json: bool) -> int:
    """Restore the lineage store from the lake: all runs that ended, with what they read, wrote, checked and failed of. Adds what
    is missing, and compares what is there.

    Exit code 3 if something in the lake is damaged, or contradicts the store: a commit or a run's end was changed in one of
    them. Not in the lake are other tools' events, and tables that were deleted.

    \b
    Example:
      assay lineage rebuild
    """
    from assay.lineage.delivery.rebuild import rebuild as restore

    store = open_store()
    store.recorder.empty_spool()
    store.recorder.empty_record_spool()
    rebuilt = restore(store.lineage_store, store.lake)
    if as_json:
        print_json(rebuilt.to_dict())
    else:
        read = f"{plural(rebuilt.commits, 'commit')} and {plural(rebuilt.records, 'record')} of runs without one"
        out.print(f"{read} read, {plural(rebuilt.runs, 'run')} restored.")
        for name in rebuilt.damaged:
            out.print(f"  {name} is damaged and is not in the graph", markup=False)
        for item in rebuilt.contradictions:
            lake = item.lake or "nothing any more"
            out.print(f"  {item.what}: the lake has {lake}, the store {item.store}", markup=False, soft_wrap=True)
        if rebuilt.contradictions:
            out.print("One of the two was changed. What rests on it was not added. Next: `assay trace ID --verify`.")
    return EXIT_DONE if rebuilt.ok else EXIT_NO


@lineage.command()
@click.option(
    "--quiet",
    "seconds",
    default=QUIET_SECONDS,
    show_default=True,
    help="Leave runs alone whose last commit is younger.",
)
@click.option(
    "--abandoned-hours",
    type=click.FloatRange(min=0),
    help="Also end runs that started longer ago and of whose process nothing can be known, as on another machine.",
)
@json_option
def recover(seconds: int, abandoned_hours: float | None, as_json: bool) -> None:
    """End the lineage of runs that were killed before they could do so: those that published are completed from their
    commits, those that published nothing are aborted once their process is certainly gone.

    `assay materialize` does the same when it starts.

    \b
    Examples:
      assay lineage recover --quiet 0
      assay lineage recover --abandoned-hours 24
    """
    abandoned = timedelta(hours=abandoned_hours) if abandoned_hours is not None else None
    recovered = open_store().recover_events(seconds, abandoned=abandoned)
    if as_json:
        print_json(recovered)
    else:
        out.print(f"{plural(len(recovered), 'run')} ended." if recovered else "No run is missing its end.")


@lineage.command()
@click.option("--seconds", default=60.0, show_default=True, help="Stop trying after this long.")
@click.option("--refused", is_flag=True, help="Try those again, too, that the endpoint refused for good.")
@json_option
def forward(seconds: float, refused: bool, as_json: bool) -> int:
    """Deliver waiting events to ASSAY_OPENLINEAGE_URL now. Exit code 3 if some still wait.

    \b
    Examples:
      assay lineage forward --seconds 300
      assay lineage forward --refused
    """
    waiting = open_store().forward_events(seconds, refused=refused)
    if as_json:
        print_json({"waiting": waiting})
    else:
        out.print(
            f"{plural(waiting, 'event')} still to be delivered: `assay doctor` says why."
            if waiting
            else "Nothing waits."
        )
    return EXIT_NO if waiting else EXIT_DONE
