"""Dagster's UI and daemon, for `assay up` to start: `python -m assay.assets.dagster.webserver PORT -w FILE CONSOLE` (or `-m
MODULE`), and a last argument where every event of a run is to be printed.

As `dagster dev`, which has no place for a middleware: its web server takes GraphQL mutations from any origin and by GET, so
that any web page could stop the sensor.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import yaml
from dagster._cli.proxy_server_manager import ProxyServerManager
from dagster._cli.workspace.cli_target import workspace_opts_to_load_target
from dagster._core.instance.ref import InstanceRef
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._serdes import serialize_value
from dagster_shared.cli import WorkspaceOpts
from dagster_webserver.app import create_app_from_workspace_process_context
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from assay.asgi import BodyLimits, OwnOrigin, refusal, serve
from assay.assets.dagster.dagster_metadata import CONSOLE
from assay.assets.dagster.loaded import loaded_by
from assay.assets.declared_files import DeclaredFiles
from assay.assets.project import Project, find_project
from assay.assets.reloading import Reloading, reloading
from assay.assets.trial_load import broken_modules

GRAPHQL = "/graphql"
_CODE_LEVEL = "warning"


def guarded(app: ASGIApp, console: str = "") -> ASGIApp:
    """Dagster's web application, for this machine's own pages and programs only, with a way to the console at this address."""
    return OwnOrigin(BodyLimits(_with_console(app, console)), queries=[GRAPHQL])


def _with_console(app: ASGIApp, console: str) -> ASGIApp:
    """Links to the console, as metadata has them, lead to where it is now."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(f"{CONSOLE}/"):
            return await app(scope, receive, send)
        if not console:
            return await refusal(404, "The console is not served. Set ASSAY_CONSOLE_URL.")(scope, receive, send)
        path, query = scope["path"].removeprefix(CONSOLE), scope["query_string"].decode("latin-1")
        address = f"{console.rstrip('/')}{quote(path)}{f'?{query}' if query else ''}"
        return await Response(status_code=307, headers={"Location": address})(scope, receive, send)

    return answer


def run(port: int, kind: str, target: str, console: str = "", events: str = "") -> None:
    """The UI in this process, the daemon in another, and one code server for both, until one of them ends."""
    os.environ["DAGSTER_IS_DEV_CLI"] = "1"
    opts = WorkspaceOpts(workspace=[target]) if kind == "-w" else WorkspaceOpts(module_name=[target])
    project = find_project()
    files = DeclaredFiles(project) if project is not None else None
    before = files.contents() if files is not None else {}  # from before anything is loaded
    with opened(every_event=bool(events)) as instance, _code_servers(instance, opts) as workspace:
        shared = WorkspaceOpts(workspace=[workspace])
        with (
            _daemon(instance, workspace),
            WorkspaceProcessContext(
                instance, workspace_opts_to_load_target(shared), code_server_log_level=_CODE_LEVEL
            ) as context,
            ExitStack() as stack,
        ):
            if project is not None and files is not None:
                stack.enter_context(
                    reloading(_reloading(project, files, before, context, target if kind == "-w" else ""))
                )
            serve(guarded(create_app_from_workspace_process_context(context, live_data_poll_rate=2000), console), port)


def _reloading(
    project: Project, files: DeclaredFiles, before: Mapping[str, str], context: WorkspaceProcessContext, workspace: str
) -> Reloading:
    """The code servers load changed declarations afresh; runs that they have started go on with those of before."""

    def reload() -> None:
        for name in context.create_request_context().code_location_names:
            context.reload_code_location(name)

    def broken_before() -> Sequence[str]:
        loaded = loaded_by(context.instance, project.name)
        return loaded.broken if loaded is not None else ()

    return Reloading(files, dict(before), reload, broken_before, lambda: broken_modules(workspace))


@contextmanager
def opened(*, every_event: bool) -> Iterator[dg.DagsterInstance]:
    """Of a run Dagster prints each event, one for each check, unless a level is set: then they are only kept. The level that
    dagster.yaml sets stays."""
    home = os.environ["DAGSTER_HOME"]
    ref = InstanceRef.from_dir(home)
    if not every_event and not ref.settings.get("python_logs"):
        ref = InstanceRef.from_dir(home, overrides={"python_logs": {"python_log_level": "INFO"}})
    with dg.DagsterInstance.from_ref(ref) as instance:
        yield instance


@contextmanager
def _code_servers(instance: dg.DagsterInstance, opts: WorkspaceOpts) -> Iterator[str]:
    """The workspace file that names the code servers which were started for the targets."""
    load = workspace_opts_to_load_target(opts)
    with ProxyServerManager(instance, load, _CODE_LEVEL) as servers, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "workspace.yaml"
        file.write_text(yaml.dump({"load_from": list(servers.get_code_server_specs())}))
        yield str(file)


@contextmanager
def _daemon(instance: dg.DagsterInstance, workspace: str) -> Iterator[None]:
    command = [sys.executable, "-m", "dagster._daemon", "run", "--log-level", "warning", "--workspace", workspace]
    command += ["--instance-ref", serialize_value(instance.get_ref())]
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
    run(int(sys.argv[1]), *sys.argv[2:])
