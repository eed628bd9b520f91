"""Upstreams of each mode, and what they do in each round: deliver, be late, deliver rubbish, heal, correct, delete, send again.

Each writes to where its kind writes (the landing folder, a PostgreSQL, the HTTP service, an API) and tells its `Expected` what a
person who saw it would expect.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
from starlette.testclient import TestClient

from assay.assets.pushed.cutting import cut_due
from assay.assets.pushed.inbox import inbox_of
from assay.receiver import create_receiver
from assay.settings import Settings
from tests.end_to_end.rhythms.declared import Kind
from tests.end_to_end.rhythms.expected import Expected, ExpectedTable, Row, at_hour

FIRST, LATE, SETTLED = range(3)  # the rounds
TOKEN = "a long random text"
HEADER = "id,shop,at,amount"
SHOPS = ("A", "B", "C")


def csv(rows: Sequence[Row], header: str = HEADER) -> str:
    lines = [f"{row.id},{row.shop},{row.at:%Y-%m-%dT%H:%M:%SZ},{row.amount}" for row in rows]
    return "\n".join([header, *lines, ""])


def record(row: Row) -> dict[str, Any]:
    return {"id": row.id, "shop": row.shop, "at": f"{row.at:%Y-%m-%dT%H:%M:%SZ}", "amount": row.amount}


def sales(kind: Kind, place: int, name: str, count: int, bad: int | None = None) -> list[Row]:
    """Rows whose times are spread over a partition, and a bad one among them."""
    if kind.is_timed:
        begin, end = kind.partitioning.bounds(kind.keys[place])
    else:
        begin, end = at_hour(24 * place), at_hour(24 * (place + 1))
    step = (end - begin) / (count + 1)
    return [
        Row(
            f"{name}{place}-{number}",
            SHOPS[(place + number) % 3],
            (begin + step * (number + (1 if count > 1 else 0))).replace(microsecond=0),
            -1.0 if number == bad else 10.0 * (place + 1) + number,
        )
        for number in range(count)
    ]


class Upstream:
    """One source's. `refused`: the partitions (or "") that are refused after a round."""

    def __init__(self, kind: Kind) -> None:
        self.kind, self.expected = kind, Expected(kind)
        self.refused: list[set[str]] = [set(), set(), set()]
        self.unread: set[str] = set()
        self.resent: set[str] = set()

    def act(self, number: int) -> None:
        (self.first, self.late, self.settled)[number]()

    def first(self) -> None:
        raise NotImplementedError

    def late(self) -> None:
        raise NotImplementedError

    def settled(self) -> None:
        raise NotImplementedError

    def looked(self, moment: datetime) -> None:
        """A round is over: whoever compares has looked."""


class Files(Upstream):
    """CSV files. What is in the folder decides: `expected` is read from `there`."""

    def __init__(self, kind: Kind, landing: Path) -> None:
        super().__init__(kind)
        self.folder = landing / kind.name
        self.there: dict[tuple[str, str], list[Row]] = {}

    def put(self, place: int, name: str, rows: Sequence[Row], header: str = HEADER) -> None:
        key = self.kind.keys[place]
        file = self.folder / key / name
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(".part")
        beside.write_text(csv(rows, header))
        beside.replace(file)
        self.there[key, name] = list(rows)

    def take_away(self, place: int, name: str) -> None:
        key = self.kind.keys[place]
        (self.folder / key / name).unlink()
        del self.there[key, name]

    def add_up(self, *, without: Sequence[tuple[str, str]] = ()) -> None:
        delivered: dict[str, list[Row]] = {}
        for (key, name), rows in sorted(self.there.items()):
            if (key, name) not in without:
                delivered.setdefault(key, []).extend(rows)
        self.expected.delivered = delivered


