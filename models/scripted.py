"""Fakes of the engines, named so: canned words, a scripted model, tones, loudness. For tests,
demonstrations and simulation; nothing chooses them by itself.

They are the ports directly, without Lanes: their only waiting is asyncio.sleep, so they work in
virtual time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from assistant.errors import EngineFailed
from assistant.ports import Call, Line, Message, ToolSpec, Transcript
from assistant.turn import RATE, Frame, Sound

WINDOW = 512
"""Samples for each probability of speech: 32 ms at 16 kHz."""


class ScriptedTranscriber:
    """Hears the given texts, one for each sound that is not silent; after the last, nothing.

    Waits `delay` seconds for each.
    """

    name = "scripted transcriber"

    def __init__(self, texts: Iterable[str], confidence: float = 1.0, delay: float = 0.0) -> None:
        self._texts, self._confidence, self._delay = iter(texts), confidence, delay

    async def transcribe(self, sound: Sound) -> Transcript:
        await asyncio.sleep(self._delay)
        text = next(self._texts, "") if np.any(sound.samples) else ""
        return Transcript(text, self._confidence if text else 0.0, self.name)


class ScriptedModel:
    """Gives one reply after another, each a sequence of pieces of text and calls.

    Waits `delay` seconds before each piece. `asked` keeps what it was given, for tests to read.
    Raises EngineFailed when the script is at its end.
    """

    name = "scripted model"

    def __init__(self, replies: Iterable[Sequence[str | Call]], delay: float = 0.0) -> None:
        self._replies, self._delay = iter(replies), delay
        self.asked: list[tuple[tuple[Message, ...], tuple[ToolSpec, ...]]] = []

    async def chat(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[str | Call]:
        self.asked.append((tuple(messages), tuple(tools)))
        reply = next(self._replies, None)
        if reply is None:
            raise EngineFailed(
                "The scripted model has no more replies.", "Give it a longer script."
            )
        for piece in reply:
            await asyncio.sleep(self._delay)
            yield piece


class ToneSynthesizer:
    """A tone of 220 Hz at 16 kHz, 60 ms for each character, in pieces of half a second at most.

    Waits `delay` seconds before each piece. `spoken` keeps the texts, for tests to read.
    """

    name = "tones"
    seconds_a_character = 0.06
    piece_seconds = 0.5
    pitch = 220.0

    def __init__(self, delay: float = 0.0) -> None:
        self._delay = delay
        self.spoken: list[str] = []

    async def speak(self, text: str) -> AsyncGenerator[Sound]:
        self.spoken.append(text)
        if not any(sign.isalnum() for sign in text):
            return
        times = np.arange(round(len(text) * self.seconds_a_character * RATE)) / RATE
        tone = (0.3 * np.sin(2 * np.pi * self.pitch * times)).astype(np.float32)
        step = round(self.piece_seconds * RATE)
        for first in range(0, len(tone), step):
            await asyncio.sleep(self._delay)
            yield Sound(tone[first : first + step])


class ScriptedReader:
    """Reads the given lines from every picture that is not of one colour all over.

    The lines lie below each other, each as wide as the picture.
    """

    name = "scripted reader"

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = tuple(lines)

    async def read(self, frame: Frame) -> tuple[Line, ...]:
        height, width = frame.pixels.shape[:2]
        if np.all(frame.pixels == frame.pixels[:1, :1]):
            return ()
        step = height / max(1, len(self._lines))
        return tuple(
            Line(text, 1.0, (0.0, row * step, float(width), (row + 1) * step))
            for row, text in enumerate(self._lines)
        )


class EnergyVoiceActivity:
    """Takes what is loud for speech: probability 0.5 at a root mean square of `threshold`."""

    name = "energy"

    def __init__(self, threshold: float = 0.01) -> None:
        self._threshold = threshold

    async def probabilities(self, sound: Sound) -> NDArray[np.float32]:
        windows = np.zeros((-(-len(sound.samples) // WINDOW), WINDOW), np.float32)
        windows.reshape(-1)[: len(sound.samples)] = sound.samples
        loudness = np.sqrt(np.mean(windows**2, axis=1))
        found: NDArray[np.float32] = np.clip(loudness / (2 * self._threshold), 0, 1)
        return found.astype(np.float32)
