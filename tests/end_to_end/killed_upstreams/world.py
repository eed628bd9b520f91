"""Six upstreams that change at random, and the work that reads them into a lake."""

import json
import os
import random
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qs, urlsplit

import polars as pl
import psycopg

import assay
from assay.assets.declarations import pipeline, sources
from assay.assets.planning.plan import planned_runs, stages
from assay.assets.pushed.cutting import cut_due
from assay.assets.pushed.inbox import inbox_of
from assay.assets.steps.step import NotReady, execute
from assay.features.tables.digest import content_digest
from assay.features.tables.transaction import AuditFailed

DECLARED = '''
"""The same rows from every kind of upstream."""

import os
from datetime import timedelta

import dlt
import polars as pl
from dlt.sources.helpers.requests import Client

from assay import (
    Contract, Dlt, Entity, Feature, FeatureView, Field, Files, Partitioning, Pushed, Rows, QuarantineLimits, Source, Timestamp,
    windows,
)

client = Client(request_timeout=5, request_max_attempts=3, request_backoff_factor=0.001, request_max_retry_delay=0.01)
daily = Partitioning.daily("2026-03-01")


@dlt.resource(primary_key="id")
def extracted(number=dlt.sources.incremental("number", initial_value=0)):
    answer = client.get(os.environ["KILLED_API"], params={"since": number.last_value})
    answer.raise_for_status()
    yield answer.json()


class Things(Contract):
    id: str = Field(key=True)
    at: Timestamp = Field()
    amount: float = Field(ge=0)

    class Config(Contract.Config):
        version = "1.0.0"
        quarantine = QuarantineLimits(warn=None, block=None)


def source(name, reader, partitioning=Partitioning.none(), event_time="at"):
    return Source(name=name, reader=reader, contract=Things, key=("id",), event_time=event_time, partitioning=partitioning)


added = source("added", Files("added/{day}/*", (".csv",)), daily)
states = source("states", Files("states/{day}/*", (".csv",), mode="snapshot"), daily, "_seen_at")
pushed = source("pushed", Pushed("pushed", every=timedelta(seconds=1)), daily)
looked_at = source("looked_at", Rows("looked_at", connection="erp", mode="snapshot"), event_time="_seen_at")
read_on = source("read_on", Rows("read_on", "at", "erp", mode="upsert"), event_time="_seen_at")
extracted_source = source("extracted", Dlt("extracted", extracted, every=timedelta(0)))

sums = FeatureView(
    "sums",
    entity=Entity("id", ["id"]),
    event_time="event_time",
    features=windows(["2d"], source="clean/added", time="at", total=pl.col("amount").sum()),
)
things = FeatureView(
    "things",
    entity=Entity("id", ["id"]),
    event_time="_seen_at",
    source="clean/looked_at",
    features=[Feature("twice", pl.col("amount") * 2)],
)
'''
# What differs between two lakes of the same upstreams: when something came in or was looked at, and what is named after it.
MOMENTS = ["_ingested_at", "_seen_at", "_extracted_at", "_source_sha256", "_batch_id"]
DAYS = 4
Table = dict[str, tuple[datetime, float]]


def work(home: Path, *, whole: bool, through_dagster: bool = False) -> None:
    """Everything that there is to do: cut what was received, and run each step that is due. `whole`: what is read by a cursor is
    to be compared as a whole, too."""
    store = assay.open(home=home)
    object.__setattr__(sources()["read_on"].reader, "reconcile", timedelta(0) if whole else timedelta(days=7))
    landing = store.settings.landing_path
    cut_due(inbox_of(home), list(sources().values()), landing, datetime(2027, 1, 1, tzinfo=UTC))
    steps, env = pipeline(), store.env()
    if through_dagster:
        import dagster as dg

        from assay.assets.dagster.materialize import materialize, quiet

        quiet()
        with dg.DagsterInstance.ephemeral() as instance:
            assert materialize(steps, env, instance).failed == []
        return
    for stage in stages(steps):
        for unit in planned_runs(stage, env):
            for step in unit.steps:
                for key in step.batches(env) if step.batches else [unit.partition]:
                    try:
                        execute(step, env, key)
                    except NotReady:
                        continue
                    except AuditFailed:
                        break


def main() -> None:
    """A process that has everything imported, and forks for each line, which says what to do, a process that does it. It prints
    the number of each, once more when it is over, and after one more line, until which the number is its own, how it ended."""
    import dlt.sources.helpers.requests  # noqa: F401

    import assay.assets.dagster.materialize  # noqa: F401 - what only imports starts no threads, as declarations do

    for line in sys.stdin:
        home, *how = line.split()
        child = os.fork()
        if child == 0:
            _work_and_exit(Path(home), how)
        print(child, flush=True)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        print(child, flush=True)
        sys.stdin.readline()
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _work_and_exit(home: Path, how: Sequence[str]) -> NoReturn:
    try:
        work(home, whole="whole" in how, through_dagster="dagster" in how)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


