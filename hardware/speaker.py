"""A real loudspeaker through PortAudio: plays sounds of any rate one after another.

The device is open while a reply plays and closed between replies: a stream that was kept open
outlives its sound server, and PortAudio 19.6 then ends the process. Opening takes 1 to 3 ms once
PortAudio is loaded (through PulseAudio, on two busy x86 cores; the first time about 0.5 s).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from assistant import errors
from assistant.turn import Sound
from hardware import portaudio
from hardware.recording import Resampler

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AHEAD = 0.5
"""Seconds of sound that wait in the ring: the next sound is fetched that long before its time."""
MARGIN = 0.03
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
        self._feed: _Feed | None = None

    @property
    def heard(self) -> float:
        """Seconds of the latest `play` that left the device; an estimate while it plays."""
        return self._feed.heard if self._feed else 0.0

    async def find(self) -> str:
        """The device's own name; loads PortAudio, so that `play` begins sooner.

        Raises DeviceMissing, DeviceLost.
        """
        return (await portaudio.found("output", self._wanted)).name

    async def play(self, sounds: AsyncIterator[Sound]) -> None:
        """Returns when the last sample was heard. Cancelled, it is silent at once.

        Raises DeviceMissing, DeviceLost.
        """
        feed = self._feed = _Feed()
        device = await portaudio.found("output", self._wanted)
        stream = await portaudio.opened(
            lambda rate: _stream(device, rate, feed), device, "loudspeaker"
        )
        try:
            async with aclosing(_resampled(sounds, int(stream.samplerate))) as chunks:
                async for samples in chunks:
                    await self._put(samples, feed, stream)
            await self._drain(feed, stream)
        finally:
            feed.muted = True
            await portaudio.closed(stream)

    async def _put(self, samples: NDArray[np.float32], feed: _Feed, stream: Any) -> None:
        """Hands samples to the callback, as room for them comes."""
        while len(samples := samples[feed.ring.put(samples) :]):
            await self._progress(feed, stream)

    async def _drain(self, feed: _Feed, stream: Any) -> None:
        """Waits until the device has played everything.

        Silence follows until then: PortAudio's own way to end (CallbackStop) cuts off the last
        buffer on ALSA's bridge to PulseAudio, or waits for ever.
        """
        while feed.ring.filled or (feed.ring.read and feed.tail < MARGIN):
            await self._progress(feed, stream)

    async def _progress(self, feed: _Feed, stream: Any) -> None:
        """Waits until the device asks for samples. Raises DeviceLost if it does not."""
        feed.news.clear()
        asked = feed.asked
        try:
            async with asyncio.timeout(self._patience):
                await feed.news.wait()
        except TimeoutError as error:
            if feed.asked == asked:
                raise _lost("plays nothing any more") from error
        if not stream.active:
            raise _lost("is gone")


def _stream(device: portaudio.Device, rate: int, feed: _Feed) -> Any:
    """Opens the device and starts it, silent at first; blocks."""

    def fill(out: NDArray[np.float32], frames: int, time: Any, status: Any) -> None:
        feed.fill(out, time.outputBufferDacTime - time.currentTime)

    feed.begin(rate)
    stream = portaudio.library().OutputStream(
        device=device.index,
        samplerate=rate,
        channels=min(2, device.channels),
        dtype="float32",
        latency=portaudio.LATENCY,
        callback=fill,
        finished_callback=feed.wake,
    )
    return portaudio.begun(stream)


class _Feed:
    """What one reply shares with the device's callback: the samples, and what became of them."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.muted = False
        self.asked = 0
        """How many frames the device has asked for."""
        self._loop = asyncio.get_running_loop()
        self.begin(portaudio.USUAL_RATE)

    def begin(self, rate: int) -> None:
        self.rate = rate
        self.ring = portaudio.Ring(int(AHEAD * rate))
        self.latency = 0.0
        """Seconds from the callback to the ear, as the device last said; some say 0."""
        self._lead = int(MARGIN * rate)
        """Frames of silence still to come before the first sample."""
        self._pause = 0
        """Frames of silence since the last sample."""

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
        self.latency = max(latency, portaudio.LATENCY)
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
