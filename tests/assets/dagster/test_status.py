"""What the command says of a day: what was refused, what would follow, what Ctrl-C left; one bad thing stops itself only."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from assay.assets import outages
from assay.assets.dagster import to_dagster
from assay.assets.dagster.definitions import definitions_of
from assay.assets.dagster.history import RanRun, unresolved
from assay.assets.dagster.jobs import job_name
from assay.assets.dagster.materialize import materialize, open_instance
from assay.assets.declarations import declarations
from assay.assets.planning.pending import consequences
from assay.assets.steps.step import execute
from assay.assets.stopping import finish_gently
from assay.cli import main
from assay.diagnosis import diagnose
from assay.errors import PanicError, panics_as_errors
from assay.store import open_store
from assay.web import create_router
from tests.forked import Ended, run_forked

ROOT = Path(__file__).resolve().parents[3]


class Panic(BaseException):
    """As pyo3 raises it: no Exception."""


@pytest.fixture
def assay(shop: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """The command in the shop's project: exit code, and standard output as data or text."""
    monkeypatch.setenv("DAGSTER_HOME", str(shop.home / "dagster"))

    def run(*arguments: str) -> tuple[int, Any]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out = capsys.readouterr().out
        return int(str(ended.value.code)), json.loads(out) if "--json" in arguments else out

    return run


def test_the_age_of_the_data_is_the_same_sentence_everywhere(shop: Any, assay: Callable[..., Any]) -> None:
    begins = "clean/orders: newest event 2026-03-03 04:00 UTC, "
    code, found = assay("status", "--json")
    age = found["freshness"]["clean/orders"]
    assert (code, age["fresh"], age["newest"]) == (0, False, "2026-03-03T04:00:00+00:00")
    (symptom,) = [item for item in diagnose(open_store()) if item.what == "freshness"]
    store = open_store()
    console = TestClient(Starlette(routes=[Mount("/", create_router(store.lineage_store, store.lake))]))
    page = console.get("/versions/clean/orders").text
    text = " ".join(assay("status")[1].split())
    for said in (age["message"], symptom.detail, page, text):
        assert re.search(rf"{re.escape(begins)}[0-9.]+ days old, allowed 1 day\.", said), said
    assert not symptom.ok
    assert "Older than promised" in text and "Older than promised" in page


def test_status_says_what_was_refused_and_why_until_it_is_healed(shop: Any, assay: Callable[..., Any]) -> None:
    assert assay("status", "--json")[0] == 0
    assert assay("status")[1].startswith("Everything is up to date")
    shop.drop(4, b"")
    assert assay("materialize")[0] == 3
    code, found = assay("status", "--json")
    assert (code, found["up_to_date"], found["given_up"], found["broken"]) == (3, False, [], [])
    (refused,) = found["refused"]
    assert (refused["partition"], refused["table"], refused["waiting"]) == (
        shop.day(4),
        "raw/orders",
        ["clean/orders", "features/spending"],
    )
    assert "a.csv" in refused["problem"]
    assert (found["stale"], found["failed"]) == ([], []), "it is not to be done, and nothing failed"
    # It is not run again, and all the same not everything is up to date.
    code, found = assay("materialize", "--json")
    assert (code, found["runs"], [one["table"] for one in found["refused"]]) == (3, [], ["raw/orders"])
    assert assay("materialize")[1].startswith("Nothing to do now; not everything is there")
    code, text = assay("materialize", "--dry-run")
    assert (code, text) == (3, "Nothing would run.\n")
    assert assay("materialize", "--dry-run", "--partition", shop.day(4), "raw/") == (
        0,
        f"{shop.day(4)}: raw/orders (of these raw/orders refused the same before)\n"
        f"Then, at most: clean/orders {shop.day(4)}, features/spending {shop.day(4)}.\n",
    )
    # What was asked for needs what was refused: nothing runs, and it is not up to date.
    code, found = assay("materialize", "features/", "--json")
    assert (code, found["runs"]) == (3, [])
    assert found["upstream"][0].startswith(f"{shop.day(4)}: raw/orders, which stands upstream, is refused: orders/")
    shop.drop(4, shop.csv(4, 1.0), "a.r1.csv")
    assert assay("materialize")[0] == 0
    code, found = assay("status", "--json")
    assert (code, found["up_to_date"], found["refused"]) == (0, True, [])
    assert found["runs"][0]["status"] == "success"


