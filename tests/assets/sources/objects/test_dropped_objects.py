"""A source whose files lie in a bucket, from the object to the trace: as with a folder, and through outages."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import assay
from assay.assets.dagster.run_requests import Asked, Ending, look
from assay.assets.declarations import declarations
from assay.assets.lacking import UNREACHABLE
from assay.assets.planning.refused import staying_refused
from assay.assets.silent import forget_silences
from assay.assets.sources.objects import s3_errors
from assay.cli import main

IN_A_BUCKET = ('(".csv",))', '(".csv",), connection="drops")')


@pytest.fixture
def dropped(new_shop: Any, drops: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The shop, whose upstream drops into a bucket."""
    for name, value in drops.environment.items():
        monkeypatch.setenv(name, value)
    new_shop.redeclare(lambda text: text.replace(*IN_A_BUCKET))
    new_shop.put = lambda number, content, name="a.csv": drops.put(f"orders/{new_shop.day(number)}/{name}", content)
    yield new_shop


def rows(shop: Any, table: str) -> list[str]:
    own = ["_ingested_at", "_source_file", "_batch_id"]
    frame = shop.frame(table)
    return sorted(map(str, frame.drop(own, strict=False).rows()))


def test_objects_become_what_files_become_and_each_is_read_once(
    dropped: Any, drops: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    etags = {number: dropped.put(number, dropped.csv(number, 10.0, 20.0, -5.0)) for number in (1, 2)}
    dropped.put(2, b"nobody reads this", "b.txt")
    drops.proxy.count()
    assert [unit.partition for unit in dropped.due()] == [dropped.day(1), dropped.day(2)]
    assert drops.proxy.count()["gets"] == 0, "planning copies nothing"
    assert not dropped.run().failed
    assert drops.proxy.count()["gets"] == 2
    assert dropped.due() == []
    drops.proxy.count()
    assert dropped.due() == [] and drops.proxy.count() == {"lists": 1, "gets": 0}

    there = [rows(dropped, table) for table in ("raw/orders", "clean/orders", "quarantine/orders", "features/spending")]
    files = dropped.frame("raw/orders")["_source_file"].unique().sort().to_list()
    assert files == [f"{drops.root}orders/{dropped.day(number)}/a.csv" for number in (1, 2)]
    store = assay.open(home=str(dropped.home))
    state = store.lake.table("raw/orders").at()
    (source,) = state.writers([dropped.day(2)])[0].sources
    assert (source.path, source.etag, source.version_id) == (files[1], etags[2], "")
    unread = [item for item in state.writers([dropped.day(2)])[0].checks if item["name"] == "unread"]
    assert f"{drops.root}orders/{dropped.day(2)}/b.txt (its suffix is not among" in unread[0]["message"]

    # Another machine knows from the commits what was read.
    monkeypatch.setenv("ASSAY_LAKE", str(dropped.home / "lake"))
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "other"))
    drops.proxy.count()
    assert dropped.due() == [] and drops.proxy.count()["gets"] == 0
    monkeypatch.delenv("ASSAY_LAKE")

    # The same files in a folder, with the same pattern.
    dropped.redeclare(lambda text: text.replace(*IN_A_BUCKET[::-1]))
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "folder"))
    dropped.home = tmp_path / "folder"
    for number in (1, 2):
        dropped.drop(number, dropped.csv(number, 10.0, 20.0, -5.0))
    assert not dropped.run().failed
    tables = ("raw/orders", "clean/orders", "quarantine/orders", "features/spending")
    assert [rows(dropped, table) for table in tables] == there


def test_what_comes_again_changes_nothing_and_a_correction_changes_its_day(dropped: Any, drops: Any) -> None:
    first = dropped.csv(1, 10.0)
    for number, content in ((1, first), (2, dropped.csv(2, 5.0))):
        dropped.put(number, content)
    assert not dropped.run().failed
    before = dropped.version("raw/orders")
    time.sleep(1.1)  # another time of modification, in whole seconds
    dropped.put(1, first)
    assert [unit.partition for unit in dropped.due()] == []
    dropped.put(2, first, "again.csv")
    assert not dropped.run().failed
    (commit,) = dropped.env.lake.table("raw/orders").at().writers([dropped.day(2)])
    assert len(commit.sources) == 1, "the same bytes are taken once"
    assert dropped.due() == []
    dropped.put(1, dropped.csv(1, 11.0), "a.r1.csv")
    assert [unit.partition for unit in dropped.due()] == [dropped.day(1)]
    assert not dropped.run().failed
    assert sorted(dropped.frame("clean/orders")["amount"].to_list()) == [5.0, 11.0]
    assert dropped.version("raw/orders") > before
    drops.delete(f"orders/{dropped.day(1)}/a.r1.csv")
    assert not dropped.run().failed
    assert sorted(dropped.frame("clean/orders")["amount"].to_list()) == [5.0, 10.0]


def test_versions_of_a_bucket_that_keeps_them_are_named(dropped: Any, drops: Any) -> None:
    drops.client.put_bucket_versioning(Bucket=drops.bucket, VersioningConfiguration={"Status": "Enabled"})
    dropped.put(1, dropped.csv(1, 10.0))
    assert not dropped.run().failed
    (commit,) = dropped.env.lake.table("raw/orders").at().writers([dropped.day(1)])
    key = f"{drops.prefix}/orders/{dropped.day(1)}/a.csv"
    version = drops.client.head_object(Bucket=drops.bucket, Key=key)["VersionId"]
    assert version not in ("", "null") and commit.sources[0].version_id == version


