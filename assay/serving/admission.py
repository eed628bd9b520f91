"""Which requests are let in: few at work at a time, some that wait, and no more of them than can be answered in time."""

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

_FORGET = 10_000  # clients that are remembered


class Refused(Exception):
    """A request that is not answered now. `status` is that of HTTP; `seconds`: after them it may be sent again."""

    def __init__(self, status: int, message: str, seconds: int) -> None:
        super().__init__(message)
        self.status, self.seconds = status, seconds


@dataclass(slots=True)
class Admission:
    """Runs what is let in, in threads.

    Args:
        workers: How many requests are worked on at a time.
        waiting: How many more may wait.
        seconds: How long a request may take, with its waiting.
        rate: Requests per second that one client may send, on average; 0: any number.
    """

    workers: int = 2
    waiting: int = 64
    seconds: float = 2.0
    rate: float = 0
    _busy: int = field(default=0, init=False)
    _allowance: dict[str, tuple[float, float]] = field(default_factory=dict, init=False)
    _pool: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(self.workers, "features")

    @property
    def busy(self) -> int:
        """How many requests are being worked on, or wait."""
        return self._busy

    async def run(self, work: Callable[[], T]) -> T:
        """What the work returns. Raises Refused (503) where too many wait, or it takes too long."""
        if self._busy >= self.workers + self.waiting:
            raise Refused(503, "Too many requests wait: send it again.", 1)
        self._busy += 1
        loop, future = asyncio.get_running_loop(), self._pool.submit(work)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._done))
        try:
            # One that has begun works on, and counts as busy until it ends; one that has not is dropped.
            return await asyncio.wait_for(asyncio.wrap_future(future), self.seconds)
        except TimeoutError:
            raise Refused(503, f"No answer within {self.seconds:g} s: send it again.", 1) from None

    def _done(self) -> None:
        self._busy -= 1

    def admit(self, client: str, now: Callable[[], float] = time.monotonic) -> None:
        """Count a request of a client. Raises Refused (429) where it sends more than it may; a second's worth comes at once."""
        if not self.rate:
            return
        most = max(1.0, self.rate)
        at = now()
        left, then = self._allowance.get(client, (most, at))
        left = min(most, left + (at - then) * self.rate)
        if len(self._allowance) > _FORGET:
            self._allowance.clear()
        self._allowance[client] = (left - 1 if left >= 1 else left, at)
        if left < 1:
            raise Refused(
                429, f"More than {self.rate:g} requests per second: send fewer.", math.ceil((1 - left) / self.rate)
            )

    def close(self) -> None:
        """Let nothing more in."""
        self._pool.shutdown(wait=False, cancel_futures=True)
