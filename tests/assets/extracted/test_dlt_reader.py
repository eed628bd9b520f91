"""A REST API behind dlt, with all the faults that such things have: nothing is lost, nothing is doubled."""

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from assay.assets.extracted.kept import extraction_for
from assay.assets.extracted.resource import Extraction
from assay.assets.lacking import UNREACHABLE, NotConnected
from assay.assets.planning import pending
from assay.assets.planning.plan import planned_runs, stages
from tests.conftest import SOAK

pytest.importorskip("dlt")

DECLARED = '''
"""Orders of a shop with a REST API."""

import os
from datetime import timedelta

import dlt
from dlt.sources.helpers.requests import Client

from assay import Contract, Dlt, Field, Source, Timestamp

spending = None  # the shop's view
SECONDS = 0.5
client = Client(request_timeout=SECONDS, request_max_attempts=3, request_backoff_factor=0.001, request_max_retry_delay=0.01)


@dlt.resource(primary_key="number")
def orders(number=dlt.sources.incremental("number", initial_value=0)):
    page = 0
    while True:
        answer = client.get(os.environ["SHOP_API"], params={"since": number.start_value, "page": page}, timeout=SECONDS)
        answer.raise_for_status()
        rows = answer.json()
        if not rows:
            return
        yield rows
        page += 1


class Orders(Contract):
    number: int = Field(key=True)
    amount: float = Field(ge=0)
    at: Timestamp = Field()

    class Config(Contract.Config):
        version = "1.0.0"


source = Source(
    name="orders",
    reader=Dlt("orders", orders, every=timedelta(0)),
    contract=Orders,
    key=("number",),
    event_time="at",
)
'''


FAULTS = ["429", "500", "cut", "broken", "slow", "repeated"]
SLOW = 1.2  # seconds, longer than anybody waits


