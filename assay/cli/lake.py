"""`assay pin`, `assay vacuum`, `assay doctor`: keeping what must be kept, freeing the rest, and saying how things are."""

from datetime import UTC, datetime, timedelta
from importlib.util import find_spec

import click

from assay.cli.exit_codes import EXIT_DONE, EXIT_NO
from assay.cli.output import LONGEST, json_option, mark, out, print_json, print_table
from assay.cli.pipeline import dagster_home
from assay.store import open_store


@click.group()
def pin() -> None:
    """Leases that keep snapshots readable."""


@pin.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List pins.

    \b
    Example:
      assay pin list --json
    """
    from assay.features.retention.pins import pins

    leases = [item.to_dict() for item in pins(open_store().lake)]
    if as_json:
        print_json(leases)
        return
    rows = [(p["name"], p["owner"], len(p["snapshots"]), p["expires_at"] or "never", p["reason"]) for p in leases]
    print_table(("pin", "owner", "snapshots", "expires", "reason"), rows, right=("snapshots",))


@pin.command()
@click.argument("name")
@click.argument("table")
@click.option("--version", type=int, help="Version to keep (default: the latest).")
@click.option("--owner", required=True)
@click.option("--reason", required=True)
@click.option("--days", type=click.IntRange(1, LONGEST), help="Keep it this long (default: until removed).")
@json_option
def add(name: str, table: str, version: int | None, owner: str, reason: str, days: int | None, as_json: bool) -> None:
    """Pin a version of TABLE under NAME.

    \b
    Example:
      assay pin add audit-2026-09 clean/tickets --version 12 --owner governance --reason "complaint 4711" --days 365
    """
    from assay.features.retention.pins import pin as make

    store = open_store()
    expires = datetime.now(UTC) + timedelta(days=days) if days else None
    snapshot = store.snapshot(table, version)
    made = make(store.lake, name, [snapshot], owner=owner, reason=reason, expires_at=expires)
    if as_json:
        print_json(made.to_dict())
    else:
        out.print(f"Pinned {snapshot} as {name}.")


@pin.command()
@click.argument("name")
@json_option
def remove(name: str, as_json: bool) -> None:
    """Remove a pin. The snapshots stay until a vacuum.

    \b
    Example:
      assay pin remove audit-2026-09
    """
    from assay.features.retention.pins import unpin

    unpin(open_store().lake, name)
    if as_json:
        print_json({"removed": name})
    else:
        out.print(f"Removed {name}.")


@click.command()
@click.argument("table", required=False)
@click.option("--keep-days", default=30, show_default=True, type=click.IntRange(0, LONGEST))
@click.option("--yes", is_flag=True, help="Do it. Without, nothing is deleted: see what would go.")
@click.option("--delete", "yes", is_flag=True, hidden=True, help="The former name of --yes.")
@click.option(
    "--reason", default="", help="Why, for those who look for a file later (default: that nothing needs them)."
)
@json_option
def vacuum(table: str | None, keep_days: int, yes: bool, reason: str, as_json: bool) -> None:
    """Free files that no recent and no pinned version needs. Shows what would go; --yes does it, and records in the lake who
    deleted what, when and why.

    \b
    Examples:
      assay vacuum clean/tickets --keep-days 90
      assay vacuum --yes --reason 'contract with the supplier ended'
    """
    from assay.features.retention.vacuum import vacuum as run

    lake = open_store().lake
    names = [table] if table else lake.tables()
    reports = [run(lake, name, keep_days=keep_days, dry_run=not yes, reason=reason).to_dict() for name in names]
    if as_json:
        print_json(reports)
        return
    rows = [(r["table"], r["files"], f"{r['bytes']:,}") for r in reports]
    print_table(("table", "files freed" if yes else "files to free", "bytes"), rows, right=("bytes",))
    if not yes:
        out.print("Nothing was deleted: add --yes to do it.")


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Say how this installation is: settings, lake, model, lineage store and its backlog, disk, clocks, sensor and history.
    Exit code 3 if anything is wrong, with what to do.

    \b
    Example:
      assay doctor --json
    """
    from assay.diagnosis import diagnose

    home = dagster_home()
    has_history = (home / "history").exists() or (home / "dagster.yaml").exists()
    findings = diagnose(open_store(), home if has_history and find_spec("dagster") else None)
    if as_json:
        print_json([finding.to_dict() for finding in findings])
    else:
        for finding in findings:
            out.print(mark(finding.ok), f"{finding.what}: {finding.detail}", highlight=False)
    return EXIT_DONE if all(finding.ok for finding in findings) else EXIT_NO
