"""The example's own commands: `assay demo` makes its upstream, `assay tour` shows what has become of it.

They are commands of `assay` wherever this domain is the project (`[tool.assay] commands` in pyproject.toml).
"""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from assay.assets.support.tour import tour
from assay.cli.output import json_option, out, print_json, progress, ticking


@click.group()
def commands() -> None:
    """The support desk: an upstream to try, and where to look."""


commands.add_command(tour)


@commands.command()
@click.option(
    "--tickets",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with banking77's train.csv and test.csv: real queries. Default: the project's own grammar.",
)
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Deliver only what had arrived by this day.")
@json_option
def demo(tickets: Path | None, until: datetime | None, as_json: bool) -> None:
    """Make the demo upstream: 30 days of a support desk, with planted defects.

    Writes the landing folder and the customers' database (SQLite, or ASSAY_CONNECTIONS__CRM__URL), and beside the landing
    folder the truth about what was planted, which the pipeline never reads. Running it again changes nothing.

    \b
    Examples:
      assay demo                                    generated tickets
      assay demo --tickets ../shared/data/banking77 real ones
      assay demo --until 2026-09-14                 as the world was that evening
    """
    from assay.assets.support.customers import crm_url
    from assay.assets.support.upstream import replay
    from assay.settings import Settings

    settings = Settings()
    with progress(as_json) as bar:
        tick = ticking(bar)
        summary = replay(
            settings.landing_path,
            tickets=tickets,
            database_url=crm_url(settings),
            until=until.date() if until else None,
            progress=lambda done, total, what: tick(what, done, total),
        )
    if as_json:
        print_json(asdict(summary))
        return
    out.print(
        f"Upstream ready in {settings.landing_path}: {summary.tickets:,} tickets, {summary.events:,} card events, "
        f"{summary.customers:,} customers ({summary.files_written} files written, {summary.files_unchanged} unchanged)."
    )
    out.print(f"What was planted: {summary.truth_path}")
