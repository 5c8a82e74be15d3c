"""The engine ports, served by lanes, and the rule of the spare: when the first engine's process
dies or hangs in the middle of a turn, the next one answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from assistant.errors import AssistantError, EngineDied, EngineHung
from assistant.flow import Lane
from assistant.ports import Call, Line, Message, Synthesizer, ToolSpec, Transcriber, Transcript
from assistant.turn import Frame, Sound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Faults = tuple[type[AssistantError], ...]
STOPPED: Faults = (EngineDied, EngineHung)
"""Faults of the process, not of the request: another engine may well serve it."""


class LaneVoiceActivity:
    def __init__(self, lane: Lane, name: str = "") -> None:
        self.lane, self.name = lane, name or lane.name

    async def probabilities(self, sound: Sound) -> NDArray[np.float32]:
        return cast("NDArray[np.float32]", await self.lane.call("probabilities", sound))


class LaneTranscriber:
    def __init__(self, lane: Lane, name: str = "") -> None:
        self.lane, self.name = lane, name or lane.name

    async def transcribe(self, sound: Sound) -> Transcript:
        return cast(Transcript, await self.lane.call("transcribe", sound))


class LaneLanguageModel:
    def __init__(self, lane: Lane, name: str = "") -> None:
        self.lane, self.name = lane, name or lane.name

    async def chat(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[str | Call]:
        async with aclosing(self.lane.stream("chat", list(messages), list(tools))) as pieces:
            async for piece in pieces:
                yield piece


class LaneSynthesizer:
    def __init__(self, lane: Lane, name: str = "") -> None:
        self.lane, self.name = lane, name or lane.name

    async def speak(self, text: str) -> AsyncGenerator[Sound]:
        async with aclosing(self.lane.stream("speak", text)) as sounds:
            async for sound in sounds:
                yield sound


class LaneReader:
    def __init__(self, lane: Lane, name: str = "") -> None:
        self.lane, self.name = lane, name or lane.name

    async def read(self, frame: Frame) -> tuple[Line, ...]:
        return cast("tuple[Line, ...]", await self.lane.call("read", frame))


class SpareTranscriber:
    """Asks the first recogniser, and the spare when its process stops."""

    def __init__(self, first: Transcriber, spare: Transcriber, faults: Faults = STOPPED) -> None:
        self.first, self.spare, self.name = first, spare, first.name
        self._faults = faults

    async def transcribe(self, sound: Sound) -> Transcript:
        try:
            return await self.first.transcribe(sound)
        except self._faults:
            return await self.spare.transcribe(sound)


class SpareSynthesizer:
    """Speaks with the first voice, and from the start of the clause with the spare when it stops.

    Only a clause that made no sound yet is spoken again: nothing is heard twice.
    """

    def __init__(self, first: Synthesizer, spare: Synthesizer, faults: Faults = STOPPED) -> None:
        self.first, self.spare, self.name = first, spare, first.name
        self._faults = faults

    async def speak(self, text: str) -> AsyncGenerator[Sound]:
        begun = False
        try:
            async with aclosing(self.first.speak(text)) as sounds:
                async for sound in sounds:
                    begun = True
                    yield sound
        except self._faults:
            if begun:
                raise
            async with aclosing(self.spare.speak(text)) as sounds:
                async for sound in sounds:
                    yield sound
