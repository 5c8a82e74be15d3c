"""The doors of the house: what an engine or a device must offer to be used. Nothing runs here.

Every port is asynchronous. Engines themselves are plain, synchronous classes with the same method
names; a Lane (flow.py) makes one awaitable. Fakes implement the ports directly. Each
implementation passes the suite of its port in tests/contracts.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from assistant.turn import Frame, Sound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said, in plain lower-case or written form, and how sure the recogniser is (0-1)."""

    text: str
    confidence: float
    engine: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text in a picture. `box` is left, top, right, bottom in pixels."""

    text: str
    confidence: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of a chat: role is system, user, assistant or tool."""

    role: str
    text: str
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What a model is told of a tool. `parameters` is a JSON schema of type object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A model's wish to run a tool. It is only a wish: policy.py decides."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


class Lit(Protocol):
    """Proof that a recording light is on. Only a Light makes one; capture takes it."""

    @property
    def on(self) -> bool: ...


class Light(Protocol):
    """Tells people nearby that the device records."""

    name: str

    def recording(self) -> AbstractContextManager[Lit]:
        """On while held. Raises LightDark where it cannot be lit: then nothing is captured."""
        ...


class Microphone(Protocol):
    """Gives mono sound at 16 kHz in chunks as it is heard, until the generator is closed.

    Raises LightDark where `lit` is not on, DeviceMissing and DeviceLost.
    """

    name: str

    def listen(self, lit: Lit) -> AsyncGenerator[Sound]: ...


class Speaker(Protocol):
    """Plays sounds one after another; returns when the last was heard. Cancelling stops at once."""

    name: str

    @property
    def heard(self) -> float:
        """Seconds of the latest `play` that really left the speaker."""
        ...

    async def play(self, sounds: AsyncIterator[Sound]) -> None: ...


class VoiceActivity(Protocol):
    """Tells speech from other sound: one probability float32 for each 32 ms (512 samples)."""

    name: str

    async def probabilities(self, sound: Sound) -> NDArray[np.float32]: ...


class Transcriber(Protocol):
    """Speech (mono, 16 kHz) to text. Empty text: nothing that it takes for words."""

    name: str

    async def transcribe(self, sound: Sound) -> Transcript: ...


class LanguageModel(Protocol):
    """Streams a reply: pieces of text, and calls of the tools it was offered."""

    name: str

    def chat(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> AsyncGenerator[str | Call]: ...


class Synthesizer(Protocol):
    """Text to speech, in pieces, at the voice's own rate."""

    name: str

    def speak(self, text: str) -> AsyncGenerator[Sound]: ...


class Reader(Protocol):
    """Finds text in a picture: lines in reading order."""

    name: str

    async def read(self, frame: Frame) -> tuple[Line, ...]: ...