@dataclass(slots=True)
class Upstreams:
    """What changes, for every home alike."""

    homes: list[Path]
    url: str
    chance: random.Random
    rounds: int = 0
    sent: Table = field(default_factory=dict)
    files: dict[tuple[str, str], Table] = field(default_factory=dict)  # of `added`, by day and name
    states: dict[str, Table] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=lambda: {"looked_at": {}, "read_on": {}})
    answered: list[dict[str, Any]] = field(default_factory=list)
    server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        for name in self.tables:
            self.do(f"CREATE TABLE {name} (id text PRIMARY KEY, at timestamptz, amount double precision)")
        upstreams = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                since = int(parse_qs(urlsplit(self.path).query)["since"][0])
                content = json.dumps([row for row in upstreams.answered if row["number"] >= since]).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def whole(self) -> bool:
        """Whether tables that are read by a cursor are compared as a whole in this round."""
        return self.rounds % 2 == 1

    @property
    def api(self) -> str:
        assert self.server is not None
        return f"http://127.0.0.1:{self.server.server_address[1]}/"

    def close(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()

    def do(self, statement: str, *values: object) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode(), values)

    def change(self) -> None:
        """Something at each upstream: new rows, other values, deletes, files that are replaced or taken away."""
        self.rounds += 1
        day = f"2026-03-{1 + (self.rounds - 1) % DAYS:02d}"
        self._files(day)
        self._state(day)
        for name, table in self.tables.items():
            self._table(name, table)
        rows = self._rows(f"p{self.rounds}", day, 3)
        lines = [
            json.dumps({"id": i, "at": f"{at:%Y-%m-%dT%H:%M:%SZ}", "amount": n}).encode() for i, (at, n) in rows.items()
        ]
        at = datetime.fromisoformat(f"{day}T12:00:00+00:00") + timedelta(seconds=self.rounds)
        for home in self.homes:
            inbox_of(home).put("pushed", "pushed", day, lines, at, f"request {self.rounds}")
        self.sent |= rows
        for identity, (moment, amount) in self._rows(f"d{self.rounds}", day, 3).items():
            row = {"id": identity, "at": f"{moment:%Y-%m-%dT%H:%M:%SZ}", "amount": amount}
            self.answered.append({"number": len(self.answered), **row})

    def _rows(self, name: str, day: str, count: int) -> Table:
        begin = datetime.fromisoformat(f"{day}T00:00:00+00:00")
        return {
            f"{name}-{n}": (begin + timedelta(hours=n, minutes=self.rounds % 60), float(self.chance.randrange(-1, 9)))
            for n in range(count)
        }

    def _files(self, day: str) -> None:
        mine = [name for name in self.files if name[0] == day]
        if mine and self.chance.random() < 0.5:
            gone = self.chance.choice(mine)
            del self.files[gone]
            for home in self.homes:
                (home / "landing" / "added" / gone[0] / gone[1]).unlink()
        name = (day, f"{self.rounds}.csv")
        self.files[name] = self._rows(f"f{self.rounds}", day, 4)
        self._write("added", name, self.files[name])

    def _state(self, day: str) -> None:
        before = self.states.get(day) or dict(self.states[max(self.states)] if self.states else {})
        kept = {identity: row for identity, row in before.items() if self.chance.random() < 0.7}
        self.states[day] = kept | self._rows(f"s{self.rounds}", day, 2)
        self._write("states", (day, "all.csv"), self.states[day])

    def _write(self, folder: str, name: tuple[str, str], rows: Table) -> None:
        lines = [f"{identity},{at:%Y-%m-%dT%H:%M:%SZ},{amount}" for identity, (at, amount) in rows.items()]
        for home in self.homes:
            file = home / "landing" / folder / name[0] / name[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.with_suffix(".part").write_text("\n".join(["id,at,amount", *lines, ""]))
            file.with_suffix(".part").replace(file)

    def _table(self, name: str, table: Table) -> None:
        seen = name == "looked_at" or self.whole  # reading by a cursor does not see that a row has gone
        for identity in [one for one in table if seen and self.chance.random() < 0.3]:
            self.do(f"DELETE FROM {name} WHERE id = %s", identity)
            del table[identity]
        at = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=self.rounds)
        for identity in [f"t{self.chance.randrange(12)}" for _ in range(4)]:
            table[identity] = (at, float(self.chance.randrange(-1, 9)))
            self.do(
                f"INSERT INTO {name} VALUES (%s, %s, %s) ON CONFLICT (id) DO UPDATE "
                "SET at = excluded.at, amount = excluded.amount",
                identity,
                *table[identity],
            )

    def expected_raw(self) -> dict[str, Table]:
        """What is there, by source; of tables, and of states, what is there now."""
        added = {identity: row for rows in self.files.values() for identity, row in rows.items()}
        answered = {row["id"]: (datetime.fromisoformat(row["at"]), row["amount"]) for row in self.answered}
        return {"added": added, "pushed": self.sent, "extracted": answered, **self.tables}


def contents(home: Path) -> dict[str, tuple[Mapping[str, int], str]]:
    """Rows by partition and the digest of all of them, of every table, without what differs between two lakes."""
    store, found = assay.open(home=home), {}
    for name in store.lake.tables():
        frame = store.table(name).scan().collect()
        rows = dict(sorted(frame.group_by("partition_key").len().iter_rows()))
        moments = [column for column in MOMENTS if column in frame.columns]
        found[name] = (rows, content_digest(frame.drop(moments), []))
    return found


def raw_now(home: Path, name: str) -> Table:
    """What raw says is there, by key. Fails of a key that is there twice."""
    table = assay.open(home=home).table(f"raw/{name}")
    rows = table.current() if name in ("looked_at", "read_on") else table.scan()
    at = pl.col("at").cast(pl.String).str.to_datetime(time_zone="UTC", time_unit="us")
    frame = rows.collect().select("id", at, pl.col("amount").cast(pl.Float64))
    assert frame["id"].is_unique().all(), name
    return {identity: (moment, amount) for identity, moment, amount in frame.iter_rows()}


if __name__ == "__main__":
    main()
