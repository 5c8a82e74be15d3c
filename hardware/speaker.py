"""A real loudspeaker through PortAudio: plays sounds of any rate one after another.

The device opens with the first sound and stays open, silent, between replies: `close` ends that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import numpy as np

from assistant import errors
from assistant.turn import Sound
from hardware import portaudio
from hardware.recording import Resampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

AHEAD = 0.5
"""Seconds of sound that wait in the ring: the next sound is fetched that long before its time."""
LEAD = 0.03
"""Seconds of silence before and after a reply: a stream that starts or stops may lose as much."""


class PortAudioSpeaker:
    """Plays on the device whose name contains `device`, or on the default one.

    The device runs at a rate of its own. `patience` is how many seconds it may ask for no sample: a
    hung sound server gives no error, only nothing.
    """

    def __init__(self, device: str = "", patience: float = 3.0) -> None:
        self.name = device or "loudspeaker"
        self._wanted = device
        self._patience = patience
        self._stream: Any = None
        self._feed: _Feed | None = None

    @property
    def heard(self) -> float:
        """Seconds of the latest `play` that left the device; an estimate while it plays."""
        return self._feed.heard if self._feed else 0.0

    async def play(self, sounds: AsyncIterator[Sound]) -> None:
        """Returns when the last sample was heard. Cancelled, it is silent at once.

        Raises DeviceMissing, DeviceLost.
        """
        self._feed = None
        await self._open()
        feed = self._feed = _Feed(int(self._stream.samplerate))
        try:
            async with aclosing(_resampled(sounds, feed.rate)) as chunks:
                async for samples in chunks:
                    await self._put(feed, samples)
            await self._drain(feed)
        finally:
            feed.muted = True
            await self._stop(feed)

    async def close(self) -> None:
        """Gives the device back."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await portaudio.closed(stream)

    async def _open(self) -> None:
        if self._stream is None:
            device = await portaudio.found("output", self._wanted)
            self._stream = await portaudio.opened(
                lambda rate: self._made(device, rate), device, "loudspeaker"
            )

    def _made(self, device: portaudio.Device, rate: int) -> Any:
        """Opens the device, without starting it; blocks."""

        def fill(out: NDArray[np.float32], frames: int, time: Any, status: Any) -> None:
            if self._feed is None:
                out[:] = 0
            else:
                self._feed.fill(out, time.outputBufferDacTime - time.currentTime)

        def ended() -> None:
            if self._feed is not None:
                self._feed.wake()

        return portaudio.library().OutputStream(
            device=device.index,
            samplerate=rate,
            channels=min(2, device.channels),
            dtype="float32",
            latency=portaudio.LATENCY,
            callback=fill,
            finished_callback=ended,
        )

    async def _put(self, feed: _Feed, samples: NDArray[np.float32]) -> None:
        """Hands samples to the callback, as room for them comes."""
        while len(samples):
            samples = samples[feed.ring.put(samples) :]
            if not feed.started:
                await self._start(feed)
            if len(samples):
                await self._progress(feed)

    async def _start(self, feed: _Feed) -> None:
        """Starts the stream; one that lost its sound server since the last reply is replaced."""
        feed.started = True
        try:
            await portaudio.started(self._stream, "loudspeaker")
        except errors.DeviceLost:
            await self.close()
            await self._open()
            await portaudio.started(self._stream, "loudspeaker")

    async def _drain(self, feed: _Feed) -> None:
        """Waits until the device has played everything.

        Silence follows until then: PortAudio's own way to end (CallbackStop) cuts off the last
        buffer on ALSA's bridge to PulseAudio, or waits for ever.
        """
        while feed.started and (feed.ring.filled or feed.tail < LEAD):
            await self._progress(feed)

    async def _progress(self, feed: _Feed) -> None:
        """Waits until the device asks for samples, or ends."""
        feed.news.clear()
        before = feed.asked
        try:
            async with asyncio.timeout(self._patience):
                await feed.news.wait()
        except TimeoutError as error:
            if feed.asked == before:
                raise _lost("plays nothing any more") from error
        if not self._stream.active:
            raise _lost("is gone")

    async def _stop(self, feed: _Feed) -> None:
        """Silence now; a stream that does not obey is given up."""
        if feed.started and self._stream is not None and not await portaudio.stopped(self._stream):
            await self.close()


class _Feed:
    """What one reply shares with the device's callback: the samples, and what became of them."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.ring = portaudio.Ring(int(AHEAD * rate))
        self.news = asyncio.Event()
        self.started = self.muted = False
        self.asked = 0
        """How many frames the device has asked for."""
        self.latency = 0.0
        """Seconds from the callback to the ear, as the device last said."""
        self._lead = int(LEAD * rate)
        """Frames of silence still to come before the first sample."""
        self._pause = 0
        """Frames of silence since the last sample."""
        self._loop = asyncio.get_running_loop()

    def fill(self, out: NDArray[np.float32], latency: float) -> None:
        """Runs in the callback: copies, and never waits. Silence where nothing is there."""
        if self.muted:
            out[:] = 0
            return
        if self._lead > 0:
            self._lead -= len(out)
            count = 0
        else:
            count = self.ring.take(out[:, 0])
        out[count:, 0] = 0
        out[:, 1:] = out[:, :1]
        self._pause = len(out) - count if count else self._pause + len(out)
        self.latency = latency
        self.asked += len(out)
        self.wake()

    def wake(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.news.set)

    @property
    def heard(self) -> float:
        """Seconds that left the device: what it took, less what is still on its way."""
        return max(0.0, self.ring.read / self.rate + min(0.0, self.tail))

    @property
    def tail(self) -> float:
        """Seconds since the last sample left the device; negative while it is on its way."""
        return self._pause / self.rate - self.latency


async def _resampled(
    sounds: AsyncIterator[Sound], rate: int
) -> AsyncGenerator[NDArray[np.float32]]:
    """The samples of all sounds at one rate, without a seam between those of the same rate."""
    resampler, of_rate = None, 0
    async for sound in sounds:
        if resampler is None or sound.rate != of_rate:
            if resampler is not None:
                yield resampler.flush()
            resampler, of_rate = Resampler(sound.rate, rate), sound.rate
        yield resampler.feed(sound.samples)
    if resampler is not None:
        yield resampler.flush()


def _lost(how: str) -> errors.DeviceLost:
    return errors.DeviceLost(f"The loudspeaker {how}.", "Connect it again, or read my answers.")