def test_status_names_of_a_failed_run_only_what_is_still_missing(shop: Any, assay: Callable[..., Any]) -> None:
    shop.redeclare(lambda text: text.replace('pl.col("amount").sum()', 'pl.col("amount").str.len_chars().sum()'))
    declarations.cache_clear()
    shop.drop(4, shop.csv(4, 1.0))
    assert assay("materialize", "--partition", shop.day(4))[0] == 3
    code, found = assay("status", "--json")
    (failed,) = found["failed"]
    assert (code, failed["partition"], failed["table"]) == (3, shop.day(4), "features/spending"), "the others are there"
    assert failed["problem"].startswith("view 'spending' could not be computed")
    assert found["refused"] == []
    shop.redeclare(lambda text: text.replace('pl.col("amount").str.len_chars().sum()', 'pl.col("amount").sum()'))
    declarations.cache_clear()
    assert shop.materialize().failed == [], "in another Dagster instance, so that its history says nothing of it"
    code, found = assay("status", "--json")
    assert (code, found["failed"], found["up_to_date"]) == (0, [], True)
    assert assay("status")[1].startswith("Everything is up to date")


def test_status_names_of_a_run_that_died_only_what_is_still_missing(shop: Any, assay: Callable[..., Any]) -> None:
    shop.drop(4, shop.csv(4, 1.0))
    tables = ("raw/orders", "clean/orders", "features/spending")
    with open_instance(shop.home / "dagster") as instance:
        job = definitions_of(shop.steps).resolve_job_def(job_name(shop.steps[0]))
        chosen = frozenset(dg.AssetKey(table.split("/")) for table in tables)
        tags = {"dagster/partition": shop.day(4)}
        instance.report_run_failed(instance.create_run_for_job(job, asset_selection=chosen, tags=tags))
    for step in shop.steps[:1]:
        execute(step, shop.env, shop.day(4))
    code, found = assay("status", "--json")
    (died,) = found["died"]
    assert (code, died["partition"], died["assets"]) == (3, shop.day(4), ["clean/orders"]), "the first is there by now"
    assert "Died" in assay("status")[1]
    assert not shop.materialize().failed
    code, found = assay("status", "--json")
    assert (code, found["died"], found["up_to_date"]) == (0, [], True)


