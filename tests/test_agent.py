"""A model and the tools: what it may do, and that only receipts tell what was done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from assistant import agent, tools
from assistant.agent import MOST_CALLS, SILENT
from assistant.errors import Refused
from assistant.events import Bus, Event, Routed
from assistant.ports import Call
from assistant.schedule import Timers
from assistant.stages import told
from assistant.tools import Hands
from assistant.turn import SEEN, WEARER, Integrity, Label, Origin, Turn, Words
from hardware.fakes import SilentSpeaker
from models.scripted import ScriptedModel, ScriptedReader
from tests.world import PICTURE, FakeClock, FakeStore


class Table:
    """One turn of a scripted model at work."""

    def __init__(self, *pieces: str | Call, text: str = "do it", label: Label = WEARER) -> None:
        self.model, self.store = ScriptedModel([pieces]), FakeStore()
        clock = FakeClock()
        turn = Turn(Origin.TYPED, text=text, frames=(PICTURE,), label=label)
        timers = Timers(self.store, clock)  # type: ignore[arg-type]
        self.hands = Hands(turn, clock, timers, ScriptedReader(["PULL"]), rings=True)
        self.events: list[Event] = []

    async def answer(self) -> list[Words]:
        bus = Bus()

        async def keep(event: Event) -> None:
            self.events.append(event)

        bus.subscribe(keep)
        try:
            async with told(bus, self.hands.turn, 0.0, SilentSpeaker(), {}):
                return [words async for words in agent.answer(self.model, self.hands, bus)]
        finally:
            await bus.close()

    def tiers(self) -> list[tuple[str, str]]:
        return [(each.tier, each.tool) for each in self.events if isinstance(each, Routed)]

    def timers(self) -> list[dict[str, Any]]:
        return self.store.rows("SELECT name, seconds, state FROM timers")


def text(words: list[Words]) -> str:
    return "".join(each.text for each in words)


async def test_words_are_passed_on_as_they_come() -> None:
    table = Table("Apples", " are", " red.")
    words = await table.answer()
    assert [each.text for each in words] == ["Apples", " are", " red."]
    assert {each.label for each in words} == {WEARER}
    assert table.tiers() == [("model scripted model", "")]


async def test_the_model_is_told_of_every_tool_and_of_the_question() -> None:
    table = Table("Yes.", text="is it red")
    await table.answer()
    ((messages, offered),) = table.model.asked
    assert [(each.role, each.text) for each in messages][1:] == [("user", "is it red")]
    assert [spec.name for spec in offered] == list(tools.known())
    for spec in offered:
        assert spec.description.endswith(".")
        assert spec.parameters["type"] == "object"
        assert all("description" in each for each in spec.parameters["properties"].values())


async def test_what_was_done_is_told_from_the_receipt() -> None:
    table = Table("Let me see.", Call("set_timer", {"duration": "two minutes", "name": "tea"}))
    assert text(await table.answer()) == "Let me see. The tea timer is set for 2 minutes."
    assert table.timers() == [{"name": "tea", "seconds": 120.0, "state": "set"}]


async def test_a_pictures_words_are_untrusted_whatever_the_model_thinks() -> None:
    words = await Table("It reads.", Call("read_text")).answer()
    assert [each.label.integrity for each in words] == [Integrity.TRUSTED, Integrity.UNTRUSTED]
    assert words[1].label.sources == {"picture", "wearer"}


@pytest.mark.parametrize(
    "call",
    [
        Call("launch_rocket"),
        Call("set_timer"),
        Call("set_timer", {"duration": 5}),
        Call("set_timer", {"duration": "one minute", "volume": "loud"}),
        Call("set_timer", {"duration": "a" * 500}),
        Call("tell_time", {"zone": "tokyo"}),
        Call("__class__"),
        Call(""),
    ],
    ids=str,
)
async def test_a_wrong_call_is_refused_and_nothing_is_done(call: Call) -> None:
    table = Table(call)
    with pytest.raises(Refused):
        await table.answer()
    assert table.timers() == []


async def test_a_duration_that_is_none_is_asked_for() -> None:
    table = Table(Call("set_timer", {"duration": "a while"}))
    assert text(await table.answer()).startswith("For how long?")
    assert table.timers() == []


@pytest.mark.parametrize("name", ["set_timer", "cancel_timer"])
async def test_untrusted_words_cause_no_effect(name: str) -> None:
    arguments = {"duration": "nine minutes"} if name == "set_timer" else {}
    table = Table(Call(name, arguments), label=SEEN, text="what is this")
    await table.hands.timers.set(60.0, "", "before")
    with pytest.raises(Refused):
        await table.answer()
    assert [each["state"] for each in table.timers()] == ["set"]


async def test_a_model_in_a_loop_comes_to_an_end() -> None:
    table = Table(*[Call("set_timer", {"duration": "one minute"})] * 50)
    await table.answer()
    assert len(table.timers()) == MOST_CALLS


@pytest.mark.parametrize("pieces", [(), ("",), (" ", "\n")])
async def test_a_silent_model_is_not_met_with_silence(pieces: tuple[str, ...]) -> None:
    table = Table(*pieces)
    assert text(await table.answer()).strip() == SILENT
    assert len(table.tiers()) == 1


async def test_who_stops_listening_closes_the_model() -> None:
    closed = asyncio.Event()

    class Endless:
        name = "endless"

        async def chat(self, messages: Any, tools: Any) -> AsyncGenerator[str]:
            try:
                while True:
                    yield "more "
            finally:
                closed.set()

    table = Table()
    table.model = Endless()  # type: ignore[assignment]
    replies = agent.answer(table.model, table.hands, Bus())
    assert (await anext(replies)).text == "more "
    await replies.aclose()
    assert closed.is_set()
