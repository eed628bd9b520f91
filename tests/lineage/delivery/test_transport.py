"""Delivery by the client's own transports, from their configuration."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
import yaml
from openlineage.client.event_v2 import RunEvent
from openlineage.client.facet_v2 import parent_run
from openlineage.client.serde import Serde
from openlineage.client.transport import Transport, register_transport

from assay.errors import AssayError
from assay.features.tables.lake import Lake
from assay.features.tables.run_record import Work, new_run
from assay.features.tables.transaction import transaction
from assay.lineage.delivery.outbox import Drain, backlog
from assay.lineage.delivery.recorder import EventRecorder
from assay.lineage.delivery.transport import Channel, NotSent
from assay.lineage.events import events
from assay.lineage.events.serialize import to_bytes
from assay.lineage.store.lineage_store import LineageStore, open_lineage_store
from tests.lineage.backend import Backend

CANARY = "c4nary"


@register_transport
class Odd(Transport):
    """Does what a test wants with an event."""

    kind = "odd"
    act: ClassVar[Any] = None

    def __init__(self, config: object) -> None:
        del config

    def emit(self, event: Any) -> None:
        type(self).act(event)


@pytest.fixture
def backend() -> Iterator[Backend]:
    made = Backend()
    yield made
    made.stop()


@pytest.fixture
def waiting(lake: Lake, store: LineageStore) -> list[bytes]:
    """Events of all kinds in the outbox: a run in an orchestrator that completes, one that fails, one that is given up."""
    told = open_lineage_store(store.home / "told.db")
    recorder = EventRecorder(told)
    with transaction(lake, recorder, Work("clean/t", run=replace(new_run(), parent_id="of-dagster"))) as tx:
        tx.write("clean/t", pl.DataFrame({"a": [1]}), column_lineage={"a": {"direct": [], "indirect": []}})
    with pytest.raises(ZeroDivisionError), transaction(lake, recorder, Work("clean/t")) as tx:
        tx.read("clean/t").collect()
        raise ZeroDivisionError
    recorder.started(Work("clean/u"))
    bodies = [item.body for item in told.events()]
    bodies.append(to_bytes(events.aborted(json.loads(bodies[-1]))))
    recorder.close()
    store.put_all(bodies, forward=True)
    return bodies


def drain_of(store: LineageStore, config: dict[str, Any] | str) -> Drain:
    target = config if isinstance(config, str) else json.dumps(config)
    return Drain(store, target, timeout=2.0, backoff=0.02, longest=0.2)


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


# -- transports --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["json", "yaml", "openlineage.yml"])
def test_a_file_gets_every_event_as_it_is(store: LineageStore, tmp_path: Path, waiting: list[bytes], how: str) -> None:
    config: dict[str, Any] = {"type": "file", "log_file_path": str(tmp_path / "events.ndjson"), "append": True}
    target = json.dumps(config)
    if how != "json":
        block = config if how == "yaml" else {"transport": config, "facets": {"disabled": ["x"]}}
        target = str(tmp_path / "config.yml")
        Path(target).write_text(yaml.safe_dump(block))
    assert drain_of(store, target).drain().sent == len(waiting) == 6
    assert lines(tmp_path / "events.ndjson") == waiting
    assert backlog(store).pending == 0


def test_http_as_the_client_configures_it(store: LineageStore, backend: Backend, waiting: list[bytes]) -> None:
    drain_of(store, {"type": "http", "url": backend.url, "endpoint": "hooks/events"}).drain()
    assert backend.bodies == waiting
    assert backend.paths == {"/hooks/events"}


def test_with_several_transports_an_event_is_delivered_when_all_have_it(
    store: LineageStore, tmp_path: Path, backend: Backend, waiting: list[bytes]
) -> None:
    file = {"type": "file", "log_file_path": str(tmp_path / "events.ndjson"), "append": True}
    drain = drain_of(store, {"type": "composite", "transports": [file, {"type": "http", "url": backend.url}]})
    backend.answer = lambda _event: 503
    assert drain.drain(limit=1, deadline=0.5).sent == 0
    assert (backlog(store).pending, backlog(store).problem) == (len(waiting), "HTTP 503")
    backend.answer = lambda event: 422 if event["eventType"] == "FAIL" else 200
    assert drain.drain().parked == 1
    assert len(backend.bodies) == len(waiting) - 1
    assert set(lines(tmp_path / "events.ndjson")) == set(waiting)


def test_transports_see_the_clients_classes(
    store: LineageStore, waiting: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka's makes its key of them, so that the events of a run stay in order."""
    seen: list[Any] = []
    monkeypatch.setattr(Odd, "act", seen.append)
    drain_of(store, {"type": "odd"}).drain()
    assert {type(event) for event in seen} == {RunEvent}
    assert [Serde.to_json(event).encode() for event in seen] == waiting
    parent = seen[0].run.facets["parent"]
    assert isinstance(parent, parent_run.ParentRunFacet)
    assert parent.root is not None
    assert parent.root.job.namespace == "dagster://assay"