def test_status_says_what_the_machine_lacks_though_dagster_cannot_be_read(
    shop: Any, assay: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = shop.home / "dagster"
    (home / "history" / "runs.db").mkdir(parents=True)  # what needs Dagster's database fails
    shop.drop(4, shop.csv(4, 1.0))
    assert assay("status")[0] == 1
    monkeypatch.setattr(outages, "outage_now", lambda env, also: f"the disk is full ({also[0]})")
    code, found = assay("status", "--json")
    assert (code, found["outage"]) == (3, f"The disk is full ({home}); 1 run to be made.")


def test_a_failure_is_open_until_a_later_run_makes_it_good() -> None:
    def ran(status: str, partition: str, *assets: str) -> RanRun:
        return RanRun("", status, partition, assets, None, False, (), assets)

    newest_first = [
        ran("success", "1", "a", "b"),
        ran("failure", "2", "a"),
        ran("failure", "2", "a"),
        ran("failure", "1", "a"),
    ]
    assert unresolved(newest_first) == [newest_first[1]]


def test_a_dry_run_names_the_consequences_and_needs_no_dagster(shop: Any, assay: Callable[..., Any]) -> None:
    shop.drop(1, shop.csv(1, 10.0, 20.0), "late.csv")
    code, text = assay("materialize", "--dry-run", "raw/orders")
    assert code == 0
    assert text.splitlines() == [
        f"{shop.day(1)}: raw/orders",
        f"Then, at most: clean/orders {shop.day(1)}, features/spending in 2 partitions ({shop.day(1)} to {shop.day(2)}).",
    ]
    light = (
        "import sys; from assay.cli import main\n"
        "try: main(['materialize', '--dry-run'])\n"
        "finally: assert 'dagster' not in sys.modules"
    )
    path = {"PYTHONPATH": f"{ROOT}:{shop.home.parent / 'project'}"}
    done = subprocess.run([sys.executable, "-c", light], cwd=ROOT, env={**os.environ, **path}, check=False)
    assert done.returncode == 0
    assert consequences([], shop.steps, shop.env) == ([], [])


def test_ctrl_c_stops_after_the_step_that_runs(new_shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal comes while the first step works: it commits, the second one and the other day are not begun."""
    for number in (1, 2):
        new_shop.drop(number, new_shop.csv(number, 1.0))
    done, execute = [], to_dagster.execute

    def interrupted(step: Any, *arguments: Any, **options: Any) -> Any:
        done.append(step.outputs[0])
        os.kill(os.getpid(), signal.SIGINT)
        return execute(step, *arguments, **options)

    monkeypatch.setattr(to_dagster, "execute", interrupted)
    heard: list[str] = []
    summary = finish_gently(
        lambda: materialize(new_shop.steps, new_shop.env, new_shop.instance), lambda: heard.append("stop")
    )
    assert (done, heard) == (["raw/orders"], ["stop"])
    assert [result.success for result in summary.results] == [True]
    assert summary.left[0] == f"{new_shop.day(1)}: clean/orders, quarantine/orders, profiles/orders, features/spending"
    assert new_shop.day(2) in summary.left[1]
    assert new_shop.frame("raw/orders").height == 1


def test_a_panic_of_one_source_stops_itself_only(new_shop: Any) -> None:
    for number in (1, 2):
        new_shop.drop(number, new_shop.csv(number, 1.0))

    def prepare(tx: Any, env: Any) -> None:
        if tx.work.partition == new_shop.day(1):
            raise Panic("a cell's value")
        return raw.prepare(tx, env)

    raw = new_shop.steps[0]

    def landed(env: Any) -> list[str]:
        raise Panic("a file's name")

    steps = (replace(raw, prepare=prepare), *new_shop.steps[1:])
    summary = materialize(steps, new_shop.env, new_shop.instance)
    assert [result.success for result in summary.results] == [False, True]
    (problem,) = summary.results[0].problems
    assert "a library panicked" in problem
    assert "value" not in problem
    assert not materialize((replace(raw, landed=landed), *new_shop.steps[1:]), new_shop.env, new_shop.instance).failed
    with pytest.raises(PanicError), panics_as_errors("raw/x"):
        raise Panic
    for passing in (KeyboardInterrupt, SystemExit, ValueError):
        with pytest.raises(passing), panics_as_errors("raw/x"):
            raise passing


def test_two_commands_at_once_do_nothing_twice(shop: Any, tmp_path: Path) -> None:
    """As a sensor's run beside the command, or a backfill beside either: each in a process and a Dagster instance of its own."""
    for number in (4, 5):
        shop.drop(number, shop.csv(number, 10.0, 20.0))
    path = {"PYTHONPATH": f"{ROOT}:{shop.home.parent / 'project'}"}

    def command(name: str) -> Ended:
        own = {**os.environ, **path, "DAGSTER_HOME": str(tmp_path / name)}
        return run_forked("assay", "materialize", "--json", environment=own)

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(command, ("one", "other")))
    said = [ended.out for ended in both]
    assert [ended.code for ended in both] == [0, 0], both
    made = [version for text in said for run in json.loads(text)["runs"] for version in run["new_versions"]]
    assert len(made) == len(set(made)) == 2 * 5, "each of five tables has one new version for each of two days"
    assert shop.frame("clean/orders").group_by("order_id").len()["len"].max() == 1
    assert shop.due() == []


def test_nothing_is_called_up_to_date_while_a_module_cannot_be_loaded(shop: Any, assay: Callable[..., Any]) -> None:
    for arguments in (["materialize"], ["materialize", "--dry-run"], ["status"]):
        assert "Everything is up to date" in assay(*arguments)[1], arguments
    (Path(str(shop.package.__file__)).parent / "broken.py").write_text("import no_such_module\n")
    declarations.cache_clear()
    for arguments in (["materialize"], ["materialize", "--dry-run"], ["status"]):
        code, text = assay(*arguments)
        assert (code, "up to date" in text) == (3, False), arguments


def test_what_is_not_read_is_named_once_and_counted_until_it_changes(
    shop: Any, assay: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def told() -> str:
        with pytest.raises(SystemExit):
            main(["materialize"])
        return " ".join(capsys.readouterr().err.split())

    shop.drop(1, b"x", "notes.txt")
    first = told()
    assert "orders: 1 thing lies there and is not read: orders/2026-03-01/notes.txt" in first
    again = told()
    assert again == "As before, 1 place has what is not read (`assay status` names it)."
    shop.drop(2, b"x", "more.txt")
    assert "2 things lie there and are not read: orders/2026-03-01/notes.txt, orders/2026-03-02/more.txt" in told()
    assert told() == again
    for command in (("materialize", "--json"), ("status", "--json")):
        assert "more.txt" in " ".join(assay(*command)[1]["unread"]), command
    assert "notes.txt" in assay("status")[1]
    assert told() == again, "an answer as JSON tells nobody"