def test_a_snapshot_of_each_day_is_compared_with_the_one_before(dropped: Any, drops: Any) -> None:
    def states(text: str) -> str:
        text = text.replace('connection="drops")', 'connection="drops", mode="snapshot")')
        return text.replace('event_time="at"', 'event_time="_seen_at"').partition("spending =")[0]

    dropped.redeclare(states)
    dropped.put(1, dropped.csv(1, 10.0, 20.0))
    dropped.put(2, dropped.csv(1, 10.0, 21.0, 30.0))
    assert not dropped.run().failed
    dropped.put(3, dropped.csv(1, 10.0, 21.0, 30.0))  # the same bytes are a state, too
    assert not dropped.run().failed
    assert dropped.frame("clean/orders").height == 2 + 3 + 3


def test_an_outage_waits_uses_up_no_attempt_and_is_seen(
    dropped: Any, drops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    for number in (1, 2, 3):
        dropped.put(number, dropped.csv(number, 10.0))
    assert not dropped.run().failed
    assert dropped.due() == []
    dropped.put(2, dropped.csv(2, 11.0))
    drops.proxy.fault = lambda method, path: (503, b"<Error><Code>SlowDown</Code></Error>")
    planned = dropped.due()
    assert len(planned) == 1, "one run says what is wrong, not one for each partition"
    summary = dropped.run()
    problem = " ".join(text for result in summary.failed for text in result.problems)
    assert f"s3://{drops.bucket} does not answer (SlowDown)" in problem
    assert staying_refused(dropped.steps, dropped.env) == []
    now = datetime.now(UTC)
    env = replace(dropped.env, now=lambda: now)
    first = look(dropped.steps, env, {}, lambda asked: Ending())
    assert len(first.requests) == 1
    later = replace(env, now=lambda: datetime.fromtimestamp(now.timestamp() + 100, UTC))

    def outage(asked: Asked) -> Ending:
        return Ending("outage", UNREACHABLE)

    again = look(dropped.steps, later, first.memory, outage)
    assert [(item.attempt, item.outages) for item in again.memory.values()] == [(1, 1)]
    s3_errors.forget_silence()
    forget_silences(dropped.home)
    drops.proxy.fault = None
    assert [unit.partition for unit in dropped.due()] == [dropped.day(2)]
    assert not dropped.run().failed
    assert sorted(dropped.frame("clean/orders")["amount"].to_list()) == [10.0, 10.0, 11.0]


def test_one_bad_object_is_named_and_stops_its_own_day_only(
    dropped: Any, drops: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    declarations.cache_clear()
    for number in (1, 2, 3):
        dropped.put(number, dropped.csv(number, 10.0))
    bad = f"orders/{dropped.day(2)}/a.csv"

    def materialized(fault: Any) -> str:
        drops.proxy.fault = fault
        with pytest.raises(SystemExit):
            main(["materialize"])
        shown = capsys.readouterr()
        return " ".join((shown.out + shown.err).split())

    for answer in ((-1, b""), (500, b"<Error><Code>InternalError</Code></Error>")):
        text = materialized(lambda method, path, answer=answer: answer if path.endswith(bad) else None)
        assert f"{drops.root}{bad}: does not come from the store" in text and "does not answer" not in text
        assert sorted(dropped.frame("clean/orders")["amount"].to_list()) == [10.0, 10.0], "the other days"
    assert "When the corrected file is there" in text
    text = materialized(lambda method, path: (500, b"<Error><Code>InternalError</Code></Error>"))
    assert "does not answer (InternalError)" in text
    assert "corrected file" not in text and "When the cause above is gone" in text
    s3_errors.forget_silence()
    materialized(None)
    assert dropped.frame("clean/orders").height == 3 and dropped.due() == []


def test_the_commands_say_where_files_lie_and_what_is_wrong(
    dropped: Any, drops: Any, monkeypatch: Any, capsys: Any
) -> None:
    def command(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out + shown.err

    declarations.cache_clear()
    dropped.put(1, dropped.csv(1, 10.0))
    drops.put("orders/2026-02-27/a.csv", dropped.csv(1, 10.0))
    drops.put("orders/20260302/a.csv", dropped.csv(1, 10.0))
    drops.put(f"orders/{dropped.day(1)}/b.txt")
    code, text = command("materialize", "--dry-run")
    assert dropped.day(1) in text and drops.proxy.count()["gets"] == 0
    code, text = command("doctor", "--json")
    symptoms = {item["what"]: item for item in json.loads(text)}
    assert symptoms["connections"]["ok"], symptoms["connections"]
    landing = symptoms["landing folder"]["detail"]
    assert f"The files in {drops.root}orders/20260302/ are not read" in landing and f"{drops.root}orders/" in landing
    drops.proxy.fault = lambda method, path: (403, b"<Error><Code>AccessDenied</Code></Error>")
    code, text = command("doctor", "--json")
    assert code and "Next: have s3:ListBucket granted" in text
    code, text = command("materialize")
    assert code and "s3:ListBucket" in " ".join(text.split()), text
    code, text = command("status", "--json")
    found = json.loads(text)
    assert code == 3 and "s3:ListBucket" in found["lacking"][0] and found["stale"], found
    for name in drops.environment:
        monkeypatch.delenv(name)
    code, text = command("status")
    assert code and "There is no connection 'drops': set ASSAY_CONNECTIONS__DROPS__URL" in " ".join(text.split())
