"""What a request waits for at most while planning looks."""

import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dlt")

import dlt
from dlt.sources.helpers import requests as of_dlt

from assay.assets.extracted import one_try
from assay.assets.extracted.one_try import _short
from assay.assets.extracted.resource import extract
from assay.assets.lacking import UNREACHABLE, NotConnected
from assay.assets.silent import ask
from tests.assets.extracted.test_dlt_reader import AT
from tests.dripping import HTTP, dripping


@pytest.mark.parametrize(
    ("timeout", "short"),
    [(None, (5, 10)), (60, (5, 10)), (0.5, (0.5, 0.5)), ((3, 7), (3, 7)), ((30, None), (5, 10)), (object(), (5, 10))],
)
def test_a_look_has_short_timeouts_and_keeps_shorter_ones(timeout: object, short: tuple[float, float]) -> None:
    assert _short(timeout) == short


@pytest.mark.parametrize("at_once", [0, len(HTTP % (40, b""))], ids=("headers", "body"))
@pytest.mark.parametrize("planning", [True, False], ids=("look", "run"))
def test_an_api_that_sends_a_byte_now_and_then_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int, planning: bool
) -> None:
    monkeypatch.setattr(one_try, "READ_SECONDS" if planning else "_RUN_SECONDS", 0.3)
    with dripping(HTTP % (40, b" " * 38 + b"[]"), at_once=at_once) as port:

        @dlt.resource(name="orders")
        def orders() -> Any:
            session = of_dlt.Client(request_max_attempts=2, request_backoff_factor=0)
            yield session.get(f"http://127.0.0.1:{port}/").json()

        began = time.monotonic()
        with pytest.raises(NotConnected, match="The upstream of resource 'orders' does not answer") as problem:
            ask(
                tmp_path,
                "orders",
                "000001",
                AT,
                planning=planning,
                question=lambda: extract("orders", orders, "", tmp_path / "rows", AT),
            )
        assert problem.value.lack == UNREACHABLE
        assert time.monotonic() - began < (1.5 if planning else 4), "a read alone is given seconds"
