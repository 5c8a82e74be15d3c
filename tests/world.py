"""Conversations by script, in virtual time: hours pass in milliseconds, and every moment is exact.

`VirtualLoop` is an event loop whose clock jumps to the next timer when nothing is ready. Real
threads know nothing of it, so the world is built of the fakes that the product ships (the ports
directly, without Lanes) and of a store without a thread.

    async def test_it_answers(tmp_path):
        async with World(tmp_path) as world:
            world.say("what time is it")
            await world.quiet()
            assert world.heard() == [Heard(0.0, "It is 9:00 AM.", 0.84)]
"""

from __future__ import annotations

import asyncio
import selectors
import sqlite3
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, TypeVar
from unittest.mock import patch

import numpy as np

from assistant import client, stages
from assistant.converse import House
from assistant.daemon import Daemon
from assistant.events import Bus, Ended, Event, Failed, Noticed, Said, Started
from assistant.journal import Journal
from assistant.ports import (
    LanguageModel,
    Light,
    Lit,
    Reader,
    Speaker,
    Synthesizer,
    Transcriber,
    Transcript,
)
from assistant.router import Router
from assistant.schedule import Timers
from assistant.store import MIGRATIONS
from assistant.turn import Frame, Sound, Turn
from hardware.fakes import FakeLight, RecordingSpeaker, SilentSpeaker, WavFileSpeaker, WavMicrophone
from models.scripted import EnergyVoiceActivity, ScriptedReader, ToneSynthesizer

T = TypeVar("T")

PICTURE = Frame(np.indices((40, 40, 3)).sum(axis=0).astype(np.uint8))
"""A picture that is not of one colour, so that a ScriptedReader reads from it."""
START = datetime(2026, 3, 2, 9, 0, tzinfo=timezone(timedelta(hours=1)))
"""The wall clock when a world begins: a Monday morning."""


