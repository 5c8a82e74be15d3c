"""Facts about turns, frozen, and the Bus that tells them.

Commands go by call, facts go by event. A reader returns nothing and holds no handle on the turn,
so it cannot decide. Events that carry the wearer's words say so: they go to the terminal, the
socket's client and the journal, never to a log.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from assistant.errors import AssistantError, Defect


@dataclass(frozen=True, slots=True)
class Event:
    """`turn` is the id of the turn that the fact is about; empty: the daemon itself."""

    turn: str


@dataclass(frozen=True, slots=True)
class Started(Event):
    origin: str
    at: float
    """Seconds since 1970, by the wall clock."""
    uses: Mapping[str, str] = field(default_factory=dict)
    """Which engine does what: hears, reads, thinks, speaks."""


@dataclass(frozen=True, slots=True)
class Staged(Event):
    """A stage of the walk: when it began after the turn's start and how long it took, in seconds.

    For a stage that streams, `first` is when its first item came, after the turn's start.
    """

    name: str
    start: float
    seconds: float
    engine: str = ""
    first: float | None = None


@dataclass(frozen=True, slots=True)
class Asked(Event):
    """The wearer's words, and the recogniser that heard them; no recogniser: they were typed."""

    text: str
    confidence: float = 1.0
    engine: str = ""


@dataclass(frozen=True, slots=True)
class Routed(Event):
    """Which tier answered, with what tool, and the facts of its receipt (counts, no words)."""

    tier: str
    tool: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Said(Event):
    """A piece of the reply's words, as it comes."""

    text: str


@dataclass(frozen=True, slots=True)
class Ended(Event):
    """The turn is over. `engines` and `overhead` split its seconds: overhead is all that was
    neither an engine's work nor a device's playing; `heard` is the sound that left the speaker."""

    seconds: float
    engines: float
    overhead: float
    heard: float
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Failed(Event):
    code: str
    sentence: str
    mend: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Noticed(Event):
    """Something that the wearer should know outside of any turn: a device missing, a spare used."""

    sentence: str
    code: str = ""


KINDS: dict[str, type[Event]] = {
    kind.__name__: kind for kind in (Started, Staged, Asked, Routed, Said, Ended, Failed, Noticed)
}


def to_json(event: Event) -> str:
    return json.dumps({"event": type(event).__name__, **asdict(event)}, default=str)


def from_json(line: str | bytes) -> Event:
    """The event of a line. Raises ValueError or TypeError where it is none."""
    fields = json.loads(line)
    kind = KINDS.get(fields.pop("event", "")) if isinstance(fields, dict) else None
    if kind is None:
        raise ValueError("no event of that name")
    return kind(**fields)


Reader = Callable[[Event], Awaitable[None]]


MOST_TROUBLE = 16
"""Errors of readers that are kept; on a full disk every event raises one."""


class Bus:
    """Tells every event to every reader, in order, each reader at its own pace.

    A reader's backlog is bounded: past `room` events the newest are dropped and counted. What a
    reader raises is kept in `trouble`, the first few of it, and the reader is asked again at the
    next event.
    """

    def __init__(self, room: int = 4096) -> None:
        self.trouble: list[AssistantError | BrokenPipeError] = []
        self.dropped = 0
        self._room = room
        self._queues: list[asyncio.Queue[Event]] = []
        self._tasks: list[asyncio.Task[None]] = []

    def subscribe(self, reader: Reader) -> Callable[[], None]:
        """Begins to tell `reader`; the result, when called, ends it."""
        queue: asyncio.Queue[Event] = asyncio.Queue(self._room)
        task = asyncio.create_task(self._tell(queue, reader))
        self._queues.append(queue)
        self._tasks.append(task)

        def unsubscribe() -> None:
            if task not in self._tasks:
                return  # the bus was closed
            task.cancel()
            self._queues.remove(queue)
            self._tasks.remove(task)
            while not queue.empty():  # or `drain` would wait for a reader that is gone
                queue.get_nowait()
                queue.task_done()

        return unsubscribe

    def publish(self, event: Event) -> None:
        for queue in self._queues:
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                self.dropped += 1

    async def drain(self) -> None:
        """Returns when every reader has taken all that was published."""
        for queue in list(self._queues):
            await queue.join()

    async def close(self) -> None:
        await self.drain()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._queues.clear()
        self._tasks.clear()

    async def _tell(self, queue: asyncio.Queue[Event], reader: Reader) -> None:
        while True:
            event = await queue.get()
            try:
                await reader(event)
            except Exception as error:  # a reader that ended would block `drain` for ever
                self._note(error)
            finally:
                queue.task_done()

    def _note(self, error: Exception) -> None:
        if not isinstance(error, AssistantError | BrokenPipeError):
            error = Defect(f"Something in me went wrong: {type(error).__name__}.")
        if len(self.trouble) < MOST_TROUBLE:
            self.trouble.append(error)
