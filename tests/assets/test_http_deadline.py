"""An answer that comes a byte now and then ends, whatever timeout a client has."""

import time

import pytest
import requests
import urllib3

from assay.assets.http_deadline import answered_within
from tests.dripping import HTTP, dripping

BODY = bytes(40)
HEAD = len(HTTP % (len(BODY), b""))
FAST = 1e9  # bytes in a second: none buys time


@pytest.mark.parametrize("at_once", [0, HEAD], ids=("headers", "body"))
def test_an_answer_that_drips_is_a_read_timeout_and_others_are_not(at_once: int) -> None:
    with dripping(HTTP % (len(BODY), BODY), at_once=at_once) as port:
        url, began = f"http://127.0.0.1:{port}/", time.monotonic()
        with answered_within(0.2, FAST), pytest.raises(urllib3.exceptions.ReadTimeoutError):
            urllib3.request("GET", url, timeout=10, retries=False)
        with answered_within(0.2, FAST), pytest.raises(requests.exceptions.RequestException):
            requests.get(url, timeout=10)
        assert time.monotonic() - began < 2, "a read alone is given 10 seconds"
    with dripping(HTTP % (len(BODY), BODY), pause=0.002, at_once=at_once) as port:
        url = f"http://127.0.0.1:{port}/"
        with answered_within(0.05, speed=10):
            assert requests.get(url, timeout=10).content == BODY, "what has come buys time for the rest"
        assert urllib3.request("GET", url, timeout=10).data == BODY, "nobody watches"


def test_repeated_requests_share_the_patience_and_a_pool_is_as_good_as_before() -> None:
    with dripping(HTTP % (len(BODY), BODY)) as port, urllib3.PoolManager() as pool:
        began = time.monotonic()
        with answered_within(0.3, FAST), pytest.raises(urllib3.exceptions.MaxRetryError):
            pool.request("GET", f"http://127.0.0.1:{port}/", timeout=10, retries=3)
        assert time.monotonic() - began < 1


def test_only_waiting_counts_not_what_is_done_between_the_bytes() -> None:
    with dripping(HTTP % (len(BODY), BODY), pause=0, at_once=HEAD) as port:
        with answered_within(0.2, FAST):
            answer = urllib3.request("GET", f"http://127.0.0.1:{port}/", preload_content=False, timeout=10)
        time.sleep(0.4)
        assert answer.read() == BODY


def test_a_timeout_of_the_client_that_is_shorter_stays() -> None:
    with dripping() as port, answered_within(60, FAST):
        began = time.monotonic()
        with pytest.raises(urllib3.exceptions.ReadTimeoutError):
            urllib3.request("GET", f"http://127.0.0.1:{port}/", timeout=0.2, retries=False)
        assert time.monotonic() - began < 2


def test_who_has_less_patience_keeps_it_and_who_has_more_gives_it_up() -> None:
    for outer, inner in ((0.2, 60), (60, 0.2)):
        with dripping() as port:
            began = time.monotonic()
            refused = pytest.raises(urllib3.exceptions.ReadTimeoutError)
            with answered_within(outer, FAST), answered_within(inner, FAST), refused:
                urllib3.request("GET", f"http://127.0.0.1:{port}/", timeout=10, retries=False)
            assert time.monotonic() - began < 2
