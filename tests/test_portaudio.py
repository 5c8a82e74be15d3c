"""The ring between a device's callback and the event loop, and the patience with blocking calls."""

from __future__ import annotations

import asyncio
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware import portaudio
from hardware.portaudio import Ring


@given(st.integers(1, 50), st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=60))
def test_the_ring_is_a_bounded_queue(size: int, steps: list[tuple[bool, int]]) -> None:
    ring, waiting, put = Ring(size), list[float](), 0
    for is_put, count in steps:
        if is_put:
            samples = np.arange(put, put + count, dtype=np.float32)
            taken = ring.put(samples)
            assert taken == min(count, size - len(waiting))
            waiting += samples[:taken].tolist()
            put += taken
        else:
            into = np.full(count, -1, np.float32)
            given_ = ring.take(into)
            assert given_ == min(count, len(waiting))
            assert into[:given_].tolist() == waiting[:given_]
            assert (into[given_:] == -1).all()
            del waiting[:given_]
        assert ring.filled == len(waiting)
        assert ring.room == size - len(waiting)


def test_one_writes_while_one_reads() -> None:
    ring, total = Ring(1000), 50_000
    source = np.arange(total, dtype=np.float32)

    def write() -> None:
        at = 0
        while at < total:
            at += ring.put(source[at : at + 333])
            time.sleep(0)

    writer = threading.Thread(target=write)
    writer.start()
    out = np.empty(total, np.float32)
    at = 0
    while at < total:
        at += ring.take(out[at : at + 777])
        time.sleep(0)
    writer.join()
    np.testing.assert_array_equal(out, source)


class Call:
    """A blocking call that ends when it is told to, and a note of what became of its result."""

    def __init__(self) -> None:
        self.begun, self.end, self.undone = (threading.Event() for _ in range(3))

    def __call__(self) -> str:
        self.begun.set()
        assert self.end.wait(20)
        return "stream"

    def undo(self, result: str) -> None:
        assert result == "stream"
        self.undone.set()


def test_a_call_in_time_gives_its_result() -> None:
    call = Call()
    call.end.set()
    assert asyncio.run(portaudio._within(20, call, call.undo)) == "stream"
    assert not call.undone.is_set()


def test_a_call_that_comes_too_late_is_undone() -> None:
    call = Call()
    with pytest.raises(TimeoutError):
        asyncio.run(portaudio._within(0.01, call, call.undo, locked=True))
    call.end.set()
    assert call.undone.wait(20)


@pytest.mark.parametrize("ended", [False, True], ids=["while it waits", "with the result there"])
def test_a_call_that_is_cancelled_is_undone(ended: bool) -> None:
    """Otherwise a microphone would stay open that nobody listens to."""
    call = Call()

    async def cancelled() -> None:
        waiting = asyncio.create_task(portaudio._within(20, call, call.undo))
        await asyncio.sleep(0)
        assert call.begun.wait(20)
        if ended:
            call.end.set()
            threads = [one for one in threading.enumerate() if one.name == "portaudio"]
            for thread in threads:
                thread.join()  # the loop has not seen the result yet
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cancelled())
    call.end.set()
    assert call.undone.wait(20)


def test_a_call_that_fails_says_why() -> None:
    def fails() -> None:
        raise ValueError("no such device")

    with pytest.raises(ValueError, match="no such device"):
        asyncio.run(portaudio._within(20, fails))
