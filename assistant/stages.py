"""When what happened: the turn's own clock, and the facts of each stage.

Overhead is measured in every turn, not only in benchmarks: it is the turn's time less the union of
what engines worked (flow.Span) and what the speaker took to take and play the sound.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

from assistant.errors import AssistantError, defect
from assistant.events import Bus, Ended, Failed, Staged, Started
from assistant.flow import Span, covered, engine_spans
from assistant.ports import Speaker
from assistant.turn import Sound, Turn

T = TypeVar("T")


@dataclass(slots=True)
class _Record:
    """Of the running turn: its start on the monotonic clock, and who was busy when."""

    start: float
    engines: list[Span] = field(default_factory=list)
    devices: list[Span] = field(default_factory=list)
    playing: bool = False
    """Whether the speaker was asked to play: before, its `heard` is of another turn."""


_record: ContextVar[_Record] = ContextVar("record")


@asynccontextmanager
async def told(
    bus: Bus, turn: Turn, at: float, speaker: Speaker, uses: Mapping[str, str]
) -> AsyncGenerator[None]:
    """Publishes Started, and at the end Ended or Failed. A fault that nobody foresaw becomes a
    Defect, so that a turn never ends without a word."""
    record = _Record(time.monotonic())
    _record.set(record)
    engine_spans.set(record.engines)
    bus.publish(Started(turn.id, turn.origin, at, uses))
    try:
        yield
    except asyncio.CancelledError:
        bus.publish(_ended(turn, record, speaker, interrupted=True))
        raise
    except Exception as error:
        fault = error if isinstance(error, AssistantError) else defect(error)
        took = time.monotonic() - record.start
        bus.publish(Failed(turn.id, fault.code, fault.sentence, fault.mend, took))
        if fault is error:
            raise
        raise fault from error
    else:
        bus.publish(_ended(turn, record, speaker, interrupted=False))


@asynccontextmanager
async def stage(bus: Bus, turn: Turn, name: str, engine: str = "") -> AsyncGenerator[None]:
    """Publishes how long the block took, if it succeeds."""
    start = time.monotonic()
    yield
    bus.publish(
        Staged(turn.id, name, start - _record.get().start, time.monotonic() - start, engine)
    )


async def timed(
    bus: Bus, turn: Turn, name: str, items: AsyncIterator[T], engine: str = ""
) -> AsyncGenerator[T]:
    """The same items; publishes when the first came and how long all took."""
    start, first = time.monotonic(), None
    began = _record.get().start
    async with aclosing(items) as each:  # type: ignore[type-var]
        async for item in each:
            first = first or time.monotonic() - began
            yield item
    bus.publish(Staged(turn.id, name, start - began, time.monotonic() - start, engine, first))


async def played(speaker: Speaker, sounds: AsyncIterator[Sound]) -> None:
    """Plays the sounds; the time in which the speaker has one in hand is the device's."""
    record, since = _record.get(), time.monotonic()
    record.playing = True

    async def handed() -> AsyncGenerator[Sound]:
        nonlocal since
        record.devices.append(Span(speaker.name, since, time.monotonic()))  # it opened
        async for sound in sounds:
            since = time.monotonic()
            yield sound
            record.devices.append(Span(speaker.name, since, time.monotonic()))
        since = time.monotonic()

    async with aclosing(handed()) as each:
        await speaker.play(each)
    record.devices.append(Span(speaker.name, since, time.monotonic()))


def _ended(turn: Turn, record: _Record, speaker: Speaker, interrupted: bool) -> Ended:
    took = time.monotonic() - record.start
    busy = covered(record.engines + record.devices)
    heard = speaker.heard if record.playing else 0.0
    return Ended(turn.id, took, covered(record.engines), max(0.0, took - busy), heard, interrupted)
