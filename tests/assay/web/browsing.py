"""A console that is really served, and pages of it in a real browser."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import uvicorn
from playwright.sync_api import Browser, Page

SHOTS = os.environ.get("CONSOLE_SHOTS")  # a folder to keep what the walk saw


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The application's address, as long as this lasts."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [held]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{held.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@contextmanager
def opened(
    browser: Browser, address: str, size: tuple[int, int], scheme: Literal["light", "dark"] = "light"
) -> Iterator[Page]:
    """A page that must complain about nothing, and load nothing from elsewhere."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, base_url=address, locale="en-US"
    )
    found = context.new_page()
    found.set_default_timeout(15_000)
    complaints: list[str] = []
    found.on("console", lambda message: complaints.append(message.text))
    found.on("pageerror", lambda problem: complaints.append(str(problem)))
    found.on("request", lambda sent: None if sent.url.startswith(address) else complaints.append(sent.url))
    yield found
    context.close()
    assert complaints == []


def look(page: Page, name: str) -> None:
    """The page never scrolls sideways; wide things do so within themselves."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    if SHOTS:
        scheme = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'")
        page.screenshot(path=str(Path(SHOTS) / f"{name}-{(page.viewport_size or {}).get('width')}-{scheme}.png"))