# -- trouble -----------------------------------------------------------------------------------------------------------


def test_what_raises_is_tried_again(store: LineageStore, waiting: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_event: Any) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(Odd, "act", refuse)
    drain = drain_of(store, {"type": "odd"})
    assert drain.drain(deadline=0.2).sent == 0
    assert (backlog(store).pending, backlog(store).problem) == (len(waiting), "RuntimeError")
    monkeypatch.setattr(Odd, "act", lambda _event: None)
    assert drain.drain().sent == len(waiting)


def test_what_only_logs_its_failure_has_failed(
    store: LineageStore, waiting: list[bytes], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As Kafka's does when the brokers did not take an event."""
    log = logging.getLogger("openlineage.client.transport.kafka")
    monkeypatch.setattr(Odd, "act", lambda _event: log.error("not delivered, %s", CANARY))
    assert drain_of(store, {"type": "odd"}).drain(deadline=0.2).sent == 0
    assert backlog(store).problem == f"logged by {log.name}"
    assert backlog(store).pending == len(waiting)
    assert CANARY not in caplog.text
    log.error("of others")  # somebody else's events
    assert "of others" in caplog.text


def test_a_transport_that_blocks_delays_nobody(
    lake: Lake, store: LineageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, released = threading.Event(), threading.Event()

    def block(_event: Any) -> None:
        entered.set()
        released.wait(30)

    monkeypatch.setattr(Odd, "act", block)
    recorder = EventRecorder(store, forward_to=json.dumps({"type": "odd"}))
    recorder.started(Work("clean/t"))
    assert entered.wait(20)
    begin = time.monotonic()
    with transaction(lake, recorder, Work("clean/t")) as tx:
        tx.write("clean/t", pl.DataFrame({"a": [1]}))
    assert time.monotonic() - begin < 20  # and not the 30 seconds of each event
    assert backlog(store).pending == 3
    released.set()
    recorder.close()


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("{", "cannot be read (JSONDecodeError)"),
        ("no-such-file.yml", "cannot be read (FileNotFoundError)"),
        ('{"url": "http://host"}', "has no type"),
        ('{"transport": []}', "has no type"),
        ('{"type": "async_http", "url": "http://h"}', "may lose events"),
        ('{"type": "composite", "transports": {"a": {"type": "async_http"}}}', "may lose events"),
        ("ftp://host", "is not an http(s) address"),
    ],
)
def test_what_is_no_transport_is_said_at_once(config: str, problem: str) -> None:
    with pytest.raises(AssayError) as refused:
        Channel(config)
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("config", "problem"),
    [({"type": "none.such"}, "ImportError"), ({"type": "http"}, "RuntimeError"), ({"type": "kafka"}, "RuntimeError")],
)
def test_what_cannot_be_opened_leaves_the_events_waiting(
    store: LineageStore, waiting: list[bytes], config: dict[str, Any], problem: str
) -> None:
    assert drain_of(store, config).drain(deadline=0.1).sent == 0
    assert (backlog(store).pending, backlog(store).problem) == (len(waiting), problem)


def test_events_are_not_dropped_when_the_client_is_disabled(
    store: LineageStore, waiting: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    assert drain_of(store, {"type": "console"}).drain(deadline=0.1).sent == 0
    assert (backlog(store).pending, backlog(store).problem) == (len(waiting), "OPENLINEAGE_DISABLED is set")


@pytest.mark.parametrize("several", [False, True])
def test_secrets_of_a_configuration_are_told_to_nobody(
    store: LineageStore, waiting: list[bytes], backend: Backend, caplog: pytest.LogCaptureFixture, several: bool
) -> None:
    config: dict[str, Any] = {
        "type": "http",
        "url": f"{backend.url.replace('//', f'//u:{CANARY}@')}?key={CANARY}",
        "endpoint": f"events?key={CANARY}",
        "auth": {"type": "api_key", "apiKey": CANARY},
        "custom_headers": {"X-Key": CANARY},
        "retry": {"total": 1, "backoff_factor": 0},
    }
    if several:
        config = {"type": "composite", "continue_on_failure": True, "transports": [config]}
    backend.answer = lambda _event: 401
    with caplog.at_level(logging.DEBUG):
        drain_of(store, config).drain(deadline=0.3)
        backend.stop()
        drain_of(store, config).drain(deadline=0.3)
    assert backlog(store).pending == len(waiting)
    assert CANARY not in caplog.text + backlog(store).problem
    with pytest.raises(NotSent) as problem:
        Channel(json.dumps(config)).send(waiting[0])
    assert CANARY not in str(problem.value)
    with pytest.raises(AssayError) as refused:
        Channel(json.dumps({"url": CANARY}))
    assert CANARY not in str(refused.value)
