"""Where events are sent: an OpenLineage endpoint's URL, or any transport of the client, configured as in its own files.

Only what is given here counts: no environment variable or file of the client redirects events or drops them, and nothing
that it logs, which may quote passwords, gets through.
"""

import copy
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import yaml
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import parent_run
from openlineage.client.transport import Transport, get_default_factory
from openlineage.client.transport.http import HttpConfig, HttpTransport
from openlineage.client.transport.noop import NoopTransport
from requests.exceptions import HTTPError

from assay.errors import AssayError

ENDPOINT = "api/v1/lineage"
LONGEST = 60.0  # seconds that a configured transport may take for an event before another process tries too
# Answers that say "not this event": sending it again cannot help. Others (an outage, a login that is missing, a wrong
# path, too many requests) are about the endpoint, and pass when somebody repairs it.
_REFUSALS = (400, 409, 410, 411, 413, 415, 422, 431)
_QUEUEING = "async_http"  # says "sent" of events that are only in its memory


class NotSent(Exception):
    """The event was not taken; if `refused`, it never will be. The message has no text of others."""

    def __init__(self, problem: str, *, refused: bool = False) -> None:
        super().__init__(problem)
        self.refused = refused


class Channel:
    """Sends events to one place, one after the other. Nothing is opened before the first one."""

    def __init__(self, target: str, timeout: float = 5.0) -> None:
        """`target` is an http(s) URL, a transport's configuration as JSON, or the path of a YAML or JSON file with one.

        `timeout` (seconds) is for a URL; a configuration has its own. Raises AssayError for what is none of these.
        """
        self._url = "" if target.lstrip().startswith("{") or "://" not in target else target
        self._http = _http(self._url, timeout) if self._url else None
        self._config = {} if self._url else _config(target)
        self._transport: Transport | None = self._http
        self.longest = 2 * timeout + 1 if self._url else LONGEST

    def send(self, body: bytes) -> None:
        """Returns when the event was taken. Raises NotSent."""
        with _silent() as errors:
            try:
                if self._transport is None:
                    self._transport = _open(self._config)
                self._transport.emit(_event(body) if self._http is None else json.loads(body))
            except Exception as error:  # each transport has its own, and none may stop the delivery
                raise _not_sent(error) from None
        if errors:  # Kafka's says so only there
            raise NotSent(errors[0])

    def close(self, seconds: float) -> None:
        """Let go of connections. Not longer than so many seconds, if the transport keeps to that."""
        if self._transport is not None:
            with _silent():
                self._transport.close(seconds)


def _http(url: str, timeout: float) -> HttpTransport:
    """The client's HTTP transport without its own retries, which would drop the event in the end.

    A URL with a path is the endpoint itself; without one it is the server, as in OPENLINEAGE_URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise AssayError("The OpenLineage URL is not an http(s) address. It looks like http://host:5000.")
    server = urlunsplit((parts.scheme, parts.netloc, "/", "", ""))
    endpoint = parts.path.strip("/") or ENDPOINT
    if parts.query:
        endpoint = f"{endpoint}?{parts.query}"
    return HttpTransport(HttpConfig(url=server, endpoint=endpoint, timeout=timeout, retry={"total": 0}))


# -- configured transports ---------------------------------------------------------------------------------------------


def _config(target: str) -> dict[str, Any]:
    """The `transport:` block, alone or in a file with others."""
    inline = target.lstrip().startswith("{")
    where = "The OpenLineage transport" if inline else "The file of the OpenLineage transport"
    try:
        path = Path(target).expanduser()
        found = json.loads(target) if inline else yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise AssayError(f"{where} cannot be read ({type(error).__name__}).") from None
    block = found.get("transport", found) if isinstance(found, dict) else None
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        raise AssayError(f"{where} has no type. It looks like {{type: http, url: http://host:5000}}.")
    for config in _nested(block):
        if config.get("type") == _QUEUEING:
            raise AssayError(f"{where} is of type {_QUEUEING}, which may lose events. Use http: nothing waits for it.")
        if config.get("type") == "composite":
            # Otherwise an event counts as delivered once one of the transports has taken it.
            config.setdefault("continue_on_failure", False)
        if config.get("type") == "http":
            config.setdefault("retry", {"total": 0, "status_forcelist": []})  # the outbox tries again
    return block


def _nested(config: Any) -> Iterator[dict[str, Any]]:
    """A configuration and those in it."""
    if isinstance(config, dict):
        yield config
        for item in config.values():
            yield from _nested(item)
    elif isinstance(config, list):
        for item in config:
            yield from _nested(item)


def _open(config: dict[str, Any]) -> Transport:
    transport = get_default_factory().create(copy.deepcopy(config))  # the factory takes it apart
    if isinstance(transport, NoopTransport) and config["type"] != NoopTransport.kind:
        raise NotSent("OPENLINEAGE_DISABLED is set")
    return transport


def _event(body: bytes) -> Any:
    """The event as the client's class, since some transports look into it (Kafka's for a key). Written out again it is
    the same: facets stay the dicts that they are, but for the one whose fields they look at."""
    data = json.loads(body)
    run, job = data["run"], data["job"]
    facets = dict(run.get("facets", {}))
    if "parent" in facets:
        facets["parent"] = _parent(facets["parent"])
    return RunEvent(
        eventType=RunState(data["eventType"]),
        eventTime=data["eventTime"],
        run=Run(run["runId"], facets),
        job=Job(**job),
        inputs=[InputDataset(**item) for item in data["inputs"]],
        outputs=[OutputDataset(**item) for item in data["outputs"]],
        producer=data["producer"],
    )


def _parent(facet: dict[str, Any]) -> parent_run.ParentRunFacet:
    root = facet["root"]
    return parent_run.ParentRunFacet(
        run=parent_run.Run(**facet["run"]),
        job=parent_run.Job(**facet["job"]),
        root=parent_run.Root(run=parent_run.RootRun(**root["run"]), job=parent_run.RootJob(**root["job"])),
        producer=facet["_producer"],  # pyright: ignore[reportCallIssue]  (a keyword of the base class, which attrs adds)
    )


# -- problems ----------------------------------------------------------------------------------------------------------


def _not_sent(error: BaseException) -> NotSent:
    """Named without any text of others: it may hold a URL, and a URL a password. A composite transport hides the answer
    that it got in the cause of its own error."""
    if isinstance(error, NotSent):
        return error
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, HTTPError):
            status = cause.response.status_code if cause.response is not None else 0
            return NotSent(f"HTTP {status}", refused=status in _REFUSALS)
        cause = cause.__cause__
    return NotSent(type(error).__name__)


_errors: ContextVar[list[str] | None] = ContextVar("errors", default=None)


class _Silence(logging.Filter):
    """Drops what is logged while we send, and remembers errors by the name of their logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        errors = _errors.get()
        if errors is not None and record.levelno >= logging.ERROR:
            errors.append(f"logged by {record.name}")
        return errors is None


_silence = _Silence()


@contextmanager
def _silent() -> Iterator[list[str]]:
    """The client and what it uses log nothing meanwhile, for us alone; the console transport does, as it is asked to."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(("openlineage.", "urllib3", "requests")) and not name.endswith(".console"):
            logging.getLogger(name).addFilter(_silence)  # twice is once
    errors: list[str] = []
    token = _errors.set(errors)
    try:
        yield errors
    finally:
        _errors.reset(token)
