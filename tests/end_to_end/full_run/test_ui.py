"""A browser look at the Dagster UI over the finished run."""

import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for free in sockets:
        free.bind(("127.0.0.1", 0))
    ports = [free.getsockname()[1] for free in sockets]
    for free in sockets:
        free.close()
    return ports


@pytest.fixture(scope="module")
def ui(full_run: Any) -> Iterator[str]:
    """The address of `assay up` on this run's lake."""
    if not CHROMIUM.exists():
        pytest.skip(f"there is no chromium at {CHROMIUM} (make browser)")
    port, console = _free_ports(2)
    ports = ("--port", str(port), "--console-port", str(console))
    process = full_run.place.start("up", *ports, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            assert process.poll() is None, "assay up ended by itself"
            with suppress(OSError), urllib.request.urlopen(f"{address}/server_info", timeout=5):
                with urllib.request.urlopen(f"http://127.0.0.1:{console}/", timeout=30) as answer:
                    assert b"predictions/router" in answer.read()
                break
            time.sleep(0.5)
        else:
            raise AssertionError("assay up does not answer")
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def test_the_ui_shows_the_asset_graph_and_the_rules_of_a_contract(ui: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1800, "height": 1000})
        page.set_default_timeout(60_000)
        page.goto(f"{ui}/assets/predictions/router?view=lineage&lineageScope=upstream&lineageDepth=9")
        for text in ("card_events", "customer_activity", "ticket_text", "router"):
            page.get_by_text(text, exact=True).first.wait_for()
        # Three nodes are called router: the label below each tells them apart.
        page.goto(f"{ui}/assets/models/router?view=lineage&lineageScope=neighbors&lineageDepth=1")
        for label in ("training", "models", "predictions"):
            page.get_by_text(label, exact=True).first.wait_for()
        page.goto(f"{ui}/assets/clean/tickets?view=checks")
        for rule in ("ticket_id__unique", "text__no_card_number", "customer_id__exists", "volume"):
            page.get_by_text(rule, exact=True).first.wait_for()
        # A refused day is one red verdict with its reason, and no failed run.
        page.goto(f"{ui}/assets/raw/card_events?view=checks&checkDetail=delivery")
        page.get_by_text("Execution history").click()
        page.get_by_text("Nothing was published").first.wait_for()
        page.goto(f"{ui}/assets/features/ticket")
        page.get_by_text("length of the text in characters").first.wait_for()
        page.get_by_text("graph?focus=", exact=False).first.wait_for()
        page.goto(f"{ui}/assets/clean/tickets")
        for text in ("What the customer wrote.", "support-data", "The delivered file, as it was called."):
            page.get_by_text(text, exact=True).first.wait_for()
        browser.close()
