"""What Dagster's UI says of a project that `assay init` made, in a browser: one refused file, one source that has no connection,
rows that were set aside, and each of these is as red as it is, once."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.dagster_pages import browsing, drawn_in, draws_in, see
from tests.forked import run_forked
from tests.served import Served

RENAMED = "order_id,customer_id,ordered_at,amount_eur,channel\n1010,C1,2026-09-03T08:00:00Z,10.00,web\n"
SUPPLIERS = '''"""Suppliers, in a database that nobody has connected."""

from assay import Contract, Field, Rows, Source, Timestamp


class Suppliers(Contract):
    supplier_id: str = Field(key=True)
    updated_at: Timestamp = Field(key=True)


suppliers = Source(
    name="suppliers",
    reader=Rows("suppliers", cursor="updated_at", connection="warehouse"),
    contract=Suppliers,
    key=("supplier_id",),
    event_time="updated_at",
)
'''


@dataclass(frozen=True)
class Project:
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "DAGSTER_"))}
        return {**kept, "ASSAY_ACTOR": "ada", "OMP_NUM_THREADS": "1"}

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        command = [str(Path(sys.executable).with_name("assay")), *arguments]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, text=True, **options)

    def assay(self, *arguments: str, code: int = 0) -> str:
        ended = run_forked("assay", *arguments, folder=self.folder, environment=self.environment, merged=True)
        assert ended.code == code, ended.out[-4000:]
        return ended.out


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("foreign")
    Project(folder).assay("init", "shop")
    project = Project(folder / "shop")
    landing = project.folder / "var" / "landing" / "orders"
    with (landing / "2026-09-02" / "orders.csv").open("a") as newest:
        newest.write("1009,C3,2026-09-02T12:00:00Z,61.20,fax\n")
    (landing / "2026-09-03").mkdir()
    (landing / "2026-09-03" / "orders.csv").write_text(RENAMED)
    (project.folder / "shop" / "declarations" / "suppliers.py").write_text(SUPPLIERS)
    project.assay("materialize", code=3)
    made = Served(project)
    yield made
    made.process.send_signal(signal.SIGINT)
    made.process.wait(timeout=60)


@pytest.fixture(scope="module")
def page(served: Served) -> Iterator[Page]:
    with browsing() as opened:
        opened.goto(f"http://127.0.0.1:{served.port}/assets/clean/orders")
        yield opened


def test_nodes_of_one_name_are_told_apart_and_only_what_refused_is_red(page: Page, served: Served) -> None:
    ui = f"http://127.0.0.1:{served.port}"
    page.goto(f"{ui}/assets/clean/orders?view=lineage&lineageScope=neighbors&lineageDepth=1")
    see(page, "raw", "clean", "features", "2 / 3 Passed")  # groups, by name
    assert draws_in(page, "red", {"2 / 3 Passed"})
    page.goto(f"{ui}/assets/raw/orders?view=checks&checkDetail=delivery")
    see(page, "resent", "Failed")
    page.get_by_text("'amount' is missing (there is a new column 'amount_eur': renamed?)").first.wait_for()
    assert draws_in(page, "red", {"delivery", "Failed"})


def test_rows_that_went_to_quarantine_as_agreed_are_passed_with_their_count_and_a_way_to_them(
    page: Page, served: Served
) -> None:
    page.goto(f"http://127.0.0.1:{served.port}/assets/clean/orders?view=checks&checkDetail=channel__isin")
    see(page, "quarantined", "Passed")
    page.get_by_text("1 of 4 rows broke channel.isin, set aside in quarantine/orders").first.wait_for()
    assert draws_in(page, "red", ()), (
        "no rule was broken that was not handled, and of a refused file none was evaluated"
    )
    link = page.get_by_role("link", name="graph?focus=").first.get_attribute("href") or ""
    assert "focus=dataset%3Aassay%3Aquarantine/orders%40" in link
    page.goto(f"http://127.0.0.1:{served.port}{link}")
    page.get_by_text("quarantine/orders").first.wait_for()
    assert page.url.startswith(f"http://127.0.0.1:{served.console}/graph?"), "where the console is now"
    assert page.get_by_text("Dagster asset").get_attribute("href") == "/dagster/assets/quarantine/orders"


def test_what_cannot_be_judged_yet_is_not_evaluated_and_not_green(page: Page, served: Served) -> None:
    page.goto(f"http://127.0.0.1:{served.port}/assets/clean/orders?view=checks&checkDetail=volume")
    see(page, "volume", "Not evaluated")
    page.get_by_text("Not evaluated before there are 5 earlier batches.").first.wait_for()
    assert "Not evaluated" not in " ".join(drawn_in(page, "green"))


def test_a_failed_run_is_one_sentence_and_says_who_launched_it(page: Page, served: Served) -> None:
    ui = f"http://127.0.0.1:{served.port}"
    page.goto(f"{ui}/runs")
    see(page, "Launched by", "ada", "Failure")
    runs = served.graphql("{ runsOrError(filter: {statuses: [FAILURE]}) { ... on Runs { results { runId } } } }")
    page.goto(f"{ui}/runs/{runs['runsOrError']['results'][-1]['runId']}")
    page.get_by_text("There is no connection 'warehouse'").first.wait_for()
    shown = page.inner_text("body")
    assert "set ASSAY_CONNECTIONS__WAREHOUSE__URL" in shown
    for stack in ("Traceback", "Stack Trace", "site-packages", "dagster._core"):
        assert stack not in shown


def test_materialising_a_table_asks_for_a_partition_and_nothing_else(page: Page, served: Served) -> None:
    page.goto(f"http://127.0.0.1:{served.port}/assets/clean/orders")
    see(page, "Latest materialization")
    page.get_by_text("Materialize…").first.click()
    see(page, "Launch runs to materialize clean / orders", "Partition selection")
    assert "dditional asset" not in page.inner_text("body")
