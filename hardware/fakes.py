"""Devices made of nothing: shipped, because tests, files and machines without hardware need them.

They offer the ports directly and know time only through the event loop, so that a test's virtual
clock drives them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from assistant import errors
from assistant.ports import Lit
from assistant.turn import RATE, Sound
from hardware.light import require_lit
from hardware.recording import Resampler, write_wav

CHUNK = 512
"""Samples: 32 ms at 16 kHz, as the real microphone gives."""


class WavMicrophone:
    """Hears a given sound, then ends. The last chunk is filled up with silence.

    In real time each chunk comes when it would have been spoken; otherwise at once.
    """

    name = "recording"

    def __init__(self, sound: Sound, realtime: bool = True) -> None:
        self._samples = _at_rate(sound, RATE)
        self._realtime = realtime

    async def listen(self, lit: Lit) -> AsyncGenerator[Sound]:
        begun = asyncio.get_running_loop().time()
        for start in range(0, len(self._samples), CHUNK):
            require_lit(lit)
            await _sleep_until(begun + (start + CHUNK) / RATE if self._realtime else 0)
            require_lit(lit)
            part = self._samples[start : start + CHUNK]
            yield Sound(np.pad(part, (0, CHUNK - len(part))))
        require_lit(lit)


class RecordingSpeaker:
    """Keeps what it played. In real time a sound lasts as long as it would be heard."""

    name = "recording"

    def __init__(self, realtime: bool = True) -> None:
        self._realtime = realtime
        self._played: list[Sound] = []
        self._begun: float | None = None
        """When the sound that plays now began, by the event loop's clock."""
        self.plays = 0
        """How often something was played."""

    @property
    def heard(self) -> float:
        done = sum(sound.seconds for sound in self._played)
        if self._begun is None:
            return done
        now = asyncio.get_running_loop().time()
        last = self._played[-1].seconds
        return done - last + min(last, now - self._begun)

    @property
    def sound(self) -> Sound:
        """What was heard of the latest `play`, at the rate of its first sound."""
        whole = joined(self._played)
        return whole if self._begun is None else whole.part(0, self.heard)

    async def play(self, sounds: AsyncIterator[Sound]) -> None:
        self._played, self._begun = [], None
        self.plays += 1
        loop = asyncio.get_running_loop()
        try:
            async for sound in sounds:
                self._played.append(sound)
                if self._realtime:
                    self._begun = loop.time()
                await _sleep_until(loop.time() + sound.seconds if self._realtime else 0)
                self._begun = None
        finally:
            if self._begun is not None:  # stopped in the middle: the rest was not heard
                heard = min(self._played[-1].seconds, loop.time() - self._begun)
                self._played[-1] = self._played[-1].part(0, heard)
                self._begun = None


class WavFileSpeaker:
    """Plays into a WAV file, as fast as the sounds come.

    The file appears whole when the last sound came, replacing an older one. A reply without sound
    gives a WAV without samples, so that an older reply is never taken for this one. Cancelled or
    failed: the file stays as it was. Raises DiskFull and NotPermitted.
    """

    name = "file"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._heard = 0.0

    @property
    def heard(self) -> float:
        """Seconds written."""
        return self._heard

    async def play(self, sounds: AsyncIterator[Sound]) -> None:
        self._heard = 0.0
        whole = joined([sound async for sound in sounds])
        await asyncio.to_thread(write_wav, self._path, whole)  # a disk can be slow, a pipe can wait
        self._heard = whole.seconds


class SilentSpeaker:
    """Stands where there is no loudspeaker: takes every sound at once, and nobody hears it."""

    name = "none"
    heard = 0.0

    async def play(self, sounds: AsyncIterator[Sound]) -> None:
        async for _ in sounds:
            pass


class FakeLight:
    """A light that keeps what it showed, and goes out where a test says so."""

    name = "fake"

    def __init__(self) -> None:
        self.history: list[str] = []
        self._held: list[_FakeLit] = []

    @contextmanager
    def recording(self) -> Iterator[Lit]:
        lit = _FakeLit()
        self._held.append(lit)
        self.history.append("recording")
        try:
            yield lit
        finally:
            lit.on = False
            self._held.remove(lit)
            self.history.append("recording ended")

    def fail(self) -> None:
        """The lamp breaks while it is on."""
        for lit in self._held:
            lit.on = False


class _FakeLit:
    def __init__(self) -> None:
        self.on = True


class DarkLight:
    """A light that cannot be lit: nothing may be captured."""

    name = "dark"

    @contextmanager
    def recording(self) -> Iterator[Lit]:
        raise errors.LightDark("The recording light cannot be lit, so I do not listen.")
        yield  # makes this a generator


def joined(sounds: list[Sound]) -> Sound:
    """Sounds one after another, at the rate of the first; of none, silence without length."""
    if not sounds:
        return Sound(np.zeros(0, np.float32))
    rate = sounds[0].rate
    return Sound(np.concatenate([_at_rate(sound, rate) for sound in sounds]), rate)


def _at_rate(sound: Sound, rate: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    resampler = Resampler(sound.rate, rate)
    return np.concatenate([resampler.feed(sound.samples), resampler.flush()])


async def _sleep_until(when: float) -> None:
    await asyncio.sleep(max(0.0, when - asyncio.get_running_loop().time()))
