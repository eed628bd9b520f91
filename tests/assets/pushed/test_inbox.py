"""Records received: on disk when they are acknowledged, and in one file each, whatever dies in between."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assay.assets.pushed.inbox import Inbox, OtherContent, Waiting

AT = datetime(2026, 9, 1, 10, 0, tzinfo=UTC)
KILLS = 200 if os.environ.get("SOAK") else 8


def line(number: int) -> bytes:
    return json.dumps({"id": number}).encode()


def cut(inbox: Inbox, partition: str, landing: Path, at: datetime = AT) -> list[Path]:
    inbox.cut("orders", partition, at)
    files, problems = inbox.finish(landing)
    assert problems == []
    return files


def delivered(landing: Path) -> Counter[int]:
    files = [file for file in landing.rglob("*.jsonl") if not file.name.startswith(".")]
    return Counter(json.loads(text)["id"] for file in files for text in file.read_text().splitlines())


def test_what_waits_is_cut_into_one_file_in_the_order_of_receipt(tmp_path: Path) -> None:
    inbox, landing = Inbox(tmp_path / "home" / "received.db"), tmp_path / "landing"
    assert inbox.waiting() == []
    inbox.put("orders", "shop", "2026-09-01", [line(1), line(2)], AT)
    inbox.put("orders", "shop", "2026-09-01", [line(3)], AT + timedelta(seconds=5))
    inbox.put("orders", "shop", "2026-09-02", [line(4)], AT + timedelta(days=1))
    assert inbox.waiting() == [
        Waiting("orders", "2026-09-01", 3, AT),
        Waiting("orders", "2026-09-02", 1, AT + timedelta(days=1)),
    ]
    (file,) = cut(inbox, "2026-09-01", landing, AT + timedelta(minutes=1))
    assert file.parent == landing / "shop" / "2026-09-01"
    stamp = '{"_received_at": "2026-09-01T10:00:0%d+00:00", "_request": %d, "id": %d}'
    assert file.read_text().splitlines() == [stamp % (0, 1, 1), stamp % (0, 1, 2), stamp % (5, 2, 3)]
    assert [one.partition for one in inbox.waiting()] == ["2026-09-02"]
    assert cut(inbox, "2026-09-01", landing) == []
    assert len(list(file.parent.iterdir())) == 1  # nothing unfinished is left


def test_a_request_that_is_sent_again_is_kept_once_also_when_it_is_in_a_file(tmp_path: Path) -> None:
    inbox, landing = Inbox(tmp_path / "received.db"), tmp_path / "landing"
    assert not inbox.put("orders", "orders", "2026-09-01", [line(1)], AT, "k").repeated
    assert inbox.put("orders", "orders", "2026-09-02", [line(1)], AT + timedelta(days=1), "k").repeated
    cut(inbox, "2026-09-01", landing, AT)
    again = inbox.put("orders", "orders", "2026-09-02", [line(1)], AT, "k")
    assert again.repeated
    assert (again.partition, again.rows) == ("2026-09-01", 1)
    with pytest.raises(OtherContent):
        inbox.put("orders", "orders", "2026-09-01", [line(2)], AT, "k")
    assert not inbox.put("refunds", "refunds", "2026-09-01", [line(1)], AT, "k").repeated  # keys belong to a source
    assert delivered(landing) == {1: 1}


def test_keys_are_forgotten_only_of_what_is_in_files(tmp_path: Path) -> None:
    inbox, landing = Inbox(tmp_path / "received.db"), tmp_path / "landing"
    inbox.put("orders", "orders", "2026-09-01", [line(1)], AT, "old")
    inbox.forget(AT + timedelta(days=8))
    assert inbox.put("orders", "orders", "2026-09-01", [line(1)], AT, "old").repeated
    cut(inbox, "2026-09-01", landing, AT)
    inbox.forget(AT + timedelta(days=8))
    assert not inbox.put("orders", "orders", "2026-09-01", [line(1)], AT, "old").repeated


def test_threads_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    inbox, landing = Inbox(tmp_path / "received.db"), tmp_path / "landing"

    def send(first: int) -> None:
        for number in range(first, first + 20):
            for _ in range(2):  # each is sent again
                inbox.put("orders", "orders", "2026-09-01", [line(number)], AT, f"key-{number}")
            if number % 7 == 0:
                cut(inbox, "2026-09-01", landing, AT)

    threads = [threading.Thread(target=send, args=(100 * one,)) for one in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cut(inbox, "2026-09-01", landing, AT)
    assert delivered(landing) == {100 * one + number: 1 for one in range(4) for number in range(20)}


UPSTREAM = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path
from assay.assets.pushed.inbox import Inbox

folder, first = Path(sys.argv[1]), int(sys.argv[2])
inbox, at = Inbox(folder / "received.db"), datetime(2026, 9, 1, tzinfo=UTC)
for number in range(first, 1_000_000):
    inbox.put("orders", "orders", "2026-09-01", [json.dumps({"id": number}).encode()], at, f"key-{number}")
    print(number, flush=True)  # acknowledged
    if number % 3 == 0:
        inbox.cut("orders", "2026-09-01", at)
        inbox.finish(folder / "landing")
"""


