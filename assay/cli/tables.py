"""`assay tables` and `assay quarantine`: what is in the lake, and which rows were set aside, and why."""

import click
import polars as pl

from assay.cli.output import json_option, out, print_json, print_table
from assay.store import open_store


@click.command()
@click.argument("name", required=False)
@json_option
def tables(name: str | None, as_json: bool) -> None:
    """List the tables, or one table's versions.

    \b
    Examples:
      assay tables
      assay tables clean/tickets
    """
    store = open_store()
    if name is None:
        found = store.tables()
        if as_json:
            print_json([info.to_dict() for info in found])
        elif not found:
            out.print(f"No tables in {store.settings.lake_uri} yet: run `assay demo` and `assay materialize`.")
        else:
            rows = [
                (i.name, i.version, f"{i.rows:,}", i.partitions or "", f"{i.updated_at:%Y-%m-%d %H:%M}") for i in found
            ]
            print_table(
                ("table", "version", "rows", "partitions", "updated (UTC)"),
                rows,
                right=("version", "rows", "partitions"),
            )
        return
    state = store.table(name).at()
    commits = [
        {
            "version": commit.version,
            "partition": commit.partition,
            "rows": commit.rows,
            "operation": commit.operation,
            "run_id": commit.run_id,
            "code_version": commit.code_version,
            "at": commit.timestamp.isoformat(timespec="seconds"),
            "inputs": [str(item.snapshot) for item in commit.inputs],
        }
        for commit in state.commits
    ]
    if as_json:
        print_json(commits)
        return
    rows = [(c["version"], c["at"], c["partition"], c["rows"], " ".join(c["inputs"]), c["operation"]) for c in commits]
    print_table(("version", "at", "partition", "rows", "read", "operation"), rows, right=("version", "rows"))


@click.group()
def quarantine() -> None:
    """Rows that broke a rule: kept whole, with the rules they broke."""


@quarantine.command("list")
@click.option("--partition", help="Only this day or batch.")
@json_option
def list_(partition: str | None, as_json: bool) -> None:
    """Count quarantined rows by source, partition and rule.

    \b
    Example:
      assay quarantine list --partition 2026-09-03
    """
    store = open_store()
    counts = []
    for name in store.lake.tables():
        if not name.startswith("quarantine/"):
            continue
        state = store.table(name).at()
        rows = state.scan([partition] if partition else None)
        found = (
            rows.explode("_rules").group_by("partition_key", "_rules").len().sort("partition_key", "_rules").collect()
        )
        counts += [
            {
                "source": name.removeprefix("quarantine/"),
                "partition": key,
                "rule": rule,
                "rows": rows,
                "version": state.version,
            }
            for key, rule, rows in found.iter_rows()
        ]
    if as_json:
        print_json(counts)
    elif not counts:
        out.print("Nothing is in quarantine.")
    else:
        print_table(
            ("source", "partition", "rule", "rows"), [list(row.values())[:4] for row in counts], right=("rows",)
        )


@quarantine.command()
@click.argument("source")
@click.option("--partition", help="Only this day or batch.")
@click.option("--rule", help="Only rows that broke this rule, e.g. text.not_null.")
@click.option("--limit", default=20, show_default=True)
@click.option("--unmask", is_flag=True, help="Show personal values too (mind where your terminal's output goes).")
@json_option
def show(source: str, partition: str | None, rule: str | None, limit: int, unmask: bool, as_json: bool) -> None:
    """Show quarantined rows of SOURCE: where they came from and what they broke. Personal values are masked.

    \b
    Example:
      assay quarantine show tickets --rule channel.isin
    """
    from assay.assets.discover import sources
    from assay.checks import mask

    store = open_store()
    rows = store.table(f"quarantine/{source}").at().scan([partition] if partition else None)
    if rule:
        rows = rows.filter(pl.col("_rules").list.contains(rule))
    frame = rows.sort("partition_key", "_source_file", "_row_number").head(limit).collect()
    known = sources().get(source)
    if known is not None and not unmask:
        frame = mask(frame, known.contract)
    frame = frame.drop("_source_sha256", "_batch_id", "_ingested_at", "_line", strict=False)
    if as_json:
        print_json(frame.to_dicts())
        return
    first = ["_rules", "_source_file", "_row_number"]
    columns = [*first, *(name for name in frame.columns if name not in (*first, "_defect", "partition_key"))]
    print_table(columns, frame.select(columns).rows())