class _Jumping(selectors.DefaultSelector):
    """Where nothing is ready, the time until the next timer has passed at once."""

    now = 0.0
    PATIENCE = 5.0
    """Real seconds to wait where no timer is set: then nothing can ever happen any more."""

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            ready = super().select(self.PATIENCE)
            if not ready:
                raise RuntimeError("everybody waits for somebody: the world stands still")
            return ready
        ready = super().select(0)
        if not ready:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def in_virtual_time(story: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end on a VirtualLoop. The stages' stopwatch is the same clock."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        stopwatch = SimpleNamespace(monotonic=runner.get_loop().time)
        with patch.object(stages, "time", stopwatch):
            return runner.run(story)


def now() -> float:
    """Virtual seconds."""
    return asyncio.get_running_loop().time()


class FakeClock:
    """Wall and boot clock that follow the loop. A test may set the wall or start the machine."""

    def __init__(self) -> None:
        self.jumped = 0.0
        """Seconds by which the wall clock was set forward."""
        self.boots = 1

    def now(self) -> datetime:
        return START + timedelta(seconds=now() + self.jumped)

    def boot(self) -> float:
        return 1000.0 * self.boots + now()

    def boot_id(self) -> str:
        return f"boot {self.boots}"


class FakeStore:
    """The store's `do` with the real tables, in memory and without a thread."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        for script in MIGRATIONS:
            self._connection.executescript(script)

    async def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(self._connection)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        return result

    def rows(self, query: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self._connection.execute(query)]


@dataclass(frozen=True)
class Heard:
    """What reached the wearer's ear: from when, of which words, and for how long."""

    at: float
    text: str
    seconds: float


class Voice(ToneSynthesizer):
    """Tones, 0.06 s for each character, that remember which words they stand for."""

    def __init__(self, delay: float = 0.0) -> None:
        super().__init__(delay)
        self.made: list[tuple[Sound, str]] = []

    async def speak(self, text: str) -> AsyncGenerator[Sound]:
        async for sound in super().speak(text):
            self.made.append((sound, text))
            yield sound

    def words_of(self, sound: Sound) -> str:
        return next(text for made, text in self.made if made is sound)


class Ear(RecordingSpeaker):
    """A speaker in real (here: virtual) time; keeps when each sound began and how long it was."""

    def __init__(self) -> None:
        super().__init__()
        self.sounds: list[tuple[float, Sound, float]] = []

    async def play(self, sounds: AsyncIterator[Sound]) -> None:
        begun: tuple[float, Sound] | None = None

        def over() -> None:
            nonlocal begun
            if begun:
                at, sound = begun
                self.sounds.append((at, sound, min(sound.seconds, now() - at)))
            begun = None

        async def noted() -> AsyncGenerator[Sound]:
            nonlocal begun
            async for sound in sounds:
                begun = now(), sound
                yield sound
                over()

        try:
            await super().play(noted())
        finally:
            over()


class Mouth:
    """A transcriber that hears what the test lets the wearer say."""

    name = "scripted transcriber"

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.said: deque[tuple[str, float]] = deque()

    async def transcribe(self, sound: Sound) -> Transcript:
        await asyncio.sleep(self.delay)
        text, confidence = self.said.popleft() if self.said else ("", 0.0)
        return Transcript(text, confidence, self.name)


class WatchedMicrophone(WavMicrophone):
    """A minute of sound; keeps what the light showed each time that it was opened."""

    def __init__(self, light: Light) -> None:
        super().__init__(Sound(np.full(60 * 16_000, 0.2, np.float32)))
        self._light = light
        self.opened: list[list[str]] = []
        self.open = False

    async def listen(self, lit: Lit) -> AsyncGenerator[Sound]:
        self.opened.append(list(getattr(self._light, "history", [])))
        self.open = True
        try:
            async for sound in super().listen(lit):
                yield sound
        finally:
            self.open = False


@dataclass
class World:
    """A daemon in a house of fakes. A second world on the same `store` and `clock` is the same
    device, started again."""

    folder: Path
    model: LanguageModel | None = None
    transcriber: Transcriber | None = None
    reader: Reader = field(default_factory=lambda: ScriptedReader(["Pull to open"]))
    voice: Voice = field(default_factory=Voice)
    synthesizer: Synthesizer | None = None
    light: Light = field(default_factory=FakeLight)
    store: FakeStore = field(default_factory=FakeStore)
    clock: FakeClock = field(default_factory=FakeClock)
    hearing: float = 0.0
    """Seconds that the transcriber takes."""
    readers: Sequence[Callable[[Event], Coroutine[Any, Any, None]]] = ()
    has_microphone: bool = True

    async def __aenter__(self) -> World:
        self.events: list[Event] = []
        self.ear, self.mouth, self.bus = Ear(), Mouth(self.hearing), Bus()
        self.microphone = WatchedMicrophone(self.light)
        self._lines: asyncio.Queue[str] = asyncio.Queue()
        # A socket's path is short; the test's own folder may be too deep for one.
        self._stack = AsyncExitStack()
        self.runtime = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="a")))
        journal = Journal(self.store, days=30)  # type: ignore[arg-type]
        for reader in (self._keep, journal.read, *self.readers):
            self.bus.subscribe(reader)
        self.house = self._house()
        self.daemon = Daemon(
            self.house,
            self.light,
            self.microphone if self.has_microphone else None,
            self.runtime,
            60.0,
            _speaker_to,
        )
        self._serving = asyncio.create_task(self.daemon.serve(self._typed()))
        await asyncio.sleep(0.0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.daemon.stop()
        await self._serving
        await self.bus.close()
        await self._stack.aclose()
        assert not self.bus.trouble

    # ---- what the wearer does --------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Types a line."""
        self._lines.put_nowait(text + "\n")

    def press(self) -> None:
        """Presses Enter: opens the microphone, or closes it."""
        self._lines.put_nowait("\n")

    async def speak(self, text: str, confidence: float = 1.0, seconds: float = 1.0) -> None:
        """Presses, says something for that long, and presses again."""
        self.mouth.said.append((text, confidence))
        self.press()
        await self.wait(seconds)
        self.press()
        await self.wait(0.05)  # the microphone notices at its next chunk

    def command(self, text: str, **request: Any) -> asyncio.Task[list[Event]]:
        """Asks through the socket, as `assistant ask` does; gives what it was told."""
        told: list[Event] = []

        async def read(event: Event) -> None:
            told.append(event)

        async def ask() -> list[Event]:
            assert await client.ask(self.runtime, {"text": text, **request}, read)
            return told

        return asyncio.create_task(ask())

    async def look_and_say(self, text: str, frame: Frame = PICTURE, **turn: Any) -> None:
        """Asks about a picture."""
        from assistant.turn import Origin

        self.daemon.submit(Turn(Origin.TYPED, text=text, frames=(frame,), **turn))

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def quiet(self, longest: float = 600.0) -> None:
        """Waits until every turn that began is over and told, and nothing sounds any more."""
        until = now() + longest
        await asyncio.sleep(0.01)
        while self._busy():
            assert now() < until, "it never became quiet"
            await asyncio.sleep(0.01)

    # ---- what came of it -------------------------------------------------------------------------

    def heard(self) -> list[Heard]:
        """Every clause that reached the ear, in order."""
        clauses: list[Heard] = []
        for at, sound, seconds in self.ear.sounds:
            text = self.voice.words_of(sound)
            last = clauses[-1] if clauses else None
            if last and last.text == text and abs(last.at + last.seconds - at) < 1e-6:
                clauses[-1] = Heard(last.at, text, round(last.seconds + seconds, 6))
            else:
                clauses.append(Heard(round(at, 6), text, round(seconds, 6)))
        return clauses

    def texts(self) -> list[str]:
        return [heard.text for heard in self.heard()]

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    def replies(self) -> list[str]:
        """What each turn said, in the order in which the turns began."""
        turns = [event.turn for event in self.of(Started)]
        return ["".join(e.text for e in self.of(Said) if e.turn == turn) for turn in turns]

    def notices(self) -> list[str]:
        return [event.code for event in self.of(Noticed)]

    # ---- behind the scenes -----------------------------------------------------------------------

    def _busy(self) -> bool:
        current = self.daemon._current
        over = len(self.of(Ended)) + len(self.of(Failed))
        waiting = len(self.daemon._inbox) + self._lines.qsize()
        running = current is not None and not current.done()
        return bool(waiting or running or over < len(self.of(Started)))

    async def _keep(self, event: Event) -> None:
        self.events.append(event)

    async def _typed(self) -> AsyncGenerator[str]:
        while True:
            yield await self._lines.get()

    def _house(self) -> House:
        async def no_file(path: Path) -> Any:
            raise AssertionError(f"no story of this world has a file: {path}")

        return House(
            bus=self.bus,
            clock=self.clock,
            timers=Timers(self.store, self.clock),  # type: ignore[arg-type]
            open_sound=no_file,
            open_picture=no_file,
            activity=EnergyVoiceActivity(),
            transcriber=self.transcriber or self.mouth,
            reader=self.reader,
            router=Router(self.bus, self.model),
            synthesizer=self.synthesizer or self.voice,
            speaker=self.ear,
            rings=True,
        )


def _speaker_to(reply: Path | None) -> Speaker:
    return SilentSpeaker() if reply is None else WavFileSpeaker(reply)


def pieces(text: str) -> Iterator[str]:
    """A model's pieces: words with the space before them."""
    for number, word in enumerate(text.split(" ")):
        yield f" {word}" if number else word
