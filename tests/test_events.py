"""Events, and the bus that tells them to readers who may be slow, broken or gone."""

from __future__ import annotations

import asyncio
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from assistant import log
from assistant.account import Account
from assistant.errors import Defect, DiskFull
from assistant.events import (
    KINDS,
    Asked,
    Bus,
    Ended,
    Event,
    Failed,
    Noticed,
    Routed,
    Said,
    Staged,
    Started,
    from_json,
    to_json,
)

EVERY: list[Event] = [
    Started("t1", "typed", 12.5, {"hears": "ears"}),
    Staged("t1", "reply", 0.5, 1.25, "model", 0.75),
    Asked("t1", "grüße \u2028 \N{ALARM CLOCK}", 0.5, "ears"),
    Routed("t1", "built-in", "read_text", {"words": 14}, 0.934),
    Said("t1", "a\nb"),
    Ended("t1", 2.0, 1.0, 0.01, 0.5, True),
    Failed("t1", "no-speech", "I heard no speech.", "Speak.", 0.1),
    Noticed("", "There is no microphone.", "device-missing"),
]


def test_every_kind_is_here() -> None:
    assert {type(event) for event in EVERY} == set(KINDS.values())


@pytest.mark.parametrize("event", EVERY, ids=lambda event: type(event).__name__)
def test_it_crosses_the_socket_as_one_line(event: Event) -> None:
    line = to_json(event)
    assert "\n" not in line
    assert from_json(line) == event
    with pytest.raises((FrozenInstanceError, TypeError)):
        event.turn = "other"  # type: ignore[misc]


@pytest.mark.parametrize("line", ["", "5", "[]", "{}", "null", '{"event": "Said"}', '{"event": 5}'])
def test_a_line_that_is_no_event(line: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        from_json(line)


def test_a_turns_account() -> None:
    account = Account("t1")
    for event in EVERY[:6]:
        assert not account.over
        account.take(event)
    assert account.over
    assert account.path == "built-in: read_text, 14 words, confidence 0.93"
    known = account.to_dict()
    assert (known["reply"], known["interrupted"], known["total_ms"]) == ("a\nb", True, 2000.0)
    assert known["stages"][0]["first_ms"] == 750.0


async def test_a_slow_reader_holds_up_nobody_and_hears_everything_in_order() -> None:
    bus, fast, slow = Bus(), [], []

    async def quick(event: Event) -> None:
        fast.append(event)

    async def tired(event: Event) -> None:
        await asyncio.sleep(1)
        slow.append(event)

    bus.subscribe(quick)
    bus.subscribe(tired)
    for event in EVERY:
        bus.publish(event)
    await asyncio.sleep(0.1)
    assert (fast, slow) == (EVERY, [])
    await bus.drain()
    assert slow == EVERY
    await bus.close()


async def test_past_its_room_the_newest_are_dropped_and_counted() -> None:
    bus, heard = Bus(room=3), []

    async def read(event: Event) -> None:
        heard.append(event)

    bus.subscribe(read)
    for number in range(10):
        bus.publish(Said(str(number), ""))
    await bus.close()
    assert [event.turn for event in heard] == ["0", "1", "2"]
    assert bus.dropped == 7


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (DiskFull("No space."), DiskFull),
        (ValueError("secret"), Defect),
        (BrokenPipeError(), BrokenPipeError),
    ],
)
async def test_a_broken_reader_is_remembered_and_blocks_nobody(
    error: Exception, kept: type[Exception]
) -> None:
    bus = Bus()

    async def read(_: Event) -> None:
        raise error

    bus.subscribe(read)
    for _ in range(1000):
        bus.publish(EVERY[0])
    await asyncio.wait_for(bus.close(), 10)
    assert isinstance(bus.trouble[0], kept)
    assert "secret" not in str(bus.trouble[0])
    assert len(bus.trouble) < 100


async def test_who_unsubscribed_hears_no_more_and_is_not_waited_for() -> None:
    bus, heard = Bus(), []

    async def read(event: Event) -> None:
        heard.append(event)
        await asyncio.sleep(1)

    unsubscribe = bus.subscribe(read)
    bus.publish(EVERY[0])
    bus.publish(EVERY[1])
    closing = asyncio.create_task(bus.close())
    await asyncio.sleep(0.5)
    unsubscribe()
    bus.publish(EVERY[2])
    await asyncio.wait_for(closing, 10)
    unsubscribe()  # twice, and after the end, is no fault
    assert heard == [EVERY[0]]


def test_no_field_with_words_is_logged() -> None:
    harmful = {"text", "sentence", "mend", "facts", "uses"}
    assert harmful.isdisjoint(log.HARMLESS)
    fields: set[str] = set()
    for kind in KINDS.values():
        fields |= set(kind.__dataclass_fields__)
    assert fields - set(log.HARMLESS) == harmful | {"at"}, "a new field: harmless or not?"


def test_facts_are_not_changed() -> None:
    event: Any = EVERY[3]
    assert replace(event, tool="x") != event
