"""A stranger's project with all kinds of sources, worked through three rounds by the sensor and its runs."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

import assay
from assay.assets import silent
from assay.assets.dagster import run_requests
from assay.assets.declarations import sources
from assay.assets.project import active_project
from assay.settings import Settings
from assay.store import Store
from tests.conftest import SOAK
from tests.end_to_end.rhythms.declared import COVERING, EVERY, PROJECT, make_project
from tests.end_to_end.rhythms.expected import BAD
from tests.end_to_end.rhythms.upstreams import FIRST, LATE, SETTLED, TOKEN, Api, Service, Upstream, upstream_of

KINDS = EVERY if SOAK else COVERING


Verdict = tuple[dg.AssetKey, str, str | None, bool]  # asset, check, partition, whether it passed


@dataclass(slots=True)
class Bazaar:
    """The project after three rounds."""

    upstreams: Sequence[Upstream]
    instance: dg.DagsterInstance
    store: Store
    reasons: list[str] = field(default_factory=list)  # why no more runs were requested, by round
    verdicts: list[Verdict] = field(default_factory=list)  # of all runs, newest first


class Daemon:
    """Evaluates the project's sensor and runs what it requests, as Dagster's daemon does, without processes of its own."""

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
        self.repository, self.instance = definitions.get_repository_def(), instance
        self.sensor, self.cursor = self.repository.get_sensor_def(f"{PROJECT}_arrivals"), ""

    def settle(self) -> str:
        """Until nothing is requested any more and all upstreams have answered, and why."""
        for _ in range(60):
            context = dg.build_sensor_context(
                instance=self.instance, cursor=self.cursor, repository_def=self.repository
            )
            data = self.sensor.evaluate_tick(context)
            self.cursor = data.cursor or self.cursor
            if not data.run_requests and "does not answer" not in (data.skip_message or ""):
                return data.skip_message or ""
            for request in data.run_requests:
                self._run(request)
        raise AssertionError("there is no end to it")

    def _run(self, request: dg.RunRequest) -> None:
        self.repository.get_job(request.job_name or "").execute_in_process(
            instance=self.instance,
            partition_key=request.partition_key,
            asset_selection=list(request.asset_selection or []),
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            tags={"dagster/run_key": request.run_key or "", **request.tags},
        )


@pytest.fixture(scope="module")  # it changes the environment, which other tests of the process have, too
def bazaar(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Bazaar]:
    folder, api = tmp_path_factory.mktemp("stranger") / PROJECT, Api()
    url = _database(postgres_server)
    make_project(folder, KINDS)
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        patch.setenv("BAZAAR_API", api.start())
        patch.setenv("ASSAY_CONNECTIONS__ERP__URL", url)
        patch.setattr(run_requests, "FIRST_PAUSE", 0)  # after an outage
        patch.setattr(silent, "FIRST_REST", timedelta(0))
        for kind in KINDS:
            if kind.mode == "pushed":
                patch.setenv(f"ASSAY_PUSH_TOKENS__{kind.name.upper()}", TOKEN)
        yield _rounds(instance, url, api)
        assert api.server is not None
        api.server.shutdown()
        api.server.server_close()
    for name in [name for name in sys.modules if name.partition(".")[0] == PROJECT]:
        del sys.modules[name]


def _rounds(instance: dg.DagsterInstance, url: str, api: Api) -> Bazaar:
    settings, declared = Settings(), sources(active_project())
    service = Service(settings, declared)
    upstreams = [upstream_of(kind, settings.landing_path, service, url, api) for kind in KINDS]
    bazaar = Bazaar(upstreams, instance, assay.open())
    daemon = Daemon(assay.definitions(f"{PROJECT}.declarations"), instance)
    for number in (FIRST, LATE, SETTLED):
        for upstream in upstreams:
            upstream.act(number)
            if number == SETTLED:
                _decide(bazaar.store, upstream)
        bazaar.reasons.append(daemon.settle())
        for upstream in upstreams:
            upstream.looked(datetime.now(UTC))
    bazaar.verdicts = list(_verdicts(instance))
    return bazaar


def _verdicts(instance: dg.DagsterInstance) -> Iterator[Verdict]:
    """Of all runs, newest first."""
    for run in instance.get_runs():
        records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
        for record in reversed(records):
            event = record.event_log_entry.dagster_event
            assert event is not None
            found = event.asset_check_evaluation_data
            yield found.asset_key, found.check_name, found.partition, found.passed


def _decide(store: Store, upstream: Upstream) -> None:
    """What a person decides about the bad rows: `expected` has it by id."""
    name = upstream.kind.name
    held = store.table(f"quarantine/{name}").scan().collect()
    for key, amount in upstream.expected.decided.items():
        rows = held.filter(id=key, _status="held").select("_source_sha256", "_row_number").rows()
        assert rows, (name, key)
        what: dict[str, Any] = {"rule": BAD, "rows": rows, "by": "kim", "dry_run": False}
        if amount is None:
            store.reject(name, reason="no such sale", **what)
        else:
            store.release(name, reason="a wrong sign", edits={"amount": str(amount)}, **what)


def _database(server: str) -> str:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS bazaar")
        connection.execute("CREATE DATABASE bazaar")
    from urllib.parse import urlsplit, urlunsplit

    return urlunsplit(urlsplit(server)._replace(path="/bazaar"))
