"""`assay up`: the Dagster UI and the governance console over this lake."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

import click

from assay.assets.project import active_project
from assay.cli.output import json_option, print_json
from assay.cli.pipeline import dagster_home
from assay.features.storage.scratch import free_scratch
from assay.only_one import only_one, require_free
from assay.settings import Settings

STOPPING_SECONDS = 20
READY_SECONDS = 300
LOCATION = "assay.assets.dagster.definitions"


@click.command()
@click.option("--port", default=3000, show_default=True, help="Port of the Dagster UI (on 127.0.0.1).")
@click.option("--console-port", default=3001, show_default=True, help="Port of the console and the lineage API.")
@click.option("--console/--no-console", default=True, help="Whether to serve the console too.")
@click.option("--events", is_flag=True, help="Print every event of a run, as the Dagster UI lists them.")
@json_option
def up(port: int, console_port: int, console: bool, events: bool, as_json: bool) -> int:
    """Open the Dagster UI with its daemon (sensors, queue) and the console, on 127.0.0.1, until Ctrl-C.

    Of a run it prints the tables that were written, warnings and errors; all else is in the Dagster UI. `python_logs` in
    dagster.yaml sets another level.

    \b
    Examples:
      assay up
      assay up --port 3000 --no-console
    """
    home = dagster_home()
    # Over a history of runs one daemon is enough: a second one would request everything again.
    with only_one(home / "up.lock", "Assay is up", f"http://127.0.0.1:{port}"):
        for wanted in [port, *([console_port] if console else [])]:
            require_free(wanted, options="--port, --console-port")
        free_scratch(Settings().home)
        return _serve(home, port, console_port, console=console, events=events, as_json=as_json)


def _serve(home: Path, port: int, console_port: int, *, console: bool, events: bool, as_json: bool) -> int:
    """Everything, until it is stopped."""
    folder = active_project().root or Path.cwd()
    target = ["-w", "workspace.yaml"] if (folder / "workspace.yaml").exists() else ["-m", LOCATION]
    pages = {"dagster": f"http://127.0.0.1:{port}"}
    if console:
        pages["console"] = f"http://127.0.0.1:{console_port}"
    found_at = Settings().console_url or pages.get("console", "")
    commands = [["assay.assets.dagster.webserver", str(port), *target, found_at, *(["events"] if events else [])]]
    if console:
        commands.append(["assay.serve", str(console_port)])
    if as_json:
        print_json(pages)
    else:
        click.echo(f"Dagster UI: {pages['dagster']}   (Ctrl-C stops it)")
        if console:
            click.echo(f"Console:    {pages['console']}")
        threading.Thread(target=_announce, args=(list(pages.values()),), daemon=True).start()
    links = {"ASSAY_DAGSTER_URL": os.environ.get("ASSAY_DAGSTER_URL", pages["dagster"])}
    # Code locations import the project's packages from the folder that Dagster is started in.
    return supervise(commands, {**os.environ, **_paths(), **links, "DAGSTER_HOME": str(home)}, folder)


def _announce(pages: Sequence[str]) -> None:
    """Say when the pages answer: Dagster takes some seconds to load the code location."""
    for page in pages:
        for _ in range(READY_SECONDS):
            try:
                with urllib.request.urlopen(page, timeout=5):
                    break
            except OSError:
                time.sleep(1)
        else:
            return
    click.echo("Ready.")


def _paths() -> dict[str, str]:
    """Settings that are paths relative to this folder, made absolute: the processes run in the project's."""
    given = {name: os.environ.get(name, "") for name in ("ASSAY_PROJECT", "ASSAY_HOME", "ASSAY_LANDING", "ASSAY_LAKE")}
    paths = {name: Path(value) for name, value in given.items() if value and "://" not in value}
    return {name: str(path.resolve()) for name, path in paths.items() if name != "ASSAY_PROJECT" or path.is_dir()}


def supervise(commands: Sequence[Sequence[str]], environment: Mapping[str, str], folder: Path | None = None) -> int:
    """Run modules (each with its arguments) side by side in a folder until one of them ends, or SIGINT or SIGTERM comes;
    then stop all of them and what they started, also when this process is killed. Returns the exit code of the one that
    ended by itself, 0 after a signal."""
    # Started in the background of a script, Ctrl-C's signal is ignored, and so it would be by every child, which stops
    # its own with it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _stop)
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "assay.attended", *command],
            env=environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        for command in commands
    ]
    try:
        while True:
            ended = [process.returncode for process in processes if process.poll() is not None]
            if ended:
                return ended[0]
            time.sleep(0.2)
    except KeyboardInterrupt:
        return 0
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOPPING_SECONDS)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it left behind, too


def _stop(signum: int, frame: FrameType | None) -> None:
    del signum, frame
    raise KeyboardInterrupt
