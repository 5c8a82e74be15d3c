"""One turn, from top to bottom. Read this file first.

A turn is heard, looked at, answered and spoken. Each stage takes what the one before gave; nothing
walks back. Whoever wants a turn to stop cancels the task that runs `converse`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from assistant import policy
from assistant.clock import Clock
from assistant.errors import DeviceError, NoSpeech
from assistant.events import Asked, Bus, Noticed, Said
from assistant.flow import ahead, clauses, rejoined
from assistant.listen import speech_in
from assistant.ports import Reader, Speaker, Synthesizer, Transcriber, VoiceActivity
from assistant.router import Router
from assistant.schedule import Timers
from assistant.stages import played, stage, timed, told
from assistant.tools import Hands
from assistant.turn import Frame, Origin, Sound, Turn, Words

ABOUT_A_PICTURE = "what does this say"
"""What a picture without a question asks."""


async def converse(turn: Turn, house: House) -> None:
    """Serves one turn to the last sound of its reply. Raises what the wearer must be told."""
    async with told(house.bus, turn, house.now, house.speaker, house.uses):
        turn = await house.hear(turn)
        turn = await house.look(turn)
        words = house.answer(turn)
        sounds = house.voice(turn, ahead(clauses(words), 2))
        await house.play(turn, ahead(sounds, 4))


@dataclass(frozen=True)
class House:
    """The engines and devices of a turn, and its stages. assemble.py makes it; it has no state."""

    bus: Bus
    clock: Clock
    timers: Timers
    open_sound: Callable[[Path], Awaitable[Sound]]
    open_picture: Callable[[Path], Awaitable[Frame]]
    activity: VoiceActivity
    transcriber: Transcriber
    reader: Reader
    router: Router
    synthesizer: Synthesizer
    speaker: Speaker
    threshold: float = 0.5
    """Probability from which sound counts as speech."""
    rings: bool = False
    """Whether a daemon runs that rings timers."""

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return self.clock.now().timestamp()

    @property
    def uses(self) -> dict[str, str]:
        """Which engine does what."""
        return {
            "hears": self.transcriber.name,
            "reads": self.reader.name,
            "thinks": self.router.name,
            "speaks": self.synthesizer.name,
        }

    def but(self, speaker: Speaker) -> House:
        """The same house, speaking somewhere else."""
        return replace(self, speaker=speaker)

    async def hear(self, turn: Turn) -> Turn:
        """The turn with a transcript; one that has a text keeps it."""
        audio = turn.audio
        if turn.text is not None or audio is None:
            text = ABOUT_A_PICTURE if turn.text is None else turn.text
            if turn.origin is not Origin.SCHEDULE:
                self.bus.publish(Asked(turn.id, text))
            return turn.but(text=text)
        if isinstance(audio, Path):
            async with stage(self.bus, turn, "decode sound"):
                audio = await self.open_sound(audio)
        async with stage(self.bus, turn, "voice activity", self.activity.name):
            speech = await speech_in(audio, self.activity, self.threshold)
        async with stage(self.bus, turn, "transcript", self.transcriber.name):
            heard = await self.transcriber.transcribe(speech)
        if not heard.text.strip():
            raise NoSpeech("I heard no words.", "Speak closer to the microphone.")
        self.bus.publish(Asked(turn.id, heard.text, heard.confidence, heard.engine))
        return turn.but(text=heard.text, confidence=heard.confidence)

    async def look(self, turn: Turn) -> Turn:
        """The turn with its pictures decoded."""
        frames: list[Frame | Path] = []
        for frame in turn.frames:
            if isinstance(frame, Path):
                async with stage(self.bus, turn, "decode picture"):
                    frame = await self.open_picture(frame)
            frames.append(frame)
        return turn.but(frames=tuple(frames))

    async def answer(self, turn: Turn) -> AsyncGenerator[str]:
        """The reply's text in pieces. The world's words are introduced as the world's."""
        hands = Hands(turn, self.clock, self.timers, self.reader, self.rings)
        replies = timed(self.bus, turn, "reply", self.router.answer(hands))
        attributed = False
        async with aclosing(replies) as pieces:
            async for words in pieces:
                text = words.text
                verdict = policy.judge(policy.Sink.SPEAK, words.label)
                if verdict.kind is policy.Kind.ATTRIBUTED and not attributed:
                    attributed, text = True, _introduced(words)
                self.bus.publish(Said(turn.id, text))
                yield text

    async def voice(self, turn: Turn, texts: AsyncGenerator[str]) -> AsyncGenerator[Sound]:
        """The reply's sound, clause by clause."""
        first = await anext(texts, None)
        if first is None:
            return
        speech = self._speech(rejoined(first, texts))  # its clock starts when there are words
        sounds = timed(self.bus, turn, "speech", speech, self.synthesizer.name)
        async with aclosing(sounds):
            async for sound in sounds:
                yield sound

    async def play(self, turn: Turn, sounds: AsyncGenerator[Sound]) -> None:
        """Says the sounds. A loudspeaker that is lost costs the sound, not the words."""
        async with aclosing(sounds):
            try:
                await played(self.speaker, sounds)
            except DeviceError as lost:
                said = f"{lost.sentence} The reply is shown only."
                self.bus.publish(Noticed(turn.id, said, lost.code))
                async for _ in sounds:  # the words come with them
                    pass

    async def _speech(self, texts: AsyncGenerator[str]) -> AsyncGenerator[Sound]:
        async with aclosing(texts):
            async for text in texts:
                async with aclosing(self.synthesizer.speak(text)) as sounds:
                    async for sound in sounds:
                        yield sound


def _introduced(words: Words) -> str:
    where = " and the ".join(sorted(words.label.sources - {"wearer"})) or "text"
    space = " " if words.text.startswith(" ") else ""
    return f"{space}The {where} says: {words.text.lstrip()}"
