"""Take the README's pictures of a finished demo: `make run`, stop it, then `make screenshots`.

Starts `assay up` over ASSAY_HOME on a free port, looks at it with chromium (CHROMIUM names another one), writes what it saw
beside this file, and stops what it started. The pictures of the terminal are made from the real answers.
"""

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import FloatRect, Page, ViewportSize, sync_playwright
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, RenderableType
from rich.terminal_theme import MONOKAI
from rich.text import Text

FOLDER = Path(__file__).parent
ASSAY = Path(sys.executable).with_name("assay")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-headless-shell")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SIZE: ViewportSize = {"width": 1440, "height": 900}
START_SECONDS, PAGE_SECONDS = 120, 60
COLOURS_SECONDS = 15  # until each node of a graph has the colour of its state
# A lineage graph is drawn as large as it fits: a wider page, scaled down, shows names in full.
WIDE: ViewportSize = {"width": 1800, "height": 1000}
SCALE = 0.8


def main() -> None:
    seen: dict[str, Any] = json.loads(subprocess.check_output([ASSAY, "tour", "--json"]))
    if not seen["refused"] or not seen["prediction"]:
        sys.exit("The demo is not finished here: run `make run` first, or set ASSAY_HOME.")
    terminal(seen["prediction"]["prediction_id"])
    with serving() as (base, console_base), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport=SIZE, color_scheme="light", timezone_id="UTC")
        page.set_default_timeout(PAGE_SECONDS * 1000)
        page.goto(base)
        page.get_by_text("Hide navigation").click()
        checks(page, base)
        materialization(page, base)
        refused(page, base, seen["refused"][0])
        state = page.context.storage_state()
        wide = browser.new_page(viewport=WIDE, device_scale_factor=SCALE, storage_state=state)
        wide.set_default_timeout(PAGE_SECONDS * 1000)
        graph(wide, base)
        plain = browser.new_page(viewport=SIZE, color_scheme="light", timezone_id="UTC")
        plain.set_default_timeout(PAGE_SECONDS * 1000)
        console(plain, console_base, seen["prediction"]["prediction_id"])
        columns(plain, console_base)
        browser.close()


# -- pages of the Dagster UI -------------------------------------------------------------------------------------------


def graph(page: Page, base: str) -> None:
    page.goto(f"{base}/assets/predictions/router?view=lineage&lineageScope=upstream&lineageDepth=9")
    page.get_by_text("customer_activity").first.wait_for()
    page.wait_for_timeout(COLOURS_SECONDS * 1000)
    save(page, "graph")


def checks(page: Page, base: str) -> None:
    """A rule that some days broke: its history says how often and when."""
    page.goto(f"{base}/assets/clean/tickets?view=checks&checkDetail=text__not_empty")
    page.get_by_text("Execution history").click()
    page.get_by_text("rows broke text.not_empty").first.wait_for()
    save(page, "checks")


def materialization(page: Page, base: str) -> None:
    page.goto(f"{base}/assets/clean/tickets?view=events")
    page.get_by_text("broken_rules").wait_for()
    save(page, "materialization")
    page.get_by_text("[Show Markdown]").first.click()
    page.get_by_text("customer_id").first.wait_for()
    save(page, "preview")


def refused(page: Page, base: str, batch: dict[str, Any]) -> None:
    """The one check that is red, with what it says, in the history of its executions."""
    page.goto(f"{base}/assets/{batch['table']}?view=checks&checkDetail=delivery")
    page.get_by_text("Execution history").click()
    page.get_by_text("Nothing was published").first.scroll_into_view_if_needed()
    save(page, "refused")


def console(page: Page, base: str, prediction_id: str) -> None:
    """The governance console: a prediction's whole path, proved."""
    page.goto(f"{base}/trace/{prediction_id}")
    page.get_by_role("button", name="Verify").click()
    page.get_by_text("verified").first.wait_for()
    page.evaluate("scrollTo(0, 0)")
    save(page, "console")


def columns(page: Page, base: str) -> None:
    """A version with its neighbours and columns, and the way of one column to where it comes from."""
    page.goto(f"{base}/graph?focus=dataset:assay:features/customer_activity@1&up=4&down=1")
    page.locator("svg").get_by_text("@1", exact=False).last.click()
    page.get_by_text("spend_7d").first.click()
    page.wait_for_url("**column=spend_7d**")
    save(page, "columns", height=560)


def save(page: Page, name: str, height: float | None = None) -> None:
    page.wait_for_timeout(2500)  # the UI fades its panels in
    clip: FloatRect | None = {"x": 0, "y": 0, "width": SIZE["width"], "height": height} if height else None
    page.screenshot(path=FOLDER / f"{name}.png", clip=clip)


@contextmanager
def serving() -> Iterator[tuple[str, str]]:
    """`assay up` on free ports; the addresses of the Dagster UI and the console. It is stopped as Ctrl-C would."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        port, console_port = one.getsockname()[1], other.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    command = [ASSAY, "up", "--port", str(port), "--console-port", str(console_port)]
    # Its own session, so that its children can be stopped with it and nothing else.
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        wait_until_up(base, process)
        yield base, f"http://127.0.0.1:{console_port}"
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def wait_until_up(base: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"{base}/server_info", timeout=2).close()
            return
        except OSError:
            time.sleep(0.5)
    sys.exit("The Dagster UI did not come up.")


# -- the terminal ------------------------------------------------------------------------------------------------------


def terminal(prediction_id: str) -> None:
    import assay
    from assay.cli.trees import tree

    store = assay.open()
    found = store.trace(prediction_id)
    picture("trace", f"assay trace {prediction_id}", tree(found.outline()), width=148, lines=34)
    picture("verify", f"assay trace {prediction_id} --verify", tree(store.verify(found).outline()), width=100)


def picture(name: str, command: str, answer: RenderableType, *, width: int, lines: int | None = None) -> None:
    """What the command prints (its first `lines`), as an SVG without the fonts that rich would fetch from elsewhere."""
    printed = io.StringIO()
    Console(file=printed, width=width, force_terminal=True, color_system="standard").print(answer, soft_wrap=True)
    whole = printed.getvalue().splitlines()
    shown = whole if lines is None else [*whole[:lines], f"… {len(whole) - lines} more lines"]
    console = Console(record=True, width=width, file=io.StringIO(), highlight=False)
    console.print(f"[dim]$[/] [bold]{command}[/]")
    for line in map(Text.from_ansi, shown):
        line.truncate(width, overflow="ellipsis")
        console.print(line)
    plain = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg = console.export_svg(title="assay", theme=MONOKAI, code_format=plain, unique_id=name)
    (FOLDER / f"{name}.svg").write_text(svg)


if __name__ == "__main__":
    main()
