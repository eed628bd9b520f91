"""`assay tables`: what is in the lake."""

import click

from assay.cli.output import json_option, out, print_json, print_table
from assay.features.tables.refusals import refusals
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
        infos = store.tables()
        if as_json:
            print_json([info.to_dict() for info in infos])
        elif not infos:
            from assay.assets.project import find_project

            here = (
                "run `assay materialize`"
                if find_project() is not None
                else "here is no project. Go to its folder, name it (ASSAY_PROJECT) or the lake (ASSAY_LAKE), or write a project "
                "with `assay init NAME`"
            )
            out.print(f"No tables in {store.settings.lake_uri} yet: {here}.", soft_wrap=True)
        else:
            rows = [
                (i.name, i.version, f"{i.rows:,}", i.partitions or "", f"{i.updated_at:%Y-%m-%d %H:%M}") for i in infos
            ]
            print_table(
                ("table", "version", "rows", "partitions", "updated (UTC)"),
                rows,
                right=("version", "rows", "partitions"),
            )
        if (stopped := len(refusals(store.lake))) and not as_json:
            out.print(
                f"{'One batch was' if stopped == 1 else f'{stopped:,} batches were'} refused or failed: see `assay status`."
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
        | ({"changes": commit.changes.to_dict()} if commit.changes is not None else {})
        for commit in state.commits
    ]
    if as_json:
        print_json(commits)
        return
    counted = [
        commit.changes if commit.changes is not None and commit.changes.counts else None for commit in state.commits
    ]
    columns = ("version", "at", "partition", "rows", *(("changes",) if any(counted) else ()), "read", "operation")
    rows = [
        (
            *(c["version"], c["at"], c["partition"], c["rows"]),
            *((str(changes or ""),) if any(counted) else ()),
            *(" ".join(c["inputs"]), c["operation"]),
        )
        for c, changes in zip(commits, counted, strict=True)
    ]
    print_table(columns, rows, right=("version", "rows"))
