"""axe-core finds nothing on any page, wide and narrow, light and dark; what is wide says so and can be scrolled by keyboard."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page

from tests.assay.web.browsing import opened, served
from tests.assay.web.jobs import NARROW, WIDE
from tests.conftest import SOAK

axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="needs axe-playwright-python (make test installs it)"
)

CLEAN = "dataset:assay:clean/tickets"
PAGES = [
    "/",
    "/?q=tickets",
    "/?q=nothing-of-this-name",
    "/?q=clean/tickts",
    "/pipeline",
    "/pipeline?open=clean/tickets&open=features/ticket&column=text&of=clean/tickets",
    f"/graph?focus={CLEAN}@2",
    f"/graph?focus={CLEAN}@2&then=open:{CLEAN}@2&column=text",
    "/versions/clean/tickets",
    "/diff?a=clean/tickets@1&b=clean/tickets@2",
    "/impact",
    "/impact/raw/tickets",
    "/impact/clean/tickets?list=1",
    "/trace/{prediction}",
    "/browse",
    "/browse?namespace=assay://assay&kind=jobs",
]


@pytest.fixture(scope="module")
def address(desk: Any) -> Iterator[str]:
    with served(desk.app) as where:
        yield where


def violations(page: Page) -> list[str]:
    found = axe.Axe().run(page).response["violations"]
    return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]


@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (NARROW, "dark")], ids=["wide-light", "narrow-dark"])
def test_axe_finds_nothing(
    browser: Browser, address: str, desk: Any, size: tuple[int, int], scheme: Literal["light", "dark"]
) -> None:
    with opened(browser, address, size, scheme) as page:
        for place in PAGES if SOAK or size == WIDE else PAGES[::2]:
            page.goto(place.format(prediction=desk.predictions[0]))
            assert violations(page) == [], place
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place
        for condition in ("ticket_id IS NOT NULL", "false"):
            page.goto("/impact/clean/tickets")
            page.get_by_label("Rows").fill(condition)
            page.get_by_role("button", name="Show").click()
            page.get_by_role("heading", name="Predictions").wait_for()
            assert violations(page) == [], condition
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), condition
        page.goto(f"/trace/{desk.predictions[0]}")
        page.get_by_role("button", name="Verify").click()
        page.locator("[data-outcome]").wait_for()
        assert violations(page) == [], "verified"
        page.get_by_role("button", name="Letter").click()
        page.get_by_role("heading", name="How an automatic answer came about").wait_for()
        assert violations(page) == [], "letter"


def test_a_wide_table_shows_that_it_goes_on_and_scrolls_by_keyboard(browser: Browser, address: str) -> None:
    with opened(browser, address, NARROW) as page:
        page.goto("/")
        boxes = page.locator(".scroll")
        wide = [box for box in boxes.all() if box.evaluate("node => node.scrollWidth > node.clientWidth")]
        assert wide
        for box in boxes.all():
            assert (box.get_attribute("tabindex") == "0") == (
                box in wide or box.evaluate("n => n.scrollWidth > n.clientWidth")
            )
        first = wide[0]
        assert "gradient" in first.evaluate("node => getComputedStyle(node).backgroundImage"), (
            "a shadow where it goes on"
        )
        first.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("node => node.scrollLeft > 0", arg=first.element_handle())
        hidden = page.locator("th").evaluate_all(
            "all => all.filter(th => getComputedStyle(th).display === 'none').length"
        )
        assert hidden == 0, "nothing is left out because the screen is narrow"