class AppendedFiles(Files):
    """What is new in each partition."""

    def first(self) -> None:
        self.own = [sales(self.kind, place, "s", 5, bad=3) for place in range(4)]
        self.put(0, "a.csv", self.own[0])
        self.put(1, "a.csv", self.own[1])
        self.put(3, "a.csv", self.own[3], header="id,shop,at,price")
        (self.folder / self.kind.keys[1] / "notes.txt").write_text("by hand")
        self.unread = {self.kind.keys[1]}
        self.refused[FIRST] = {self.kind.keys[3]}
        self.add_up(without=[(self.kind.keys[3], "a.csv")])

    def late(self) -> None:
        self.put(2, "a.csv", self.own[2])
        winner = self.own[1][0]
        late = [
            *sales(self.kind, 0, "late", 2),
            self.own[0][1],  # once more, exactly
            Row(winner.id, winner.shop, self.own[0][0].at, 77.0),  # an earlier row of a key that the next partition has
        ]
        self.put(0, "late.csv", late)
        self.put(3, "a.r1.csv", self.own[3])
        del self.there[self.kind.keys[3], "a.csv"]  # the revision replaces it
        again = self.folder / self.kind.keys[1] / "b.csv"
        again.write_bytes(again.with_name("a.csv").read_bytes())
        self.resent = {self.kind.keys[1]}
        self.add_up()

    def settled(self) -> None:
        first, second, *others = self.own[2]
        self.put(2, "a.csv", [Row(first.id, first.shop, first.at, 500.0), *others])  # corrected, and one is gone
        assert second not in self.there[self.kind.keys[2], "a.csv"]
        self.take_away(0, "late.csv")  # so the row that it displaced is back
        self.expected.decided = {self.own[0][3].id: 5.0, self.own[1][3].id: None}
        self.add_up()


class States(Files):
    """The whole state in each partition."""

    def first(self) -> None:
        self.one = sales(self.kind, 0, "s", 6, bad=3)
        changed = Row(self.one[0].id, "B", self.one[0].at, 99.0)
        self.two = [changed, self.one[2], *self.one[4:], *sales(self.kind, 1, "n", 1)]
        self.put(0, "all.csv", self.one)
        self.put(1, "all.csv", self.two)
        self.put(3, "all.csv", self.two, header="id,shop,at,price")
        self.refused[FIRST] = {self.kind.keys[3]}
        self.add_up(without=[(self.kind.keys[3], "all.csv")])

    def late(self) -> None:
        self.put(2, "all.csv", self.two)  # the same bytes as the state before: a state, too
        self.put(3, "all.r1.csv", self.two[1:])
        del self.there[self.kind.keys[3], "all.csv"]
        self.add_up()

    def settled(self) -> None:
        self.put(1, "all.csv", [*self.two[:-1], *sales(self.kind, 1, "m", 1)])
        self.expected.decided = {self.one[3].id: 5.0}
        self.add_up()


class Sender(Files):
    """Records over HTTP, and files that are put beside them by hand."""

    def __init__(self, kind: Kind, landing: Path, service: "Service") -> None:
        super().__init__(kind, landing)
        self.service, self.requests = service, 0

    def put(self, place: int, name: str, rows: Sequence[Row], header: str = HEADER) -> None:
        key = self.kind.keys[place]
        file = self.folder / key / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(record(row)) + "\n" for row in rows))
        self.there[key, name] = list(rows)

    def send(self, place: int, rows: Sequence[Row], times: int = 1) -> None:
        """Send a request that is repeated until it is answered, and let it be cut into a file."""
        self.requests += 1
        key, headers = self.kind.keys[place], {"Idempotency-Key": f"request {self.requests}"}
        at = self.kind.partitioning.bounds(key)[0] if self.kind.is_timed else at_hour(self.requests)
        for number in range(times):
            answer = self.service.send(self.kind, [record(row) for row in rows], at, key, headers)
            assert answer == {"partition": key, "rows": len(rows), "repeated": number > 0}
        self.there[key, f"pushed-{self.requests:09}.jsonl"] = list(rows)

    def first(self) -> None:
        self.own = [sales(self.kind, place, "s", 5, bad=3) for place in range(4)]
        self.send(0, self.own[0], times=3)
        self.send(1, self.own[1])
        self.service.cut()
        self.put(3, "hand.jsonl", [])
        self.refused[FIRST] = {self.kind.keys[3]}
        self.add_up()

    def late(self) -> None:
        self.send(2, self.own[2])
        # A record once more: in another request it is another one.
        self.send(1, [self.own[1][0], *sales(self.kind, 1, "more", 2)])
        self.service.cut()
        self.put(0, "hand.jsonl", sales(self.kind, 0, "late", 2))
        self.put(3, "hand.jsonl", self.own[3])
        self.add_up()

    def settled(self) -> None:
        self.take_away(0, "hand.jsonl")
        self.expected.decided = {self.own[0][3].id: 5.0, self.own[1][3].id: None}
        self.add_up()

    def add_up(self, *, without: Sequence[tuple[str, str]] = ()) -> None:
        super().add_up(without=without)
        self.expected.delivered = {key: rows for key, rows in self.expected.delivered.items() if rows}