def test_killed_at_any_moment_what_was_acknowledged_is_in_one_file(tmp_path: Path) -> None:
    chance, first, acknowledged = random.Random(11), 0, set[int]()
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", UPSTREAM, str(tmp_path), str(first)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(chance.randrange(1, 30)):
            acknowledged.add(int(process.stdout.readline()))
        threading.Event().wait(chance.random() * 0.01)
        process.send_signal(signal.SIGKILL)
        acknowledged |= {int(number) for number in process.stdout.read().split("\n")[:-1]}
        process.wait()
        process.stdout.close()
        first = max(acknowledged)  # the upstream sends the last one again, with its key, and goes on
    inbox = Inbox(tmp_path / "received.db")
    cut(inbox, "2026-09-01", tmp_path / "landing", AT)
    found = delivered(tmp_path / "landing")
    assert set(found.values()) == {1}
    assert acknowledged <= set(found)
    assert set(found) <= set(
        range(max(acknowledged) + 2)
    )  # the one that was kept, and killed before it was acknowledged
    assert inbox.waiting() == []


def test_a_disk_that_cannot_be_written_keeps_nothing_and_says_so(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "received.db")
    inbox.put("orders", "orders", "2026-09-01", [line(1)], AT)
    (tmp_path / "landing").write_text("a file where the folder should be")
    inbox.cut("orders", "2026-09-01", AT)
    files, (problem,) = inbox.finish(tmp_path / "landing")
    assert files == []
    assert isinstance(problem, OSError)
    assert [one.rows for one in inbox.waiting()] == [1]
    (tmp_path / "landing").unlink()
    cut(inbox, "2026-09-01", tmp_path / "landing", AT)
    assert delivered(tmp_path / "landing") == {1: 1}


def test_one_folder_that_cannot_be_written_stops_no_other(tmp_path: Path) -> None:
    inbox, landing = Inbox(tmp_path / "received.db"), tmp_path / "landing"
    landing.mkdir()
    (landing / "first").write_text("a file where the folder should be")
    for source in ("first", "second"):
        inbox.put(source, source, "2026-09-01", [line(1)], AT)
        inbox.cut(source, "2026-09-01", AT)
    files, problems = inbox.finish(landing)
    assert [file.parent.parent.name for file in files] == ["second"]
    assert len(problems) == 1
    assert [one.source for one in inbox.waiting()] == ["first"]


def test_the_same_record_twice_is_two_and_an_empty_one_is_one(tmp_path: Path) -> None:
    inbox, landing = Inbox(tmp_path / "received.db"), tmp_path / "landing"
    contents = set()
    for _ in range(2):
        inbox.put("orders", "orders", "2026-09-01", [line(1), b"{}", b"{  }"], AT)
        contents |= {file.read_bytes() for file in cut(inbox, "2026-09-01", landing)}
    assert len(contents) == 2
    assert [json.loads(text) for text in sorted(contents)[0].splitlines()] == [
        {"_received_at": AT.isoformat(), "_request": 1, "id": 1},
        {"_received_at": AT.isoformat(), "_request": 1},
        {"_received_at": AT.isoformat(), "_request": 1},
    ]


def test_records_that_wait_for_two_folders_go_to_both(tmp_path: Path) -> None:
    inbox, landing = Inbox(tmp_path / "received.db"), tmp_path / "landing"
    for number, folder in enumerate(("old", "new")):
        inbox.put("orders", folder, "2026-09-01", [line(number)], AT)
    assert sorted(file.parent.parent.name for file in cut(inbox, "2026-09-01", landing)) == ["new", "old"]


def test_a_carriage_return_between_tokens_cuts_no_record_in_two(tmp_path: Path) -> None:
    inbox, landing = Inbox(tmp_path / "received.db"), tmp_path / "landing"
    inbox.put("orders", "orders", "2026-09-01", [b'{"id": 1,\r"v": 2}', b'{"id": 2}'], AT)
    (file,) = cut(inbox, "2026-09-01", landing)
    assert [json.loads(text)["id"] for text in file.read_bytes().split(b"\n")[:-1]] == [1, 2]


def test_what_is_done_each_second_looks_at_nothing_that_is_in_files(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "received.db")
    inbox.put("orders", "orders", "2026-09-01", [line(1)], AT)
    with sqlite3.connect(inbox.file) as database:
        for statement in (
            "select source, partition, sum(rows), min(at) from received where content is not null group by source, partition",
            "delete from received where content is null and at < 'x'",
            "update received set content = null where cut = 1",
            "select number, at, content from received where cut = 1 order by number",
        ):
            (plan,) = [row[3] for row in database.execute(f"explain query plan {statement}") if "received" in row[3]]
            assert "USING INDEX" in plan, (statement, plan)
