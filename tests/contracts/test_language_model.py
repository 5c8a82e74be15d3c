"""What every LanguageModel must do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest

from assistant.child import Child
from assistant.engines import LaneLanguageModel
from assistant.ports import Call, LanguageModel, Message, ToolSpec
from models.scripted import ScriptedModel

from .conftest import STANDINS, MakeLane, Run, gathered, present

FILE = STANDINS / "chat/standin.gguf"
HELLO = [Message("user", "hello")]
TIMER = [Message("user", "set a timer for five minutes")]
TOOLS = [
    ToolSpec("tell_time", "Say the time of day.", {"type": "object", "properties": {}}),
    ToolSpec(
        "set_timer",
        "Start a timer.",
        {
            "type": "object",
            "properties": {"duration": {"type": "string"}, "name": {"type": "string"}},
            "required": ["duration"],
        },
    ),
]

Make = Callable[[list[str | Call]], LanguageModel]


@pytest.fixture(params=["scripted", "llama"])
def make(request: pytest.FixtureRequest, lane: MakeLane) -> Make:
    """Makes the model. The reply is the scripted one's; a real model knows its own."""
    if request.param == "scripted":
        return lambda reply: ScriptedModel([reply] * 3)
    file = str(present(FILE))
    return lambda _: LaneLanguageModel(lane(Child("models.llama:Llama", {"file": file})))


def test_a_greeting_is_answered_in_words(make: Make, run: Run) -> None:
    model = make(["Hello! ", "What can I do for you?"])
    pieces = run(gathered(model.chat(HELLO, [])))
    assert pieces
    assert all(isinstance(piece, str) and piece for piece in pieces)
    text = "".join(pieces)
    assert text == text.lstrip()
    assert any(sign.isalpha() for sign in text)


def test_a_tool_that_fits_is_called_and_the_call_is_not_spoken(make: Make, run: Run) -> None:
    model = make([Call("set_timer", {"duration": "five minutes"})])
    pieces = run(gathered(model.chat(TIMER, TOOLS)))
    calls = [piece for piece in pieces if isinstance(piece, Call)]
    assert [call.name for call in calls] == ["set_timer"]
    assert "minutes" in calls[0].arguments["duration"]
    spoken = "".join(piece for piece in pieces if isinstance(piece, str))
    assert not set(spoken) & set("<>{}")


def test_a_result_is_followed_by_words(make: Make, run: Run) -> None:
    call = Call("set_timer", {"duration": "five minutes"})
    told = [*TIMER, Message("assistant", "", (call,)), Message("tool", "Set for five minutes.")]
    pieces = run(gathered(make(["I will tell you."]).chat(told, TOOLS)))
    assert "".join(piece for piece in pieces if isinstance(piece, str)).strip()
    assert not any(isinstance(piece, Call) for piece in pieces)


def test_an_interrupted_reply_leaves_the_next_one_whole(make: Make, run: Run) -> None:
    model = make(["Hello! ", "What can I do for you?"])
    whole = run(gathered(model.chat(HELLO, [])))

    async def interrupted() -> None:
        async with aclosing(model.chat(HELLO, [])) as pieces:
            assert await anext(pieces) == whole[0]

    run(interrupted())
    assert run(gathered(model.chat(HELLO, []))) == whole


def test_two_callers_are_both_served(make: Make, run: Run) -> None:
    model = make(["Hello!"])

    async def both() -> tuple[list[str | Call], list[str | Call]]:
        return await asyncio.gather(
            gathered(model.chat(HELLO, [])), gathered(model.chat(HELLO, []))
        )

    first, second = run(both())
    assert first == second != []