class Service:
    """`assay receive`, at whatever time it is to be."""

    def __init__(self, settings: Settings, sources: Mapping[str, Any]) -> None:
        self.settings, self.sources, self.at = settings, sources, at_hour(0)
        app = create_receiver(settings, now=lambda: self.at, note=lambda _: None)
        self.client = TestClient(app, base_url="http://127.0.0.1")  # nothing is cut but by `cut`

    def send(self, kind: Kind, records: Any, at: datetime, key: str, headers: Mapping[str, str]) -> Any:
        self.at = at
        given = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", **headers}
        query = "" if kind.is_timed else f"?partition={key}"
        answer = self.client.post(f"/push/{kind.name}{query}", json=records, headers=given)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def cut(self) -> None:
        inbox = inbox_of(self.settings.home)
        pushed = [source for source in self.sources.values() if source.name.startswith("pushed")]
        _, problems = cut_due(inbox, pushed, self.settings.landing_path, datetime.now(UTC))
        assert problems == []
        assert inbox.waiting() == []


class Table(Upstream):
    """A table of a PostgreSQL, without a primary key, so that rubbish can be in it."""

    def __init__(self, kind: Kind, url: str) -> None:
        super().__init__(kind)
        self.url, self.rows = url, dict[str, Row]()
        self.own = sales(Kind("append", "static"), 0, "s", 6, bad=3)
        self.do(f"CREATE TABLE {kind.name} (id text, shop text, at timestamptz, amount double precision)")

    def do(self, statement: str, *values: object) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode(), values)

    def insert(self, *rows: Row) -> None:
        for row in rows:
            self.do(f"INSERT INTO {self.kind.name} VALUES (%s, %s, %s, %s)", row.id, row.shop, row.at, row.amount)
            self.rows[row.id] = row

    def update(self, row: Row) -> None:
        self.do(f"UPDATE {self.kind.name} SET at = %s, amount = %s WHERE id = %s", row.at, row.amount, row.id)
        self.rows[row.id] = row

    def delete(self, row: Row) -> None:
        self.do(f"DELETE FROM {self.kind.name} WHERE id = %s", row.id)
        del self.rows[row.id]


class Appended(Table):
    """Read by a cursor: what is new, and nothing of what goes."""

    def first(self) -> None:
        self.insert(*self.own)
        self.expected.delivered["000001"] = list(self.own)

    def late(self) -> None:
        new = [Row(f"new-{n}", "A", self.own[-1].at + timedelta(minutes=n), 1.0) for n in range(3)]
        slow = Row("slow", "B", self.own[-1].at - timedelta(minutes=5), 2.0)  # a transaction that took long
        moved = Row(self.own[0].id, self.own[0].shop, self.own[-1].at + timedelta(minutes=9), 55.0)
        self.insert(*new, slow)
        self.update(moved)
        self.do(f"INSERT INTO {self.kind.name} VALUES ('rubbish', 'A', NULL, 1)")  # would never be read
        self.next = [*new, slow, moved]
        self.refused[LATE] = {""}

    def settled(self) -> None:
        self.do(f"DELETE FROM {self.kind.name} WHERE at IS NULL")
        self.delete(self.own[1])  # no cursor moves
        self.expected.delivered["000002"] = self.next
        self.expected.decided = {self.own[3].id: 5.0}


