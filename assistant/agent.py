"""A model and the tools: what it says is passed on as it comes, what it calls is run if the
policy lets it, and what was done is told from the receipt, never from the model's own words."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from assistant import policy, tools
from assistant.errors import Refused
from assistant.events import Bus, Routed
from assistant.ports import Call, LanguageModel, Message
from assistant.stages import stage
from assistant.tools import Hands, Receipt
from assistant.turn import Words

SYSTEM = (
    "You are an assistant worn by the person who speaks to you. Answer in one or two short "
    "sentences that sound right when spoken. Call a tool when one fits; never claim to have done "
    "what no tool did."
)
MOST_CALLS = 4
"""Calls of one reply that are run; a model in a loop must end somewhere."""
SILENT = "I have no answer to that."


async def answer(model: LanguageModel, hands: Hands, bus: Bus) -> AsyncGenerator[Words]:
    """The model's reply. Its words carry the turn's label; a receipt adds its own."""
    turn = hands.turn
    messages = [Message("system", SYSTEM), Message("user", turn.text or "")]
    offered = [tool.spec for tool in tools.known().values()]
    calls: list[Call] = []
    spoke = False
    async with aclosing(model.chat(messages, offered)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Call):
                calls.append(piece)
                continue
            if not spoke and piece.strip():
                bus.publish(Routed(turn.id, f"model {model.name}"))
            spoke = spoke or bool(piece.strip())
            yield Words(piece, turn.label)
    for call in calls[:MOST_CALLS]:
        async with stage(bus, turn, f"tool {call.name}"):
            receipt = await run_tool(call, hands)
        bus.publish(
            Routed(turn.id, f"model {model.name}", call.name, receipt.facts, receipt.confidence)
        )
        yield Words((" " if spoke else "") + receipt.text, receipt.label | turn.label)
        spoke = True
    if not spoke:
        bus.publish(Routed(turn.id, f"model {model.name}"))
        yield Words(SILENT)


async def run_tool(call: Call, hands: Hands) -> Receipt:
    """Runs one tool, if there is one of that name, its arguments fit and the policy permits it.

    Raises Refused otherwise: nothing was done.
    """
    tool = tools.known().get(call.name)
    if tool is None:
        raise Refused("The model asked for a tool that I do not have.", "Nothing was done.")
    arguments = tool.arguments(call.arguments)
    if tool.sink is not None:
        verdict = policy.judge(tool.sink, hands.turn.label)
        if not policy.permits(verdict, arguments, hands.turn.text or ""):
            raise Refused(f"I will not {call.name.replace('_', ' ')}: {verdict.reason}.")
    return await tool.run(hands, **arguments)
