"""`assay features`: what a model reads, from the shell."""

from datetime import UTC, datetime

import click

from assay.cli.output import json_option, out, print_json, print_table
from assay.errors import AssayError, plural
from assay.features.serving.join_options import checked_known_at
from assay.store import open_store


@click.group()
def features() -> None:
    """Feature values and training sets."""


@features.command()
@click.argument("view")
@click.argument("keys", nargs=-1, required=True)
@click.option(
    "--at", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="As of this time, UTC (default: now)."
)
@click.option("--known-at", default="event", help="event, or known: only values that were known by then.")
@click.option("--unmasked", is_flag=True, help="Print personal data as it is.")
@json_option
def get(view: str, keys: tuple[str, ...], at: datetime | None, known_at: str, unmasked: bool, as_json: bool) -> None:
    """Latest values of VIEW for KEYS (COLUMN=VALUE, several for several rows).

    VIEW is a view's name, or a reference such as 'airport:wind on airport=origin'. Values that come from personal columns are
    masked, as everywhere; so are those of which it is not known what they come from.

    \b
    Example:
      assay features get customer_activity customer_id=C00012 customer_id=C00013 --at 2026-09-25
      assay features get customer_activity customer_id=C00012 --known-at known
    """
    from assay.features.serving.online import served
    from assay.why.declared_now import declared_now
    from assay.why.features import shown_served
    from assay.why.shown import classes_of_lake

    wanted: dict[str, list[str]] = {}
    for key in keys:
        column, equals, value = key.partition("=")
        if not equals:
            raise AssayError(f"{key!r} is not COLUMN=VALUE, e.g. customer_id=C00012.")
        wanted.setdefault(column, []).append(value)
    moment = at.replace(tzinfo=UTC) if at else datetime.now(UTC)
    lake = open_store().lake
    frame, views = served(lake, view, wanted, moment, known_at=checked_known_at(known_at, "--known-at"))
    if not unmasked:
        frame = shown_served(lake, frame, views, classes_of_lake(lake, declared_now()))
    if as_json:
        print_json(frame.to_dicts())
    else:
        print_table(frame.columns, frame.rows())


@features.command("training-set")
@click.argument("training_set_id")
@json_option
def training_set(training_set_id: str, as_json: bool) -> None:
    """The manifest of a training set: every input with its URI and version, and how to read it without Assay.

    \b
    Example:
      assay features training-set router@1 --json > manifest.json
    """
    loaded = open_store().load_training_set(training_set_id)
    if as_json:
        print_json(loaded.manifest)
        return
    manifest = loaded.manifest
    out.print(f"{loaded.id}: {plural(manifest['rows'], 'row')}, content {manifest['content_digest'][:16]}…")
    rows = [(i["name"], i["version"], len(i["partitions"] or []) or "all", i["uri"]) for i in manifest["inputs"]]
    print_table(("input", "version", "partitions", "uri"), rows, right=("version",))
