"""Dagster's UI and daemon, for `assay up` to start: `python -m assay.assets.dagster.webserver PORT -w FILE` (or `-m MODULE`).

As `dagster dev`, which has no place for a middleware: its web server takes GraphQL mutations from any origin and by GET, so
that any web page could stop the sensor.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import yaml
from dagster._cli.proxy_server_manager import ProxyServerManager
from dagster._cli.workspace.cli_target import workspace_opts_to_load_target
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster_shared.cli import WorkspaceOpts
from dagster_webserver.app import create_app_from_workspace_process_context
from starlette.types import ASGIApp

from assay.asgi import BodyLimits, OwnOrigin, serve

GRAPHQL = "/graphql"
_CODE_LEVEL = "warning"


def guarded(app: ASGIApp) -> ASGIApp:
    """Dagster's web application, for this machine's own pages and programs only."""
    return OwnOrigin(BodyLimits(app), queries=[GRAPHQL])


def run(port: int, kind: str, target: str) -> None:
    """The UI in this process, the daemon in another, and one code server for both, until one of them ends."""
    os.environ["DAGSTER_IS_DEV_CLI"] = "1"
    opts = WorkspaceOpts(workspace=[target]) if kind == "-w" else WorkspaceOpts(module_name=[target])
    with dg.DagsterInstance.get() as instance, _code_servers(instance, opts) as workspace:
        shared = WorkspaceOpts(workspace=[workspace])
        with (
            _daemon(workspace),
            WorkspaceProcessContext(
                instance, workspace_opts_to_load_target(shared), code_server_log_level=_CODE_LEVEL
            ) as context,
        ):
            serve(guarded(create_app_from_workspace_process_context(context, live_data_poll_rate=2000)), port)


@contextmanager
def _code_servers(instance: dg.DagsterInstance, opts: WorkspaceOpts) -> Iterator[str]:
    """The workspace file that names the code servers which were started for the targets."""
    load = workspace_opts_to_load_target(opts)
    with ProxyServerManager(instance, load, _CODE_LEVEL) as servers, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "workspace.yaml"
        file.write_text(yaml.dump({"load_from": list(servers.get_code_server_specs())}))
        yield str(file)


@contextmanager
def _daemon(workspace: str) -> Iterator[None]:
    command = [sys.executable, "-m", "dagster._daemon", "run", "--log-level", "warning", "--workspace", workspace]
    process = subprocess.Popen(command)
    stopping = threading.Event()

    def watch() -> None:
        process.wait()
        if not stopping.is_set():  # without it no sensor looks and no run starts: better nothing than half of it
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        stopping.set()
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


if __name__ == "__main__":
    run(int(sys.argv[1]), sys.argv[2], sys.argv[3])
