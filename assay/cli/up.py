"""`assay up`: the Dagster UI over this lake."""

import os
import signal
import sys
from pathlib import Path

import click

from assay.cli.pipeline import dagster_home


@click.command()
@click.option("--port", default=3000, show_default=True, help="Port of the Dagster UI (on 127.0.0.1).")
def up(port: int) -> None:
    """Open the Dagster UI and its daemon (sensors, queue) on 127.0.0.1, until Ctrl-C.

    \b
    Example:
      assay up --port 3000
    """
    home = dagster_home()
    home.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"DAGSTER_HOME": str(home)}
    workspace = Path("workspace.yaml")
    target = ["-w", str(workspace)] if workspace.exists() else ["-m", "assay.assets.definitions"]
    click.echo(f"Dagster UI: http://127.0.0.1:{port}   (Ctrl-C stops it)")
    command = [sys.executable, "-m", "dagster", "dev", *target, "-h", "127.0.0.1", "-p", str(port)]
    # Started in the background of a script, Ctrl-C's signal is ignored, and so it would be by every child of Dagster's,
    # which stops them with it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # This process becomes Dagster's, so that whoever started `assay up` stops what they started.
    os.execve(sys.executable, command, environment)
