"""`assay predictions`: the ids to trace."""

from datetime import UTC, datetime

import click

from assay.cli.output import json_option, out, print_json, print_table
from assay.store import open_store

_TIME = click.DateTime(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


@click.command()
@click.argument("model")
@click.option("--since", type=_TIME, help="Only those of this time (UTC) or later.")
@click.option("--until", type=_TIME, help="Only those before this time (UTC).")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="At most so many.")
@json_option
def predictions(model: str, since: datetime | None, until: datetime | None, limit: int, as_json: bool) -> None:
    """List the latest predictions of MODEL, newest first: ids, times, answers. Only the files that hold them are read.

    \b
    Examples:
      assay predictions router --limit 1
      assay predictions router --since 2026-09-03 --until 2026-09-04 --json
    """
    from assay.lineage.predictions.latest import latest_predictions

    since, until = (moment and moment.replace(tzinfo=UTC) for moment in (since, until))
    found = latest_predictions(open_store().lake, model, since=since, until=until, limit=limit)
    if as_json:
        print_json([item.to_dict() for item in found])
    elif not found:
        out.print(f"There are no predictions of {model} in that time.")
    else:
        names = list(dict.fromkeys(name for item in found for name in item.answer))
        rows = [
            (item.id, f"{item.event_time:%Y-%m-%d %H:%M:%S}", item.model_version, *map(item.answer.get, names))
            for item in found
        ]
        print_table(("prediction", "event time (UTC)", "version", *names), rows)
