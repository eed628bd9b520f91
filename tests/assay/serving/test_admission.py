"""Load that cannot be answered in time is refused at once; what is at work counts until it ends."""

import asyncio
import threading

import pytest

from assay.serving.admission import Admission, Refused


def test_more_than_can_wait_is_refused_and_room_comes_back() -> None:
    async def scenario() -> None:
        gate, admission = threading.Event(), Admission(workers=1, waiting=1, seconds=30)
        running = [asyncio.create_task(admission.run(lambda n=n: gate.wait(20) and n)) for n in range(2)]
        await asyncio.sleep(0)
        assert admission.busy == 2
        with pytest.raises(Refused) as refused:
            await admission.run(lambda: 0)
        assert (refused.value.status, refused.value.seconds) == (503, 1)
        gate.set()
        assert await asyncio.gather(*running) == [0, 1]
        assert await admission.run(lambda: 7) == 7
        await asyncio.sleep(0)
        assert admission.busy == 0
        admission.close()

    asyncio.run(scenario())


def test_what_takes_too_long_is_refused_and_what_had_not_begun_never_does() -> None:
    async def scenario() -> None:
        gate, began = threading.Event(), []
        admission = Admission(workers=1, waiting=5, seconds=0.02)
        slow = asyncio.create_task(admission.run(lambda: gate.wait(20)))
        await asyncio.sleep(0)  # it begins
        with pytest.raises(Refused, match=r"within 0\.02 s"):
            await admission.run(lambda: began.append(1))
        with pytest.raises(Refused):
            await slow
        assert admission.busy == 1, "the slow one is at work still"
        gate.set()
        while admission.busy:
            await asyncio.sleep(0.001)
        assert began == []
        admission.close()

    asyncio.run(scenario())


def test_a_client_may_send_a_rate_and_others_do_not_suffer() -> None:
    admission, clock = Admission(rate=2), [0.0]
    for _ in range(2):
        admission.admit("a", lambda: clock[0])
    with pytest.raises(Refused) as refused:
        admission.admit("a", lambda: clock[0])
    assert refused.value.status == 429
    admission.admit("b", lambda: clock[0])
    clock[0] = 0.5
    admission.admit("a", lambda: clock[0])
    with pytest.raises(Refused):
        admission.admit("a", lambda: clock[0])
    clock[0] = 99.0
    for _ in range(2):
        admission.admit("a", lambda: clock[0])
    with pytest.raises(Refused):
        admission.admit("a", lambda: clock[0])
    for _ in range(9):
        Admission().admit("a", lambda: 0.0)
