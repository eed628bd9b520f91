"""One walk through the console in a real browser: search, graph, expand, as of, trace, verify; by mouse and by keyboard, wide
and narrow, light and dark."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.assay.web.browsing import look, opened, served


@pytest.fixture(scope="module")
def address(desk: Any) -> Iterator[str]:
    with served(desk.app) as where:
        yield where


WIDE, NARROW = (1440, 900), (390, 844)
Screen = tuple[tuple[int, int], str]
# Every width by mouse and by keyboard, every width in light and in dark; all combinations of these when there is time.
MOUSE: list[Screen] = [(WIDE, "light"), (NARROW, "dark")]
KEYS: list[Screen] = [(WIDE, "dark"), (NARROW, "light")]
if os.environ.get("SOAK"):
    MOUSE = KEYS = [*MOUSE, *KEYS]


def name_of(screen: Screen) -> str:
    (width, _), scheme = screen
    return f"{width}-{scheme}"


@pytest.fixture
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    size, scheme = request.param
    with opened(browser, address, size, scheme) as found:
        yield found


def card(page: Page, table: str) -> Locator:
    """The card of a version of a table, the only one or the latest."""
    return page.locator(f"a.card[data-node^='dataset:'][data-node*='{table}@']").last


def stays(page: Page, node: Locator, act: Callable[[], object], then: Locator) -> None:
    """Something is done to a card, after which something else is there; the card stays where it is on the screen."""
    node.scroll_into_view_if_needed()
    before = node.locator("rect").first.bounding_box()
    act()
    expect(then).to_be_attached()
    after = node.locator("rect").first.bounding_box()
    assert before is not None
    assert after is not None
    assert abs(after["x"] - before["x"]) < 2, page.url
    assert abs(after["y"] - before["y"]) < 2, page.url


@pytest.mark.parametrize("page", MOUSE, indirect=True, ids=name_of)
def test_by_mouse(page: Page, desk: Any) -> None:
    page.goto("/")
    look(page, "home")
    page.get_by_role("searchbox").fill("ticket")
    page.get_by_role("searchbox").press("Enter")
    look(page, "search")
    page.get_by_role("link", name="features/ticket").first.click()
    focus = page.locator("a.card[aria-current]")
    expect(focus).to_have_count(1)
    look(page, "graph")

    stays(page, focus, focus.click, page.locator("[data-column=length]"))
    expect(focus).to_have_attribute("aria-expanded", "true")
    page.locator("[data-column=length]").click()
    expect(page.locator("[data-column=length].way.selected")).to_be_attached()
    assert "column=length" in page.url
    expect(page.get_by_role("heading", name="The path of features/ticket")).to_be_visible()
    look(page, "column")

    count = page.locator("a.card").count()
    chip = page.locator("[data-more=up]").first
    node = page.locator(f"a.card[data-node='{chip.get_attribute('data-anchor')}']")
    stays(page, node, chip.click, page.locator("a.card").nth(count))
    look(page, "expanded")
    count = page.locator("a.card").count()
    stays(page, focus, page.locator("[data-expand=up]").click, page.locator("a.card").nth(count))
    page.go_back()
    expect(page.locator("a.card")).to_have_count(count)

    page.get_by_label("As of").fill("2999-01-01T00:00:00")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**as_of=2999-01-01*")
    expect(page.locator("a.card")).to_have_count(count)
    page.get_by_role("link", name="Versions", exact=True).click()
    look(page, "versions")
    page.get_by_role("link", name="Compare version 3 with the version before, 2").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("features/ticket @2 → @3")
    look(page, "diff")

    page.goto("/")
    page.get_by_role("link", name=desk.predictions[0]).click()
    look(page, "trace")
    page.get_by_role("button", name="Verify").click()
    expect(page.locator('[data-outcome="verified"]')).to_be_visible()
    look(page, "verified")
    page.goto("/impact/raw/tickets?version=1")
    look(page, "impact")


@pytest.mark.parametrize("page", KEYS, indirect=True, ids=name_of)
def test_by_keyboard_alone(page: Page, desk: Any) -> None:
    keys = page.keyboard
    page.goto("/")
    keys.press("/")
    keys.type("features/ticket")
    keys.press("Enter")
    page.wait_for_url("**/?q=*")
    look(page, "search")
    tab_to(page, "features/ticket")
    keys.press("Enter")
    page.wait_for_url("**/graph?*")
    look(page, "graph")

    node = tab_to(page, "features/ticket", "a.card")
    keys.press("Enter")
    expect(page.locator("a.card[aria-expanded=true]")).to_be_focused()
    for name in ("ticket_id", "length"):
        keys.press("ArrowDown")
        assert focused(page, "node.dataset.column") == name
    keys.press("Enter")
    expect(page.locator("[data-column=length].selected")).to_be_focused()
    look(page, "column")
    keys.press("ArrowLeft")  # to the run that wrote it, or to what shows more before it
    assert focused(page, "node.dataset.node ?? node.dataset.anchor") is not None

    count = page.locator("a.card").count()
    go_to(page, "[data-more=up]", "ArrowLeft", "ArrowDown", "ArrowUp")
    anchor = focused(page, "node.dataset.anchor")
    keys.press("Enter")
    expect(page.locator("a.card").nth(count)).to_be_attached()
    assert anchor in (focused(page, "node.dataset.node"), focused(page, "node.dataset.anchor"))
    assert node is not None
    count = page.locator("a.card").count()
    look(page, "expanded")

    tab_to(page, "", "[name=as_of]")
    keys.type("01012999")
    keys.press("Tab")
    keys.type("120000AM")
    keys.press("Enter")
    page.wait_for_url("**as_of=2999-01-01*")
    expect(page.locator("a.card")).to_have_count(count)

    keys.press("/")
    keys.press("Control+a")
    keys.type(desk.predictions[1])
    keys.press("Enter")
    page.wait_for_url("**/trace/*")
    look(page, "trace")
    tab_to(page, "Verify")
    keys.press("Enter")
    expect(page.locator('[data-outcome="verified"]')).to_be_focused()
    look(page, "verified")


def focused(page: Page, what: str) -> Any:
    return page.evaluate(f"(() => {{ const node = document.activeElement; return {what} ?? null }})()")


def tab_to(page: Page, name: str, selector: str = "a, button") -> str | None:
    """Press Tab until something with this name has the focus; the id of its node, if it has one."""
    for _ in range(80):
        page.keyboard.press("Tab")
        says = focused(page, "(node.getAttribute('aria-label') || node.textContent).trim()")
        if name in says and focused(page, f"node.matches({selector!r})"):
            return focused(page, "node.dataset.node")
    raise AssertionError(f"Tab does not reach {name or selector}")


def go_to(page: Page, selector: str, *arrows: str) -> None:
    """Reach something in the picture by arrow keys: as far as each leads, in turn."""
    for arrow in arrows:
        last = None
        while (here := focused(page, "node.outerHTML")) != last:
            if focused(page, f"node.matches({selector!r})"):
                return
            last = here
            page.keyboard.press(arrow)
    raise AssertionError(f"Arrow keys do not reach {selector}")
