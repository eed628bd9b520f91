"""`assay online`: feature sets whose latest values are kept ready for reading."""

from datetime import UTC, datetime

import click

from assay.cli.output import json_option, out, print_json, print_table, progress, ticking
from assay.errors import AssayError, nearest, plural
from assay.features.online.materialize import Materialized
from assay.features.serving.feature_set import FeatureSet
from assay.features.tables.freshness import in_words
from assay.store import open_store


@click.group()
def online() -> None:
    """Feature sets whose latest values are kept ready for reading: one packed row per entity, swapped as a whole."""


@online.command()
@click.argument("names", nargs=-1, required=True)
@click.option(
    "--at", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="Answer from this time on, UTC (default: now)."
)
@click.option("--full", is_flag=True, help="Read all rows again, not only what has changed.")
@click.option("--dry-run", is_flag=True, help="Only say what would be read.")
@json_option
def materialize(names: tuple[str, ...], at: datetime | None, full: bool, dry_run: bool, as_json: bool) -> None:
    """Make the latest values of feature sets NAMES ready (router, or router@2; a view by its name is a set, too).

    What has changed since the last time alone is read. Readers have the former values until all of the new ones are there.

    \b
    Examples:
      assay online materialize router
      assay online materialize router@2 customer_activity --dry-run
    """
    store, made = open_store(), []
    moment = at.replace(tzinfo=UTC) if at else None
    wanted = [feature_set(name) for name in names]
    for one in wanted:
        with progress(quiet=as_json) as bar:
            made.append(store.materialize_online(one, at=moment, full=full, dry_run=dry_run, progress=ticking(bar)))
    if as_json:
        print_json([one.to_dict() for one in made])
        return
    for one in made:
        _show(one, dry_run=dry_run)


def _show(made: Materialized, *, dry_run: bool) -> None:
    if made.is_new and made.manifest is not None:
        line = f"{made.plan.set.id}: generation {made.manifest.number}, {plural(made.manifest.rows, 'row')}"
    elif made.plan.is_needed and dry_run:
        line = f"{made.plan.set.id}: would read {plural(sum(one.reads for one in made.plan.streams), 'row')}"
    else:
        line = f"{made.plan.set.id}: nothing has changed"
    out.print(line, highlight=False)
    rows = [(one.stream.id, str(one.state.snapshot), f"{one.reads:,}", one.why) for one in made.plan.streams]
    print_table(("rows of", "from", "read", "why"), rows, right=("read",))


@online.command("list")
@json_option
def list_sets(as_json: bool) -> None:
    """Feature sets that are ready: generation, age, rows, and the table versions that they hold.

    \b
    Example:
      assay online list
    """
    sets = open_store().online_sets()
    if as_json:
        print_json([one.to_dict() for one in sets])
        return
    if not sets:
        out.print("No feature set is ready yet: assay online materialize NAME.")
        return
    now = datetime.now(UTC)
    rows = [
        (
            one.set,
            one.number,
            f"{in_words(now - one.built_at)} ago",
            f"{one.rows:,}",
            f"{one.bytes / 1e6:,.1f}",
            ", ".join(f"{name}@{version}" for name, version in one.versions.items()),
        )
        for one in sets
    ]
    print_table(("set", "generation", "made", "rows", "MB", "tables"), rows, right=("generation", "rows", "MB"))


def feature_set(name: str) -> FeatureSet:
    """A feature set that the project declares, by name and version or by name alone; or a view as a set of all its features.

    Raises:
        AssayError: There is none of that name, or it has several versions.
    """
    from assay.assets.declarations import feature_sets
    from assay.assets.project import find_project

    declared = feature_sets() if find_project() is not None else {}
    versions = [one for one in declared.values() if name in (one.id, one.name)]
    if len(versions) == 1:
        return versions[0]
    if versions:
        raise AssayError(f"{name} has several versions: name one of {', '.join(one.id for one in versions)}.")
    views = {view.name for view in open_store().views()}
    if name in views:
        return FeatureSet(name, [f"{name}:*"])
    known = sorted({*declared, *views})
    there = f" There are: {', '.join(known)}." if known else ""
    raise AssayError(
        f"Neither a feature set nor a view is called {name!r}.{nearest(name, known)}{there} Declare "
        f"FeatureSet({name!r}, […]) in a module of the project."
    )
