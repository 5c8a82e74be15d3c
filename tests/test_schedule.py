"""Timers as rows: which clock they go by, and that each is claimed once."""

from __future__ import annotations

import asyncio

import pytest

from assistant.schedule import Timer, Timers, announcement
from tests.world import FakeClock, FakeStore


def timers(store: FakeStore | None = None) -> tuple[Timers, FakeClock]:
    clock = FakeClock()
    return Timers(store or FakeStore(), clock), clock  # type: ignore[arg-type]


async def test_a_timer_counts_down_and_is_taken_once() -> None:
    each, _ = timers()
    timer = await each.set(60.0, "tea", "turn")
    assert each.changed.is_set()
    await asyncio.sleep(59)
    assert each.left(timer) == pytest.approx(1.0)
    await asyncio.sleep(1)
    assert each.left(timer) <= 0
    taken = await asyncio.gather(each.take(timer.id), each.take(timer.id))
    assert sorted(taken, key=bool) == [None, timer]
    assert await each.running() == []


async def test_the_soonest_comes_first() -> None:
    each, _ = timers()
    for seconds in (30.0, 10.0, 20.0):
        await each.set(seconds, "", "turn")
    assert [timer.seconds for timer in await each.running()] == [10.0, 20.0, 30.0]


async def test_it_goes_by_the_machines_clock_until_the_machine_starts_anew() -> None:
    each, clock = timers()
    timer = await each.set(60.0, "", "turn")
    clock.jumped = -86400.0  # the wall clock is set a day back
    assert each.left(timer) == pytest.approx(60.0)
    clock.jumped, clock.boots = 20.0, 2
    assert each.left(timer) == pytest.approx(40.0)


async def test_a_cancelled_one_is_gone_and_one_that_rang_cannot_be_cancelled() -> None:
    each, _ = timers()
    first, second = await each.set(1.0, "a", "turn"), await each.set(9.0, "b", "turn")
    await asyncio.sleep(2)
    await each.take(first.id)
    assert await each.cancel(first.id) is None
    assert await each.cancel(second.id) == second
    assert await each.take(second.id) is None


@pytest.mark.parametrize(
    ("name", "late", "said"),
    [
        ("", 0.0, "Your timer of 5 minutes is done."),
        ("tea", 4.9, "Your tea timer of 5 minutes is done."),
        ("", 5.0, "Your timer of 5 minutes is done. It was due 5 seconds ago."),
        ("", 90.2, "Your timer of 5 minutes is done. It was due 1 minute and 30 seconds ago."),
    ],
)
def test_what_is_said(name: str, late: float, said: str) -> None:
    assert announcement(Timer(1, name, 300.0, 0.0, 0.0, "boot"), late) == said
