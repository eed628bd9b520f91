"""The two jobs of governance in a browser, each in at most four steps, by mouse or by keyboard alone.

A step is what a person decides: what to type, or which link or button to take.
"""

import csv
import io
import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.assay.web.browsing import look

WIDE, NARROW = (1440, 900), (390, 844)
TABS = 120  # at most, to what is wanted


def complaint(page: Page, known: str, prediction: str, says: str, *, keys: bool, name: str) -> None:
    """This prediction is wrong, why? `known` is what the complaint says: somebody, and perhaps a day. `says` stands in the
    letter."""
    page.goto("/")
    _type(page, page.get_by_role("searchbox"), known, keys=keys, shortcut="/")  # 1
    page.wait_for_url(re.compile(r"/(search|trace/.+)$"))
    if page.url.endswith("/search"):  # there are several
        look(page, f"{name}-c-found")
        _take(page, page.get_by_role("link", name=prediction), keys=keys)  # 2
    page.wait_for_url(f"**/trace/{prediction}")
    assert known.split()[0] not in page.url
    expect(page.get_by_role("heading", name="What was unusual")).to_be_in_viewport()
    expect(page.get_by_role("heading", name="Rules and owners")).to_be_attached()
    look(page, f"{name}-c-why")
    _take(page, page.get_by_role("button", name="Verify"), keys=keys)  # 3
    page.locator("[data-outcome]").wait_for(timeout=60_000)
    assert page.locator("[data-outcome]").get_attribute("data-outcome") == "verified"
    look(page, f"{name}-c-verified")
    _take(page, page.get_by_role("button", name="Letter"), keys=keys)  # 4
    expect(page.get_by_role("heading", level=1)).to_have_text("How an automatic answer came about", timeout=60_000)
    expect(page.get_by_text(says).first).to_be_visible()
    look(page, f"{name}-c-letter")


def bad_file(page: Page, file: str, affected: set[str], *, keys: bool, name: str, folder: Path) -> None:
    """This file was bad, what came of it? `affected` are the ids of the predictions that took rows of it."""
    page.goto("/")
    _take(page, page.get_by_role("navigation").get_by_role("link", name="Impact"), keys=keys)  # 1
    page.wait_for_url("**/impact")
    look(page, f"{name}-d-asked")
    _type(page, page.get_by_label("File"), file, keys=keys)  # 2
    expect(page.get_by_text("✓ complete")).to_be_visible()
    expect(page.locator("dt", has_text="took affected rows").locator("+ dd")).to_have_text(f"{len(affected):,}")
    look(page, f"{name}-d-list")
    with page.expect_download() as download:
        _take(page, page.get_by_role("link", name="Download as CSV"), keys=keys)  # 3
    download.value.save_as(folder / "affected.csv")
    rows = list(csv.DictReader(io.StringIO((folder / "affected.csv").read_text(encoding="utf-8"))))
    assert {row["prediction_id"] for row in rows} == affected
    assert all(row["keys"] and row["answer"] and row["owner"] for row in rows)


def _type(page: Page, field: Locator, text: str, *, keys: bool, shortcut: str = "") -> None:
    """Type into a field and send it. By keyboard: it has the focus, or a shortcut gives it."""
    if not keys:
        field.fill(text)
        field.press("Enter")
        return
    if shortcut:
        page.keyboard.press(shortcut)
    expect(field).to_be_focused()
    page.keyboard.type(text)
    page.keyboard.press("Enter")


def _take(page: Page, what: Locator, *, keys: bool) -> None:
    """Take a link or press a button. By keyboard: Tab until it has the focus."""
    if not keys:
        what.click()
        return
    expect(what).to_be_visible()
    for _ in range(TABS):
        page.keyboard.press("Tab")
        if what.evaluate("node => node === document.activeElement"):
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"Tab does not lead to {what}")
