"""Dagster's UI in a browser: what is red on a page, and how a page is waited for."""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

from playwright.sync_api import Page, TimeoutError

from tests.chromium import chromium

# The words of all that is drawn in a colour of this hue; for an icon, the words that it stands beside.
_DRAWN_IN = """hue => {
    const is = {
        red: (r, g, b) => r > 150 && g < 0.5 * r && b < 0.5 * r,
        green: (r, g, b) => g > 120 && r < 0.5 * g && b < 0.8 * g,
    }[hue];
    const found = new Set();
    for (const node of document.querySelectorAll('body *')) {
        const box = node.getBoundingClientRect();
        if (!box.width || !box.height) continue;
        const style = getComputedStyle(node);
        const edge = parseFloat(style.borderTopWidth) ? style.borderTopColor : '';
        for (const colour of [style.color, style.backgroundColor, style.fill, edge]) {
            const [r, g, b, a = 1] = (colour.match(/[\\d.]+/g) || []).map(Number);
            if (colour.startsWith('rgb') && a > 0.5 && is(r, g, b)) {
                let around = node;
                while (!(around.innerText || '').trim()) around = around.parentElement;
                found.add(around.innerText.trim().slice(0, 200));
            }
        }
    }
    return [...found];
}"""


@contextmanager
def browsing() -> Iterator[Page]:
    """A page of a browser of its own."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1800, "height": 1000}, timezone_id="UTC")
        page.set_default_timeout(90_000)
        yield page


def drawn_in(page: Page, hue: str) -> list[str]:
    return page.evaluate(_DRAWN_IN, hue)


def see(page: Page, *texts: str) -> None:
    """Wait until each of these stands on the page by itself."""
    for text in texts:
        page.get_by_text(text, exact=True).first.wait_for()


def draws_in(page: Page, hue: str, wanted: Collection[str], seconds: float = 60) -> bool:
    """Whether things that begin with these lines, and no others, come to be drawn in a colour: a page goes on loading after its
    first words."""

    def is_so() -> bool:
        return {text.partition("\n")[0] for text in drawn_in(page, hue)} == {*wanted}

    ends = time.monotonic() + seconds
    while not is_so() and time.monotonic() < ends:
        page.wait_for_timeout(500)  # to look costs more than to wait
    return is_so()


def open_history(page: Page, text: str) -> None:
    """Of a check. The tab is there before it can be used: it is clicked until what is in it can be seen."""
    for _ in range(9):
        page.get_by_text("Execution history").click()
        with suppress(TimeoutError):
            return page.get_by_text(text).first.wait_for(timeout=10_000)
    return page.get_by_text(text).first.wait_for()
