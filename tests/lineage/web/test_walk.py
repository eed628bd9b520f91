"""One walk through the console in a real browser: search, graph, expand, as of, trace, verify; by mouse and by keyboard, wide
and narrow, light and dark."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
_QUIET = ("quic", "background-networking", "component-update", "sync")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", *(f"--disable-{name}" for name in _QUIET)]
SHOTS = os.environ.get("CONSOLE_SHOTS")  # a folder to keep what the walk saw


@pytest.fixture(scope="module")
def address(desk: Any) -> Iterator[str]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(desk.app, log_level="error", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [held]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{held.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium (sh tests/install-chromium.sh)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(params=[(1440, 900, "light"), (390, 844, "dark")], ids=["wide-light", "narrow-dark"])
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page that must complain about nothing, and load nothing from elsewhere."""
    width, height, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, base_url=address)
    opened = context.new_page()
    opened.set_default_timeout(15_000)
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda problem: complaints.append(str(problem)))
    opened.on("request", lambda sent: None if sent.url.startswith(address) else complaints.append(sent.url))
    yield opened
    context.close()
    assert complaints == []


def look(page: Page, name: str) -> None:
    """The page never scrolls sideways; wide things do so within themselves."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    if SHOTS:
        size = page.viewport_size or {}
        page.screenshot(path=str(Path(SHOTS) / f"{name}-{size.get('width')}.png"))


def place(page: Page) -> tuple[float, float]:
    box = page.locator("a.card[aria-current]").bounding_box()
    assert box is not None
    return box["x"], box["y"]


def test_by_mouse(page: Page, desk: Any) -> None:
    page.goto("/")
    look(page, "home")
    page.get_by_role("searchbox").fill("ticket")
    page.get_by_role("searchbox").press("Enter")
    look(page, "search")
    page.get_by_role("link", name="features/ticket").first.click()
    expect(page.locator("a.card[aria-current]")).to_have_count(1)
    look(page, "graph")
    count, before = page.locator("a.card").count(), place(page)
    page.locator('[data-expand="up"]').click()
    expect(page.locator("a.card").nth(count)).to_be_attached()
    assert "up=4" in page.url
    after = place(page)
    assert abs(after[0] - before[0]) < 2
    look(page, "expanded")
    page.go_back()
    expect(page.locator("a.card")).to_have_count(count)
    page.get_by_label("Columns").check()
    page.get_by_role("button", name="Show").click()
    expect(page.locator("svg text.column", has_text="ticket_id").first).to_be_attached()
    page.get_by_label("As of").fill("2999-01-01T00:00:00")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("a.card")).to_have_count(count)
    assert "as_of=2999-01-01" in page.url
    page.goto("/")
    page.get_by_role("link", name=desk.predictions[0]).click()
    look(page, "trace")
    page.get_by_role("button", name="Verify").click()
    expect(page.locator('[data-outcome="verified"]')).to_be_visible()
    look(page, "verified")
    page.goto("/impact/raw/tickets?version=1")
    look(page, "impact")


def test_by_keyboard_alone(page: Page, desk: Any) -> None:
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type("features/ticket")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=*")
    tab_to(page, "features/ticket")
    page.keyboard.press("Enter")
    page.wait_for_url("**/graph?*")
    count = page.locator("a.card").count()
    tab_to(page, "more upstream")
    page.keyboard.press("Enter")
    expect(page.locator("a.card").nth(count)).to_be_attached()
    node = tab_to(page, "features/ticket", "a.card")
    page.keyboard.press("ArrowLeft")
    assert focused(page, "node.dataset.node") not in (node, None)
    page.keyboard.press("ArrowRight")
    assert focused(page, "node.matches('a.card')")
    page.keyboard.press("/")
    page.keyboard.type(desk.predictions[1])
    page.keyboard.press("Enter")
    page.wait_for_url("**/trace/*")
    tab_to(page, "Verify")
    page.keyboard.press("Enter")
    expect(page.locator('[data-outcome="verified"]')).to_be_focused()


def focused(page: Page, what: str) -> Any:
    return page.evaluate(f"(() => {{ const node = document.activeElement; return {what} ?? null }})()")


def tab_to(page: Page, name: str, selector: str = "a, button") -> str | None:
    """Press Tab until something with this name has the focus; the id of its node, if it has one."""
    for _ in range(80):
        page.keyboard.press("Tab")
        says = focused(page, "(node.getAttribute('aria-label') || node.textContent).trim()")
        if name in says and focused(page, f"node.matches({selector!r})"):
            return focused(page, "node.dataset.node")
    raise AssertionError(f"Tab does not reach {name}")