class Compared(Table):
    """Compared with what raw holds, whole or by a cursor."""

    def __init__(self, kind: Kind, url: str, reader: Any) -> None:
        super().__init__(kind, url)
        self.table, self.reader, self.round = ExpectedTable(kind), reader, FIRST
        self.expected = self.table

    def first(self) -> None:
        self.insert(*self.own)

    def late(self) -> None:
        self.round = LATE
        self.insert(Row("new", "A", self.own[-1].at + timedelta(minutes=3), 1.0))
        self.update(Row(self.own[0].id, self.own[0].shop, self.own[-1].at + timedelta(minutes=4), 55.0))
        self.delete(self.own[1])
        if self.kind.mode == "rows_snapshot":
            self.do(f"INSERT INTO {self.kind.name} VALUES (NULL, 'A', '2025-07-01T00:00:00Z', 1)")  # who is it?
            self.refused[LATE] = {""}

    def settled(self) -> None:
        self.round = SETTLED
        self.do(f"DELETE FROM {self.kind.name} WHERE id IS NULL")
        self.expected.decided = {self.own[3].id: 5.0}
        if self.kind.mode == "rows_upsert":
            object.__setattr__(self.reader, "reconcile", timedelta(0))  # a week is over

    def looked(self, moment: datetime) -> None:
        if self.refused[self.round]:
            return
        whole = self.kind.mode == "rows_snapshot" or self.round != LATE
        known = [row.at for rows in self.expected.delivered.values() for row in rows]
        since = max(known) - timedelta(minutes=10) if known else None
        self.table.look(moment, self.rows, whole=whole, since=since)


@dataclass(slots=True)
class Api:
    """A REST API of numbered sales; each `fault` is one answer."""

    rows: list[dict[str, Any] | str] = field(default_factory=list)
    faults: Iterator[str] = field(default_factory=lambda: iter(()))
    server: ThreadingHTTPServer | None = None

    def start(self) -> str:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fault = next(api.faults, "")
                since = int(parse_qs(urlsplit(self.path).query)["since"][0])
                content = json.dumps(
                    [row for row in api.rows if isinstance(row, str) or row["number"] >= since]
                ).encode()
                self.send_response(int(fault or 200))
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_address[1]}/sold"


class Answering(Upstream):
    """The API behind dlt."""

    def __init__(self, kind: Kind, api: Api) -> None:
        super().__init__(kind)
        self.api = api
        self.own = sales(Kind("append", "static"), 0, "s", 6, bad=3)

    def sell(self, *rows: Row, **more: Any) -> None:
        self.api.rows += [{"number": len(self.api.rows) + n, **record(row), **more} for n, row in enumerate(rows)]

    def first(self) -> None:
        self.sell(*self.own)
        self.api.faults = iter(["500", "429"])  # dlt asks twice: an outage; the run is requested again
        self.expected.delivered["000001"] = list(self.own)

    def late(self) -> None:
        self.new = [Row(f"new-{n}", "A", at_hour(100 + n), 1.0) for n in range(3)]
        self.sell(*self.new, note="a new column")
        self.api.rows.append("rubbish")  # no record
        self.refused[LATE] = {""}

    def settled(self) -> None:
        self.api.rows.remove("rubbish")
        self.expected.delivered["000002"] = list(self.new)
        self.expected.decided = {self.own[3].id: 5.0}


def upstream_of(kind: Kind, landing: Path, service: Service, url: str, api: Api) -> Upstream:
    make: Mapping[str, Callable[[], Upstream]] = {
        "append": lambda: AppendedFiles(kind, landing),
        "snapshot": lambda: States(kind, landing),
        "pushed": lambda: Sender(kind, landing, service),
        "rows_append": lambda: Appended(kind, url),
        "rows_upsert": lambda: Compared(kind, url, service.sources[kind.name].reader),
        "rows_snapshot": lambda: Compared(kind, url, service.sources[kind.name].reader),
        "dlt": lambda: Answering(kind, api),
    }
    return make[kind.mode]()
