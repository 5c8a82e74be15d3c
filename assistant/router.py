"""Which tier answers: the built-in phrases, then the local model, else an honest "I can't"."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from assistant import agent, reflex, tools
from assistant.errors import NotUnderstood
from assistant.events import Bus, Routed
from assistant.ports import LanguageModel
from assistant.stages import stage
from assistant.tools import Hands
from assistant.turn import Origin, Words

BUILT_IN = "built-in"
CLEAR = 0.15
"""Below this confidence of the recogniser, words that fit no phrase are taken for noise."""
CANNOT = "I cannot answer that yet. I can tell the time and the date, set timers and read text."


class Router:
    def __init__(self, bus: Bus, model: LanguageModel | None) -> None:
        self._bus, self._model = bus, model
        tools.known()  # imported now, not in the first turn
        self.name = f"phrase table, {model.name}" if model else "phrase table"

    async def answer(self, hands: Hands) -> AsyncGenerator[Words]:
        """The reply to the turn in `hands`, in pieces, as it is made. Raises NotUnderstood."""
        turn = hands.turn
        text = turn.text or ""
        if turn.origin is Origin.SCHEDULE:
            self._bus.publish(Routed(turn.id, "schedule"))
            yield Words(text, turn.label)
            return
        async with stage(self._bus, turn, "understanding", "phrase table"):
            call = reflex.understand(text)
        if call:
            async with stage(self._bus, turn, f"tool {call.name}"):
                receipt = await agent.run_tool(call, hands)
            sure = turn.confidence if receipt.confidence is None else receipt.confidence
            self._bus.publish(Routed(turn.id, BUILT_IN, call.name, receipt.facts, sure))
            yield Words(receipt.text, receipt.label | turn.label)
        elif turn.confidence < CLEAR:
            raise NotUnderstood("I did not catch that.", "Say it again, a little slower.")
        elif self._model:
            async with aclosing(agent.answer(self._model, hands, self._bus)) as replies:
                async for words in replies:
                    yield words
        else:
            self._bus.publish(Routed(turn.id, "none"))
            yield Words(CANNOT)
