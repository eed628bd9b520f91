"""A browser look at the Dagster UI over the finished run."""

import getpass
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.dagster_pages import browsing, drawn_in, draws_in, open_history, see
from tests.served import Served

GROUPS = ("raw", "clean", "features", "training", "model", "predictions")


@pytest.fixture(scope="module")
def served(full_run: Any) -> Iterator[Served]:
    """`assay up` on this run's lake."""
    made = Served(full_run.place)
    yield made
    made.process.send_signal(signal.SIGINT)
    made.process.wait(timeout=60)


@pytest.fixture(scope="module")
def page(served: Served) -> Iterator[Page]:
    with browsing() as opened:
        yield opened


@pytest.fixture
def ui(served: Served) -> str:
    return f"http://127.0.0.1:{served.port}"


def test_after_a_perfect_run_the_graph_is_green_in_groups(page: Page, ui: str) -> None:
    page.goto(f"{ui}/assets/predictions/router?view=lineage&lineageScope=upstream&lineageDepth=9")
    see(page, *GROUPS, "card_events", "customer_activity", "ticket_text", "router")
    wanted = {"customers", "tickets", "card_events", "ticket", "ticket_text", "customer_activity", "router"}
    for _ in range(60):  # until each node has the colour of its state
        if wanted <= {*drawn_in(page, "green")}:
            break
        page.wait_for_timeout(500)
    assert wanted <= {*drawn_in(page, "green")}
    assert draws_in(page, "red", ())


def test_a_label_below_each_of_three_nodes_called_router_tells_them_apart(page: Page, ui: str) -> None:
    browser = page.context.browser
    assert browser is not None
    close = browser.new_page(viewport={"width": 1800, "height": 1000})  # a page that was zoomed out stays so
    close.goto(f"{ui}/assets/models/router?view=lineage&lineageScope=neighbors&lineageDepth=1")
    see(close, "training", "models", "predictions")
    close.close()


def test_rules_of_a_contract_are_passed_with_a_count_where_rows_went_to_quarantine(page: Page, ui: str) -> None:
    page.goto(f"{ui}/assets/clean/tickets?view=checks&checkDetail=text__not_empty")
    see(page, "ticket_id__unique", "text__no_card_number", "customer_id__exists", "volume")
    assert draws_in(page, "red", ())
    open_history(page, "rows broke text.not_empty, set aside in quarantine/tickets")
    see(page, "Passed")
    assert draws_in(page, "red", ())


def test_a_refused_day_is_one_red_verdict_with_its_reason_and_no_failed_run(page: Page, ui: str) -> None:
    page.goto(f"{ui}/assets/raw/card_events?view=checks&checkDetail=delivery")
    open_history(page, "Nothing was published")
    assert draws_in(page, "red", {"Failed"}), "in the history; the rule itself has passed since"
    page.goto(f"{ui}/runs?view=failed")
    see(page, "Launched by")
    assert draws_in(page, "red", ())


def test_a_run_says_who_launched_it(page: Page, ui: str) -> None:
    page.goto(f"{ui}/runs")
    see(page, "Launched by", getpass.getuser())
    assert draws_in(page, "red", ())


def test_a_table_has_descriptions_and_links_to_the_console_which_links_back(
    page: Page, ui: str, served: Served
) -> None:
    page.goto(f"{ui}/assets/clean/tickets")
    see(page, "What the customer wrote.", "support-data", "The delivered file, as it was called.")
    page.goto(f"{ui}/assets/features/ticket")
    page.get_by_text("length of the text in characters").first.wait_for()
    link = page.get_by_text("graph?focus=", exact=False).first
    link.wait_for()
    page.goto(f"http://127.0.0.1:{served.console}/graph?{link.inner_text().partition('?')[2]}")
    assert page.get_by_text("Dagster asset").get_attribute("href") == "/dagster/assets/features/ticket"


def test_materialising_a_table_asks_for_partitions_and_warns_of_nothing(page: Page, ui: str) -> None:
    page.goto(f"{ui}/assets/clean/tickets")
    see(page, "Latest materialization")
    page.get_by_text("Materialize…").first.click()
    see(page, "Launch runs to materialize clean / tickets")
    # The dialog begins with the last 90 days, which the demo's September leaves one by one.
    page.get_by_text(re.compile(r"Showing \d+ of 30 partitions|Show all partitions")).first.wait_for()
    assert "dditional asset" not in page.inner_text("body")
    assert draws_in(page, "red", ())
