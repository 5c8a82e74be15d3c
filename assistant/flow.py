"""How work flows: lanes that make engines awaitable, `ahead` that overlaps, `clauses` to speak.

Work is pulled: a stage runs when the next one asks for an item. It overlaps only where `ahead(n)`
is written. The one signal that travels upstream is cancellation.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from assistant.errors import AssistantError, EngineFailed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Span:
    """Time that an engine really worked, in seconds of the monotonic clock."""

    engine: str
    start: float
    end: float


engine_spans: ContextVar[list[Span] | None] = ContextVar("engine_spans", default=None)
"""Where the lanes of the running turn note their engines' time; None: nobody counts."""


def covered(spans: list[Span]) -> float:
    """Seconds in which at least one engine worked: overlapping spans count once."""
    total, until = 0.0, float("-inf")
    for span in sorted(spans, key=lambda span: span.start):
        total += max(0.0, span.end - max(span.start, until))
        until = max(until, span.end)
    return total


class Worker(Protocol):
    """What a lane drives, always from its one thread: an engine here, or one in a child process."""

    name: str
    seconds: float
    """What the engine itself took for the latest load, call or item."""

    def load(self) -> None: ...
    def call(self, method: str, *arguments: Any) -> Any: ...
    def stream(self, method: str, *arguments: Any) -> Iterator[Any]: ...
    def close(self) -> None: ...


class Here:
    """An engine in this process. It is made at the first use, in the lane's thread."""

    def __init__(self, name: str, make: Callable[[], Any]) -> None:
        self.name, self.seconds = name, 0.0
        self._make = make
        self._engine: Any = None

    def load(self) -> None:
        if self._engine is None:
            self._engine = self._timed(self._make)

    def call(self, method: str, *arguments: Any) -> Any:
        return self._timed(lambda: getattr(self._engine, method)(*arguments))

    def stream(self, method: str, *arguments: Any) -> Iterator[Any]:
        items = getattr(self._engine, method)(*arguments)
        try:
            while (item := self._timed(lambda: next(items, _END))) is not _END:
                yield item
        finally:
            items.close()

    def close(self) -> None:
        self._engine = None

    def _timed(self, work: Callable[[], T]) -> T:
        start = time.monotonic()
        try:
            return work()
        except (AssistantError, MemoryError):
            raise
        except Exception as error:  # a library's own errors differ; the turn needs one sentence
            raise EngineFailed(f"The engine {self.name} failed: {type(error).__name__}.") from error
        finally:
            self.seconds = time.monotonic() - start


class _End:
    pass


_END = _End()


class Lane:
    """Makes one engine awaitable: one worker thread, one caller at a time.

    A stream is pulled one item at a time and holds the lane until it is closed. Cancelling a
    caller does not stop the engine within an item; the next caller waits for that item's end.
    """

    def __init__(self, worker: Worker) -> None:
        self.name = worker.name
        self._worker = worker
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"lane-{worker.name}")
        self._turnstile = asyncio.Lock()
        self._loaded = 0.0
        """When the engine was last made ready, by the monotonic clock."""
        self._closed = False

    async def load(self) -> None:
        """Makes the engine ready now instead of at its first use."""
        since, spans = time.monotonic(), engine_spans.get()
        async with self._turnstile:
            if self._loaded > since and spans is not None:  # someone else's load was waited for
                spans.append(Span(f"{self.name} load", since, self._loaded))
            await self._run(f"{self.name} load", self._worker.load)
            if self._worker.seconds > 0:
                self._loaded = time.monotonic()

    async def call(self, method: str, *arguments: Any) -> Any:
        await self.load()
        async with self._turnstile:
            return await self._run(self.name, lambda: self._worker.call(method, *arguments))

    async def stream(self, method: str, *arguments: Any) -> AsyncGenerator[Any]:
        await self.load()
        async with self._turnstile:
            items = self._worker.stream(method, *arguments)
            try:
                while True:
                    item = await self._run(self.name, lambda: next(items, _END))
                    if item is _END:
                        return
                    yield item
            finally:
                # Queued behind the item that may still be computing; the thread keeps the order.
                self._thread.submit(items.close)  # type: ignore[attr-defined]

    async def close(self) -> None:
        """Ends the engine. A call that still runs is waited for, except in a child: it is ended."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        if getattr(self._worker, "ends_at_once", False):
            self._worker.close()
        else:
            self._thread.submit(self._worker.close)
        self._thread.shutdown(wait=True)

    async def _run(self, name: str, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._counted, name, work, engine_spans.get()
        )

    def _counted(self, name: str, work: Callable[[], Any], spans: list[Span] | None) -> Any:
        self._worker.seconds = 0.0
        try:
            return work()
        finally:
            end = time.monotonic()
            if spans is not None and self._worker.seconds > 0:
                spans.append(Span(name, end - self._worker.seconds, end))


async def ahead(items: AsyncIterator[T], room: int) -> AsyncGenerator[T]:
    """The same items, up to `room` of them made before they are asked for.

    The maker is a plain task, ended and awaited in `finally`: a TaskGroup around a `yield` would
    turn a barge-in into an ExceptionGroup.
    """
    queue: asyncio.Queue[T | _End] = asyncio.Queue()
    free = asyncio.Semaphore(room)  # taken before an item is made: a full queue would come too late

    async def make() -> None:
        try:
            while True:
                await free.acquire()
                queue.put_nowait(await anext(items))
        except StopAsyncIteration:
            queue.put_nowait(_END)
        finally:
            if hasattr(items, "aclose"):
                await items.aclose()

    maker = asyncio.create_task(make())
    try:
        while True:
            getter = asyncio.create_task(queue.get())
            try:
                await asyncio.wait({getter, maker}, return_when=asyncio.FIRST_COMPLETED)
                if not getter.done() and queue.empty():
                    await maker  # it failed: everything it made was taken, so say why
                item = await getter
            finally:
                getter.cancel()
            if isinstance(item, _End):
                return
            free.release()
            yield item
    finally:
        maker.cancel()
        with suppress(asyncio.CancelledError, AssistantError):
            await maker


_SENTENCE = re.compile(r"(?<=[.!?…])[\"')\]]*\s+|\n+")
_CLAUSE = re.compile(r"(?<=[,;:.!?…])[\"')\]]*\s+|\n+|\s+[\u2013\u2014]\s+")
_FIRST = 12
"""Characters. A first clause shorter than this is not worth a breath of its own."""


async def clauses(words: AsyncIterator[str]) -> AsyncGenerator[str]:
    """Text in pieces -> what to speak at once: the first clause as soon as it ends, then whole
    sentences, so that the voice starts early and stays natural."""
    text, first = "", True
    async with aclosing(words) as pieces:  # type: ignore[type-var]
        async for piece in pieces:
            text += piece
            while cut := _cut(text, first):
                said, text = text[: cut.start()].strip(), text[cut.end() :]
                if said:
                    first = False
                    yield said
    if text.strip():
        yield text.strip()


def _cut(text: str, first: bool) -> re.Match[str] | None:
    pattern, least = (_CLAUSE, _FIRST) if first else (_SENTENCE, 1)
    return next((cut for cut in pattern.finditer(text) if cut.start() >= least), None)


async def rejoined(first: T, rest: AsyncIterator[T]) -> AsyncGenerator[T]:
    """An item that was already taken, and those after it."""
    yield first
    async with aclosing(rest) as items:  # type: ignore[type-var]
        async for item in items:
            yield item
