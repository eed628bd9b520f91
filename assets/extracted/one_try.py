"""While planning looks, a request of dlt's client is made once and not for long. By default it is repeated with pauses, which
stops whoever plans for half a minute. In a run it is repeated as ever; but no answer may come a byte now and then.

Sessions are made by the resource, so that only the adapter of `requests` sees them all.
"""

import functools
from typing import Any

from assay.assets.http_deadline import answered_within
from assay.assets.silent import CONNECT_SECONDS, looking

READ_SECONDS = 10
_RUN_SECONDS = 120.0  # that a run waits for one answer
_SPEED = 10_000  # bytes in a second, besides
LATER = (408, 425, 429)  # and 500 to 599: the server says to ask again


class NotRepeated(Exception):
    """A request that would be repeated in a run. dlt's client does not know this error, and so does not repeat it."""

    def __init__(self, response: Any = None) -> None:
        self.response = response
        super().__init__("not repeated while planning")


@functools.cache
def try_once_while_looking() -> None:
    """Let no request of this process be repeated while planning looks."""
    from requests import ConnectionError, Timeout
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    @functools.wraps(send)
    def once(
        self: HTTPAdapter, request: Any, stream: bool = False, timeout: Any = None, *given: Any, **named: Any
    ) -> Any:
        if not looking():
            with answered_within(_RUN_SECONDS, _SPEED):
                return send(self, request, stream, timeout, *given, **named)
        try:
            with answered_within(READ_SECONDS, _SPEED):
                response = send(self, request, stream, _short(timeout), *given, **named)
            if not stream:
                _ = response.content  # here, where what fails is not repeated
        except (ConnectionError, Timeout) as problem:
            raise NotRepeated from problem
        if asks_for_later(response.status_code):
            response.close()
            raise NotRepeated(response)
        return response

    HTTPAdapter.send = once


def asks_for_later(status: int) -> bool:
    """Whether an HTTP status says that the server cannot answer now."""
    return status in LATER or status >= 500


def _short(timeout: Any) -> tuple[float, float]:
    """Of a timeout as `requests` takes them, with what planning waits at most."""
    if isinstance(timeout, tuple | list) and len(timeout) == 2:
        connect, read = timeout
    else:
        connect = read = timeout if isinstance(timeout, int | float) else None
    return min(connect or CONNECT_SECONDS, CONNECT_SECONDS), min(read or READ_SECONDS, READ_SECONDS)