class Shop:
    """The API: pages of three orders above a number. Each answer may be a fault, as the chance has it."""

    def __init__(self, chance: random.Random) -> None:
        self.orders: list[dict[str, Any]] = []
        self.chance, self.faults, self.always = chance, 0.0, ""
        self.asked, self.closing = Counter[str](), threading.Event()
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fault = shop.chance.choice(FAULTS) if shop.chance.random() < shop.faults else ""
                fault = shop.always or fault
                shop.asked[fault or "200"] += 1
                if fault == "slow":
                    shop.closing.wait(SLOW)
                if fault in ("cut", "slow"):
                    self.close_connection = True
                    self.connection.close()
                    return
                query = parse_qs(urlsplit(self.path).query)
                above = [order for order in shop.orders if order["number"] >= int(query["since"][0])]
                page = int(query["page"][0]) * 3
                rows = above[page : page + 3]
                content = json.dumps(rows + (rows[:2] if fault == "repeated" else [])).encode()
                if fault == "broken" and len(content) > 20:
                    content = content[: len(content) // 2]
                self.send_response(int(fault) if fault in ("429", "500") else 200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/orders"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def sell(self, count: int, **more: Any) -> None:
        for number in range(len(self.orders), len(self.orders) + count):
            at = datetime(2026, 9, 1, tzinfo=UTC) + timedelta(minutes=number)
            amount = -1 if number % 7 == 0 else 1.5
            self.orders.append({"number": number, "amount": amount, "at": at.isoformat(), **more})


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    shop = Shop(random.Random(5))
    monkeypatch.setenv("SHOP_API", shop.url)
    yield shop
    shop.closing.set()
    shop.server.shutdown()
    shop.server.server_close()


@pytest.fixture
def place(new_shop: Any, api: Shop) -> Any:
    new_shop.redeclare(lambda _: DECLARED)
    return new_shop


def numbers(place: Any, table: str) -> list[int]:
    return sorted(int(number) for number in place.frame(table)["number"])  # raw has texts


def test_of_an_api_with_faults_nothing_is_lost_and_nothing_doubled(place: Any, api: Shop) -> None:
    more: dict[str, Any] = {}
    rounds = 40 if SOAK else 4
    for round_ in range(rounds):
        api.sell(api.chance.randrange(1, 8), **more)
        api.faults = 0.5
        for _ in range(2):
            place.run()  # it may fail
        more = {"note": "new"} if round_ < 2 else {"note": 7}  # a column comes, and then has another type
    api.faults = 0.0
    place.run()
    api.sell(2)
    api.always = "repeated"  # and nothing else
    assert not place.run().failed
    api.always = ""
    assert all(api.asked[fault] for fault in FAULTS), api.asked
    everything = list(range(len(api.orders)))
    assert sorted(set(numbers(place, "raw/orders"))) == everything
    assert numbers(place, "clean/orders") == [number for number in everything if number % 7]
    quarantined = place.frame("quarantine/orders").select("number", "_rules").rows()
    repeated = [int(number) for number, rules in quarantined if rules == ["number.unique"]]
    bad = {int(number) for number, rules in quarantined if "amount.ge" in rules}
    assert bad == {number for number in everything if number % 7 == 0}
    assert repeated, "what the API repeats is a row of raw, and stays out of clean"
    assert place.frame("raw/orders").height == place.frame("clean/orders").height + len(quarantined)
    assert place.run().results == []


def test_an_api_that_does_not_answer_is_an_outage_and_changes_nothing(place: Any, api: Shop) -> None:
    api.sell(2)
    place.run()
    api.sell(2)
    api.faults = 1.0
    assert place.run().failed
    assert numbers(place, "raw/orders") == [0, 1]
    api.faults = 0.0
    assert not place.run().failed
    assert numbers(place, "raw/orders") == [0, 1, 2, 3]


def test_between_two_questions_the_source_waits(place: Any, api: Shop) -> None:
    place.redeclare(lambda text: text.replace("timedelta(0)", "timedelta(hours=1)"))
    api.sell(2)
    place.run()
    asked = api.asked.total()
    api.sell(2)
    assert place.run().results == []
    assert api.asked.total() == asked
    assert numbers(place, "raw/orders") == [0, 1]
    place.run(force=True)
    assert numbers(place, "raw/orders") == [0, 1, 2, 3], "whoever forces it does not wait"


def test_a_value_that_comes_back_is_read_and_what_stays_the_same_is_not(place: Any, api: Shop) -> None:
    place.redeclare(
        lambda text: (
            text.replace('number=dlt.sources.incremental("number", initial_value=0)', "")
            .replace("number.start_value", "0")
            .replace("    number: int = Field(key=True)", "    number: int = Field(key=True, ge=0)")
            .replace('version = "1.0.0"', 'version = "1.0.0"\n        duplicates = "latest"')
        )
    )
    api.sell(2)
    for amount in (1.5, 9.0, 9.0, 1.5):
        api.orders[1]["amount"] = amount
        place.run()
    assert sorted(set(place.frame("raw/orders")["partition_key"])) == ["000001", "000002", "000003"]
    current = place.frame("clean/orders").filter(number=1).select("amount", "partition_key").rows()
    assert current == [(1.5, "000003")]


AT = datetime(2026, 9, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Upstream:
    """What writes so many rows, and counts how often it is asked."""

    def __init__(self, rows: int) -> None:
        self.rows, self.asked = rows, 0

    def __call__(self, file: Path) -> Extraction:
        self.asked += 1
        file.write_text("{}\n" * self.rows)
        return Extraction(self.rows, f"state {self.asked}", f"content {self.asked}")


def test_planner_and_run_see_one_extraction(tmp_path: Path) -> None:
    upstream = Upstream(2)
    first = extraction_for(tmp_path, "000001", "", AT, HOUR, upstream)
    assert extraction_for(tmp_path, "000001", "", AT + HOUR / 2, HOUR, upstream) == first
    assert upstream.asked == 1
    assert first[1].read_text() == "{}\n{}\n"
    later, _ = extraction_for(tmp_path, "000001", "", AT + HOUR, HOUR, upstream)  # it became no batch
    assert (upstream.asked, later.state) == (2, "state 2")


def test_after_a_batch_the_next_question_waits(tmp_path: Path) -> None:
    upstream = Upstream(2)
    kept, _ = extraction_for(tmp_path, "000001", "", AT, HOUR, upstream)
    waiting, _ = extraction_for(tmp_path, "000002", kept.state, AT + HOUR / 2, HOUR, upstream)
    assert (waiting.rows, upstream.asked) == (0, 1)
    assert extraction_for(tmp_path, "000002", kept.state, AT + HOUR, HOUR, upstream)[0].rows == 2


def test_a_lake_that_is_another_one_is_asked_for_anew(tmp_path: Path) -> None:
    upstream = Upstream(2)
    extraction_for(tmp_path, "000003", "state 9", AT, HOUR, upstream)
    assert extraction_for(tmp_path, "000001", "", AT, HOUR, upstream)[0].rows == 2
    assert upstream.asked == 2


def test_what_is_kept_and_damaged_is_made_again(tmp_path: Path) -> None:
    upstream = Upstream(2)
    _, file = extraction_for(tmp_path, "000001", "", AT, HOUR, upstream)
    file.write_text("{")
    extraction_for(tmp_path, "000001", "", AT, HOUR, upstream)
    for damaged in ("{", "[]", (tmp_path / "extraction.json").read_text().replace("+00:00", ""), '{"batch": 1}'):
        (tmp_path / "extraction.json").write_text(damaged)
        extraction_for(tmp_path, "000001", "", AT, HOUR, upstream)
    assert upstream.asked == 6


def test_a_question_that_fails_leaves_what_is_kept(tmp_path: Path) -> None:
    def fails(_file: Path) -> Extraction:
        raise NotConnected("no answer", UNREACHABLE)

    upstream = Upstream(2)
    first = extraction_for(tmp_path, "000001", "", AT, HOUR, upstream)
    with pytest.raises(NotConnected):
        extraction_for(tmp_path, "000001", "", AT + HOUR, HOUR, fails)
    assert extraction_for(tmp_path, "000001", "", AT, HOUR, upstream) == first


def test_planning_asks_a_silent_api_once_and_not_again_while_it_rests(place: Any, api: Shop) -> None:
    place.run()
    api.sell(2)
    api.always = "500"
    api.asked.clear()
    for _ in range(3):
        assert [unit.tables[0] for stage in stages(place.steps)[:1] for unit in planned_runs(stage, place.env)] == [
            "raw/orders"
        ]
    assert api.asked.total() == 1, "a look is not repeated, and the next ones leave the source alone"
    assert pending.lacking_steps(place.steps, place.env) == {
        "raw/orders": "orders cannot be read. The upstream of resource 'orders' answers with HTTP 500."
    }
    assert place.run().failed
    assert api.asked.total() == 4, "a run asks all the same, as often as the resource wants"
    api.always = ""
    assert not place.run().failed
    assert pending.lacking_steps(place.steps, place.env) == {}
    assert numbers(place, "raw/orders") == [0, 1]
