"""`assay quarantine`: rows that were set aside and why, and what a person decides about them."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import polars as pl

from assay.cli.exit_codes import EXIT_NO
from assay.cli.output import COUNT, json_option, out, print_json, print_rows, print_table
from assay.errors import plural
from assay.features.tables.kinds import Kind, own_name
from assay.store import Store, open_store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assay.assets.decisions.review import Decision, DecisionResult
    from assay.assets.sources.source import Source

SHOWN_ROWS = 20
_FITS = "_fits_now"  # of a held row: whether what it refers to is there now
_LINK = ("_source_sha256", "_row_number")
_NONE = {_LINK[0]: pl.String, _LINK[1]: pl.Int64, _FITS: pl.Boolean}


@click.group()
def quarantine() -> None:
    """Rows that broke a rule: kept whole, with the rules they broke, and what was decided about them."""


@quarantine.command("list")
@click.option("--partition", help="Only this day or batch.")
@json_option
def list_(partition: str | None, as_json: bool) -> None:
    """Count quarantined rows by source, partition, rule and status.

    Held rows wait for a decision. Released ones are in the clean table too; rejected ones are refused for good; of void and
    expired ones the release does not hold any more. Rows that broke a foreign key only, and find what they refer to now, are
    named.

    \b
    Example:
      assay quarantine list --partition 2026-09-03
    """
    store, declared = open_store(), _declared()
    counts = []
    for name in store.lake.tables(Kind.QUARANTINE.folder):
        state = store.table(name).at()
        source = declared.get(own_name(name))
        fits = (
            _fitting_now(source, store, _rows(store, name, partition))
            if source is not None
            else pl.LazyFrame(schema=_NONE)
        )
        held = (
            _rows(store, name, partition)
            .join(fits, on=_LINK, how="left")
            .explode("_rules")
            .group_by("partition_key", "_rules", "_status")
            .agg(pl.len(), pl.col(_FITS).fill_null(value=False).sum())
            .sort("partition_key", "_rules", "_status")
            .collect()
        )
        counts += [
            {
                "source": own_name(name),
                "partition": key,
                "rule": rule,
                "status": status,
                "rows": rows,
                "fits_now": fits_now,
                "version": state.version,
            }
            for key, rule, status, rows, fits_now in held.iter_rows()
        ]
    if as_json:
        print_json(counts)
    elif not counts:
        out.print("Nothing is in quarantine.")
    else:
        columns = ("source", "partition", "rule", "status", "rows")
        print_table(columns, [list(row.values())[:5] for row in counts], right=("rows",))
        _tell_partners([(row["source"], row["rule"], row["fits_now"]) for row in counts])


@quarantine.command()
@click.argument("source")
@click.option("--partition", help="Only this day or batch.")
@click.option("--rule", help="Only rows that broke this rule, e.g. text.not_null.")
@click.option("--limit", default=20, show_default=True, type=COUNT)
@click.option("--unmask", is_flag=True, help="Show personal values too (mind where your terminal's output goes).")
@json_option
def show(source: str, partition: str | None, rule: str | None, limit: int, unmask: bool, as_json: bool) -> None:
    """Show quarantined rows of SOURCE: where they came from, what they broke, and who decided what about them and why.

    Personal values are masked. `_row` names a row for `release` and `reject`; `_read` is the snapshot it was judged from.

    \b
    Example:
      assay quarantine show tickets --rule channel.isin
    """
    from assay.assets.decisions.partners import find_partners
    from assay.assets.declarations import sources
    from assay.checks import mask
    from assay.checks.validation.masking import READER_COLUMNS, defect_columns, readable

    store, table = open_store(), Kind.QUARANTINE.table(source)
    rows = _rows(store, table, partition)
    if rule:
        rows = rows.filter(pl.col("_rules").list.contains(rule))
    frame = rows.sort("partition_key", "_source_file", "_row_number").head(limit).collect()
    declared = sources().get(source)
    fits = find_partners(declared, store.lake, frame) if declared is not None else None
    if not unmask:
        frame = mask(frame, declared.contract if declared is not None else None)
    frame = _with_decisions(store, source, frame.with_columns(_row_name(), _read_from(store, table, frame)))
    if fits is not None:
        frame = frame.with_columns(fits.alias(_FITS))
    frame = readable(frame.drop("_source_sha256", "_batch_id", "_ingested_at", strict=False))
    if as_json:
        print_json(frame.to_dicts())
        return
    if fits is None or not fits.any():
        frame = frame.drop(_FITS, strict=False)
    also = [name for name in ("_duplicate_of", "_status", _FITS) if name in frame.columns]
    first = ["_rules", *also, "_row", "_source_file", "_row_number"]
    first += defect_columns(frame)
    columns = [*first, *(name for name in frame.columns if name not in (*first, *READER_COLUMNS, "partition_key"))]
    empty = [name for name in columns if name.startswith("_") and frame[name].null_count() == frame.height]
    columns = [name for name in columns if name not in empty]
    print_rows(columns, frame.select(columns).rows())
    if fits is not None and fits.any():
        broken = frame.filter(fits).explode("_rules").group_by("_rules", maintain_order=True).len()
        _tell_partners([(source, rule, count) for rule, count in broken.iter_rows()])


def _declared() -> "Mapping[str, Source]":
    """The declared sources; none where there is no project."""
    from assay.assets.declarations import sources
    from assay.assets.project import find_project

    project = find_project()
    return sources(project) if project is not None else {}


def _fitting_now(source: "Source", store: Store, rows: pl.LazyFrame) -> pl.LazyFrame:
    """The links of the rows that find now what they refer to."""
    from assay.assets.decisions.partners import MOST, find_partners, held_for_partners

    held = held_for_partners(source, rows).head(MOST + 1).collect()
    return held.filter(find_partners(source, store.lake, held)).lazy().select(*_LINK, pl.lit(value=True).alias(_FITS))


def _tell_partners(found: "Sequence[tuple[str, str, int]]") -> None:
    """What held rows find now, and what to do about it."""
    counts: dict[tuple[str, str], int] = {}
    for source, rule, count in found:
        counts[source, rule] = counts.get((source, rule), 0) + count
    for (source, rule), count in counts.items():
        if count:
            out.print(
                f"{plural(count, 'row')} of {source} that broke {rule} {'finds' if count == 1 else 'find'} now what "
                f"{'it refers' if count == 1 else 'they refer'} to. Next: `assay quarantine release {source} --rule {rule} "
                "--reason …` shows which would fit; --yes lets them in.",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )


def me() -> str:
    return open_store().actor


def _options(command: Any) -> Any:
    """What both decisions need: which rows, who, why, and whether really."""
    for option in (
        json_option,
        click.option("--yes", is_flag=True, help="Do it. Without, nothing is changed: see what would happen."),
        click.option("--by", default=me, show_default="you", help="Who decides."),
        click.option("--reason", required=True, help="Why."),
        click.option("--row", "rows", multiple=True, help="Only this row, FILE_SHA256:ROW (as `show` has it in _row)."),
        click.option("--rule", help="Only rows that broke this rule."),
        click.option("--partition", help="Only this day or batch."),
        click.argument("source"),
    ):
        command = option(command)
    return command


@quarantine.command()
@_options
@click.option("--set", "edits", multiple=True, metavar="COLUMN=VALUE", help="A corrected value (COLUMN= for none).")
@click.option(
    "--except", "exceptions", multiple=True, metavar="RULE", help="Let the rows in though they break this rule."
)
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="The last day (UTC) of the exception.")
def release(
    source: str,
    partition: str | None,
    rule: str | None,
    rows: tuple[str, ...],
    reason: str,
    by: str,
    yes: bool,
    as_json: bool,
    edits: tuple[str, ...],
    exceptions: tuple[str, ...],
    until: datetime | None,
) -> int:
    """Validate quarantined rows of SOURCE again, and let those that fit into the clean table.

    As they are (perhaps a reference has come since), with corrected values, or by an exception from the contract that has
    an end. Rows that still break a rule stay. Exit code 3: some of the chosen rows do not fit.

    \b
    Examples:
      assay quarantine release tickets --row 3f9a:17 --set channel=email --reason "typo" --yes
      assay quarantine release tickets --partition 2026-09-03 --rule text.max_length \\
          --except text.max_length --until 2026-12-31 --reason "long letters, agreed with legal" --yes
    """
    from assay.assets.decisions.review import Decision

    values = dict(_edit(text) for text in edits)
    decision = Decision("release", reason, by, values, exceptions, until.date() if until else None)
    return decide_and_tell(source, partition, rule, rows, decision, yes, as_json)


@quarantine.command()
@_options
def reject(
    source: str,
    partition: str | None,
    rule: str | None,
    rows: tuple[str, ...],
    reason: str,
    by: str,
    yes: bool,
    as_json: bool,
) -> int:
    """Refuse quarantined rows of SOURCE for good: they stay in quarantine, whatever the contract says later.

    \b
    Example:
      assay quarantine reject tickets --rule ticket_id.unique --reason "sent twice" --yes
    """
    from assay.assets.decisions.review import Decision

    return decide_and_tell(source, partition, rule, rows, Decision("reject", reason, by), yes, as_json)


def decide_and_tell(
    source: str,
    partition: str | None,
    rule: str | None,
    rows: tuple[str, ...],
    decision: "Decision",
    yes: bool,
    as_json: bool,
) -> int:
    """Try a decision, or make it and compute its batches again; tell what becomes of each row."""
    from assay.assets.decisions.review import RowSelection, decide
    from assay.assets.declarations import source as declared

    chosen, store = declared(source), open_store()
    choice = RowSelection(partition, rule, tuple(_row(text) for text in rows))
    decided = decide(chosen, store.env(), choice, decision, dry_run=not yes)
    failed = _compute_again(chosen, store, decided) if decided.id else []
    if as_json:
        print_json(
            {
                "decision_id": decided.id,
                "dry_run": not yes,
                "partitions": decided.partitions,
                "rows": [row.to_dict() for row in decided.rows],
                "problems": failed,
            }
        )
    else:
        _tell(chosen, decided, decision.action, yes, failed)
    return 0 if all(row.fits for row in decided.rows) and not failed else EXIT_NO


def _compute_again(source: "Source", store: Store, decided: "DecisionResult") -> list[str]:
    """The batches, through Dagster, so that their checks are seen there too."""
    from assay.assets.dagster.materialize import materialize, open_instance, quiet
    from assay.assets.project import active_project
    from assay.assets.steps.clean import clean_step
    from assay.cli.pipeline import dagster_home

    quiet()
    with open_instance(dagster_home()) as instance:
        summary = materialize(
            [clean_step(source)],
            store.env(),
            instance,
            chosen=lambda _: decided.partitions,
            project=active_project().name,
        )
    return [problem for result in summary.failed for problem in result.problems]


def _tell(source: "Source", decided: "DecisionResult", action: str, yes: bool, problems: list[str]) -> None:
    fits = [row for row in decided.rows if row.fits]
    outcome = {"release": "released", "reject": "rejected"}[action]
    lines = [
        (row.partition, row.source_file, row.row_number, outcome if row.fits else f"stays: {', '.join(row.breaks)}")
        for row in decided.rows[:SHOWN_ROWS]
    ]
    print_table(("partition", "file", "row", outcome if yes else "would be"), lines, right=("row",))
    if len(decided.rows) > SHOWN_ROWS:
        out.print(f"… and {len(decided.rows) - SHOWN_ROWS} more.")
    if not yes:
        out.print(
            f"{len(fits)} of {plural(len(decided.rows), 'row')} would be {outcome}. Nothing was changed: add --yes to do it."
        )
    elif not fits:
        out.print(f"None of {plural(len(decided.rows), 'row')} was {outcome}.")
    else:
        out.print(
            f"{len(fits)} of {plural(len(decided.rows), 'row')} {outcome} (decision {decided.id}). {source.clean} is up to "
            f"date for {', '.join(decided.partitions)}; `assay materialize` brings along what reads it."
        )
    for problem in problems:
        out.print(f"✗ {problem}", markup=False)


def _edit(text: str) -> tuple[str, str | None]:
    column, separator, value = text.partition("=")
    if not separator or not column:
        raise click.BadParameter("write COLUMN=VALUE", param_hint="--set")
    return column, value or None


def _row(text: str) -> tuple[str, int]:
    sha, _, number = text.rpartition(":")
    if not sha or not number.isdigit():
        raise click.BadParameter("write FILE_SHA256:ROW, e.g. 3f9a21bc:17", param_hint="--row")
    return sha, int(number)


def _rows(store: Store, table: str, partition: str | None) -> pl.LazyFrame:
    from assay.assets.decisions.review import with_status

    state = store.table(table).at()
    return with_status(state.scan([partition] if partition else None))


def _row_name() -> pl.Expr:
    return pl.format("{}:{}", pl.col("_source_sha256").str.head(12), "_row_number").alias("_row")


def _read_from(store: Store, table: str, frame: pl.DataFrame) -> pl.Series:
    """The raw snapshot that each row was judged from, as the commit that wrote it says."""
    state, raw = store.table(table).at(), Kind.RAW.table(own_name(table))
    read: dict[str, str] = {}
    for commit in state.writers(frame["partition_key"].unique().to_list()):
        read |= {str(commit.partition): str(item.snapshot) for item in commit.inputs if item.snapshot.table == raw}
    return pl.Series("_read", [read.get(key) for key in frame["partition_key"]], dtype=pl.String)


def _with_decisions(store: Store, source: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Who decided what about a row, when and why."""
    if frame["_decision_id"].null_count() == frame.height:
        return frame
    renamed = {"decided_by": "_decided_by", "decided_at": "_decided_at", "reason": "_reason", "until": "_until"}
    decisions = (
        store.table(Kind.RELEASES.table(source))
        .scan()
        .select(pl.col("decision_id").alias("_decision_id"), *(pl.col(old).alias(new) for old, new in renamed.items()))
        .unique("_decision_id")
        .collect()
    )
    return frame.join(decisions, on="_decision_id", how="left", maintain_order="left")
