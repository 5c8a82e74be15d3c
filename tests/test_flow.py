"""Lanes, `ahead`, `clauses` and the counting of time."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.errors import EngineFailed
from assistant.flow import Here, Lane, Span, ahead, clauses, covered, engine_spans
from tests.world import in_virtual_time, now


class Source:
    """Counts what it made, and whether it was closed."""

    def __init__(self, count: int = 100, fail_at: int | None = None, takes: float = 0.0) -> None:
        self.made, self.closed = 0, False
        self._count, self._fail_at, self._takes = count, fail_at, takes

    async def items(self) -> AsyncGenerator[int]:
        try:
            for number in range(self._count):
                if number == self._fail_at:
                    raise EngineFailed("It failed.")
                await asyncio.sleep(self._takes)
                self.made += 1
                yield number
        finally:
            self.closed = True


@given(room=st.integers(1, 6), count=st.integers(0, 20))
def test_ahead_makes_exactly_so_many_before_they_are_asked_for(room: int, count: int) -> None:
    async def story() -> None:
        source, taken = Source(count), 0
        async with aclosing(ahead(source.items(), room)) as items:
            async for number in items:
                assert number == taken
                taken += 1
                await asyncio.sleep(1)  # long enough to make all that may be made
                assert source.made == min(count, taken + room)
        assert (taken, source.closed) == (count, True)

    in_virtual_time(story())


async def test_ahead_overlaps_making_with_taking() -> None:
    async for _ in ahead(Source(10, takes=1.0).items(), 2):
        await asyncio.sleep(1.0)
    assert now() == pytest.approx(11.0)  # and not 20


async def test_ahead_gives_what_was_made_before_the_fault() -> None:
    source, taken = Source(fail_at=3), []

    async def take() -> None:
        async for number in ahead(source.items(), 5):
            taken.append(number)
            await asyncio.sleep(1)

    with pytest.raises(EngineFailed):
        await take()
    assert taken == [0, 1, 2]
    assert source.closed


async def test_closing_ahead_closes_its_source() -> None:
    source = Source(takes=1.0)
    async with aclosing(ahead(source.items(), 2)) as items:
        await anext(items)
    assert source.closed


async def test_cancelling_ahead_closes_its_source_and_is_no_group_of_errors() -> None:
    source = Source(takes=1.0)

    async def take() -> None:
        async with aclosing(ahead(ahead(source.items(), 2), 2)) as items:
            async for _ in items:
                await asyncio.sleep(0.5)

    task = asyncio.create_task(take())
    await asyncio.sleep(3.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.closed
    assert len(asyncio.all_tasks()) == 1


async def spoken(pieces: list[str]) -> list[str]:
    async def words() -> AsyncGenerator[str]:
        for piece in pieces:
            yield piece

    return [clause async for clause in clauses(words())]


PIECES = st.lists(st.text(alphabet="ab é1,.;:!?…\"')]\u2013\u2014\n\t", max_size=8), max_size=30)


@given(PIECES)
def test_clauses_lose_no_word(pieces: list[str]) -> None:
    found = in_virtual_time(spoken(pieces))
    assert re.findall(r"\w+", " ".join(found)) == re.findall(r"\w+", "".join(pieces))
    assert all(clause == clause.strip() != "" for clause in found)


async def test_the_first_clause_is_short_and_the_next_are_sentences() -> None:
    text = "Well, to begin with, it is red. It grows, as you know, on trees. Good?"
    assert await spoken(list(text)) == [
        "Well, to begin with,",  # "Well," alone is not worth a breath
        "it is red.",
        "It grows, as you know, on trees.",
        "Good?",
    ]
    assert await spoken(["It is 3.5 kilometres to 10,000 feet"]) == [
        "It is 3.5 kilometres to 10,000 feet"
    ]


class Engine:
    name = "engine"

    def __init__(self) -> None:
        self.busy = 0
        self.closed = False
        self.threads = {threading.get_ident()}

    def work(self, number: int) -> int:
        self.threads.add(threading.get_ident())
        self.busy += 1
        assert self.busy == 1
        time.sleep(0.001)
        self.busy -= 1
        return number

    def count(self, last: int) -> Iterator[int]:
        try:
            for number in range(last):
                yield self.work(number)
        finally:
            self.closed = True

    def fail(self) -> None:
        raise ValueError("words that were said")


def test_a_lane_serves_one_caller_at_a_time_in_one_thread() -> None:
    engine: list[Engine] = []

    def make() -> Engine:
        engine.append(Engine())
        return engine[-1]

    async def story() -> None:
        lane = Lane(Here("engine", make))

        async def stream() -> list[int]:
            return [item async for item in lane.stream("count", 3)]

        calls = [lane.call("work", number) for number in range(8)]
        done = await asyncio.gather(*calls, stream(), stream())
        assert done == [*range(8), [0, 1, 2], [0, 1, 2]]
        await lane.close()

    asyncio.run(story())
    assert len(engine) == 1
    assert len(engine[0].threads) == 1
    assert threading.get_ident() not in engine[0].threads


def test_a_stream_closed_or_cancelled_on_the_way_leaves_the_lane_usable() -> None:
    async def story() -> None:
        engine = Engine()
        lane = Lane(Here("engine", lambda: engine))
        async with aclosing(lane.stream("count", 1000)) as items:
            assert await anext(items) == 0
        assert await lane.call("work", 7) == 7  # queued behind the closing
        assert engine.closed

        async def consume() -> None:
            async with aclosing(lane.stream("count", 10_000)) as items:
                async for _ in items:
                    pass

        task = asyncio.create_task(consume())
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await lane.call("work", 8) == 8
        await lane.close()

    asyncio.run(story())


def test_a_librarys_error_becomes_a_sentence_without_its_words() -> None:
    async def story() -> None:
        lane = Lane(Here("engine", Engine))
        with pytest.raises(EngineFailed) as told:
            await lane.call("fail")
        assert told.value.sentence == "The engine engine failed: ValueError."
        assert await lane.call("work", 1) == 1
        await lane.close()

    asyncio.run(story())


def test_a_lane_notes_its_engines_time_and_not_the_waiting() -> None:
    async def story() -> list[Span]:
        spans: list[Span] = []
        engine_spans.set(spans)
        lane = Lane(Here("engine", Engine))
        await lane.call("work", 1)
        await asyncio.gather(*(lane.call("work", 1) for _ in range(3)))
        await lane.close()
        return spans

    spans = asyncio.run(story())
    assert [span.engine for span in spans] == ["engine load", *["engine"] * 4]
    ends = [0.0, *(span.end for span in spans)]
    assert all(span.start >= end for span, end in zip(spans, ends, strict=False))


SPANS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=12)


@given(SPANS)
def test_covered_counts_every_second_once(spans: list[tuple[int, int]]) -> None:
    seconds = {second for start, long in spans for second in range(start, start + long)}
    assert covered([Span("", start, start + long) for start, long in spans]) == len(seconds)
